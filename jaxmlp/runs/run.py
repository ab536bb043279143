"""What a report needs of a run directory, read once."""

import time
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from jaxmlp.runs import run_directory, storage
from jaxmlp.runs.run_directory import CONFIG, RunError
from jaxmlp.runs.storage import Network
from jaxmlp.training.config import Config, ConfigError
from jaxmlp.training.loop import Metrics


class Run(NamedTuple):
    """One run, as far as it has come."""

    path: Path
    config: Config  # a flag that is younger than the run has its default
    data: dict[str, str]  # SHA-256 by file name
    environment: dict[str, Any]  # of runs.environment, as far as it was recorded
    history: tuple[Metrics, ...]  # at least one epoch
    network: Network  # of the newest whole checkpoint, as is the history
    saved: time.struct_time  # when that checkpoint was written, by its file; local time
    test: dict[str, int] | None  # epoch, errors, examples; None until the run is done

    @property
    def name(self) -> str:
        return self.path.absolute().name

    @property
    def begun(self) -> time.struct_time | None:
        """When it was, local time, if the folder's name tells."""
        try:
            return time.strptime(self.name[: len("20261124-153000")], "%Y%m%d-%H%M%S")
        except ValueError:
            return None

    @property
    def best(self) -> Metrics:
        """The epoch whose network is in best.npz."""
        return run_directory.best(self.history)

    @property
    def tested(self) -> bool:
        """Whether the test errors are those of this very network."""
        return self.test is not None and self.test["epoch"] == self.history[-1].epoch


def read_run(path: Path) -> Run:
    """The run in the directory `path`. Raises RunError, CheckpointError."""
    checkpoint, arrays = run_directory.newest(path)
    recorded = run_directory.read_config(path)
    return Run(
        path,
        _config(path, recorded["config"]),
        recorded["data"],
        recorded["environment"],
        run_directory.history(checkpoint, arrays),
        storage.of_run(path, checkpoint, arrays),
        time.localtime(checkpoint.stat().st_mtime),
        run_directory.read_test(path),
    )


def _config(path: Path, recorded: dict[str, Any]) -> Config:
    try:
        return Config(**{f.name: recorded[f.name] for f in fields(Config) if f.name in recorded})
    except ConfigError as error:
        raise RunError(f"{path / CONFIG}: {error}") from error
