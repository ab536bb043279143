"""Digits drawn with a round pen, in no data set, and pictures of them as people take them.

A digit is lines and arcs in a unit square, y downwards. `photo` is a plain square of it, `picture` a whole picture
in one of the STYLES: the shape, the pen, the size, the place and the light are of a seed's choosing.
"""

import itertools
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw


def arc(x, y, rx, ry, start, end):
    """Points of an ellipse from one angle to another, in degrees clockwise from three o'clock."""
    angle = np.radians(np.linspace(start, end, 40))
    return [(x + rx * c, y + ry * s) for c, s in zip(np.cos(angle), np.sin(angle), strict=True)]


STROKES = {  # each a list of strokes, each a list of points
    0: [arc(0.5, 0.5, 0.28, 0.42, -80, 285)],
    1: [[(0.42, 0.2), (0.55, 0.08), (0.5, 0.92)]],
    2: [[*arc(0.48, 0.3, 0.25, 0.22, -170, 40), (0.22, 0.9), (0.8, 0.88)]],
    3: [[*arc(0.45, 0.29, 0.25, 0.2, -160, 85), *arc(0.45, 0.7, 0.29, 0.22, -85, 160)]],
    4: [[(0.35, 0.08), (0.22, 0.55), (0.8, 0.52)], [(0.66, 0.2), (0.6, 0.95)]],
    5: [[(0.78, 0.1), (0.34, 0.12), (0.29, 0.46), *arc(0.44, 0.66, 0.28, 0.24, -110, 150)]],
    6: [[(0.62, 0.06), (0.38, 0.35), *arc(0.48, 0.7, 0.22, 0.22, 180, 540), (0.27, 0.6)]],
    7: [[(0.2, 0.14), (0.78, 0.12), (0.42, 0.93)]],
    8: [[*arc(0.5, 0.28, 0.2, 0.19, 90, 450), *arc(0.5, 0.7, 0.25, 0.23, -90, 270)]],
    9: [[*arc(0.46, 0.31, 0.22, 0.22, 0, -360), (0.68, 0.31), (0.62, 0.93)]],
}

OTHER_HANDS = {  # more ways to write each
    0: [[arc(0.5, 0.5, 0.2, 0.43, -110, 250)], [arc(0.5, 0.5, 0.36, 0.4, -60, 310)]],
    1: [[[(0.5, 0.06), (0.5, 0.94)]], [[(0.34, 0.26), (0.52, 0.07), (0.52, 0.92)]]],
    2: [
        [
            [
                *arc(0.46, 0.29, 0.24, 0.21, -180, 20),
                (0.3, 0.86),
                *arc(0.33, 0.84, 0.09, 0.08, 60, 300),
                (0.82, 0.92),
            ]
        ],
        [[*arc(0.5, 0.32, 0.26, 0.26, -150, 55), (0.2, 0.92), (0.78, 0.92)]],
    ],
    3: [
        [[*arc(0.47, 0.27, 0.23, 0.19, -150, 95), (0.4, 0.47), *arc(0.46, 0.7, 0.26, 0.23, -80, 150)]],
        [[(0.24, 0.1), (0.74, 0.1), (0.46, 0.42), *arc(0.45, 0.67, 0.28, 0.25, -80, 150)]],
    ],
    4: [
        [[(0.68, 0.95), (0.66, 0.07), (0.18, 0.64), (0.86, 0.63)]],
        [[(0.24, 0.12), (0.22, 0.52), (0.74, 0.53)], [(0.74, 0.07), (0.72, 0.94)]],
    ],
    5: [
        [[(0.34, 0.13), (0.3, 0.47), *arc(0.45, 0.68, 0.27, 0.23, -115, 140)], [(0.33, 0.12), (0.76, 0.09)]],
        [[(0.74, 0.08), (0.36, 0.1), (0.33, 0.42), *arc(0.47, 0.65, 0.25, 0.26, -120, 130), (0.2, 0.88)]],
    ],
    6: [
        [[*arc(0.66, 0.62, 0.42, 0.56, -95, -178), *arc(0.47, 0.7, 0.23, 0.22, 180, 540)]],
        [[(0.54, 0.05), (0.3, 0.55), *arc(0.5, 0.7, 0.23, 0.21, 190, 550)]],
    ],
    7: [
        [[(0.2, 0.1), (0.8, 0.1), (0.46, 0.94)], [(0.36, 0.52), (0.76, 0.5)]],
        [[(0.22, 0.24), (0.22, 0.12), (0.78, 0.1), (0.5, 0.5), (0.42, 0.93)]],
    ],
    8: [
        [[*arc(0.5, 0.28, 0.21, 0.2, -30, -270), *arc(0.5, 0.7, 0.24, 0.22, -90, 250), (0.68, 0.2)]],
        [[*arc(0.5, 0.29, 0.24, 0.2, 90, 450), *arc(0.5, 0.69, 0.23, 0.22, -90, 270)]],
    ],
    9: [
        [[*arc(0.48, 0.31, 0.23, 0.23, 0, -360), *arc(0.3, 0.42, 0.41, 0.52, -10, 70)]],
        [[*arc(0.47, 0.3, 0.2, 0.22, -40, -390), (0.66, 0.14), (0.66, 0.94)]],
    ],
}


