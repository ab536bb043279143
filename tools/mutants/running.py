"""Mutants put to the tests, each in a copy of the package."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tools.mutants.table import ROOT, Mutant


class Outcome(NamedTuple):
    failed: str | None  # the first test that failed; None when all passed
    seconds: float
    output: str


class NotRun(RuntimeError):
    """pytest could not run the tests. The text begins with one line on it, and ends with its output."""


@contextmanager
def copied_package() -> Iterator[Path]:
    """A temporary copy of what the tests need."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder)
        for part in ("jaxmlp", "tests"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        yield copy


def run_tests(copy: Path, tests: Iterable[str], cache: Path) -> Outcome:
    """pytest in the copy, up to the first failure. Raises NotRun."""
    environment = os.environ | {
        "PYTHONPATH": str(copy),  # before an installed jaxmlp
        "PYTHONDONTWRITEBYTECODE": "1",
        # A mutant differs from the package in one place: nearly all that it compiles, another has compiled before.
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", "-p", "no:cacheprovider", *tests]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    output = done.stdout + done.stderr
    failed = re.search(r"^(?:FAILED|ERROR) (\S+::\w+(?:\[.*?\])?)(?: - |$)", output, re.MULTILINE)
    if done.returncode == 0:
        return Outcome(None, seconds, output)
    if done.returncode == 1 and failed:
        return Outcome(failed[1], seconds, output)
    raise NotRun(f"expected tests that run, got exit code {done.returncode} of pytest:\n{output}")


def outcome_of(mutant: Mutant, cache: Path) -> Outcome:
    with copied_package() as copy:
        source = copy / mutant.source
        source.write_text(source.read_text("utf-8").replace(mutant.old, mutant.new), "utf-8")
        try:
            return run_tests(copy, [str(mutant.tests)], cache)
        except NotRun as error:
            raise NotRun(f"{mutant.name}: {error}") from error


def outcome_of_package(tests: Iterable[str], cache: Path) -> Outcome:
    """These tests on the package as it is."""
    with copied_package() as copy:
        return run_tests(copy, sorted(set(tests)), cache)


def all_killed(mutants: Sequence[Mutant], jobs: int) -> bool:
    """Test them and print what killed each: whether all were. Raises NotRun.

    It means something only if the package as it is passes the tests that killed them, which is seen to.
    """
    started, killers = time.perf_counter(), []
    with tempfile.TemporaryDirectory(prefix="mutants-cache-") as folder, ThreadPoolExecutor(jobs) as pool:
        cache = Path(folder)
        print(f"{'mutant':<44} {'s':>5}  killed by")
        outcomes = pool.map(lambda mutant: outcome_of(mutant, cache), mutants)
        for mutant, outcome in zip(mutants, outcomes, strict=True):
            killer = outcome.failed and outcome.failed.removeprefix("tests/")
            print(f"{mutant.name:<44} {outcome.seconds:>5.1f}  {killer or 'NOTHING: it survives'}", flush=True)
            if outcome.failed:
                killers.append(outcome.failed)
        print(f"\n{len(killers)} of {len(mutants)} killed in {time.perf_counter() - started:.0f} s", flush=True)
        if killers:
            package = outcome_of_package(killers, cache)
            if package.failed:
                raise NotRun(f"expected tests that pass on the package as it is, got a failure:\n{package.output}")
            print(f"the package as it is passes the tests that killed them ({package.seconds:.0f} s)")
    return len(killers) == len(mutants)
