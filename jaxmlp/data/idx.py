"""IDX files, the form MNIST comes in: a reader of uint8 arrays that trusts nothing, and the hash of such a file.

An IDX file is two zero bytes, a type code (0x08 for uint8), the number of dimensions, every dimension as a
big-endian uint32, then the items in C order (Y. LeCun, the MNIST page). It may be gzipped.
"""

import hashlib
import math
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_ITEMS = 2**30  # EMNIST ByClass, the largest of MNIST's relatives, has 0.55e9
MAX_UNVERIFIED = 2**26  # larger arrays are read through once, keeping nothing, before memory is allocated
CHUNK = 2**16
GZIP_MAGIC = b"\x1f\x8b"
MAX_EXPANSION = 1032  # of deflate: 258 bytes from 2 bits


class DataError(ValueError):
    """A data file or folder that cannot be used. The message is one line: path, what was expected, what came."""


def read(path: str | Path, ndim: int) -> npt.NDArray[np.uint8]:
    """The uint8 array with `ndim` dimensions in the IDX file at `path`.

    Gzip is recognised by content; plain data under a name ending in .gz is refused. The file must hold the array
    whole and nothing after it. Lengths are checked before memory is allocated, and no more is read than the header
    promises and one byte. Raises DataError for whatever else is found at `path`.
    """
    path = Path(path)
    with _opened(path) as file:
        content, shape = _start(path, file, ndim)
        if math.prod(shape) > MAX_UNVERIFIED:
            for _ in _items(path, content, math.prod(shape)):
                pass
            content, shape = _start(path, file, ndim)
        array = np.empty(math.prod(shape), np.uint8)
        filled = 0
        for data in _items(path, content, array.size):
            array[filled : filled + len(data)] = np.frombuffer(data, np.uint8)
            filled += len(data)
    return array.reshape(shape)


def read_shape(path: str | Path, ndim: int) -> tuple[int, ...]:
    """The shape of that array from the header alone, with every check that needs no more. Raises DataError."""
    path = Path(path)
    with _opened(path) as file:
        return _start(path, file, ndim)[1]


def sha256(array: npt.NDArray[np.uint8]) -> str:
    """SHA-256, in hexadecimal, of the plain IDX file that holds `array`, of any shape, header included."""
    digest = hashlib.sha256(struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape))
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class _Gunzip:
    """The content of a file of gzip streams, one or several; the CRC and length of each are checked at its end."""

    def __init__(self, path: Path, file: BufferedReader) -> None:
        self._path = path
        self._file = file
        self._packed = b""  # read, and not inflated yet
        self._inflater = _inflater()
        self._size = 0

    def read(self, size: int) -> bytes:
        """At least one byte and at most `size` >= 1; none at the end."""
        while True:
            packed = self._packed or self._file.read(CHUNK)
            if self._inflater.eof:
                if not packed:
                    return b""
                self._packed = packed = packed.lstrip(b"\0")  # padding, which gzip passes over too
                if not packed:
                    continue
                if not GZIP_MAGIC.startswith(packed[: len(GZIP_MAGIC)]):
                    raise DataError(f"{self._path}: expected the end after the gzip stream, got more bytes")
                self._inflater = _inflater()
            data: bytes = self._inflater.decompress(packed, size)
            self._packed = self._inflater.unconsumed_tail or self._inflater.unused_data
            self._size += len(data)
            # No compressor doubles its input; without this, empty blocks or an endless name are read for hours.
            if self._file.tell() > 2 * self._size + 2**20:
                found = f"{self._file.tell()} bytes that hold only {self._size}"
                raise DataError(f"{self._path}: expected gzip data, got {found}")
            if data:
                return data
            if not packed and not self._inflater.eof:
                raise DataError(
                    f"{self._path}: expected a whole gzip stream, got its first {self._file.tell()} bytes"
                )


def _inflater() -> Any:
    return zlib.decompressobj(wbits=31)  # 31: deflate with gzip's header and trailer


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    """The regular file at `path`, open; a failure of the system, of zlib or of memory becomes a DataError."""
    try:
        kind = stat.filemode(path.stat().st_mode)[0]
        if kind != "-":  # asked before opening: to open a FIFO waits for a writer
            found = {"d": "a directory", "p": "a FIFO"}.get(kind, "a device or socket")
            raise DataError(f"{path}: expected a regular file, got {found}")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, got {error.strerror}") from error
    except zlib.error as error:
        raise DataError(f"{path}: expected intact gzip data, got a stream that fails: {error}") from error
    except MemoryError as error:
        raise DataError(f"{path}: expected an array that fits the memory, got one too large for it") from error


def _start(path: Path, file: BufferedReader, ndim: int) -> tuple[BufferedReader | _Gunzip, tuple[int, ...]]:
    """(content that stands at its first item, shape): the header, held against the size of the file."""
    file.seek(0)
    file_size = os.fstat(file.fileno()).st_size
    beginning = file.peek(8)[:8]
    if not beginning:
        raise DataError(f"{path}: expected an IDX file, got an empty file")
    gzipped = beginning.startswith(GZIP_MAGIC)
    if path.suffix == ".gz" and not gzipped:
        raise DataError(f"{path}: expected gzip data, as its name says, got a file that starts with {beginning!r}")
    content = _Gunzip(path, file) if gzipped else file

    code = _take(path, content, 4)
    if code[:2] != b"\0\0":
        raise DataError(f"{path}: expected an IDX file, which starts with two zero bytes, got {code!r}")
    if code[2] != 0x08:
        raise DataError(f"{path}: expected the IDX type code 0x08 (uint8), got {code[2]:#04x}")
    if code[3] != ndim:
        raise DataError(f"{path}: expected the number of dimensions {ndim}, got {code[3]}")
    shape = struct.unpack(f">{ndim}I", _take(path, content, 4 * ndim))
    written = " x ".join(map(str, shape))
    size = math.prod(shape)
    if size == 0:
        raise DataError(f"{path}: expected at least one item, got a header that says {written}")
    if size > MAX_ITEMS:
        raise DataError(f"{path}: expected at most {MAX_ITEMS} items, got a header that says {written}")
    length = 4 + 4 * ndim + size
    if not gzipped and file_size != length:
        raise DataError(f"{path}: expected {length} bytes, as its header says ({written}), got {file_size}")
    if gzipped and length > MAX_EXPANSION * file_size:
        raise DataError(
            f"{path}: expected gzip data of {length} bytes, as its header says ({written}), "
            f"got {file_size} bytes, which expand to {MAX_EXPANSION * file_size} at most"
        )
    return content, shape


def _take(path: Path, content: BufferedReader | _Gunzip, size: int) -> bytes:
    """The next `size` bytes of the header."""
    taken = b""
    while len(taken) < size:
        data = content.read(size - len(taken))
        if not data:
            raise DataError(f"{path}: expected a whole IDX header, got an end within it")
        taken += data
    return taken


def _items(path: Path, content: BufferedReader | _Gunzip, size: int) -> Iterator[bytes]:
    """The items, in pieces: exactly `size` bytes, then the end."""
    missing = size
    while missing:
        data = content.read(min(missing, CHUNK))
        if not data:
            raise DataError(f"{path}: expected {size} items, as its header says, got {size - missing}")
        missing -= len(data)
        yield data
    if content.read(1):
        raise DataError(f"{path}: expected {size} items, as its header says, got more")
