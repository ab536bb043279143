"""The figures: that they show the numbers they are given. How they look is for eyes."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from jaxmlp.inspection import plots
from jaxmlp.inspection.scoring import Mistake
from jaxmlp.training.loop import Metrics

RNG = np.random.default_rng(0)


def history(*accuracies):
    return [Metrics(i, 1 / i, 2 / i, 5, a, 1.0, 1.0) for i, a in enumerate(accuracies, 1)]


def test_learning_curves_of_two_runs():
    figure = plots.learning_curves({"a": history(0.5, 0.75, 0.8), "b": history(0.9)})
    losses, accuracies = figure.axes
    assert [(line.get_label(), line.get_color(), line.get_xydata().tolist()) for line in losses.lines] == [
        ("training", "C0", [[1, 1], [2, 1 / 2], [3, 1 / 3]]),
        ("validation", "C0", [[1, 2], [2, 1], [3, 2 / 3]]),
        ("training", "C1", [[1, 1]]),
        ("validation", "C1", [[1, 2]]),
    ]
    assert [(line.get_color(), line.get_ydata().tolist()) for line in accuracies.lines] == [
        ("C0", [0.5, 0.75, 0.8]),
        ("C1", [0.9]),
    ]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]


def test_units_are_ordered_by_their_outgoing_weights():
    W2 = np.zeros((130, 3))
    W2[:, 1] = RNG.permutation(130) - 65.0
    units = plots.strongest_units(W2)
    assert len(units) == 100
    assert np.all(np.diff(np.abs(W2[units, 1])) <= 0)
    assert np.abs(W2[units, 1]).min() >= 15


def test_hidden_units_are_columns_on_one_symmetric_scale():
    W1 = RNG.standard_normal((6, 4))
    figure = plots.hidden_units(W1, np.array([2, 0]), height=2, width=3)
    tiles = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in tiles] == ["2", "0"]
    np.testing.assert_array_equal(tiles[0].images[0].get_array(), W1[:, 2].reshape(2, 3))
    limits = {axes.images[0].get_clim() for axes in tiles}
    assert len(limits) == 1
    low, high = limits.pop()
    assert low == -high < 0


def test_confusion_matrix_writes_every_count_and_colours_mistakes_alone():
    counts = np.array([[90, 3, 0], [1, 80, 2], [0, 7, 70]])
    axes, _ = plots.confusion_matrix(counts).axes
    assert [int(text.get_text()) for text in axes.texts] == counts.ravel().tolist()
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0, 3, 0], [1, 0, 2], [0, 7, 0]])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("prediction", "label")
    assert not list(plots.confusion_matrix(np.eye(30, dtype=int)).axes[0].texts)  # no room


@pytest.mark.parametrize("count", [1, 5])
def test_worst_mistakes_show_image_and_outputs(count):
    images = RNG.integers(0, 256, (9, 2, 4), np.uint8)
    mistakes = [Mistake(8 - i, 1, 2, 0.9, [0.1, -0.3, 0.5 + i]) for i in range(count)]
    axes = plots.worst_mistakes(mistakes, images).axes
    for i, mistake in enumerate(mistakes):
        picture, bars = axes[2 * i : 2 * i + 2]
        np.testing.assert_array_equal(picture.images[0].get_array(), images[mistake.index])
        assert picture.get_title() == f"no. {mistake.index}"
        assert bars.get_title() == "1, taken for 2"
        assert [bar.get_width() for bar in bars.patches] == mistake.outputs
        assert bars.get_xlim() == (-0.3, max(1.0, 0.5 + count - 1))
