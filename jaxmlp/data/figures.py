"""The figure that a pen wrote on a picture, found among all else that is dark or bright on it.

Ink is what stands off from the ground nearby. Four readings of the picture are tried: ink dark or bright, and a pen
wide or narrow. In each, ruled lines and frames are taken off, and each connected part of the ink is weighed: a
figure is large and in contrast, clear of the border, and its edge is one all round, with plain ground beyond it. A
shadow, a table, the inside of a ring or a corner between two strokes fails one of these. The weightiest part of all
readings is the figure, or most of it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from jaxmlp.data import ink as inks
from jaxmlp.data.ink import Gray
from jaxmlp.data.lines import Mask, without_lines

WIDEST_PENS = (1 / 3, 1 / 8)  # of the picture's shorter side: what is wider is ground
LEAST_CONTRAST = 0.12  # of ink with its ground
FAINT = 1 / 4  # of the darkest ink nearby: the soft edge of a stroke, or its faint end
NEARBY = 1 / 4  # of the picture's longer side
NOISE = 4  # standard deviations of the ground: what is less is no ink

SMALLEST = 1 / 100  # of the picture's longer side: a smaller part is dirt
AT_BORDER = 1 / 100  # as far from the border, or less, a part is cut by it
LARGEST_COUNT = 100  # parts that are looked at, and
WEIGHED = 5  # those that are weighed: the largest
MOST_FILLED = 0.65  # of the square round it that a part covers: 99.9% of MNIST's digits fill less than 0.54
DISCERNIBLE = 30  # pixels: in a smaller part strokes run into one another
THICKEST = 0.5  # of its extent: 99.9% of MNIST's are at most 0.43 thick
FULLEST = 0.86  # of its box that it covers with its holes: MNIST's cover at most 0.83
LEAST_EDGE, LEAST_GROUND = 0.55, 0.4  # of the pixels round a part
CLEAR = 4  # the power of these shares by which a part is weighed

PARTS = np.ones((3, 3), bool)  # parts are connected across corners too


@dataclass(frozen=True)
class Part:
    """A connected part of the ink: its box, whose bottom and right are not in it, and what it is made of."""

    label: int
    top: int
    left: int
    bottom: int
    right: int
    area: int  # pixels
    contrast: float  # the mean ink of its pixels, weighed by their ink
    cut: bool  # by the border of the picture

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def extent(self) -> int:
        return max(self.height, self.width)

    @property
    def box(self) -> tuple[slice, slice]:
        return self.box_with(0)

    def box_with(self, margin: int) -> tuple[slice, slice]:
        """Rows and columns of the box and so much around it."""
        return (
            slice(max(0, self.top - margin), self.bottom + margin),
            slice(max(0, self.left - margin), self.right + margin),
        )

    @property
    def is_bar(self) -> bool:
        """Whether it is a level stroke, which by itself is no digit."""
        return self.width > 4 * self.height


class Figure(NamedTuple):
    """What was found."""

    ink: Gray  # (height, width), 0 to 1: of the figure alone, its soft edges kept
    box: tuple[slice, slice]  # its rows and columns
    figures: int  # that stand on the picture, itself one of them
    weight: float


def find(gray: Gray) -> Figure | None:
    """The figure on the picture, the weightiest if there are several; None where there is no ink."""
    found = []
    for side in (gray, 1 - gray):
        for share in WIDEST_PENS:
            reading = _Reading(side, 2 * round(share * min(gray.shape) / 2) + 1)
            found.extend(reading.figures())
    return max(found, key=lambda figure: figure.weight, default=None)


class _Reading:
    """A picture, taken as dark strokes at most `widest` pixels wide on brighter ground."""

    def __init__(self, gray: Gray, widest: int):
        self.gray, self.ground = gray, inks.ground(gray, widest)
        self.ink = inks.ink(gray, self.ground)
        noise = 1.4826 * float(np.median(np.abs(self.ink)))
        darkest = ndimage.maximum_filter(self.ink, max(3, round(NEARBY * max(gray.shape))))
        mask = self.ink > np.maximum(FAINT * darkest, max(LEAST_CONTRAST / 3, NOISE * noise))
        # A frame is taken off whole first, or its straight sides would go and leave its corners.
        without_frames = mask & ~np.isin(*self._labels_of_frames(mask))
        self.labels, parts = self._parts(without_lines(without_frames, self.ink))
        frames = _frames(self.labels, parts)
        self.parts = [
            part
            for part in parts
            if part not in frames and part.contrast >= LEAST_CONTRAST and not self._is_blob(part)
        ]

    def _labels_of_frames(self, mask: Mask) -> tuple[npt.NDArray[np.int32], list[int]]:
        labels, parts = self._parts(mask)
        return labels, [frame.label for frame in _frames(labels, parts)]

    def _parts(self, mask: Mask) -> tuple[npt.NDArray[np.int32], list[Part]]:
        """The label of each pixel's part, and the largest parts, largest first."""
        labels, _ = ndimage.label(mask, PARTS)
        height, width = mask.shape
        border = max(1, round(AT_BORDER * max(mask.shape)))
        ink = np.where(mask, self.ink, 0).ravel()
        areas, sums, squares = (np.bincount(labels.ravel(), weights) for weights in (None, ink, ink**2))
        parts = []
        for label, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
            cut = min(rows.start, columns.start, height - rows.stop, width - columns.stop) <= border
            contrast = float(squares[label] / sums[label])
            box = (rows.start, columns.start, rows.stop, columns.stop)
            part = Part(label, *box, int(areas[label]), contrast, cut)
            if part.extent >= max(3, SMALLEST * max(mask.shape)):
                parts.append(part)
        return labels, sorted(parts, key=lambda part: -part.extent)[:LARGEST_COUNT]

    def figures(self) -> list[Figure]:
        """The figure round the weightiest part, or none."""
        likely = sorted(self.parts, key=_prior, reverse=True)[:WEIGHED]
        weights = {part: self._weight(part) for part in likely}
        main = max(weights, key=lambda part: weights[part], default=None)
        if main is None or weights[main] == 0:
            return []
        own, others = _company(main, self.parts)
        mine = np.isin(self.labels, [part.label for part in own])
        level = np.median(self.ink[mine & (self.ink > main.contrast / 2)])
        soft = np.clip(2 * self.ink / level - 0.5, 0, 1) * mine  # from a quarter of the ink to three quarters
        rows = slice(min(part.top for part in own), max(part.bottom for part in own))
        columns = slice(min(part.left for part in own), max(part.right for part in own))
        return [Figure(soft, (rows, columns), 1 + others, weights[main])]

    def _is_blob(self, part: Part) -> bool:
        """Whether no pen wrote it: too full or too thick for strokes, as far as its size lets that be seen."""
        if part.extent < DISCERNIBLE:
            return False
        mask = self._core(part, part.box)
        if mask.sum() > MOST_FILLED * part.extent**2:
            return True
        if 2 * ndimage.distance_transform_edt(np.pad(mask, 1)).max() > THICKEST * part.extent:
            return True
        narrow = min(part.height, part.width) <= 0.4 * part.extent  # a one fills its box
        return not narrow and ndimage.binary_fill_holes(mask).mean() > FULLEST

    def _core(self, part: Part, window: tuple[slice, slice]) -> Mask:
        """The part's pixels in the window without its soft edge."""
        core: Mask = (self.labels[window] == part.label) & (self.ink[window] > part.contrast / 2)
        return core

    def _weight(self, part: Part) -> float:
        """The part's extent and contrast, less where there is no edge close to it, or no ground a little beyond."""
        far = max(3, round(0.25 * part.extent))
        around = part.box_with(far)
        core = self._core(part, around)
        distance, nearest = ndimage.distance_transform_edt(~core, return_indices=True)
        middle = self.ground[around][tuple(nearest)] * (1 - part.contrast / 2)  # between the ink and its ground
        is_ground = self.gray[around] >= middle
        edge = is_ground[(distance > 2) & (distance <= 4)]
        beyond = is_ground[(distance > 2 + 0.02 * part.extent) & (distance <= far)]
        if not edge.size or not beyond.size or edge.mean() < LEAST_EDGE or beyond.mean() < LEAST_GROUND:
            return 0.0
        return _prior(part) * float(edge.mean() * beyond.mean()) ** CLEAR


