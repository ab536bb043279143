"""The images in one file that somebody hands in: a photo, an IDX file or a .npy file, told apart by content."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from jaxmlp.data import idx, photos
from jaxmlp.data.idx import DataError

NPY_MAGIC = b"\x93NUMPY"
START = 64  # bytes, which tell files apart

NOT_READ = {  # pictures that people have, by how their files start
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"%PDF": "PDF",
    b"\0\0\1\0": "ICO",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
}
AVIF_BRANDS = (b"avif", b"avis")
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def read(path: Path, pixels: int) -> npt.NDArray[np.uint8]:
    """The images in the file, (n, height, width) of 0 to 255 with height * width = `pixels`, ink bright on dark.

    A PNG or JPEG is a photo of one digit, brought into MNIST's form. An IDX file, gzipped or not, holds images as
    MNIST's do. A .npy file holds one image (height, width) or several (n, height, width), of uint8, or of floats
    from 0 to 1. Raises DataError for anything else, which names other kinds of picture, and MissingExtra for a
    photo without Pillow.
    """
    start = _start(path)
    if name := _not_read(start):
        raise DataError(
            f"{path}: expected a PNG or JPEG picture, an IDX or a .npy file, got {name} (save it as JPEG or PNG)"
        )
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
            return file.read(START)
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, got {error.strerror}") from error


def _not_read(start: bytes) -> str | None:
    """The name of the file's format, if it is a picture or film that is not read."""
    if start[4:8] == b"ftyp":  # a list of brands follows; mif1 may be either, and has a second one that says which
        brands = start[8 : int.from_bytes(start[:4], "big")]
        if any(brand in brands for brand in AVIF_BRANDS):
            return "AVIF"
        return "HEIC" if any(brand in brands for brand in HEIC_BRANDS) else "a film (MP4 or QuickTime)"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "WebP"
    return next((name for magic, name in NOT_READ.items() if start.startswith(magic)), None)


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
