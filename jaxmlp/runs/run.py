"""What a report needs of a run directory, read once."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from jaxmlp.runs import run_directory, storage
from jaxmlp.runs.storage import Network
from jaxmlp.training.config import Config
from jaxmlp.training.loop import Metrics


class Run(NamedTuple):
    """One run, as far as it has come."""

    path: Path
    config: dict[str, Any]  # Config's fields; those that are younger than the run have their defaults
    history: tuple[Metrics, ...]  # at least one epoch
    network: Network  # of the newest whole checkpoint, as is the history
    test: dict[str, int] | None  # epoch, errors, examples; None until the run is done

    @property
    def name(self) -> str:
        return self.path.absolute().name

    @property
    def best(self) -> Metrics:
        """The epoch whose network is in best.npz."""
        return run_directory.best(self.history)


def read_run(path: Path) -> Run:
    """The run in the directory `path`. Raises RunError, CheckpointError."""
    checkpoint, arrays = run_directory.newest(path)
    return Run(
        path,
        asdict(Config()) | run_directory.read_config(path)["config"],
        run_directory.history(checkpoint, arrays),
        storage.unpacked(checkpoint, arrays),
        run_directory.read_test(path),
    )
