"""Ruled lines and printed boxes, taken off a sheet so that the strokes across them stay."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from jaxmlp.data.ink import Gray

Mask = npt.NDArray[np.bool_]  # (height, width)
Pixels = npt.NDArray[np.int64]  # (n,): the rows, or the columns, of the pixels that may be of a line

SLOPES = np.linspace(-0.12, 0.12, 121)  # 7 degrees to either side
LEAST_LENGTH = 0.5  # of the picture's side
THICKEST = 0.03  # of the picture's side
AT_ENDS = 0.03  # of the picture's side: so near its border a line ends there, so near one another two end alike
STROKE = 1.35  # times the ink across a line: where there is more, a stroke crosses it
SAMPLED = 3  # one column in so many says how the lines slope


def without_lines(mask: Mask, ink: Gray) -> Mask:
    """The inked pixels of `mask` less those of long straight lines, level and upright ones.

    Such a line leaves the picture, or there is another that begins and ends with it, as in a box. A stroke that
    stands on its own does neither.
    """
    return mask & ~_level_lines(mask, ink) & ~_level_lines(mask.T, ink.T).T


def _level_lines(mask: Mask, ink: Gray) -> Mask:
    """The pixels of the lines that run from left to right."""
    height, width = mask.shape
    length, amount = _runs(mask, ink)
    rows, columns = np.nonzero(mask & (length <= max(3, THICKEST * height)))
    lines: Mask = np.zeros_like(mask)
    if rows.size == 0:
        return lines
    level = _levelled(rows, columns, width)
    found = []
    for first, end in _long(level, columns, width):
        on = (level >= first) & (level < end)
        _, each = np.unique(columns[on], return_index=True)  # one pixel of each column: strokes hold more of them
        on &= amount[rows, columns] <= STROKE * np.median(amount[rows[on], columns[on]][each])
        if end - first <= THICKEST * height + 6 and np.any(on):
            found.append((on, np.quantile(columns[on], [0.005, 0.995]) / width))
    for i, (on, ends) in enumerate(found):
        leaves = ends[0] < AT_ENDS or ends[1] > 1 - AT_ENDS
        if leaves or any(np.abs(ends - other).max() < AT_ENDS for j, (_, other) in enumerate(found) if i != j):
            lines[rows[on], columns[on]] = True
    return lines


def _levelled(rows: Pixels, columns: Pixels, width: int) -> Pixels:
    """The rows, from 0, once the picture is sheared by the slope that gathers most pixels in few of them."""

    def sheared(slope: float, every: int = 1) -> Pixels:
        level = np.rint(rows[::every] + slope * (columns[::every] - width / 2)).astype(np.int64)
        from_0: Pixels = level - level.min()
        return from_0

    def gathered(slope: float) -> float:
        level = sheared(slope, SAMPLED)
        return float(np.sum(np.bincount(level).astype(float) ** 4))

    return sheared(max(SLOPES, key=gathered))


def _long(level: Pixels, columns: Pixels, width: int) -> Iterator[tuple[int, int]]:
    """(first, end) of each stretch of rows, end not in it, that a line covers for LEAST_LENGTH of the width."""
    covered = np.zeros((int(level.max()) + 3, width), bool)
    for step in (0, 1, 2):  # a thin line that slopes a little otherwise lies in up to three rows
        covered[level + step, columns] = True
    long = covered.mean(axis=1) >= LEAST_LENGTH
    edges = np.flatnonzero(np.diff(np.r_[False, long, False]))
    for first, end in edges.reshape(-1, 2) - 1:  # of the three steps, the middle one is the row
        yield int(first) - 1, int(end) + 1


def _runs(mask: Mask, ink: Gray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """For each pixel of the mask, how many stand on one another without a gap where it is, and their ink in all."""
    steps = np.diff(np.pad(mask, ((1, 1), (0, 0))).T.astype(np.int8), axis=1)
    columns, first = np.nonzero(steps == 1)
    end = np.nonzero(steps == -1)[1]
    sums = np.cumsum(np.pad(ink, ((1, 0), (0, 0))).T, axis=1, dtype=np.float64)
    length, amount = np.zeros(mask.T.shape, np.int64), np.zeros(mask.T.shape)
    length[mask.T] = np.repeat(end - first, end - first)
    amount[mask.T] = np.repeat(sums[columns, end] - sums[columns, first], end - first)
    return length.T, amount.T
