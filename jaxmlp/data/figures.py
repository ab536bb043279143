"""The one figure that is written on a picture, among all else that is dark or bright on it."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from jaxmlp.data import ink as inks
from jaxmlp.data.lines import without_lines

Gray = inks.Gray
Mask = npt.NDArray[np.bool_]

WIDEST_STROKES = (1 / 3, 1 / 8)  # of the shorter side: what is wider is ground
LEAST_CONTRAST = 0.12
NEIGHBOURHOOD = 1 / 4
BLOB_THICKNESS, BLOB_AREA = 0.5, 0.65
ALL8 = np.ones((3, 3), bool)


class Part(NamedTuple):
    label: int
    top: int
    left: int
    bottom: int
    right: int
    area: float
    contrast: float
    border: bool

    @property
    def height(self): return self.bottom - self.top
    @property
    def width(self): return self.right - self.left
    @property
    def extent(self): return max(self.height, self.width)


class Found(NamedTuple):
    score: float
    count: int
    ink: Gray  # soft, 0..1
    box: tuple


def find(gray: Gray, debug=False):
    best = None
    for reverse in (False, True):
        g = 1 - gray if reverse else gray
        for share in WIDEST_STROKES:
            widest = 2 * round(share * min(gray.shape) / 2) + 1
            found = _find(g, widest, debug and (reverse, share))
            if found and (best is None or found.score > 1.02 * best.score):
                best = found
    return best


def _find(gray, widest, debug=False):
    ground = inks.ground(gray, widest)
    ink = (ground - gray) / (ground + 0.1)
    middle = np.median(ink)
    ink = ink - middle
    noise = 1.4826 * np.median(np.abs(ink))
    size = max(3, round(NEIGHBOURHOOD * max(gray.shape)))
    core = ndimage.maximum_filter(ink, size)
    mask = ink > np.maximum(core / 4, max(LEAST_CONTRAST / 3, 4 * noise))
    labels, parts = _parts(mask, ink)
    mask = _without(mask, labels, _frames(labels, parts))
    thin = without_lines(mask, ink)
    if (thin != mask).any():
        mask = thin
    labels, parts = _parts(mask, ink)
    frames = _frames(labels, parts)
    parts = [p for p in parts if p not in frames and p.contrast >= LEAST_CONTRAST]
    if debug: print(debug, 'noise', noise, [(p[1:], round(_rank(p,labels),3)) for p in sorted(parts, key=lambda p: -_rank(p,labels))[:5]])
    for main in sorted(parts, key=lambda p: -_rank(p, labels))[:5]:
        if _is_blob(main, labels):
            continue
        edged, clean = _cleanliness(gray, ground, ink, labels, main)
        if debug: print('  clean', main[1:5], edged, clean)
        if clean < 0.4 or edged < 0.7:
            continue
        score = _rank(main, labels) * (edged * clean) ** 4 / max(gray.shape)
        own, rivals = _company(main, parts, labels)
        figure = np.isin(labels, [p.label for p in own])
        level = np.median(ink[figure & (ink > main.contrast / 2)])
        soft = np.clip(2 * ink / level - 0.5, 0, 1) * figure
        box = (min(p.top for p in own), min(p.left for p in own), max(p.bottom for p in own), max(p.right for p in own))
        return Found(score, 1 + len(rivals), soft, box)
    return None


def _parts(mask, ink):
    labels, n = ndimage.label(mask, ALL8)
    if n == 0:
        return labels, []
    h, w = mask.shape
    near = max(1, round(0.005 * max(h, w)))
    least = max(3, max(h, w) / 100)
    flat, weights = labels.ravel(), np.maximum(ink, 0).ravel()
    areas = np.bincount(flat)
    levels = np.bincount(flat, weights**2) / np.maximum(np.bincount(flat, weights), 1e-9)
    out = []
    for i, (rows, cols) in enumerate(ndimage.find_objects(labels), 1):
        if max(rows.stop - rows.start, cols.stop - cols.start) < least:
            continue
        border = rows.start < near or cols.start < near or rows.stop > h - near or cols.stop > w - near
        out.append(Part(i, rows.start, cols.start, rows.stop, cols.stop, int(areas[i]), float(levels[i]), border))
    return labels, sorted(out, key=lambda p: -p.extent)[:100]


def _without(mask, labels, parts):
    return mask & ~np.isin(labels, [p.label for p in parts]) if parts else mask


def _frames(labels, parts):
    frames = []
    for outer in parts:
        for inner in parts:
            if (inner.extent >= 0.2 * outer.extent and inner.height > 0.15 * outer.height
                and outer.top < inner.top and outer.left < inner.left
                and outer.bottom > inner.bottom and outer.right > inner.right
                and not (labels[inner.top:inner.bottom, inner.left:inner.right] == outer.label).any()):
                frames.append(outer)
                break
    return frames


def _is_blob(p, labels):
    if p.area > BLOB_AREA * p.extent ** 2:
        return True
    mask = labels[p.top:p.bottom, p.left:p.right] == p.label
    if 2 * ndimage.distance_transform_edt(np.pad(mask, 1)).max() > BLOB_THICKNESS * p.extent:
        return True
    return min(p.height, p.width) > 0.4 * p.extent and ndimage.binary_fill_holes(mask).mean() > 0.86


def _rank(p, labels):
    factor = 1.0
    if p.border:
        aspect = min(p.height, p.width) / p.extent
        factor = 0.15 if aspect > 0.15 else 0.02
    if p.width > 4 * p.height:
        factor *= 0.1
    return p.extent * p.contrast * factor


def _cleanliness(gray, ground, ink, labels, p):
    far = max(3, round(0.25 * p.extent))
    rows = slice(max(0, p.top - far), p.bottom + far)
    cols = slice(max(0, p.left - far), p.right + far)
    figure = (labels[rows, cols] == p.label) & (ink[rows, cols] > p.contrast / 2)
    dist, near = ndimage.distance_transform_edt(~figure, return_indices=True)
    level = ground[rows, cols][tuple(near)] * (1 - p.contrast / 2)
    bright = gray[rows, cols] >= level
    edge = (dist > 2) & (dist <= 4)
    collar = (dist > 2 + 0.02 * p.extent) & (dist <= far)
    if not collar.any() or not edge.any():
        return 0.0, 0.0
    return float(np.mean(bright[edge])), float(np.mean(bright[collar]))


def _company(main, parts, labels):
    own, rivals = [main], []
    for p in parts:
        if p is main or p.border and not main.border or p.contrast < 0.5 * main.contrast:
            continue
        gap_x = max(p.left - main.right, main.left - p.right)
        gap_y = max(p.top - main.bottom, main.top - p.bottom)
        gap = max(gap_x, gap_y)
        beside = gap_x > -0.3 * min(p.width, main.width) and p.height >= 0.55 * main.height
        above = gap_y > 0.15 * main.height and p.height >= 0.4 * main.height
        far = gap > 0.5 * main.extent
        level = p.width > 4 * p.height
        if level:
            if gap <= 0.12 * main.extent and p.area >= 0.1 * main.area and p.width < 1.2 * main.extent:
                own.append(p)
        elif p.extent >= 0.5 * main.extent and (beside or above or far):
            rivals.append(p)
        elif not far and p.area >= 0.1 * main.area:
            own.append(p)
    return own, rivals
