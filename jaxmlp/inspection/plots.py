"""The curves of a report, each a function from numbers to a Matplotlib Figure. Needs the extra [plot].

Figures are made without pyplot: nothing global is kept, and no display is asked for. Each is as wide as a small
screen, where its letters are those of the page.
"""

import io
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, PercentFormatter

from jaxmlp.training.config import Config
from jaxmlp.training.loop import Metrics
from jaxmlp.training.optimizers import schedule_of

Floats = npt.NDArray[np.floating]
History = Sequence[Metrics]

SIZE = 4.0, 2.7  # inches
COLOURS = 10
MOST_POINTS = 500  # of the learning rate


def colour(run: int) -> str:
    """Of the curves of the run of this number, in hexadecimal."""
    return to_hex(f"C{run}")


def losses(histories: Sequence[History]) -> Figure:
    """The losses of each epoch, a colour for each run: dashed in training, solid on validation."""
    figure, axes = _axes("epoch", "mean loss L")
    for history, style in _styled(histories):
        axes.plot(_epochs(history), [m.train_loss for m in history], "--", label="training", **style)
        axes.plot(_epochs(history), [m.validation_loss for m in history], label="validation", **style)
    axes.set_ylim(bottom=0)
    axes.legend(handles=axes.lines[:2])
    return figure


def accuracies(histories: Sequence[History]) -> Figure:
    """The validation accuracy after each epoch, a colour for each run."""
    figure, axes = _axes("epoch", "validation accuracy")
    for history, style in _styled(histories):
        axes.plot(_epochs(history), [m.validation_accuracy for m in history], **style)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    return figure


def loss_bands(groups: Sequence[Sequence[History]]) -> Figure:
    """As `losses`, of groups of runs, a colour for each: the median, in a band from the least to the most."""
    figure, axes = _axes("epoch", "mean loss L")
    for i, histories in enumerate(groups):
        _median(axes, histories, "train_loss", i, linestyle="--", label="training")
        _band(axes, histories, "validation_loss", i, label="validation")
    axes.set_ylim(bottom=0)
    axes.legend(handles=axes.lines[:2])
    return figure


def accuracy_bands(groups: Sequence[Sequence[History]]) -> Figure:
    """As `accuracies`, of groups of runs, a colour for each: the median, in a band from the least to the most."""
    figure, axes = _axes("epoch", "validation accuracy")
    for i, histories in enumerate(groups):
        _band(axes, histories, "validation_accuracy", i)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    return figure


def learning_rates(config: Config, examples: int, epochs: int) -> Figure:
    """η at the steps of so many epochs over so many training examples, at MOST_POINTS of them."""
    figure, axes = _axes("epoch", "learning rate η")
    steps = -(-examples // config.batch_size)
    shown = np.unique(np.linspace(0, epochs * steps - 1, MOST_POINTS).astype(int))
    axes.plot((shown + 1) / steps, schedule_of(config, steps).learning_rates(shown), color=colour(0))
    axes.set_ylim(bottom=0)
    return figure


def noise_scales(history: History) -> Figure:
    """The gradient noise scale of each epoch that recorded it."""
    figure, axes = _axes("epoch", "gradient noise scale")
    recorded = {m.epoch: m.noise_scale for m in history if m.noise_scale is not None}
    axes.plot(list(recorded), list(recorded.values()), color=colour(0), marker=_marker(history))
    axes.set_yscale("symlog", linthresh=1)  # it grows by powers of ten, and its estimate may be negative
    return figure


def gradient_norms(norms: Floats, wrong: npt.NDArray[np.bool_]) -> Figure:
    """How many examples have which ‖g‖, on logarithmic axes: those predicted rightly, those predicted wrongly."""
    figure, axes = _axes("norm of the gradient of one example", "examples")
    shown = (norms > 0) & np.isfinite(norms)  # the others have no place on a logarithmic axis
    low, high = (np.log10(norms[shown].min()), np.log10(norms[shown].max())) if shown.any() else (-1.0, 0.0)
    bins = np.logspace(low, high + 1e-6, 60).tolist()
    for i, (name, part) in enumerate((("predicted rightly", ~wrong), ("predicted wrongly", wrong))):
        counts, _ = np.histogram(norms[shown & part], bins)
        axes.stairs(counts, bins, fill=True, color=colour(i), alpha=0.7, label=name)
    axes.set(xscale="log", yscale="log" if shown.any() else "linear")
    axes.xaxis.set_major_locator(LogLocator(numticks=9))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, handlelength=1, columnspacing=1)
    return figure


def svg(figure: Figure) -> bytes:
    """The figure as an SVG file, its letters as outlines: it looks the same everywhere."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def _axes(xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _band(axes: Axes, histories: Sequence[History], of: str, group: int, **style: Any) -> None:
    by_epoch = _by_epoch(histories, of)
    epochs, least, most = range(1, len(by_epoch) + 1), list(map(min, by_epoch)), list(map(max, by_epoch))
    axes.fill_between(epochs, least, most, color=colour(group), alpha=0.25, linewidth=0)
    _median(axes, histories, of, group, **style)


def _median(axes: Axes, histories: Sequence[History], of: str, group: int, **style: Any) -> None:
    medians = list(map(median, _by_epoch(histories, of)))
    axes.plot(range(1, len(medians) + 1), medians, color=colour(group), marker=_marker(medians), **style)


def _by_epoch(histories: Sequence[History], of: str) -> list[list[float]]:
    """The figures `of` each epoch, of those runs that have come to it."""
    return [[getattr(metrics, of) for metrics in of_epoch if metrics] for of_epoch in zip_longest(*histories)]


def _styled(histories: Sequence[History]) -> Iterator[tuple[History, dict[str, Any]]]:
    for i, history in enumerate(histories):
        yield history, {"color": colour(i), "marker": _marker(history)}


def _epochs(history: History) -> list[int]:
    return [metrics.epoch for metrics in history]


def _marker(epochs: Sequence[Any]) -> str:
    return "." if len(epochs) <= 30 else ""
