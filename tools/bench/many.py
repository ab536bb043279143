"""Many networks: a sweep, against `train` for one after another, and against such processes pinned to a core each.

All are whole processes. Of the networks that are trained one after another, a few are timed and the time is scaled.
An epoch's time is what so many more of them add: imports, compilation and the test are not in it, validation and
saving are.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tools.bench.processes import ROOT, Failed
from tools.bench.timing import Timing, interleaved

NETWORKS = 16
FEW, MANY = 1, 9  # epochs


Way = Callable[[Sequence[str], Path], None]  # trains with these options, in this folder


class Row(NamedTuple):
    """Of one way to train the networks."""

    name: str
    whole: Timing  # seconds for all of them, for MANY epochs
    epoch: Timing  # seconds for one epoch of one network


def run(hidden: int, batch_size: int, rounds: int) -> list[Row]:
    """Raises Failed."""
    cores = sorted(os.sched_getaffinity(0))
    processes = 2 * len(cores)
    options = [f"--hidden={hidden}", f"--batch_size={batch_size}", "--learning_rate=0.5"]
    ways: dict[str, tuple[Way, float]] = {
        "sweep": (_sweep, 1.0),
        "train, one after another": (partial(_one_after_another, processes), NETWORKS / processes),
        "train, pinned to a core each": (partial(_pinned, processes, cores), NETWORKS / processes),
    }
    calls = {
        f"{name}, {epochs}": partial(_in_a_folder, way, [*options, f"--epochs={epochs}"])
        for name, (way, _) in ways.items()
        for epochs in (FEW, MANY)
    }
    timings = interleaved(calls, rounds)
    rows = []
    for name, (_, scale) in ways.items():
        few, many = (timings[f"{name}, {epochs}"].scaled(scale) for epochs in (FEW, MANY))
        more = [(b - a) / (MANY - FEW) / NETWORKS for a, b in zip(few.samples, many.samples, strict=True)]
        rows.append(Row(name, many, Timing(more)))
    return rows


def _in_a_folder(way: Way, options: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        way(options, Path(folder))


def _sweep(options: Sequence[str], folder: Path) -> None:
    _wait([_start("sweep", [*options, f"--seed=0:{NETWORKS}"], folder / "sweep")])


def _one_after_another(processes: int, options: Sequence[str], folder: Path) -> None:
    for seed in range(processes):
        _wait([_start("train", [*options, f"--seed={seed}"], folder / str(seed))])


def _pinned(processes: int, cores: Sequence[int], options: Sequence[str], folder: Path) -> None:
    for first in range(0, processes, len(cores)):
        _wait(
            [
                _start("train", [*options, f"--seed={first + i}"], folder / str(first + i), core)
                for i, core in enumerate(cores)
            ]
        )


def _start(command: str, options: Sequence[str], run_dir: Path, core: int | None = None) -> "subprocess.Popen[str]":
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    words = [*pinned, sys.executable, "-m", f"jaxmlp.{command}", *options, f"--run_dir={run_dir}"]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _wait(processes: Sequence["subprocess.Popen[str]"]) -> None:
    for process in processes:
        _, error = process.communicate()
        if process.returncode:
            raise Failed(f"{process.args!r}: expected exit code 0, got {process.returncode}, {error.strip()}")
