"""Whole processes from the shell to 97% of the validation digits: imports, reading, compilation, training, test."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tools.bench.timing import Timing, interleaved

ROOT = Path(__file__).resolve().parents[2]
QUICK = [sys.executable, "-m", "jaxmlp.train", "--recipe=quick"]
PEERS = ("torch", "sklearn")
TARGET = 0.97


class Failed(RuntimeError):
    """A process did not end well, or not at the target."""


class Row(NamedTuple):
    name: str
    command: str
    test_accuracy: float  # the lowest of all runs
    timing: Timing


def run(peers: list[str], rounds: int) -> list[Row]:
    """Raises Failed."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        commands = _ours(Path(folder)) | {name: partial(_peer, name) for name in PEERS if name in peers}
        accuracies: dict[str, list[float]] = {name: [] for name in commands}

        def call(name: str) -> None:
            accuracies[name].append(_test_accuracy(commands[name]()))

        timings = interleaved({name: partial(call, name) for name in commands}, rounds)
        shown = {name: " ".join(command()) for name, command in commands.items()}
    return [Row(name, shown[name], min(accuracies[name]), timings[name]) for name in commands]


def _ours(folder: Path) -> dict[str, Callable[[], list[str]]]:
    """As it is, and with a compilation cache that the untimed first run fills."""

    def command(*arguments: str) -> list[str]:
        run_dir = Path(tempfile.mkdtemp(dir=folder), "run")  # a new one, or the run would go on
        return [*QUICK, f"--run_dir={run_dir}", *arguments]

    return {
        "jaxmlp": command,
        "jaxmlp, cached": partial(command, f"--compilation_cache_dir={folder / 'cache'}"),
    }


def _peer(name: str) -> list[str]:
    return [sys.executable, "-m", f"tools.bench.peer_{name}"]


def _test_accuracy(command: list[str]) -> float:
    """Run it, and see that its last epoch reached the target on the validation digits."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    validation = re.findall(r"^epoch .*validation accuracy ([\d.]+)%", done.stdout, re.MULTILINE)
    test = re.findall(r"^test errors: .*\(([\d.]+)% accuracy\)$", done.stdout, re.MULTILINE)
    if done.returncode or not (validation and test):
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise Failed(f"{' '.join(command)}: expected epochs, test errors and exit code 0, got {said[-1]}")
    if float(validation[-1]) / 100 < TARGET:
        raise Failed(f"{' '.join(command)}: expected {TARGET:.0%} of the validation digits, got {validation[-1]}%")
    return float(test[0]) / 100
