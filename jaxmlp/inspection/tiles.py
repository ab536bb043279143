"""Small pictures of arrays, a square for each number, as elements. Needs the extra [plot].

Signed numbers are white at 0, red above it, blue below it.
"""

import io
from typing import Any
from xml.etree.ElementTree import Element

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image

from jaxmlp.inspection.markup import image, tag

Floats = npt.NDArray[np.floating]

SIGNED = matplotlib.colormaps["RdBu_r"]


def ink(values: npt.NDArray[Any], high: float, alt: str) -> Element:
    """(H, W) numbers from 0, white, to `high`, black."""
    grey = 255 * (1 - np.clip(values.astype(float) / high, 0, 1))
    return _tile(grey.round().astype(np.uint8), alt)


def signed(values: Floats, limit: float, alt: str) -> Element:
    """(H, W) numbers from -limit, dark blue, to limit, dark red; those beyond are as dark."""
    colours = SIGNED((values / (limit or 1.0) + 1) / 2, bytes=True)
    return _tile(np.asarray(colours)[..., :3], alt)


def outlined(tile: Element, inside: npt.NDArray[np.bool_]) -> Element:
    """The tile with a line round the pixels of it that are `inside`, (H, W)."""
    height, width = inside.shape
    padded = np.pad(inside, 1)
    upright = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])  # (row, column) of the upper end of each piece
    level = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])
    pieces = [f"M{x} {y}v1" for y, x in upright.tolist()] + [f"M{x} {y}h1" for y, x in level.tolist()]
    line = tag("svg", tag("path", d="".join(pieces)), viewBox=f"0 0 {width} {height}", aria_hidden="true")
    return tag("div", tile, line, class_="outlined")


def scale(limit: float) -> Element:
    """What the colours of `signed` stand for, in a line."""
    strip = signed(np.linspace(-1, 1, 101)[None], 1, "blue to white to red")
    return tag("span", f"{-limit:.2g} ".replace("-", "−"), strip, f" {limit:.2g}", class_="scale")


def _tile(pixels: npt.NDArray[np.uint8], alt: str) -> Element:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="png")
    return image("image/png", file.getvalue(), alt, class_="tile")
