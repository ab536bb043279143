"""The training benchmark: prepare every contender, check that all compute the same, then time them side by side."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmlp import network
from jaxmlp.data.datasets import Split
from tools.bench.machine import SQUARE, Bystanders, sgemm
from tools.bench.peers import OURS, Contender, Run, Task, Weights, numpy_loop
from tools.bench.timing import Timing, interleaved, seconds

CHECKED_BATCHES = 20
TOLERANCE = 1e-4  # of the change that those batches made
LEARNING_RATE = 0.5


class Disagreement(ArithmeticError):
    """A contender does not compute what the equations say, so nothing is timed."""


class Row(NamedTuple):
    contender: Contender
    error: float | None  # largest over the leaves, relative to the change; None where the network is another
    first_seconds: float  # prepare, compile and train on the checked batches
    examples: int  # in one timed run
    timing: Timing  # seconds per 60,000 examples


class Result(NamedTuple):
    hidden: int
    batch_size: int
    rows: list[Row]  # ours first
    skipped: dict[str, str]  # contender: why
    gflops: float  # ours
    bystanders: float | None  # their share of the cores during the timing
    square: dict[str, float]  # GFLOP/s of a square SGEMM, by library
    sgemm: dict[str, float]  # GFLOP/s of the step's two large products alone, by library


def run(
    hidden: int, batch_size: int, train: Split, peers: Sequence[Contender], rounds: int, run_seconds: float
) -> Result:
    """Each timed run takes the whole of `train`, or as many batches as a contender does in `run_seconds`.

    Raises Disagreement.
    """
    task = _task(hidden, batch_size, train)
    runs, first, errors, skipped = {}, {}, {}, {}
    for contender in (OURS, *peers):
        try:
            run, first[contender], weights = _first_call(contender, task)
        except Exception as error:
            if contender is OURS:
                raise
            first_line, _, _ = str(error).strip().partition("\n")
            skipped[contender.name] = f"{type(error).__name__}: {first_line}"
            continue
        runs[contender] = run
        errors[contender] = _error(weights, task) if contender.same_network else None
    _refuse_disagreement(errors)

    examples = {c: _examples(c, runs[c], task, run_seconds) for c in runs}
    bystanders = Bystanders()
    timings = interleaved({c.name: partial(runs[c], examples[c]) for c in runs}, rounds)
    others = bystanders.share()
    rows = [Row(c, errors[c], first[c], examples[c], timings[c.name].scaled(60_000 / examples[c])) for c in runs]
    B, D, K = batch_size, task.pixels.shape[1], hidden
    products = sgemm([(B, D, K), (D, B, K)])  # F1 and G3
    gflops = _flop(task) * 60_000 / rows[0].timing.median / 1e9
    return Result(hidden, batch_size, rows, skipped, gflops, others, sgemm(SQUARE), products)


def _task(hidden: int, batch_size: int, train: Split) -> Task:
    """Whole batches of `train` in an order of chance, and first weights."""
    n = len(train.labels) // batch_size * batch_size
    rows = np.random.default_rng(0).permutation(len(train.labels))[:n]
    pixels = train.images.reshape(len(train.images), -1)
    weights = [np.array(leaf) for leaf in network.init(jax.random.key(0), pixels.shape[1], hidden, 10)]
    return Task(hidden, batch_size, LEARNING_RATE, pixels[rows], train.labels[rows], weights)


def _first_call(contender: Contender, task: Task) -> tuple[Run, float, Weights]:
    """(the run, seconds to prepare it and train on the checked batches, the weights after them)."""
    task.floats  # noqa: B018 (made before the clock starts)
    made: list[Any] = []

    def first() -> None:
        run = contender.prepare(task)
        made.extend((run, run(CHECKED_BATCHES * task.batch_size)))

    elapsed = seconds(first)
    run, weights = made
    return run, elapsed, weights


def _error(weights: Weights, task: Task) -> float:
    """‖w − w64‖ / ‖w64 − w0‖, the largest over the leaves; w64 is NumPy's float64 after the same batches."""
    reference = replace(task, weights=[leaf.astype(np.float64) for leaf in task.weights])
    few = CHECKED_BATCHES * task.batch_size
    reference = replace(reference, pixels=task.pixels[:few], labels=task.labels[:few])
    norm = np.linalg.norm
    return max(
        float(norm(w - right) / norm(right - start))
        for w, right, start in zip(weights, numpy_loop(reference)(few), task.weights, strict=True)
    )


def _refuse_disagreement(errors: dict[Contender, float | None]) -> None:
    for contender, error in errors.items():
        if error is not None and not error <= TOLERANCE:
            raise Disagreement(
                f"{contender.name}: expected the weights of NumPy in float64 after {CHECKED_BATCHES} batches, to "
                f"{TOLERANCE:g} of their change, got {error:.1e}; nothing is timed"
            )


def _examples(contender: Contender, run: Run, task: Task, run_seconds: float) -> int:
    """How many a timed run takes: all, or the whole batches that take about `run_seconds`."""
    n, everything = CHECKED_BATCHES * task.batch_size, len(task.labels)
    while not contender.whole and n < everything:
        elapsed = min(seconds(partial(run, n)) for _ in range(2))
        if elapsed > run_seconds / 4:
            batches = max(1, int(n * run_seconds / elapsed) // task.batch_size)
            return min(everything, batches * task.batch_size)
        n *= 4
    return everything


def _flop(task: Task) -> int:
    """Of one example: F1, G3 (D by K), F3, B2, G1 (K by C), a multiplication and an addition each."""
    D, K, C = int(task.pixels.shape[1]), task.hidden, 10
    return 4 * D * K + 6 * K * C
