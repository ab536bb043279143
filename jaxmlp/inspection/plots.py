"""The pictures of a report, each a function from numbers to a Matplotlib Figure. Needs the extra [plot].

Figures are made without pyplot: nothing global is kept, and no display is asked for.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from jaxmlp.inspection.scoring import Mistake
from jaxmlp.training.loop import Metrics

Floats = npt.NDArray[np.floating]

DIVERGING = "RdBu_r"  # white at 0, red above, blue below
MAX_UNITS = 100
WRITTEN_CLASSES = 20  # a larger confusion matrix has no room for its numbers


def learning_curves(histories: Mapping[str, Sequence[Metrics]]) -> Figure:
    """Losses and validation accuracy against the epoch, a colour for each run; several are named in a legend."""
    several = len(histories) > 1
    legend_height = 0.25 * len(histories) if several else 0.0
    figure = Figure(figsize=(10, 4 + legend_height), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    for i, (name, history) in enumerate(histories.items()):
        epochs = [m.epoch for m in history]
        style = {"color": f"C{i}", "marker": "." if len(history) <= 30 else ""}
        losses.plot(epochs, [m.train_loss for m in history], "--", label="training", **style)
        losses.plot(epochs, [m.validation_loss for m in history], label="validation", **style)
        accuracies.plot(epochs, [m.validation_accuracy for m in history], label=name, **style)
    losses.set(title="mean loss of an example", xlabel="epoch", ylabel="L")
    losses.set_ylim(bottom=0)
    losses.legend(handles=losses.lines[:2])
    accuracies.set(title="validation accuracy", xlabel="epoch", ylabel="right answers")
    accuracies.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    if several:
        figure.legend(handles=accuracies.lines, loc="outside lower center")
    for axes in (losses, accuracies):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    return figure


def strongest_units(W2: Floats) -> npt.NDArray[np.int64]:
    """The hidden units by the norm of their outgoing weights, largest first, MAX_UNITS at most."""
    return np.argsort(-np.linalg.norm(W2, axis=1), kind="stable")[:MAX_UNITS]


def hidden_units(W1: Floats, units: npt.NDArray[np.int64], height: int, width: int) -> Figure:
    """The incoming weights of each of the units (columns of W1) as a picture of height x width, on one scale."""
    rows, columns = _grid(len(units), 10)
    figure = Figure(figsize=(max(4.0, columns), 1.15 * rows + 0.8), layout="constrained")
    shown = W1[:, units]
    limit = float(np.quantile(np.abs(shown), 0.995)) or 1.0  # a few extreme weights would pale all the others
    tiles = _tiles(figure, rows, columns, len(units))
    for tile, unit in zip(tiles, units, strict=True):
        drawn = tile.imshow(W1[:, unit].reshape(height, width), cmap=DIVERGING, vmin=-limit, vmax=limit)
        tile.set_title(f"{unit}", fontsize=7, pad=2)
    figure.colorbar(
        drawn, ax=tiles, location="bottom", extend="both", label="weight", shrink=0.6, pad=0.01, aspect=40
    )
    return figure


def confusion_matrix(counts: npt.NDArray[np.int64]) -> Figure:
    """Counts by label (row) and prediction (column). Only mistakes are coloured: the diagonal would pale them."""
    classes = len(counts)
    side = min(12.0, 2.5 + 0.5 * classes)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    mistakes = np.where(np.eye(classes, dtype=bool), 0, counts)
    drawn = axes.imshow(mistakes, cmap="Reds", vmin=0, vmax=max(1, mistakes.max()))
    figure.colorbar(drawn, ax=axes, label="mistakes", shrink=0.8)
    axes.set(xlabel="prediction", ylabel="label")
    if classes <= WRITTEN_CLASSES:
        axes.set(xticks=range(classes), yticks=range(classes))
        for label, prediction in np.ndindex(counts.shape):
            strong = mistakes[label, prediction] > mistakes.max() / 2
            axes.text(
                prediction,
                label,
                f"{counts[label, prediction]}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if strong else "black",
                weight="bold" if label == prediction else "normal",
            )
    return figure


def gradient_norms(norms: Floats, wrong: npt.NDArray[np.bool_]) -> Figure:
    """How many examples have which ‖g‖, on logarithmic axes: those predicted rightly, those predicted wrongly."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    shown = norms > 0  # 0 has no place on a logarithmic axis
    low, high = (np.log10(norms[shown].min()), np.log10(norms[shown].max())) if shown.any() else (-1.0, 0.0)
    bins = np.logspace(low, high + 1e-6, 60).tolist()
    axes.hist(norms[shown & ~wrong], bins, color="C0", alpha=0.7, label="right predictions")
    axes.hist(norms[shown & wrong], bins, color="C1", alpha=0.7, label="wrong predictions")
    axes.set(xscale="log", yscale="log", xlabel="norm of the gradient of one example", ylabel="examples")
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


def worst_mistakes(mistakes: Sequence[Mistake], images: npt.NDArray[np.uint8]) -> Figure:
    """Each mistake's image beside its outputs; `images` are those of the split, (n, height, width)."""
    rows, columns = _grid(len(mistakes), 3)
    figure = Figure(figsize=(3.3 * columns, 2.1 * rows), layout="constrained")
    tiles = _tiles(figure, rows, 2 * columns, 2 * len(mistakes))
    every = [output for mistake in mistakes for output in mistake.outputs]
    lowest, highest = min(0.0, *every), max(1.0, *every)
    for mistake, picture, bars in zip(mistakes, tiles[::2], tiles[1::2], strict=True):
        picture.imshow(images[mistake.index], cmap="gray_r", vmin=0, vmax=255)
        picture.set_title(f"no. {mistake.index}", fontsize=9)
        classes = range(len(mistake.outputs))
        colours = ["0.7"] * len(mistake.outputs)
        colours[mistake.label], colours[mistake.prediction] = "C0", "C1"
        bars.barh(classes, mistake.outputs, color=colours)
        bars.set_title(f"{mistake.label}, taken for {mistake.prediction}", fontsize=9)
        bars.set_axis_on()
        bars.set_xlim(lowest, highest)
        bars.set_ylim(len(mistake.outputs) - 0.5, -0.5)  # class 0 at the top
        if len(mistake.outputs) <= WRITTEN_CLASSES:
            bars.set_yticks(classes)
        bars.tick_params(labelsize=7)
    return figure


def _grid(count: int, most_columns: int) -> tuple[int, int]:
    columns = min(count, most_columns)
    return math.ceil(count / columns), columns


def _tiles(figure: Figure, rows: int, columns: int, count: int) -> list[Axes]:
    """The first `count` of rows x columns axes, none of them drawn yet."""
    tiles: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for tile in tiles:
        tile.set_axis_off()
    return tiles[:count]
