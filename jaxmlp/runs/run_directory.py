"""The folder of a run, as others read it: what it was told, what it measured, and its checkpoints.

flags.txt               the flags, for --flagfile
config.json             the same for programs, with versions, machine, data hashes, git revision
metrics.jsonl           one row an epoch
checkpoint-000012.npz   after epoch 12, and the one before it
best.npz                after the epoch with the fewest validation errors
test.json               the test errors, once the run is done
secret.key              of a private run: what its batches and its noise are drawn from
explore.html            the page of python -m jaxmlp.explore, if it was asked for
lock                    held by the process that writes
"""

import json
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from jaxmlp.runs import checkpoint, files
from jaxmlp.runs.checkpoint import CheckpointError
from jaxmlp.training.loop import Metrics

FLAGS, CONFIG, METRICS = "flags.txt", "config.json", "metrics.jsonl"
BEST, TEST, LOCK = "best.npz", "test.json", "lock"
EXPLORER = "explore.html"
SECRET = "secret.key"
SWEEP = "sweep.csv"  # in a folder of many runs: see sweep_directory.py
CHECKPOINT = re.compile(r"checkpoint-(\d+)\.npz")

T = TypeVar("T")


class RunError(ValueError):
    """A run directory that cannot be used. The text is one line: path, what was expected, what came."""


class RunWarning(UserWarning):
    """What may surprise in a run, and stops nothing. The text is one line that names the path."""


def read_config(path: Path) -> dict[str, Any]:
    """What config.json of the run directory says: config, data, environment. Raises RunError."""
    try:
        recorded = json.loads(files.read(path / CONFIG))
    except OSError as error:
        check_is_one(path)
        raise RunError(f"{path}: expected a run directory, got no {CONFIG} ({error.strerror})") from error
    except ValueError as error:
        raise RunError(f"{path / CONFIG}: expected JSON, got {error}") from error
    parts = ("config", "data", "environment")
    if not (isinstance(recorded, dict) and all(isinstance(recorded.get(part), dict) for part in parts)):
        raise RunError(f"{path / CONFIG}: expected config, data and environment, got something else")
    return recorded


def check_is_one(path: Path) -> None:
    """Raise RunError if the path is the folder of a sweep."""
    if os.path.isfile(path / SWEEP):  # False for a name too long
        raise RunError(f"{path}: expected the directory of one run, got that of a sweep of them")


def check_data(path: Path, data: Mapping[str, str]) -> None:
    """Raise RunError unless the run was begun on these files; `data` gives the SHA-256 of each."""
    recorded = read_config(path)["data"]
    for name, digest in data.items():
        if recorded.get(name) != digest:
            expected = f"{name} of SHA-256 {recorded.get(name)}, as it was begun"
            raise RunError(f"{path}: expected {expected}, got {digest}")


def newest(path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """The newest whole checkpoint in the run directory: its path and arrays. Raises RunError, CheckpointError."""
    read_config(path)
    found = newest_usable(path, checkpoint.load)
    if found is None:
        raise RunError(f"{path}: expected a run that has saved an epoch, got none saved yet")
    return found


def history(path: Path, arrays: Mapping[str, np.ndarray]) -> tuple[Metrics, ...]:
    """The record of every epoch up to the checkpoint at `path`, which holds `arrays`. Raises CheckpointError."""
    try:
        return tuple(Metrics(**row) for row in json.loads(arrays["history"].tobytes()))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: expected the history of its epochs, got {error!r}") from error


def newest_history(path: Path) -> tuple[Metrics, ...]:
    """The record of every epoch up to the newest whole checkpoint of the run directory; none before the first.

    Raises CheckpointError.
    """
    found = newest_usable(path, checkpoint.load)
    return history(*found) if found else ()


def best(history: Sequence[Metrics]) -> Metrics:
    """The epoch of the fewest validation errors; of equal ones that of the smallest loss."""
    return min(history, key=lambda metrics: (metrics.validation_errors, metrics.validation_loss))


def read_test(path: Path) -> dict[str, int] | None:
    """epoch, errors and examples of the run's test; None before it. Raises RunError."""
    file = path / TEST
    try:
        recorded = json.loads(files.read(file))
        return {name: int(recorded[name]) for name in ("epoch", "errors", "examples")}
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{file}: expected epoch, errors and examples, got {error!r}") from error


def newest_usable(path: Path, read: Callable[[Path], T]) -> tuple[Path, T] | None:
    """(its path, what `read` makes of it) for the newest checkpoint that it reads; None if there is none at all."""
    paths = checkpoints(path)
    for candidate in paths:
        try:
            return candidate, read(candidate)
        except CheckpointError as error:
            # Told of once, however often it is read: Python knows a warning by its text and this line.
            warnings.warn(f"{error}; trying the one before it", RunWarning, stacklevel=1)
    if paths:
        raise CheckpointError(f"{path}: expected a checkpoint that can be used, got {len(paths)} that cannot")
    return None


def checkpoints(path: Path) -> list[Path]:
    """The paths of its checkpoints, newest first."""
    found = [(CHECKPOINT.fullmatch(file.name), file) for file in path.iterdir()]
    return [file for _, file in sorted(((int(m[1]), file) for m, file in found if m), reverse=True)]
