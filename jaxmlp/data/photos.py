"""Photos of one pen stroke, brought into MNIST's form: a network knows no other.

The photo may be dark ink on light ground or the reverse, of any size, unevenly lit. What MNIST's makers did to
their scans is done here: ink bright on dark, cropped, scaled into 20x20 with its aspect kept, its centre of mass
put in the middle of 28x28 (Y. LeCun, the MNIST page). A stroke thinner than MNIST's is thickened first, or it would
almost vanish at that size.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scipy import ndimage
from jaxmlp.data import figures, ink as inks
from jaxmlp.data.idx import DataError
from jaxmlp.extras import plot_extra

SIZE = 28  # of the image
BOX = 20  # of the digit in it
CENTRE = 14  # the mean index of the ink, in MNIST's rows and columns alike
STROKE = 2.5  # pixels: the median width of MNIST's strokes

WORKING_SIZE = 768  # a larger photo is made smaller first, which also averages its noise away
LARGEST_STROKE = 1 / 3  # of the shorter side: darkness wider than that is shadow, not ink
LEAST_CONTRAST = 0.12  # of ink with its ground, as a share of the ground's brightness
GROUND_PART = 0.6  # of a picture is ground at least
EVENINGS = 10  # fits of the ground's light
LEAST_PART = 0.1  # of the largest part of the digit: a smaller spot is dirt

Gray = npt.NDArray[np.float64]  # (height, width), 0 is black and 1 is white


def read(path: Path) -> npt.NDArray[np.uint8]:
    picture = _open(path)
    gray = _reduced(picture, WORKING_SIZE)
    found = figures.find(gray)
    if found is None:
        raise DataError(f"{path}: expected a pen stroke on plain ground, got a picture without ink")
    if found.count > 1:
        raise DataError(f"{path}: expected one digit, got {found.count} figures")
    top, left, bottom, right = found.box
    extent = max(bottom - top, right - left)
    scale = max(picture.shape) / max(gray.shape)
    if extent < 150 and scale > 1.3:
        far = 0.6 * extent
        rows = slice(int(max(0, (top - far) * scale)), int((bottom + far) * scale))
        columns = slice(int(max(0, (left - far) * scale)), int((right + far) * scale))
        again = figures.find(_reduced(picture[rows, columns], 400))
        if again and again.count == 1:
            found = again
    return _mnist_form(_thickened(_cropped(found.ink)))


def _reduced(picture, size):
    from PIL import Image, ImageFilter
    image = Image.fromarray(np.rint(255 * picture).astype(np.uint8))
    image.thumbnail((size, size), Image.Resampling.BOX)
    gray = inks.gray(np.asarray(image, np.float32) / 255)
    return ndimage.gaussian_filter(gray, max(image.size) / 768)


def _open(path: Path):
    from PIL import Image, ImageOps
    with Image.open(path, formats=("PNG", "JPEG")) as file:
        picture = ImageOps.exif_transpose(file)
        picture.load()
    return np.asarray(picture.convert("RGB"), np.float32) / 255


def _cropped(ink: Gray) -> Gray:
    rows, columns = np.nonzero(ink.any(axis=1))[0], np.nonzero(ink.any(axis=0))[0]
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _thickened(ink: Gray) -> Gray:
    """The strokes as wide as MNIST's, if they were thinner.

    The width of a long stroke is twice its area over its outline, and the outline is the total variation.
    """
    padded = np.pad(ink, 1)
    outline = np.hypot(*np.gradient(padded)).sum()
    missing = STROKE / BOX * max(ink.shape) - 2 * ink.sum() / outline
    reach = max(0, round(missing / 2))
    return ndimage.maximum_filter(np.pad(ink, 2 * reach), 2 * reach + 1)


def _mnist_form(ink: Gray) -> npt.NDArray[np.uint8]:
    """Scaled into BOX and centred by mass in SIZE."""
    from PIL import Image

    height, width = (max(1, round(length * BOX / max(ink.shape))) for length in ink.shape)
    small = Image.fromarray(ink.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.clip(np.asarray(small), 0, 1)
    pixels = pixels / pixels.max()
    top, left = (
        int(
            np.clip(
                round(CENTRE - np.average(np.arange(pixels.shape[axis]), weights=pixels.sum(1 - axis))),
                0,
                SIZE - pixels.shape[axis],
            )
        )
        for axis in (0, 1)
    )
    image = np.zeros((SIZE, SIZE), np.uint8)
    image[top : top + height, left : left + width] = np.rint(255 * pixels)
    return image
