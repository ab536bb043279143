"""Ten digits drawn with a round pen, in no data set: lines and arcs in a unit square, y downwards."""

import itertools

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


def coverage(digit, size=280, at=(40, 40), scale=200, pen=14, turn=0.0):
    """The pen's mark in a square of `size` pixels, 0 to 1; `turn` in degrees clockwise about the digit's middle."""
    image = Image.new("L", (2 * size, 2 * size))
    draw = ImageDraw.Draw(image)
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    for stroke in STROKES[digit]:
        points = np.array(stroke) - 0.5
        points = 2 * ((points @ np.array([[cos, sin], [-sin, cos]]) + 0.5) * scale + at)
        for (x, y), (u, v) in itertools.pairwise(points):
            for t in np.linspace(0, 1, 2 + int(np.hypot(u - x, v - y))):
                px, py = x + t * (u - x), y + t * (v - y)
                draw.ellipse((px - pen, py - pen, px + pen, py + pen), fill=255)
    return np.asarray(image.resize((size, size), Image.Resampling.BOX)) / 255


def photo(digit, ink=0.15, paper=0.9, noise=0.0, light=None, **where):
    """A gray picture, uint8: ink on paper, under `light` (a factor for each pixel), with a camera's noise."""
    mark = coverage(digit, **where)
    gray = (paper + (ink - paper) * mark) * (1 if light is None else light)
    gray = gray + noise * np.random.default_rng(digit).standard_normal(gray.shape)
    return np.rint(255 * np.clip(gray, 0, 1)).astype(np.uint8)
