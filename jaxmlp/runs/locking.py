"""One writer a folder.

An advisory lock (flock), which ends with the process that holds it, however that ends. Where the file system has
none (some NFS, Lustre), a file beside it that only one process can make. It names its host and process; one that is
left over from a process of this host that has ended is taken over.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from jaxmlp.runs.files import FileError
from jaxmlp.runs.run_directory import LOCK, RunError

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None  # type: ignore[assignment]

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
OWNER = ".owner"  # the suffix of the file that names who holds the lock, where there is no flock


def found_in(folder: Path) -> tuple[set[str], bool]:
    """The names in the folder, and whether a writer has begun it, whose lock is there. Raises FileError."""
    try:
        names = set(os.listdir(folder))
        return names, LOCK in names and (folder / LOCK).stat().st_size == 0
    except OSError as error:
        raise FileError(f"{folder}: expected a folder to write in, got {error.strerror}") from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`, made if there is none.

    Raises FileError if it cannot be made or locked, RunError if another process holds it.
    """
    with contextlib.ExitStack() as held:
        try:
            lock = held.enter_context(path.open("a"))
            if not _flocked(lock, path.parent):
                held.enter_context(_owned(path.with_name(path.name + OWNER)))
        except OSError as error:
            raise FileError(f"{path.parent}: expected a folder to write in, got {error.strerror}") from error
        yield


def _flocked(lock: IO[str], folder: Path) -> bool:
    """Whether the file is locked now; False where there are no such locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RunError(f"{folder}: expected to be its only writer, got a run in progress") from error
    except OSError as error:
        if error.errno in NO_LOCKS:
            return False
        raise
    return True


@contextmanager
def _owned(path: Path) -> Iterator[None]:
    """Hold the file at `path` by having made it."""
    me = f"{socket.gethostname()} {os.getpid()}"
    try:
        _make(path, me)
    except FileExistsError:
        _take_over(path)
        _make(path, me)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _make(path: Path, content: str) -> None:
    with path.open("x") as file:
        file.write(content)


def _take_over(path: Path) -> None:
    """Remove the file of a process that has ended. Raises RunError if it has not, or somebody was faster."""
    holder = path.read_text(errors="replace")
    if not _ended(holder):
        raise RunError(
            f"{path.parent}: expected to be its only writer, got a run in progress, or one that was killed on "
            f"another host: {holder or 'nobody named'}; if it has ended, delete {path.name}"
        )
    removed = path.with_name(f"{path.name}.{os.getpid()}")
    path.rename(removed)
    if (faster := removed.read_text(errors="replace")) != holder:
        removed.rename(path)
        raise RunError(f"{path.parent}: expected to be its only writer, got a run in progress: {faster}")
    removed.unlink()


def _ended(holder: str) -> bool:
    """Whether the process that this names is known to have ended: it was on this host, and is not there."""
    host, _, process = holder.rpartition(" ")
    if host != socket.gethostname() or not process.isdecimal():
        return False
    with contextlib.suppress(PermissionError):  # it is there, and somebody else's
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            return True
        except OverflowError:  # no number of a process
            return False
    return False
