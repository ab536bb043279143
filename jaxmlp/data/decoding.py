"""A picture file as pixels: PNG and JPEG, through Pillow."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from jaxmlp.data.idx import DataError
from jaxmlp.extras import plot_extra

if TYPE_CHECKING:
    from PIL import Image

Picture = npt.NDArray[np.uint8]  # (height, width, 3): red, green, blue

JPEG_START = b"\xff\xd8"
ENOUGH = 2048  # pixels of either side
LARGEST_JPEG = 2**28  # pixels; a progressive one takes three bytes of memory for each


def read(path: Path) -> Picture:
    """The picture upright; where it is transparent, it shows the colour of what is not.

    A large JPEG is read reduced. Raises DataError for a file that is no whole PNG or JPEG or that holds too many
    pixels, MissingExtra without Pillow.
    """
    with plot_extra():
        from PIL import Image, ImageOps
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with _opened(path) as file:
                _reduce(file)
                picture: Image.Image = ImageOps.exif_transpose(file)
                picture.load()
    except Exception as error:  # a damaged file makes Pillow's decoders raise errors of many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: expected a PNG or JPEG picture, got one that Pillow refuses: {reason}") from error
    if picture.mode.startswith("I"):  # 16 bits
        picture = Image.fromarray((np.asarray(picture) / 257).astype(np.uint8))
    return _opaque(np.asarray(picture.convert("RGBA")))


def _opened(path: Path) -> "Image.Image":
    from PIL import Image, JpegImagePlugin

    with path.open("rb") as file:
        if file.read(len(JPEG_START)) != JPEG_START:
            return Image.open(path, formats=("PNG",))
    return JpegImagePlugin.JpegImageFile(path)  # Image.open refuses a large one before it can be told to reduce it


def _reduce(file: "Image.Image") -> None:
    """Have a JPEG read in a half, a quarter or an eighth of its pixels a side, as long as they are ENOUGH."""
    if file.width * file.height > LARGEST_JPEG:
        raise ValueError(f"{file.width * file.height} pixels, more than {LARGEST_JPEG}")
    file.draft(None, (ENOUGH, ENOUGH))


def _opaque(rgba: npt.NDArray[np.uint8]) -> Picture:
    rgb, alpha = rgba[..., :3], rgba[..., 3:]
    if alpha.min() == 255:
        return np.ascontiguousarray(rgb)
    share = alpha / 255
    mixed: Picture = np.rint(rgb * share + _ground(rgb, share[..., 0]) * (1 - share)).astype(np.uint8)
    return mixed


def _ground(rgb: Picture, alpha: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The colour behind transparent pixels: the sheet's, or where strokes alone are opaque, their opposite."""
    if np.mean(alpha) > 0.5:
        return np.asarray(np.median(rgb[alpha > 0.5], axis=0))
    drawn = np.average(rgb.mean(axis=2), weights=alpha) if alpha.any() else 0.0
    return np.full(3, 255.0 if drawn < 128 else 0.0)