def coverage(digit, size=280, at=(40, 40), scale=200, pen=14, turn=0.0):
    """The pen's mark in a square of `size` pixels, 0 to 1; `turn` in degrees clockwise about the digit's middle."""
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    strokes = [
        ((np.array(s) - 0.5) @ np.array([[cos, sin], [-sin, cos]]) + 0.5) * scale + at for s in STROKES[digit]
    ]
    return inked(strokes, size, size, pen)


def inked(strokes, height, width, pen):
    """The mark, 0 to 1, of a round pen of diameter `pen` pixels along the strokes, which are arrays of (x, y)."""
    image = Image.new("L", (2 * width, 2 * height))
    draw = ImageDraw.Draw(image)
    for stroke in strokes:
        for (x, y), (u, v) in itertools.pairwise(2 * np.asarray(stroke)):
            for t in np.linspace(0, 1, 2 + int(np.hypot(u - x, v - y))):
                px, py = x + t * (u - x), y + t * (v - y)
                draw.ellipse((px - pen, py - pen, px + pen, py + pen), fill=255)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX)) / 255


def photo(digit, ink=0.15, paper=0.9, noise=0.0, light=None, **where):
    """A gray picture, uint8: ink on paper, under `light` (a factor for each pixel), with a camera's noise."""
    mark = coverage(digit, **where)
    gray = (paper + (ink - paper) * mark) * (1 if light is None else light)
    return _uint8(gray + noise * np.random.default_rng(digit).standard_normal(gray.shape))


def _uint8(gray):
    return np.rint(255 * np.clip(gray, 0, 1)).astype(np.uint8)


Mark = np.ndarray  # (height, width), 0 to 1
Hand = Callable[[int, np.random.Generator, float], Mark]  # a digit's mark of about that height, cropped


def handwritten(digit, rng, height):
    """One of the ways to write the digit, wider or narrower, slanted, turned, a little uneven."""
    hands = [STROKES[digit], *OTHER_HANDS[digit]]
    slant, turn = rng.uniform(-0.15, 0.25), np.radians(rng.uniform(-7, 7))
    cos, sin = np.cos(turn), np.sin(turn)
    form = np.array([[rng.uniform(0.75, 1.1), 0], [-slant, 1]]) @ np.array([[cos, sin], [-sin, cos]])
    phases = rng.uniform(0, 2 * np.pi, 4)
    strokes = []
    for stroke in hands[rng.integers(len(hands))]:
        x, y = np.array(stroke).T
        waves = np.sin(5 * np.stack([y, x], axis=1) + phases[:2]) + np.sin(
            9 * np.stack([x, y], axis=1) + phases[2:]
        )
        strokes.append((np.array(stroke) + 0.015 * waves - 0.5) @ form * height / 0.86)
    pen = height * rng.uniform(0.045, 0.12)
    low, high = np.min(np.concatenate(strokes), 0) - pen, np.max(np.concatenate(strokes), 0) + pen
    width, tall = np.ceil(high - low).astype(int)
    return inked([stroke - low for stroke in strokes], tall, width, pen)


