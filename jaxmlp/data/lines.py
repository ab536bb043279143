"""Ruled lines and printed boxes, taken off a sheet so that the strokes across them stay."""

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]  # (height, width)
Gray = npt.NDArray[np.float32]

SLOPES = np.linspace(-0.12, 0.12, 121)  # 7 degrees to either side
LEAST_LENGTH = 0.5  # of the picture's side
THICKEST = 0.03  # of the picture's side
NEAR_BORDER = 0.03  # of the picture's side: a line that ends there leaves the picture
STROKE = 1.35  # times the ink of a line: where there is more, a stroke crosses it


def without_lines(mask: Mask, ink: Gray) -> Mask:
    """The mask less its long straight lines, level and upright ones."""
    return mask & ~_level_lines(mask, ink) & ~_level_lines(mask.T, ink.T).T


def _level_lines(mask: Mask, ink: Gray) -> Mask:
    height, width = mask.shape
    found = np.zeros_like(mask)
    length, amount = _runs(mask, ink)
    thin = mask & (length <= max(3, THICKEST * height))
    rows, columns = np.nonzero(thin)
    if rows.size == 0:
        return found
    margin = int(np.ceil(SLOPES[-1] * width / 2)) + 3

    def sheared(slope: float) -> npt.NDArray[np.int64]:
        return np.rint(rows + slope * (columns - width / 2)).astype(np.int64) + margin

    def squares(slope):
        at = np.rint(few_rows + slope * (few_columns - width / 2)).astype(np.int64) + margin
        return float(np.sum(np.bincount(at).astype(float) ** 4))

    every = columns % 3 == 0
    few_rows, few_columns = rows[every], columns[every]
    slope = max(SLOPES, key=squares)
    at = sheared(slope)
    covered = np.zeros((height + 2 * margin, width), bool)
    for step in (-1, 0, 1):  # a thin line not quite of that slope lies in up to three rows
        covered[at + step, columns] = True
    long = covered.mean(1) >= LEAST_LENGTH
    edges = np.flatnonzero(np.diff(np.r_[0, long.astype(int), 0]))
    lines = []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        on = (at >= start) & (at < stop)
        if stop - start > THICKEST * height + 6:
            continue
        usual = np.median(amount[rows[on], columns[on]])
        on &= amount[rows, columns] <= STROKE * usual
        if not on.any():
            continue
        span = np.quantile(columns[on], [0.005, 0.995]) / width
        share = np.unique(columns[on]).size / width
        lines.append((on, span, share))
    for i, (on, span, share) in enumerate(lines):
        leaves = span[0] < NEAR_BORDER or span[1] > 1 - NEAR_BORDER
        pair = any(i != j and np.abs(span - other).max() < NEAR_BORDER for j, (_, other, _) in enumerate(lines))
        if share >= 0.6 * LEAST_LENGTH and (leaves or pair):
            found[rows[on], columns[on]] = True
    return found


def _runs(mask: Mask, ink: Gray):
    """(how many pixels of the mask stand on one another without a gap, their ink in all), for each pixel of it."""
    upright = np.pad(mask, ((1, 1), (0, 0))).T
    steps = np.diff(upright.astype(np.int8), axis=1)
    columns, starts = np.nonzero(steps == 1)
    stops = np.nonzero(steps == -1)[1]
    sums = np.cumsum(np.pad(ink, ((1, 0), (0, 0))).T, axis=1, dtype=np.float64)
    amounts = sums[columns, stops] - sums[columns, starts]
    lengths, amount = np.zeros(mask.T.shape, np.int64), np.zeros(mask.T.shape)
    lengths[mask.T] = np.repeat(stops - starts, stops - starts)
    amount[mask.T] = np.repeat(amounts, stops - starts)
    return lengths.T, amount.T
