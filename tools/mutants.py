"""Breaks the package on purpose, one mutant at a time, and shows that the tests notice.

    python tools/mutants.py                       every mutant
    python tools/mutants.py B1_drops_prime ...    some of them, by name

A mutant is one replacement in one module, made in a temporary copy of the package and its tests; the working tree
is only read. It is killed when a test of its module fails. Exit code 1 if one survives, if the tests could not run,
if the text to replace is not there exactly once, or if the package fails its tests as it is.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from absl import app, flags

from mutant_list import MUTANTS, Mutant

JOBS = flags.DEFINE_integer("jobs", 2, "How many mutants to test at the same time.", short_name="j", lower_bound=1)

ROOT = Path(__file__).resolve().parent.parent


class Outcome(NamedTuple):
    killed_by: str | None  # the first test that failed; None when all passed
    seconds: float
    output: str


@contextmanager
def copied_package() -> Iterator[Path]:
    """A temporary copy of what the tests need."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder)
        for part in ("jaxmlp", "tests"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        yield copy


def run_tests(copy: Path, tests: list[Path], cache: Path) -> Outcome:
    """pytest in the copy, up to the first failure. Raises RuntimeError when it could not run the tests."""
    environment = os.environ | {
        "PYTHONPATH": str(copy),  # before an installed jaxmlp
        "PYTHONDONTWRITEBYTECODE": "1",
        # A mutant differs from the package in one place: nearly all that it compiles, another has compiled before.
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", "-p", "no:cacheprovider", *map(str, tests)]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    output = done.stdout + done.stderr
    failed = re.search(r"^FAILED (.+?)(?: - |$)", output, re.MULTILINE)
    if done.returncode == 0:
        return Outcome(None, seconds, output)
    if done.returncode == 1 and failed:
        return Outcome(failed[1].removeprefix("tests/"), seconds, output)
    raise RuntimeError(f"pytest exited with {done.returncode}:\n{output}")


def test_mutant(mutant: Mutant, cache: Path) -> Outcome:
    with copied_package() as copy:
        source = copy / mutant.source
        source.write_text(source.read_text("utf-8").replace(mutant.old, mutant.new), "utf-8")
        return run_tests(copy, [mutant.test_file], cache)


def chosen(names: list[str]) -> list[Mutant]:
    """The mutants of these names, or all. Raises ValueError on a name or a replacement that does not fit."""
    by_name = {mutant.name: mutant for mutant in MUTANTS}
    if len(by_name) != len(MUTANTS):
        raise ValueError("MUTANTS: expected every name once")
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise ValueError(f"unknown mutant {unknown[0]}; there are {', '.join(by_name)}")
    mutants = [by_name[name] for name in names] or MUTANTS
    for mutant in mutants:
        found = (ROOT / mutant.source).read_text("utf-8").count(mutant.old)
        if found != 1:
            raise ValueError(
                f"{mutant.name}: expected {mutant.old!r} once in {mutant.source}, got it {found} times"
            )
    return mutants


def main(argv: list[str]) -> int:
    try:
        mutants = chosen(argv[1:])
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1

    with tempfile.TemporaryDirectory(prefix="mutants-cache-") as folder, ThreadPoolExecutor(JOBS.value) as pool:
        cache = Path(folder)
        with copied_package() as copy:
            unmutated = run_tests(copy, sorted({mutant.test_file for mutant in mutants}), cache)
        if unmutated.killed_by:
            print(f"the package as it is fails {unmutated.killed_by}:\n{unmutated.output}", file=sys.stderr)
            return 1
        print(f"the package as it is: all tests pass ({unmutated.seconds:.0f} s)\n")

        start = time.perf_counter()
        survivors = []
        print(f"{'mutant':<32} {'s':>5}  killed by")
        outcomes = pool.map(lambda mutant: test_mutant(mutant, cache), mutants)
        for mutant, outcome in zip(mutants, outcomes, strict=True):
            print(
                f"{mutant.name:<32} {outcome.seconds:>5.1f}  {outcome.killed_by or 'NOTHING: it survives'}",
                flush=True,
            )
            if not outcome.killed_by:
                survivors.append(mutant.name)
    print(f"\n{len(mutants) - len(survivors)} of {len(mutants)} killed in {time.perf_counter() - start:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    app.run(main)