class Sheet:
    """A sheet that one digit stands on: `mark` is what the pen covers of it, `gray` the sheet's own brightness."""

    def __init__(self, digit, seed, hand, size=None, tall=(0.35, 0.6)):
        self.rng, self.hand = np.random.default_rng([seed, digit]), hand
        rng = self.rng
        self.height, self.width = size or (int(rng.integers(400, 900)), int(rng.integers(400, 900)))
        self.ink, self.paper = rng.uniform(0.03, 0.3), rng.uniform(0.8, 1)
        self.mark = np.zeros((self.height, self.width))
        self.gray = np.full_like(self.mark, self.paper)
        writing = np.random.default_rng([seed, digit, 1])  # the same shape whatever the style
        figure = hand(digit, writing, min(self.height, self.width) * rng.uniform(*tall))
        spare = np.array(self.mark.shape) - figure.shape
        top, left = (spare * rng.uniform(0.3, 0.7, 2)).astype(int)
        self.box = (left, top, left + figure.shape[1], top + figure.shape[0])  # of the digit
        self.write(figure, top, left)

    def write(self, figure, top, left):
        """The figure's mark added, as far as it lies on the sheet."""
        rows = slice(max(top, 0), min(top + figure.shape[0], self.height))
        columns = slice(max(left, 0), min(left + figure.shape[1], self.width))
        part = figure[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        self.mark[rows, columns] = np.maximum(self.mark[rows, columns], part)

    def print(self, mark, tone):
        """What is printed in that tone below the pen, where `mark` is 1."""
        self.gray = self.gray + (np.minimum(tone, self.gray) - self.gray) * mark

    def photographed(self, light=1.0, reverse=False):
        """The picture, with a camera's noise, of the sheet under the light."""
        gray = self.gray + (np.minimum(self.ink, self.gray) - self.gray) * self.mark
        gray = (1 - gray if reverse else gray) * light
        return gray + self.rng.uniform(0, 0.03) * self.rng.standard_normal(gray.shape)

    def half_plane(self, share, soft=1.0):
        """1 on one side of a straight line, which leaves that side so large a share, 0 on the other."""
        angle = self.rng.uniform(0, 2 * np.pi)
        y, x = np.mgrid[: self.height, : self.width]
        along = x * np.cos(angle) + y * np.sin(angle)
        return np.clip((along - np.quantile(along, 1 - share)) / soft + 0.5, 0, 1)

    def along(self, side):
        """How long that side is; 0 to 3 are the top, left, bottom and right."""
        return self.mark.shape[1 - side % 2]

    def border(self, side, reach):
        """1 as far from one side as `reach`, a number or an array along it."""
        strip = np.clip(np.broadcast_to(reach, self.along(side)) - np.arange(self.along(side + 1))[:, None], 0, 1)
        strip = strip if side % 2 == 0 else strip.T
        return strip[::-1, ::-1] if side >= 2 else strip


def _plain(sheet):
    return sheet.photographed()


def _chalk(sheet):
    return sheet.photographed(reverse=True)


def _shaded(sheet):
    dark, y, x = sheet.rng.uniform(0.35, 0.7), *np.mgrid[-1 : 1 : sheet.height * 1j, -1 : 1 : sheet.width * 1j]
    angle = sheet.rng.uniform(0, 2 * np.pi)
    slope = (x * np.cos(angle) + y * np.sin(angle)) / np.sqrt(2) / 2 + 0.5
    return sheet.photographed(light=dark + (1 - dark) * slope)


def _printed_box(sheet):
    left, top, right, bottom = _round(sheet)
    line = sheet.rng.uniform(0.004, 0.012) * max(sheet.mark.shape)
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    sheet.print(inked([corners], *sheet.mark.shape, line), sheet.rng.uniform(0.05, 0.4))
    return sheet.photographed()


def _drawn_box(sheet):
    left, top, right, bottom = _round(sheet)
    rng, pen = sheet.rng, sheet.rng.uniform(0.008, 0.02) * max(sheet.mark.shape)
    uneven = 0.015 * min(right - left, bottom - top)
    sides = np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], float)
    sides += rng.normal(0, uneven, sides.shape)  # the last corner misses the first, or not
    points = []
    for a, b in itertools.pairwise(sides):
        t = np.linspace(0, 1, 20)[:, None]
        points.extend(
            a + t * (b - a) + rng.normal(0, uneven) * np.sin(np.pi * t) * (b - a)[::-1] / np.hypot(*(b - a))
        )
    sheet.mark = np.maximum(sheet.mark, inked([points], *sheet.mark.shape, pen))
    return sheet.photographed()


def _round(sheet):
    """A box round the digit, snug or far, inside the sheet: left, top, right, bottom."""
    left, top, right, bottom = sheet.box
    tall = bottom - top
    near, far = 0.1 * tall, (left, top, sheet.width - right, sheet.height - bottom)
    share = sheet.rng.uniform(0, 1)
    gaps = [near + max(0, share * (0.9 * room - near)) * sheet.rng.uniform(0.7, 1) for room in far]
    return left - gaps[0], top - gaps[1], right + gaps[2], bottom + gaps[3]


def _table(sheet):
    picture = sheet.photographed()
    first, tone = sheet.rng.integers(4), sheet.rng.uniform(0.08, 0.4)
    for side in (first, (first + 1) % 4):
        length = sheet.along(side)
        room = (sheet.box[1], sheet.box[0], sheet.height - sheet.box[3], sheet.width - sheet.box[2])[side]
        reach = sheet.rng.uniform(0.3, 0.8) * room
        slope = sheet.rng.uniform(-0.03, 0.03) * np.linspace(-1, 1, length) * length
        strip = sheet.border(side, np.maximum(reach + np.clip(slope, -0.15 * room, 0.15 * room), 0))
        table = tone + 0.02 * sheet.rng.standard_normal(picture.shape)
        picture = picture + (table - picture) * strip
    return picture


def _shadow(sheet):
    shade = sheet.half_plane(sheet.rng.uniform(0.35, 0.65), soft=sheet.rng.uniform(1, 6))
    return sheet.photographed(light=1 - (1 - sheet.rng.uniform(0.35, 0.45)) * shade)


