"""Photos of one written digit, brought into MNIST's form: a network knows no other.

What MNIST's makers did to their scans is done here: ink bright on dark, cropped, scaled into 20x20 with its aspect
kept, its centre of mass put in the middle of 28x28 (Y. LeCun, the MNIST page). A stroke thinner than MNIST's is
thickened first, or it would almost vanish at that size.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from jaxmlp.data import decoding, figures
from jaxmlp.data import ink as inks
from jaxmlp.data.decoding import Picture
from jaxmlp.data.figures import Figure
from jaxmlp.data.idx import DataError
from jaxmlp.data.ink import Gray

SIZE = 28  # of the image
BOX = 20  # of the digit in it
CENTRE = 14  # the mean index of the ink, in MNIST's rows and columns alike
STROKE = 2.5  # pixels: the median width of MNIST's strokes

LOOK = 512  # pixels: a larger picture is made smaller first, which also averages its noise away
SMALL = 150  # pixels: a smaller figure is looked at again, from nearer
AROUND = 0.6  # of its extent: what is seen of the sheet around it then


def read(path: Path) -> npt.NDArray[np.uint8]:
    """The digit in the PNG or JPEG at `path`, as a (28, 28) image, 0 for ground and up to 255 for ink.

    Ink may be darker or brighter than its ground, or of another colour. Raises DataError for a file that is no such
    picture or shows no ink or several figures, MissingExtra without Pillow.
    """
    picture = decoding.read(path)
    figure = _found(picture)
    if figure is None:
        raise DataError(f"{path}: expected a pen stroke on plain ground, got a picture without ink")
    if figure.figures > 1:
        raise DataError(f"{path}: expected one digit, got {figure.figures} figures")
    return _mnist_form(_thickened(figure.ink[figure.box]))


def _gray(picture: Picture, longest: int) -> Gray:
    """The picture in gray, 0 to 1, at most so many pixels high and wide."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((longest, longest), Image.Resampling.BOX)
    gray = inks.gray(np.asarray(image, np.float32) / np.float32(255))
    reduced = max(picture.shape[:2]) / max(gray.shape)
    smooth: Gray = ndimage.gaussian_filter(gray, max(gray.shape) / LOOK / reduced)  # reduction has smoothed it too
    return smooth


def _found(picture: Picture) -> Figure | None:
    """The figure on the picture, in its first look or, if it is small and the picture shows more, from nearer."""
    figure = figures.find(_gray(picture, LOOK))
    if figure is None or figure.figures > 1:
        return figure
    scale = max(picture.shape[:2]) / max(figure.ink.shape)
    extent = max(axis.stop - axis.start for axis in figure.box)
    if extent >= SMALL or scale == 1:
        return figure
    margin = AROUND * extent
    around = tuple(
        slice(max(0, int((axis.start - margin) * scale)), int((axis.stop + margin) * scale)) for axis in figure.box
    )
    nearer = figures.find(_gray(picture[around], LOOK))
    return figure if nearer is not None and nearer.figures > 1 else nearer  # there was one: the rest is dirt


def _thickened(ink: Gray) -> Gray:
    """The strokes as wide as MNIST's, if they were thinner.

    The width of a long stroke is twice its area over its outline, and the outline is the total variation.
    """
    outline = np.hypot(*np.gradient(np.pad(ink, 1))).sum()
    missing = STROKE / BOX * max(ink.shape) - 2 * ink.sum() / outline
    reach = max(0, round(missing / 2))
    thick: Gray = ndimage.maximum_filter(np.pad(ink, reach), 2 * reach + 1, mode="constant")
    return thick


def _mnist_form(ink: Gray) -> npt.NDArray[np.uint8]:
    """Scaled into BOX and centred by mass in SIZE."""
    from PIL import Image

    height, width = (max(1, round(length * BOX / max(ink.shape))) for length in ink.shape)
    small = Image.fromarray(ink).resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.clip(np.asarray(small), 0, 1)
    pixels = pixels / pixels.max()
    centre, most = ndimage.center_of_mass(pixels), SIZE - np.array(pixels.shape)
    top, left = np.clip(np.rint(CENTRE - np.array(centre)), 0, most).astype(int)
    image = np.zeros((SIZE, SIZE), np.uint8)
    image[top : top + height, left : left + width] = np.rint(255 * pixels)
    return image
