"""Timing side by side: every contender once a round, so that what else the machine does falls on all of them."""

import time
from collections.abc import Callable, Mapping
from math import ceil
from statistics import median
from typing import NamedTuple

PAUSE = 0.2  # seconds; the threads of OpenBLAS spin for up to 0.1 s after their last product, on all cores


class Timing(NamedTuple):
    """Seconds a call, one sample a round."""

    samples: list[float]

    @property
    def median(self) -> float:
        return median(self.samples)

    def scaled(self, factor: float) -> "Timing":
        return Timing([factor * seconds for seconds in self.samples])

    def text(self, unit: float = 1.0) -> str:
        """median (min-max), in `unit` seconds."""
        middle, low, high = (digits(t / unit) for t in (self.median, min(self.samples), max(self.samples)))
        return f"{middle} ({low}-{high})"


def seconds(call: Callable[[], object]) -> float:
    """`call` returns when its work is done."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def interleaved(
    calls: Mapping[str, Callable[[], object]], rounds: int, at_least: float = 0.0, pause: float = PAUSE
) -> dict[str, Timing]:
    """Time all calls in each of `rounds` rounds, after one that is not timed; each round starts at another call.

    A sample is the mean of as many calls in a row as take `at_least` seconds: for short ones, whose first call
    finds the cache full of another's data.
    """
    in_a_row = {name: ceil(at_least / _mean_seconds(call, 1)) or 1 for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for first in range(rounds):
        for name in names[first % len(names) :] + names[: first % len(names)]:
            time.sleep(pause)
            samples[name].append(_mean_seconds(calls[name], in_a_row[name]))
    return {name: Timing(values) for name, values in samples.items()}


def _mean_seconds(call: Callable[[], object], times: int) -> float:
    return seconds(lambda: [call() for _ in range(times)]) / times


def digits(value: float) -> str:
    """Three significant digits, and no more behind the point than they need."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"