def _margin(sheet):
    picture = sheet.photographed(reverse=True)
    y, x = (int(sheet.rng.uniform(0.08, 0.3) * length) for length in picture.shape)
    return np.pad(picture, ((y, y), (x, x)), constant_values=sheet.rng.uniform(0.9, 1))


def _two(sheet):
    """Another digit beside it, about as high, on wider paper."""
    left, top, right, bottom = sheet.box
    tall = bottom - top
    other = sheet.hand(int(sheet.rng.integers(10)), sheet.rng, tall * sheet.rng.uniform(0.8, 1))
    gap = int(tall * sheet.rng.uniform(0.15, 0.6))
    more = other.shape[1] + gap
    sheet.mark = np.pad(sheet.mark, ((0, 0), (0, more)))
    sheet.gray = np.pad(sheet.gray, ((0, 0), (0, more)), constant_values=sheet.paper)
    sheet.width += more
    low = sheet.height - other.shape[0] - 0.1 * tall
    sheet.write(other, int(min(top + tall * sheet.rng.uniform(-0.1, 0.1), low)), right + gap)
    return sheet.photographed()


def _neighbour(sheet):
    left, top, right, bottom = sheet.box
    tall = bottom - top
    other = sheet.hand(int(sheet.rng.integers(10)), sheet.rng, tall * sheet.rng.uniform(0.8, 1.2))
    inside = sheet.rng.uniform(0.15, 0.5) * np.array(other.shape)
    room = np.array([top, min(left, sheet.width - right)])
    rows, columns = np.maximum(3, np.minimum(inside, 0.7 * room)).astype(int)
    place = sheet.rng.integers(3)
    if place == 0:
        sheet.write(other, top, columns - other.shape[1])
    elif place == 1:
        sheet.write(other, top, sheet.width - columns)
    else:
        sheet.write(other, rows - other.shape[0], left)
    return sheet.photographed()


def _rules(sheet):
    rng = sheet.rng
    tone = sheet.ink + rng.uniform(0.02, 0.2)
    thick, apart = rng.uniform(0.003, 0.006) * sheet.height, rng.uniform(0.08, 0.2) * sheet.height
    tilt, start = rng.uniform(-0.04, 0.04), rng.uniform(0, apart)
    y, x = np.mgrid[: sheet.height, : sheet.width]
    for across, along in ((y, x), (x, y))[: 1 if rng.random() < 0.7 else 2]:  # squared paper, sometimes
        place = (across + tilt * (along if across is y else -along) - start) % apart
        off = np.minimum(place, apart - place)
        sheet.print(np.clip(thick / 2 - off + 0.5, 0, 1), tone)
    return sheet.photographed()


def _scan_edge(sheet):
    picture = sheet.photographed()
    for side in sheet.rng.choice(4, sheet.rng.integers(1, 3), replace=False):
        uneven = np.convolve(sheet.rng.normal(0, 1, sheet.along(side) + 40), np.hanning(41) / 10, "valid")
        reach = np.maximum(min(sheet.mark.shape) * sheet.rng.uniform(0.015, 0.06) + uneven, 1)
        picture = picture + (sheet.rng.uniform(0, 0.2) - picture) * sheet.border(side, reach)
    return picture


def _coloured(sheet):
    """Ink and paper of two hues, and one brightness."""
    weights, rng = np.array([0.299, 0.587, 0.114]), sheet.rng
    ink, paper = np.roll([0.85, 0.35, 0.35], rng.integers(3)), rng.uniform(0.4, 0.6, 3)
    if np.argmax(ink) == np.argmax(paper):
        paper = np.roll(paper, 1)
    paper = paper * (weights @ ink) / (weights @ paper)
    rgb = paper + (ink - paper) * sheet.mark[:, :, None]
    return rgb + rng.uniform(0, 0.02) * rng.standard_normal(rgb.shape)


STYLES = {
    "pen on paper": _plain,
    "chalk on a board": _chalk,
    "shaded": _shaded,
    "printed box": _printed_box,
    "drawn box": _drawn_box,
    "sheet on a dark table": _table,
    "hard shadow": _shadow,
    "white margin": _margin,
    "two digits": _two,
    "a neighbour's piece": _neighbour,
    "dark rules": _rules,
    "dark scan edge": _scan_edge,
    "small on a large sheet": _plain,
    "coloured ink": _coloured,
}


def picture(style, digit, seed, hand=handwritten):
    """A picture of the digit in that style, uint8: (height, width), or (height, width, 3) where it has colours."""
    more = {"size": (3200, 2400), "tall": (0.025, 0.07)} if style == "small on a large sheet" else {}
    return _uint8(STYLES[style](Sheet(digit, seed, hand, **more)))
