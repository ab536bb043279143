"""The curves: that they show the numbers they are given. How they look is for eyes."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from jaxmlp.inspection import plots
from jaxmlp.training.config import Config
from jaxmlp.training.loop import Metrics


def history(*accuracies):
    return [Metrics(i, 1 / i, 2 / i, 5, a, 1.0, 1.0) for i, a in enumerate(accuracies, 1)]


def lines(figure):
    (axes,) = figure.axes
    return [(line.get_label(), line.get_color(), line.get_xydata().tolist()) for line in axes.lines]


def test_losses_and_accuracies_of_two_runs():
    runs = [history(0.5, 0.75, 0.8), history(0.9)]
    first, second = plots.colour(0), plots.colour(1)
    assert first != second
    figure = plots.losses(runs)
    assert lines(figure) == [
        ("training", first, [[1, 1], [2, 1 / 2], [3, 1 / 3]]),
        ("validation", first, [[1, 2], [2, 1], [3, 2 / 3]]),
        ("training", second, [[1, 1]]),
        ("validation", second, [[1, 2]]),
    ]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["training", "validation"]
    points = [(colour, points) for _, colour, points in lines(plots.accuracies(runs))]
    assert points == [(first, [[1, 0.5], [2, 0.75], [3, 0.8]]), (second, [[1, 0.9]])]


def test_a_band_holds_its_runs_and_the_line_is_their_median():
    """Of those that have come to an epoch: the third run ended after one."""
    groups = [[history(0.1, 0.3, 0.8), history(0.2, 0.5, 0.6), history(0.9)], [history(0.4)]]
    figure = plots.accuracy_bands(groups)
    (axes,) = figure.axes
    points = [(colour, points) for _, colour, points in lines(figure)]
    assert points == [
        (plots.colour(0), [[1, 0.2], [2, 0.4], [3, pytest.approx(0.7)]]),
        (plots.colour(1), [[1, 0.4]]),
    ]
    band, _ = axes.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.tolist()}
    assert corners == {(1, 0.1), (1, 0.9), (2, 0.3), (2, 0.5), (3, 0.6), (3, 0.8)}


def test_bands_of_losses_have_one_legend():
    figure = plots.loss_bands([[history(0.1, 0.2)] * 2, [history(0.1)] * 3])
    assert [label for label, *_ in lines(figure)] == ["training", "validation"] * 2
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["training", "validation"]


def test_the_learning_rate_of_a_run_under_way_is_that_of_its_steps():
    config = Config(epochs=4, batch_size=10, learning_rate=2.0, schedule="cosine", warmup_epochs=1)
    ((_, _, points),) = lines(plots.learning_rates(config, examples=95, epochs=2))  # 10 steps an epoch
    epochs, rates = np.transpose(points)
    np.testing.assert_allclose(epochs, np.arange(1, 21) / 10)
    warming, falling = 2.0 * np.arange(1, 11) / 10, 1 + np.cos(np.pi * np.arange(10) / 30)
    np.testing.assert_allclose(rates, [*warming, *falling], rtol=1e-6)


def test_long_runs_are_drawn_at_some_of_their_steps():
    ((_, _, points),) = lines(plots.learning_rates(Config(epochs=30), examples=50_000, epochs=30))
    assert len(points) == plots.MOST_POINTS
    assert points[-1] == [30, 3]


def test_noise_scales_of_the_epochs_that_recorded_one():
    recorded = [
        m._replace(noise_scale=noise) for m, noise in zip(history(0, 0, 0), (None, 20.0, -3.0), strict=True)
    ]
    figure = plots.noise_scales(recorded)
    assert [points for _, _, points in lines(figure)] == [[[2, 20], [3, -3]]]
    assert plots.svg(figure).startswith(b"<?xml")


def test_gradient_norms_counts_right_and_wrong_ones_apart():
    norms = np.array([0, 1e-3, 1e-3, 1e-1, 1.0])
    (axes,) = plots.gradient_norms(norms, norms > 0.01).axes
    right, wrong = (patch.get_data().values.sum() for patch in axes.patches)
    assert (right, wrong) == (2, 2)  # and 0 has no place
    for nothing in (0.0, np.inf):
        assert plots.svg(plots.gradient_norms(np.full(3, nothing), np.zeros(3, bool)))
