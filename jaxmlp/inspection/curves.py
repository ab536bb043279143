"""The curves of a run, drawn by plots.py, with what they say in words."""

from collections.abc import Mapping, Sequence
from statistics import median
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from jaxmlp.inspection import plots
from jaxmlp.inspection.markup import image, tag
from jaxmlp.inspection.page import Section
from jaxmlp.runs import lines
from jaxmlp.runs.run import Run
from jaxmlp.training.loop import Metrics


def section(run: Run, examples: int) -> Section:
    """Loss, accuracy, learning rate and noise scale of a run that trains on so many examples."""
    last, config = run.history[-1], run.config
    warmup = f" after {lines.counted(config.warmup_epochs, 'epoch')} of warm-up" if config.warmup_epochs else ""
    rate = f"{config.schedule}{warmup}, at most {config.learning_rate:g}"
    drawn = [
        *_losses_and_accuracies({run.name: run.history}),
        _chart(
            plots.learning_rates(run.config, examples, last.epoch),
            f"The learning rate in {lines.counted(last.epoch, 'epoch')}: {rate}.",
            f"The learning rate η of each step: {rate}.",
        ),
    ]
    recorded = [m.noise_scale for m in run.history if m.noise_scale is not None]
    if recorded:
        drawn.append(
            _chart(
                plots.noise_scales(run.history),
                f"The noise scale goes from {recorded[0]:.3g} to {recorded[-1]:.3g}.",
                "The gradient noise scale tr Σ / ‖G‖², in examples: batches far larger than this gain little. "
                "Where ‖G‖² is lost in the noise, its estimate, and this, may be negative.",
            )
        )
    return Section("curves", "Learning curves", [tag("div", *drawn, class_="charts")])


def comparison(histories: Mapping[str, Sequence[Metrics]]) -> Section:
    """Loss and accuracy of these runs, by name, a colour for each."""
    names = (
        tag("li", tag("span", "■ ", style=f"color: {plots.colour(i)}"), name) for i, name in enumerate(histories)
    )
    drawn = tag("div", *_losses_and_accuracies(histories), class_="charts")
    return Section("compared_curves", "Learning curves compared", [tag("ul", *names, class_="names"), drawn])


def bands(settings: Mapping[str, Sequence[Sequence[Metrics]]]) -> Section:
    """Loss and accuracy of many runs, by their setting: a colour for each, a band from the least to the most.

    Of more settings than there are colours those are drawn that have the fewest validation errors.
    """
    errors = {name: median(history[-1].validation_errors for history in runs) for name, runs in settings.items()}
    shown = list(settings)
    if len(settings) > plots.COLOURS:
        shown = sorted(settings, key=errors.__getitem__)[: plots.COLOURS]
    histories = [settings[name] for name in shown]
    names = (
        tag(
            "li",
            tag("span", "■ ", style=f"color: {plots.colour(i)}"),
            f"{name}: {lines.counted(len(settings[name]), 'network')}, {errors[name]:g} validation errors",
        )
        for i, name in enumerate(shown)
    )
    left_out = f" Of {len(settings)} settings these are the {len(shown)} with the fewest; the table has all."
    said = (
        "Networks that differ in the seed alone have one colour. Errors are those of the median network at its end."
    )
    drawn = tag(
        "div",
        _chart(
            plots.loss_bands(histories),
            f"Losses of {'; '.join(shown)}.",
            "The loss L: the median on validation, solid, with all networks in the band; dashed in training.",
        ),
        _chart(
            plots.accuracy_bands(histories),
            f"Validation accuracy of {'; '.join(shown)}.",
            "The part of the validation images that is predicted rightly: the median, and all in the band.",
        ),
        class_="charts",
    )
    text = tag("p", said + (left_out if len(shown) < len(settings) else ""))
    return Section("compared_curves", "Learning curves compared", [text, tag("ul", *names, class_="names"), drawn])


def gradient_norms(norms: npt.NDArray[np.floating], wrong: npt.NDArray[np.bool_]) -> Section:
    """‖g‖ of each validation example, and which of them are predicted wrongly."""
    medians = [f"{np.median(norms[part]):.2g}" if part.any() else "none" for part in (~wrong, wrong)]
    said = f"The median is {medians[0]} among right predictions, {medians[1]} among wrong ones."
    drawn = _chart(
        plots.gradient_norms(norms, wrong),
        f"Histogram of the gradient norms of {len(norms):,} validation images. {said}",
        f"The norm of the gradient of L for each validation image, from its deltas. {said} An output that "
        "saturates gives a confident mistake a small gradient.",
    )
    return Section("norms", "Gradients of single examples", [tag("div", drawn, class_="charts")])


def _losses_and_accuracies(histories: Mapping[str, Sequence[Metrics]]) -> list[Element]:
    ends = {name: (history[0], history[-1]) for name, history in histories.items()}
    losses = (f"{name}: from {a.validation_loss:.4f} to {b.validation_loss:.4f}" for name, (a, b) in ends.items())
    right = (
        f"{name}: from {a.validation_accuracy:.2%} to {b.validation_accuracy:.2%}" for name, (a, b) in ends.items()
    )
    return [
        _chart(
            plots.losses(list(histories.values())),
            f"Validation loss of {'; '.join(losses)}.",
            "The loss L: dashed in training, the mean over the epoch, each batch before its update, so that it "
            "lags behind the solid line, which is measured on validation at the end of the epoch.",
        ),
        _chart(
            plots.accuracies(list(histories.values())),
            f"Validation accuracy of {'; '.join(right)}.",
            "The part of the validation images that is predicted rightly.",
        ),
    ]


def _chart(figure: Figure, alt: str, caption: str) -> Element:
    return tag("figure", image("image/svg+xml", plots.svg(figure), alt), tag("figcaption", caption))
