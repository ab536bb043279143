"""The folder of a run, as its own process writes it: claimed, gone on with, saved after every epoch.

Of several processes the first alone touches it (`machines.led`), but all call every function here.
"""

import contextlib
import json
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.runs import checkpoint, files, locking, machines, run_directory
from jaxmlp.runs.files import FileError
from jaxmlp.runs.locking import OWNER
from jaxmlp.runs.run_directory import BEST, CONFIG, FLAGS, LOCK, METRICS, SECRET, TEST, RunError, RunWarning
from jaxmlp.training import devices, loop
from jaxmlp.training.config import Config, ConfigError
from jaxmlp.training.epoch import State
from jaxmlp.training.loop import Metrics
from jaxmlp.training.privacy import secret

KEPT = 2  # checkpoints, the best apart: if the last is damaged the one before it serves


class Saved(NamedTuple):
    """What a checkpoint holds: the state after its last epoch, and the record of every epoch so far."""

    state: State
    history: tuple[Metrics, ...]


class RunWriter:
    """A run directory that this process alone writes, until the `with` of `opened` ends."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @machines.led
    def claim(self, config: Config, data: Mapping[str, str], environment: Mapping[str, Any], flags: str) -> None:
        """Write what the run is told; in a directory that has been told already, check that it is the same run.

        `data` gives the SHA-256 of each file, `flags` the text of flags.txt. More epochs, never fewer, may be asked
        for where no schedule depends on their number. Raises ConfigError for any other flag that differs, RunError
        for other data; warns of an environment in which the bits of what is left to do may differ.
        """
        current = {"config": asdict(config), "data": dict(data), "environment": dict(environment)}
        recorded = self.check(config, data)
        if recorded and not self.tested(config):
            self._compare_environment(environment, recorded["environment"])
        files.replace(self.path / FLAGS, flags.encode())  # the data may lie in another folder now
        if not recorded or current["config"] != recorded["config"]:
            files.replace(self.path / CONFIG, (json.dumps(current, indent=2) + "\n").encode())

    def check(self, config: Config, data: Mapping[str, str]) -> dict[str, Any] | None:
        """What the directory has been told, None of one that has not; raises as `claim` if that is another run."""
        if not (self.path / CONFIG).exists():
            return None
        recorded = run_directory.read_config(self.path)
        self._check_config(config, recorded["config"])
        run_directory.check_data(self.path, data)
        return recorded

    def _check_config(self, config: Config, recorded: Mapping[str, Any]) -> None:
        for name, value in asdict(config).items():
            begun_with = recorded.get(name, getattr(Config, name))  # a flag that is younger than the run
            extensible = name == "epochs" and not config.scheduled
            if begun_with != value and not (extensible and value > begun_with):
                expected = f"{begun_with!r}{' or more' if extensible else ''}, with which {self.path} was begun"
                raise ConfigError(name, expected, repr(value))

    def _compare_environment(self, environment: Mapping[str, Any], recorded: Mapping[str, Any]) -> None:
        for name, value in environment.items():
            before = recorded.get(name, value)
            if before != value and name != "git revision":
                text = f"{self.path}: {name} was {before}, is {value}: the bits of the result may differ"
                warnings.warn(text, RunWarning, stacklevel=3)

    def resume(self, like: State) -> Saved | None:
        """The newest checkpoint that is whole, None before the first; any other is named and passed over.

        `like` has the state's structure, shapes and dtypes. metrics.jsonl becomes what that checkpoint knows.
        Raises CheckpointError if there are checkpoints and none is whole.
        """
        saved = self._resume(like) if machines.leads() else None
        rows = machines.gather([metrics._asdict() for metrics in saved.history] if saved else None)[0]
        if rows is None:
            return None
        state = devices.of_first_process(saved.state if saved else like)
        return Saved(state, tuple(Metrics(**row) for row in rows))

    def _resume(self, like: State) -> Saved | None:
        for name in filter(_temporary, os.listdir(self.path)):
            (self.path / name).unlink()
        found = run_directory.newest_usable(self.path, lambda path: _read_checkpoint(path, like))
        if found is None:
            return None
        _, saved = found
        files.replace(self.path / METRICS, "".join(map(_row, saved.history)).encode())
        return saved

    def secret(self) -> bytes:
        """That of a private run, drawn at its beginning. Raises RunError if it is lost once an epoch was saved."""
        return bytes.fromhex(self._secret())

    @machines.led
    def _secret(self) -> str:
        path = self.path / SECRET
        try:
            found = files.read(path) if path.exists() else b""
        except OSError as error:
            raise RunError(f"{path}: expected the run's secret, got {error.strerror}") from error
        if len(found) == secret.BYTES:
            return found.hex()
        if found or run_directory.checkpoints(self.path):
            got = f"{len(found)} bytes" if found else "no such file"
            raise RunError(f"{path}: expected the {secret.BYTES} bytes that the run draws from, got {got}")
        files.replace(path, drawn := secret.fresh(), mode=0o600)
        return drawn.hex()

    def save(self, saved: Saved, config: Config) -> None:
        """Save the state after an epoch, then its row. When this returns, a crash loses neither."""
        self._save(Saved(devices.whole(saved.state), saved.history), config)

    @machines.led
    def _save(self, saved: Saved, config: Config) -> None:
        """The best comes first: killed between the two, the epoch is not done yet, and will save both."""
        epoch = saved.history[-1].epoch
        history = json.dumps([metrics._asdict() for metrics in saved.history])
        arrays = {
            **checkpoint.flatten(saved.state),
            "phi": np.asarray(config.phi),
            **config.arrays(),
            "seed": np.asarray(config.seed),
            "epoch": np.asarray(epoch),
            "history": np.frombuffer(history.encode(), np.uint8),
        }
        if epoch == run_directory.best(saved.history).epoch:
            checkpoint.save(self.path / BEST, arrays)
        checkpoint.save(self.path / f"checkpoint-{epoch:06d}.npz", arrays)
        files.append(self.path / METRICS, _row(saved.history[-1]).encode())
        for old in run_directory.checkpoints(self.path)[KEPT:]:
            old.unlink()

    @machines.led
    def tested(self, config: Config) -> dict[str, int] | None:
        """What run_directory.read_test gives, once the run has ended as the config says: it does nothing more.

        Raises CheckpointError.
        """
        try:
            result = run_directory.read_test(self.path)
        except RunError:
            return None
        if result is None or result["epoch"] == config.epochs:
            return result
        history = run_directory.newest_history(self.path) if config.patience else ()
        return result if len(history) == result["epoch"] and loop.ended(config, history) else None

    @machines.led
    def save_test(self, epoch: int, errors: int, examples: int) -> None:
        result = {"epoch": epoch, "errors": errors, "examples": examples}
        files.replace(self.path / TEST, (json.dumps(result) + "\n").encode())


@contextlib.contextmanager
def opened(path: Path) -> Iterator[RunWriter]:
    """The run directory at `path`, made if there is none, and locked.

    Raises FileError if it cannot be made or written, RunError if it is something else, or another process is
    writing it.
    """
    with contextlib.ExitStack() as held:
        _claim_folder(path, held)
        yield RunWriter(path)


@machines.led
def _claim_folder(path: Path, held: contextlib.ExitStack) -> None:
    files.make_folder(path)
    _check_ours(path)
    held.enter_context(locking.locked(path / LOCK))


def fresh(recipe: str) -> Path:
    """A new folder runs/<time>-<recipe>, this run's own even where several begin at once. Raises FileError."""
    return Path(_fresh(recipe))


