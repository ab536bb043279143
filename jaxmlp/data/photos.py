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

from jaxmlp.data.idx import DataError
from jaxmlp.extras import plot_extra

SIZE = 28  # of the image
BOX = 20  # of the digit in it
CENTRE = 14  # the mean index of the ink, in MNIST's rows and columns alike
STROKE = 2.5  # pixels: the median width of MNIST's strokes

WORKING_SIZE = 256  # a larger photo is made smaller first, which also averages its noise away
LARGEST_STROKE = 1 / 3  # of the shorter side: darkness wider than that is shadow, not ink
LEAST_CONTRAST = 0.12  # of ink with its ground, as a share of the ground's brightness
GROUND_PART = 0.6  # of a picture is ground at least
EVENINGS = 10  # fits of the ground's light
LEAST_PART = 0.1  # of the largest part of the digit: a smaller spot is dirt

Gray = npt.NDArray[np.float64]  # (height, width), 0 is black and 1 is white


def read(path: Path) -> npt.NDArray[np.uint8]:
    """The digit in the PNG or JPEG at `path`, as a (28, 28) image, 0 for ground and up to 255 for ink.

    Raises DataError for a file that is no such picture or shows no ink, MissingExtra without Pillow.
    """
    gray = _open(path)
    ink = _strokes(_ink(gray))
    if ink is None:
        raise DataError(f"{path}: expected a pen stroke on plain ground, got a picture without ink")
    return _mnist_form(_thickened(_cropped(ink)))


def _open(path: Path) -> Gray:
    """The picture upright, in gray, at most WORKING_SIZE high and wide; what is transparent shows the ground."""
    with plot_extra():
        from PIL import Image, ImageFilter, ImageOps
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as file:
                picture: Image.Image = ImageOps.exif_transpose(file)
                picture.load()
    except Exception as error:  # a damaged file makes Pillow's decoders raise errors of many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: expected a PNG or JPEG picture, got one that Pillow refuses: {reason}") from error
    if picture.mode.startswith("I"):  # 16 bits
        picture = Image.fromarray((np.asarray(picture) / 257).astype(np.uint8))
    picture = picture.convert("RGBA")
    picture.thumbnail((WORKING_SIZE, WORKING_SIZE), Image.Resampling.BOX)
    alpha = np.asarray(picture.getchannel("A")) / 255
    gray = np.asarray(picture.convert("L")) / 255
    gray = gray * alpha + _ground(gray, alpha) * (1 - alpha)
    flat = Image.fromarray(np.rint(255 * gray).astype(np.uint8))
    blurred = flat.filter(ImageFilter.GaussianBlur(max(flat.size) / WORKING_SIZE))  # a small picture stays sharp
    return np.asarray(blurred) / 255


def _ground(gray: Gray, alpha: Gray) -> float:
    """The brightness behind transparent pixels: the sheet's, or where strokes alone are opaque, their opposite."""
    if np.mean(alpha) > 0.5:
        return float(np.median(gray[alpha > 0.5]))
    return 1.0 if np.sum(gray * alpha) < 0.5 * np.sum(alpha) else 0.0


def _border(array: Gray) -> Gray:
    """The outermost pixels."""
    return np.concatenate([array[0], array[-1], array[1:-1, 0], array[1:-1, -1]])


def _ink(gray: Gray) -> Gray:
    """How much darker than the ground around it each pixel is: 0 is ground, 1 is black on it.

    The border shows which is which: ground brighter than the middle of the picture's range has dark ink, once the
    light is even. The ground under the ink is what a stroke does not cover nearby, so it follows shadows (a
    morphological closing).
    """
    even = _evenly_lit(gray)
    if np.median(_border(even)) < (even.min() + even.max()) / 2:
        gray = 1 - gray
    reach = max(1, round(LARGEST_STROKE * min(gray.shape) / 2))
    padded = np.pad(gray, 2 * reach, mode="edge")
    ground = _sweep(_sweep(padded, reach, np.max), reach, np.min)
    return 1 - gray / np.maximum(ground, 1e-3)


def _evenly_lit(gray: Gray) -> Gray:
    """Brightness above the ground's, a quadratic surface fitted to the GROUND_PART of the pixels nearest it."""
    row, column = (np.linspace(-1, 1, length) for length in gray.shape)
    row, column = (axis.ravel() for axis in np.meshgrid(row, column, indexing="ij"))
    surfaces = np.stack([np.ones_like(row), row, column, row**2, row * column, column**2], axis=1)
    above = gray.ravel() - np.median(gray)
    for _ in range(EVENINGS):
        near = np.abs(above) <= np.quantile(np.abs(above), GROUND_PART)
        fit, *_ = np.linalg.lstsq(surfaces[near], gray.ravel()[near])
        above = gray.ravel() - surfaces @ fit
    return above.reshape(gray.shape)


def _sweep(array: Gray, reach: int, extreme: Callable[..., Any]) -> Gray:
    """The extreme of the square that reaches so far around each pixel, where it fits in the array."""
    for axis in (0, 1):
        array = extreme(np.lib.stride_tricks.sliding_window_view(array, 2 * reach + 1, axis), axis=-1)
    return array


def _strokes(ink: Gray) -> Gray | None:
    """The ink of the digit alone, from 0 to 1, its soft edges kept; None if there is no ink."""
    if np.ptp(ink) < LEAST_CONTRAST:
        return None
    dark = ink > _otsu(ink)
    ground, core = np.median(ink[~dark]), np.median(ink[dark])
    if core - ground < LEAST_CONTRAST:
        return None
    soft = np.clip((ink - ground) / (core - ground) * 2 - 0.5, 0, 1)  # a quarter of the way and three quarters
    parts = _parts(soft > 0)
    masses = np.array([soft[part].sum() for part in parts])
    kept = np.zeros_like(soft)
    for part, mass in zip(parts, masses, strict=True):
        if mass >= LEAST_PART * masses.max():
            kept[part] = soft[part]
    return kept


def _otsu(values: Gray) -> float:
    """The threshold that parts the values into the two groups of least variance within (Otsu 1979)."""
    counts, edges = np.histogram(values, 256)
    middles = (edges[1:] + edges[:-1]) / 2
    below, above = np.cumsum(counts)[:-1], values.size - np.cumsum(counts)[:-1]
    total = np.cumsum(counts * middles)
    means = total[:-1] / np.maximum(below, 1) - (total[-1] - total[:-1]) / np.maximum(above, 1)
    return float(edges[1 + np.argmax(below * above * means**2)])


def _parts(mask: npt.NDArray[np.bool_]) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """The (rows, columns) of each connected part of the mask, diagonals included."""
    left = set(zip(*(axis.tolist() for axis in np.nonzero(mask)), strict=True))
    parts = []
    while left:
        part = [left.pop()]
        for row, column in part:  # grows while it is walked
            near = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            part.extend(near)
        rows, columns = zip(*part, strict=True)
        parts.append((np.array(rows), np.array(columns)))
    return parts


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
    return _sweep(np.pad(ink, 2 * reach), reach, np.max)


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
