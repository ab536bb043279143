"""The images in one file that somebody hands in: a photo, an IDX file or a .npy file, told apart by content."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from jaxmlp.data import idx, photos
from jaxmlp.data.idx import DataError

NPY_MAGIC = b"\x93NUMPY"


def read(path: Path, pixels: int) -> npt.NDArray[np.uint8]:
    """The images in the file, (n, height, width) of 0 to 255 with height * width = `pixels`, ink bright on dark.

    A PNG or JPEG is a photo of one digit, brought into MNIST's form. An IDX file, gzipped or not, holds images as
    MNIST's do. A .npy file holds one image (height, width) or several (n, height, width), of uint8, or of floats
    from 0 to 1. Raises DataError for anything else, MissingExtra for a photo without Pillow.
    """
    start = _start(path)
    if start.startswith(NPY_MAGIC):
        images = _read_npy(path)
    elif start.startswith((b"\0\0", idx.GZIP_MAGIC)):
        images = idx.read(path, 3)
    elif pixels == photos.SIZE**2:
        images = photos.read(path)[None]
    else:
        raise DataError(
            f"{path}: expected an IDX or .npy file of images of {pixels} pixels, got another file (a photo has "
            f"{photos.SIZE}x{photos.SIZE} once it is read)"
        )
    _, height, width = images.shape
    if height * width != pixels:
        raise DataError(f"{path}: expected images of {pixels} pixels, one for each input, got {height}x{width}")
    return images


def _start(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # to open a FIFO waits for a writer
            raise DataError(f"{path}: expected a regular file, got a folder or device")
        with path.open("rb") as file:
            return file.read(len(NPY_MAGIC))
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, got {error.strerror}") from error


def _read_npy(path: Path) -> npt.NDArray[np.uint8]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped, so that no header can ask for memory
    except Exception as error:  # the header is parsed as Python
        raise DataError(f"{path}: expected a whole .npy file, got one that NumPy refuses: {error}") from error
    if array.ndim not in (2, 3) or array.size == 0:
        raise DataError(f"{path}: expected (height, width) or (n, height, width), got {array.shape}")
    if np.issubdtype(array.dtype, np.floating) and array.min() >= 0 and array.max() <= 1:
        array = np.rint(255 * np.asarray(array)).astype(np.uint8)
    if array.dtype != np.uint8:
        raise DataError(f"{path}: expected uint8, or floats from 0 to 1, got {_described(array)}")
    return np.array(array).reshape(-1, *array.shape[-2:])


def _described(array: npt.NDArray[np.generic]) -> str:
    if np.issubdtype(array.dtype, np.floating):
        return f"{array.dtype} from {array.min()} to {array.max()}"
    return str(array.dtype)
