"""The runs of the records: each recipe is a sweep over seeds in a folder of its own; nothing is trained twice."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxmlp import sweep
from jaxmlp.commands.flags import RECIPES
from jaxmlp.commands.start import DIVERGED
from jaxmlp.runs import run_directory
from jaxmlp.runs.run_directory import RunError
from jaxmlp.runs.stopping import SIGNALS

TOLD = ("data_dir", "target_epsilon")  # what a recipe may say beside the fields of Config


class Result(NamedTuple):
    run_dir: Path
    errors: int  # of 10,000
    minutes: float  # of training


def check(recipe: str, runs: Path) -> None:
    """Raise RunError if what the recipe trains on is missing, or its runs were begun with other flags."""
    of_recipe = _flags(f"{RECIPES / recipe}.flags")
    data_dir = of_recipe["data_dir"]
    if data_dir and not Path(data_dir).is_dir():
        raise RunError(f"{recipe}: expected the data in {data_dir}, as {recipe}.flags says, got no such folder")
    begun_with = runs / recipe / run_directory.FLAGS
    if not begun_with.exists():
        return
    for name, value in _flags(begun_with).items():
        if name != "seed" and value != of_recipe[name]:
            expected, got = ("none" if v is None else v for v in (of_recipe[name], value))
            raise RunError(f"{begun_with}: expected --{name}={expected}, as {recipe} has it, got {got}")


def trained(recipe: str, seeds: range, runs: Path) -> list[Result]:
    """The results of these seeds, after what is left of them to do. Other seeds that are done stay in the sweep.

    The runs have passed `check`. Exits with the command's code if that fails, and if a network diverges. Raises
    RunError, CheckpointError.
    """
    folder = runs / recipe
    run_dirs = [folder / f"seed={seed}" for seed in seeds]
    tested = (test.parent.name.removeprefix("seed=") for test in folder.glob(f"seed=*/{run_directory.TEST}"))
    done = {int(seed) for seed in tested if seed.isdecimal()}  # a copy of one, say, is none
    asked = ",".join(map(str, sorted(done.union(seeds))))
    _run("sweep", f"--flagfile={RECIPES / recipe}.flags", f"--seed={asked}", f"--run_dir={folder}")
    results = [_result(run_dir) for run_dir in run_dirs]
    if None in results:
        sys.exit(DIVERGED)
    _compare_environments(run_dirs)
    return [result for result in results if result]


def _flags(file: str | Path) -> dict[str, Any]:
    """The value of each flag, by name, of a sweep with this file of flags."""
    sweep.FLAGS.parse([f"--flagfile={file}"])
    return sweep.FLAGS.values(*TOLD)


def _run(command: str, *flags: str) -> None:
    """The command of jaxmlp to its end. Exits with its code if it fails.

    SIGTERM and Ctrl-C are passed on to it: it saves, and ends; so is the hang-up of a terminal: it ends at once.
    It has a process group of its own, for the terminal would send it Ctrl-C too, and the second ends it at once.
    """
    arguments = [sys.executable, "-m", f"jaxmlp.{command}", *flags]
    with subprocess.Popen(arguments, stdout=sys.stderr, process_group=0) as process:
        hang_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)  # under nohup, say
        before = {
            signum: signal.signal(signum, lambda got, _: process.send_signal(got))
            for signum in (*SIGNALS, *hang_up)
        }
        code = process.wait()
    for signum, handler in before.items():
        signal.signal(signum, handler)
    if code:
        sys.exit(code if code > 0 else 128 - code)


def _compare_environments(run_dirs: Sequence[Path]) -> None:
    """Say of runs that were trained elsewhere than the first that they were: their mean is of several programs."""
    first, *others = (run_directory.read_config(run_dir)["environment"] for run_dir in run_dirs)
    for run_dir, other in zip(run_dirs[1:], others, strict=True):
        for name, value in first.items():
            if name != "git revision" and other.get(name, value) != value:
                expected = f"{name} {value}, as {run_dirs[0].name} had it"
                print(f"warning: {run_dir}: expected {expected}, got {other[name]}", file=sys.stderr)


def _result(run_dir: Path) -> Result | None:
    """None for a network that diverged."""
    test = run_directory.read_test(run_dir)
    if test is None:
        return None
    seconds = sum(epoch.seconds for epoch in run_directory.newest_history(run_dir))
    return Result(run_dir, test["errors"], seconds / 60)
