"""The folder of a run: what it was told, what it measured, and the checkpoints from which it goes on.

flags.txt               the flags, for --flagfile
config.json             the same for programs, with versions, machine, data hashes, git revision
metrics.jsonl           one row an epoch
checkpoint-000012.npz   after epoch 12, and the one before it
best.npz                after the epoch with the fewest validation errors
test.json               the test errors, once the run is done
lock                    held by the process that writes
"""

import errno
import fcntl
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from jaxmlp.training import checkpoint
from jaxmlp.training.checkpoint import CheckpointError
from jaxmlp.training.config import Config, ConfigError
from jaxmlp.training.epoch import State
from jaxmlp.training.loop import Metrics

FLAGS, CONFIG, METRICS = "flags.txt", "config.json", "metrics.jsonl"
BEST, TEST, LOCK = "best.npz", "test.json", "lock"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)\.npz")
KEPT = 2  # checkpoints, the best apart: if the last is damaged the one before it serves


T = TypeVar("T")


class RunError(ValueError):
    """A run directory that cannot be used. The text is one line: path, what was expected, what came."""


class Saved(NamedTuple):
    """What a checkpoint holds: the state after its last epoch, and the record of every epoch so far."""

    state: State
    history: tuple[Metrics, ...]


class RunDirectory:
    """A run directory that this process alone writes, until the `with` of `opened` ends."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def claim(self, config: Config, data: Mapping[str, str], environment: Mapping[str, Any], flags: str) -> None:
        """Write what the run is told; in a directory that has been told already, check that it is the same run.

        `data` gives the SHA-256 of each file, `flags` the text of flags.txt. More epochs, never fewer, may be asked
        for where no schedule depends on their number. Raises ConfigError for any other flag that differs, RunError
        for other data; warns of an environment in which the bits of the result may differ.
        """
        said = {"config": asdict(config), "data": dict(data), "environment": dict(environment)}
        was = read_config(self.path) if (self.path / CONFIG).exists() else None
        if was:
            for name, value in said["config"].items():
                begun = was["config"].get(name, getattr(Config, name))  # a flag that is younger than the run
                extensible = name == "epochs" and not config.scheduled
                if begun != value and not (extensible and value > begun):
                    expected = f"{begun!r}{' or more' if extensible else ''}, with which {self.path} was begun"
                    raise ConfigError(name, expected, repr(value))
            check_data(self.path, data)
            for name, value in said["environment"].items():
                begun = was["environment"].get(name, value)
                if begun != value and name != "git revision":
                    warn(f"{self.path}: {name} was {begun}, is {value}: the bits of the result may differ")
        checkpoint.replace(self.path / FLAGS, flags.encode())  # the data may lie in another folder now
        if not was or said["config"] != was["config"]:
            checkpoint.replace(self.path / CONFIG, (json.dumps(said, indent=2) + "\n").encode())

    def resume(self, like: State) -> Saved | None:
        """The newest checkpoint that is whole, None before the first; any other is named and passed over.

        `like` has the state's structure, shapes and dtypes. metrics.jsonl becomes what that checkpoint knows.
        Raises CheckpointError if there are checkpoints and none is whole.
        """
        for name in filter(_temporary, os.listdir(self.path)):
            (self.path / name).unlink()
        found = _newest(self.path, lambda path: read_checkpoint(path, like))
        if found is None:
            return None
        _, saved = found
        checkpoint.replace(self.path / METRICS, "".join(map(_row, saved.history)).encode())
        return saved

    def save(self, saved: Saved, config: Config) -> None:
        """Save the state after an epoch, then its row. When this returns, a crash loses neither.

        The best comes first: killed between the two, the epoch is not done yet, and will save both.
        """
        epoch = saved.history[-1].epoch
        history = json.dumps([metrics._asdict() for metrics in saved.history])
        arrays = {
            **checkpoint.flatten(saved.state),
            "phi": np.asarray(config.phi),
            "deskew": np.asarray(config.deskew),
            "edges": np.asarray(config.edges),
            "seed": np.asarray(config.seed),
            "epoch": np.asarray(epoch),
            "history": np.frombuffer(history.encode(), np.uint8),
        }
        if epoch == best(saved.history).epoch:
            checkpoint.save(self.path / BEST, arrays)
        checkpoint.save(self.path / f"checkpoint-{epoch:06d}.npz", arrays)
        _append(self.path / METRICS, _row(saved.history[-1]).encode())
        for old in _checkpoints(self.path)[KEPT:]:
            old.unlink()

    def tested(self, epochs: int) -> int | None:
        """The test errors that a run of so many epochs has already counted, if it has."""
        try:
            result = read_test(self.path)
        except RunError:
            return None
        return result["errors"] if result and result["epoch"] == epochs else None

    def save_test(self, epoch: int, errors: int, examples: int) -> None:
        result = {"epoch": epoch, "errors": errors, "examples": examples}
        checkpoint.replace(self.path / TEST, (json.dumps(result) + "\n").encode())


@contextmanager
def opened(path: Path) -> Iterator[RunDirectory]:
    """The run directory at `path`, made if there is none, and locked.

    Raises RunError if it cannot be made or written, is something else, or another process is writing it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        _check_ours(path)
        lock = (path / LOCK).open("a")
    except OSError as error:
        raise RunError(f"{path}: expected a folder to write in, got {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"{path}: expected to be its only writer, got a run in progress") from error
        except OSError as error:
            raise RunError(f"{path}: expected a folder with locks, got {error.strerror}") from error
        yield RunDirectory(path)


def fresh(recipe: str) -> Path:
    """A new folder runs/<time>-<recipe>, this process's own even where several begin at once. Raises RunError."""
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{recipe}"
    n = 1
    while True:
        path = Path("runs", name if n == 1 else f"{name}-{n}")
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            n += 1
        except OSError as error:
            raise RunError(f"{path}: expected a folder to write in, got {error.strerror}") from error


def read_config(path: Path) -> dict[str, Any]:
    """What config.json of the run directory says: config, data, environment. Raises RunError."""
    try:
        said = json.loads((path / CONFIG).read_text())
    except OSError as error:
        raise RunError(f"{path}: expected a run directory, got no {CONFIG} ({error.strerror})") from error
    except ValueError as error:
        raise RunError(f"{path / CONFIG}: expected JSON, got {error}") from error
    if not (
        isinstance(said, dict) and all(isinstance(said.get(k), dict) for k in ("config", "data", "environment"))
    ):
        raise RunError(f"{path / CONFIG}: expected config, data and environment, got something else")
    return said


def check_data(path: Path, data: Mapping[str, str]) -> None:
    """Raise RunError unless the run was begun on these files; `data` gives the SHA-256 of each."""
    was = read_config(path)["data"]
    for name, digest in data.items():
        if was.get(name) != digest:
            raise RunError(f"{path}: expected {name} of SHA-256 {was.get(name)}, as it was begun, got {digest}")


def newest(path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """The newest whole checkpoint in the run directory: its path and arrays. Raises RunError, CheckpointError."""
    read_config(path)
    found = _newest(path, checkpoint.load)
    if found is None:
        raise RunError(f"{path}: expected a run that has saved an epoch, got none saved yet")
    return found


def read_checkpoint(path: Path, like: State) -> Saved:
    """The state and history in the checkpoint at `path`. Raises CheckpointError."""
    arrays = checkpoint.load(path)
    return Saved(checkpoint.unflatten(path, like, arrays), history(path, arrays))


def history(path: Path, arrays: Mapping[str, np.ndarray]) -> tuple[Metrics, ...]:
    """The record of every epoch up to the checkpoint at `path`, which holds `arrays`. Raises CheckpointError."""
    try:
        return tuple(Metrics(**row) for row in json.loads(arrays["history"].tobytes()))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: expected the history of its epochs, got {error!r}") from error


def best(history: Sequence[Metrics]) -> Metrics:
    """The epoch of the fewest validation errors; of equal ones that of the smallest loss."""
    return min(history, key=lambda metrics: (metrics.validation_errors, metrics.validation_loss))


def read_test(path: Path) -> dict[str, int] | None:
    """epoch, errors and examples of the run's test; None before it. Raises RunError."""
    file = path / TEST
    try:
        said = json.loads(file.read_text())
        return {name: int(said[name]) for name in ("epoch", "errors", "examples")}
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{file}: expected epoch, errors and examples, got {error!r}") from error


def warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)


def _newest(path: Path, read: Callable[[Path], T]) -> tuple[Path, T] | None:
    """(its path, what `read` makes of it) for the newest checkpoint that it reads; None if there is none at all."""
    paths = _checkpoints(path)
    for candidate in paths:
        try:
            return candidate, read(candidate)
        except CheckpointError as error:
            warn(f"{error}; trying the one before it")
    if paths:
        raise CheckpointError(f"{path}: expected a checkpoint that can be used, got {len(paths)} that cannot")
    return None


def _checkpoints(path: Path) -> list[Path]:
    """Newest first."""
    found = [(_CHECKPOINT.fullmatch(file.name), file) for file in path.iterdir()]
    return [file for _, file in sorted(((int(m[1]), file) for m, file in found if m), reverse=True)]


def _check_ours(path: Path) -> None:
    """Raise RunError unless the folder is a run, or empty, or what a run leaves that is killed at its beginning."""
    names = set(os.listdir(path))
    if CONFIG in names:
        read_config(path)
        return
    begun = LOCK in names and (path / LOCK).stat().st_size == 0
    foreign = sorted(name for name in names if not (begun and (name in (LOCK, FLAGS) or _temporary(name))))
    if foreign:
        raise RunError(f"{path}: expected a run directory or an empty one, got a folder with {foreign[0]} in it")


def _temporary(name: str) -> bool:
    """Whether this is what is left of one of our files that was being written."""
    final = name.removesuffix(checkpoint.TEMPORARY)
    ours = final in (FLAGS, CONFIG, METRICS, BEST, TEST) or _CHECKPOINT.fullmatch(final)
    return final != name and bool(ours)


def _row(metrics: Metrics) -> str:
    return json.dumps(metrics._asdict()) + "\n"


def _append(path: Path, row: bytes) -> None:
    """Add a whole row or nothing. Raises RunError."""
    try:
        with path.open("ab", buffering=0) as file:
            size = file.tell()
            if file.write(row) != len(row):
                file.truncate(size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
    except OSError as error:
        raise RunError(f"{path}: expected to add a row, got {error.strerror}") from error