@machines.led
def _fresh(recipe: str) -> str:
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{recipe}"
    n = 1
    while True:
        path = Path("runs", name if n == 1 else f"{name}-{n}")
        try:
            path.mkdir(parents=True)
            return str(path)
        except FileExistsError:
            n += 1
        except OSError as error:
            raise FileError(f"{path}: expected a folder to write in, got {error.strerror}") from error


def _read_checkpoint(path: Path, like: State) -> Saved:
    """The state and history in the checkpoint at `path`. Raises CheckpointError."""
    arrays = checkpoint.load(path)
    return Saved(checkpoint.unflatten(path, like, arrays), run_directory.history(path, arrays))


def _check_ours(path: Path) -> None:
    """Raise RunError unless the folder is a run, or empty, or what a run leaves that is killed at its beginning."""
    names, begun = locking.found_in(path)
    if CONFIG in names:
        run_directory.read_config(path)
        return
    foreign = sorted(
        name for name in names if not (begun and (name in (LOCK, LOCK + OWNER, FLAGS) or _temporary(name)))
    )
    if foreign:
        raise RunError(f"{path}: expected a run directory or an empty one, got a folder with {foreign[0]} in it")


def _temporary(name: str) -> bool:
    """Whether this is what is left of one of our files that was being written."""
    final = name.removesuffix(files.TEMPORARY)
    ours = final in (FLAGS, CONFIG, METRICS, BEST, TEST, SECRET) or run_directory.CHECKPOINT.fullmatch(final)
    return final != name and bool(ours)


def _row(metrics: Metrics) -> str:
    return json.dumps(metrics._asdict()) + "\n"
