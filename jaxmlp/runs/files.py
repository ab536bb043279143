"""Files that are written whole or not at all, whenever the process or the machine dies."""

import errno
import os
from functools import partial
from pathlib import Path

TEMPORARY = ".tmp"  # the suffix of a file that is being written


class FileError(OSError):
    """A file that cannot be written. The text is one line: path, what was expected, what came."""


def replace(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Make `content` the file at `path`: all of it or nothing. Raises FileError and leaves no temporary.

    It is written beside its final name, flushed to the disk, renamed over it, and the folder is flushed: after a
    crash at any moment the name holds the old file or the new one. `mode` says who may read and write it, as far as
    the umask lets them; nobody else can at any moment.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        try:
            with open(temporary, "wb", opener=partial(os.open, mode=mode)) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise FileError(f"{path}: expected to write {len(content)} bytes, got {error.strerror}") from error


def read(path: Path) -> bytes:
    """The content of the file at `path`. Raises OSError, of what is no regular file too: a FIFO may never end."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "a folder, FIFO or device")
    return path.read_bytes()


def append(path: Path, row: bytes) -> None:
    """Add a whole row to the file at `path`, or nothing. Raises FileError."""
    try:
        with path.open("ab", buffering=0) as file:
            size = file.tell()
            if file.write(row) != len(row):
                file.truncate(size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
    except OSError as error:
        raise FileError(f"{path}: expected to add a row, got {error.strerror}") from error


def make_folder(path: Path) -> None:
    """Make the folder, and those above it, where they are missing. Raises FileError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{path}: expected a folder to write in, got {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk: a rename is durable only then."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
