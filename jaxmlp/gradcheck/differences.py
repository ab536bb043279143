"""The slope of a loss along a line, by central differences at two steps, and how far it can be trusted.

The difference of step h is off by about h²/6 of the third derivative, and by the rounding of the function over h.
Two steps, h and h/2, show the first; where either is too large, another pair is tried, 16 times smaller or larger.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmlp.gradcheck.arguments import Arguments, copies, is_array, is_inexact

Line = Callable[[float], float]

STEP = 1e-4  # the first one, relative to the entry
LARGEST_STEP = 2e-3  # or of 1, where the entry is smaller
SMALLEST_STEP = 2.0**-40  # relative: what bends so near is a kink
RATIO = 16.0  # from one pair of steps to the next
ROUNDS = 14
GOOD = 1e-8  # a relative error below which no other step is tried


class Slope(NamedTuple):
    value: float  # NaN if none was found
    error: float  # how far off it may be: inf if none was found
    low: float = np.nan  # of the slopes on either side of a kink, the smaller; NaN if there is no kink
    high: float = np.nan

    @property
    def is_kink(self) -> bool:
        return not np.isnan(self.low)


NOTHING = Slope(np.nan, np.inf)


def slope(line: Line, size: float, noise: float) -> Slope:
    """d line(t)/dt at 0. `size` is that of what moves, `noise` the rounding of a value of the line."""
    centre = line(0.0)
    largest = LARGEST_STEP * max(size, 1.0)
    step = float(2.0 ** np.round(np.log2(STEP * size)))  # so that it is added without rounding
    best, towards = NOTHING, 0
    for _ in range(ROUNDS):
        found, truncation, rounding = _at(line, centre, step, noise)
        if found.is_kink:
            gap = found.high - found.low
            smallest = max(SMALLEST_STEP * size, 1000 * noise / gap)  # a bend of that size is just seen
            nearer, nearest = (_at(line, centre, h, noise)[0] for h in (step / RATIO, min(step / RATIO, smallest)))
            if all(one.is_kink and one.high - one.low > 0.8 * gap for one in (nearer, nearest)):
                return nearer
        elif found.error <= GOOD * abs(found.value):
            return found
        elif found.value == 0 and abs(best.value) > 0:  # the step is too small to be felt
            break
        else:
            best = min(best, found, key=lambda one: one.error)
        wanted = 1 if not found.is_kink and rounding >= truncation / 4 else -1  # the second holds rounding too
        if wanted == -towards or (wanted > 0 and step > largest):
            break
        towards = wanted
        step *= RATIO**wanted
    return best


def _at(line: Line, centre: float, h: float, noise: float) -> tuple[Slope, float, float]:
    """(the slope by the steps h and h/2, its error by truncation, and by rounding)."""
    with np.errstate(all="ignore"):
        above, below, near_above, near_below = line(h), line(-h), line(h / 2), line(-h / 2)
        far, near = (above - below) / (2 * h), (near_above - near_below) / h
        rounding, truncation = 2 * noise / h, abs(far - near)
        if not np.isfinite(truncation):
            return NOTHING, np.inf, rounding
        right, left = 2 * (near_above - centre) / h, 2 * (centre - near_below) / h
        bend = abs((above - centre) / h - (centre - below) / h)
        near_bend = abs(right - left)
        # Where a slope is steady the bend halves with the step; at a kink it stays.
        if near_bend > 0.8 * bend and near_bend > max(50 * rounding, 1e-6 * max(abs(right), abs(left))):
            right, left = 2 * right - (above - centre) / h, 2 * left - (centre - below) / h
            low, high = sorted((left, right))
            return Slope(near, truncation + rounding, low, high), truncation, rounding
        return Slope((4 * near - far) / 3, truncation + rounding), truncation, rounding


class Slopes:
    """The slopes of a loss around one point. To be called with float64 on, and with float64 arguments."""

    def __init__(self, loss: Callable[..., Any], arguments: Arguments, noise: float) -> None:
        params, *self._data = arguments
        self._structure: Any
        leaves, self._structure = jax.tree.flatten(params)
        self._kinds = leaves
        self._centre = [np.asarray(leaf, np.float64) for leaf in leaves]
        self._noise = noise
        self._loss = loss

    def entry(self, leaf: int, index: tuple[int, ...]) -> Slope:
        """With respect to one entry. The first step is relative to the entry, or if it is 0, to its leaf."""
        direction = np.zeros_like(self._centre[leaf])
        direction[index] = 1
        size = abs(self._centre[leaf][index]) or self._size(leaf)
        return slope(self._line(leaf, direction), float(size), self._noise)

    def at_step(self, leaf: int, index: tuple[int, ...], step: float) -> float:
        """With respect to one entry, by one step, relative to the entry or its leaf."""
        direction = np.zeros_like(self._centre[leaf])
        direction[index] = 1
        line, h = self._line(leaf, direction), step * (abs(self._centre[leaf][index]) or self._size(leaf))
        return (line(h) - line(-h)) / (2 * h)

    def along(self, leaf: int, direction: Any) -> Slope:
        return slope(self._line(leaf, direction), self._size(leaf), self._noise)

    def _size(self, leaf: int) -> float:
        return float(np.max(np.abs(self._centre[leaf]))) or 1.0

    def _line(self, leaf: int, direction: Any) -> Line:
        def line(t: float) -> float:
            leaves = list(self._kinds)
            moved: Any = self._centre[leaf] + t * direction
            leaves[leaf] = jax.numpy.asarray(moved) if isinstance(leaves[leaf], jax.Array) else moved
            return float(self._loss(self._structure.unflatten(leaves), *self._data))

        return line


def compiled(function: Callable[..., Any], arguments: Arguments) -> Callable[..., Any]:
    """The function under jit, of all arrays or of those that need not be known; else as it is, on copies."""
    structure: Any
    leaves, structure = jax.tree.flatten(arguments)
    params = len(jax.tree.leaves(arguments[0]))
    for is_free in (is_array, is_inexact):
        free = [i for i, leaf in enumerate(leaves) if i < params or is_free(leaf)]
        try:
            of_free = _of_some(function, leaves, structure, free)
            of_free([leaves[i] for i in free])
        except Exception:  # somebody's function, such as one in NumPy
            continue
        return partial(_with, function, of_free, leaves, free)
    return lambda *given: function(*copies(given))


def _of_some(function: Callable[..., Any], leaves: list[Any], structure: Any, free: list[int]) -> Any:
    @jax.jit
    def of_free(values: list[Any]) -> Any:
        given = list(leaves)
        for i, value in zip(free, values, strict=True):
            given[i] = value
        return function(*structure.unflatten(given))

    return of_free


def _with(function: Callable[..., Any], of_free: Any, leaves: list[Any], free: list[int], *given: Any) -> Any:
    values = jax.tree.leaves(given)
    if any(values[i] is not leaf for i, leaf in enumerate(leaves) if i not in free):  # it was compiled in
        return function(*copies(given))
    return of_free([values[i] for i in free])
