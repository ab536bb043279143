"""What a report needs of a run directory, read once."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from jaxmlp import storage
from jaxmlp.activations import Phi
from jaxmlp.network import Params
from jaxmlp.training import run_directory
from jaxmlp.training.loop import Metrics
from jaxmlp.training.run_directory import METRICS, TEST, RunError


class Run(NamedTuple):
    """One run, as far as it has come."""

    path: Path
    config: dict[str, Any]  # Config's fields
    history: tuple[Metrics, ...]  # at least one epoch
    params: Params  # of the newest whole checkpoint
    phi: Phi
    test: dict[str, int] | None  # epoch, errors, examples; None until the run is done

    @property
    def name(self) -> str:
        return self.path.absolute().name

    @property
    def best(self) -> Metrics:
        """The epoch of the fewest validation errors, the first of equal ones."""
        return min(self.history, key=lambda m: m.validation_errors)


def read(path: Path) -> Run:
    """The run in the directory `path`. Raises RunError, CheckpointError."""
    checkpoint, _ = run_directory.newest(path)
    params, phi = storage.load(checkpoint)
    config = run_directory.read_config(path)["config"]
    return Run(path, config, _read_history(path / METRICS), params, phi, _read_test(path / TEST))


def _read_history(path: Path) -> tuple[Metrics, ...]:
    try:
        rows = tuple(Metrics(**json.loads(line)) for line in path.read_text().splitlines())
    except OSError as error:
        raise RunError(f"{path}: expected a row for each epoch, got {error.strerror}") from error
    except (TypeError, ValueError) as error:
        raise RunError(f"{path}: expected a row for each epoch, got {error}") from error
    if not rows:
        raise RunError(f"{path}: expected a row for each epoch, got none")
    return rows


def _read_test(path: Path) -> dict[str, int] | None:
    if not path.exists():
        return None
    try:
        said = json.loads(path.read_text())
        return {name: int(said[name]) for name in ("epoch", "errors", "examples")}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: expected epoch, errors and examples, got {error!r}") from error
