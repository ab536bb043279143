"""One writer a folder: an advisory lock, which ends with the process that holds it, however that ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxmlp.runs.files import FileError
from jaxmlp.runs.run_directory import RunError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`, made if there is none.

    Raises FileError if it cannot be made or locked, RunError if another process holds it.
    """
    folder = path.parent
    try:
        lock = path.open("a")
    except OSError as error:
        raise FileError(f"{folder}: expected a folder to write in, got {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"{folder}: expected to be its only writer, got a run in progress") from error
        except OSError as error:
            raise FileError(f"{folder}: expected a folder with locks, got {error.strerror}") from error
        yield