def _prior(part: Part) -> float:
    """How much the part counts by its size and contrast alone. What the border cuts is likely a neighbour's."""
    share = 1.0
    if part.cut:
        share = 0.15 if min(part.height, part.width) > 0.15 * part.extent else 0.02
    return part.extent * part.contrast * share * (0.1 if part.is_bar else 1)


def _frames(labels: npt.NDArray[np.int32], parts: list[Part]) -> list[Part]:
    """The parts with another of some size inside them, which they do not touch."""
    return [outer for outer in parts if any(_surrounds(labels, outer, inner) for inner in parts)]


def _surrounds(labels: npt.NDArray[np.int32], outer: Part, inner: Part) -> bool:
    return (
        outer.top < inner.top
        and outer.left < inner.left
        and inner.bottom < outer.bottom
        and inner.right < outer.right
        and inner.extent >= 0.2 * outer.extent
        and inner.height > 0.15 * outer.height
        and not np.any(labels[inner.box] == outer.label)
    )


def _company(main: Part, parts: list[Part]) -> tuple[list[Part], int]:
    """The parts of the same figure, `main` among them, and the number of other figures.

    A detached stroke is near and lower than the figure. What is about as high and stands beside it is another
    figure, as is what stands apart. A level bar belongs to the figure where it nearly touches it (a five's), and is
    a line where it does not.
    """
    own, others = [main], 0
    for part in parts:
        if part is main or (part.cut and not main.cut) or part.contrast < main.contrast / 2:
            continue
        across = max(part.left - main.right, main.left - part.right)  # the gap between the boxes, or less than 0
        down = max(part.top - main.bottom, main.top - part.bottom)
        apart = max(across, down) > 0.5 * main.extent
        substantial = part.area >= 0.1 * main.area
        if part.is_bar:
            if substantial and max(across, down) <= 0.12 * main.extent and part.width < 1.2 * main.extent:
                own.append(part)
            continue
        beside = across > -0.3 * min(part.width, main.width) and part.height >= 0.55 * main.height
        above = down > 0.15 * main.height and part.height >= 0.4 * main.height
        if part.extent >= 0.5 * main.extent and (beside or above or apart):
            others += 1
        elif substantial and not apart:
            own.append(part)
    return own, others
