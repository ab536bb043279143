"""Outputs, confusion matrix and worst mistakes, against NumPy written from the equations."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp.activations import relu, sigmoid
from jaxmlp.data import DataError
from jaxmlp.data.datasets import Split
from jaxmlp.inputs.deskewing import deskewed
from jaxmlp.inputs.edges import edge_maps
from jaxmlp.inputs.view import View
from jaxmlp.inspection import scoring
from jaxmlp.inspection.scoring import Mistake, NetworkError, Scores
from jaxmlp.network import Params
from jaxmlp.runs.storage import Network
from jaxmlp.training.validation import evaluate

RNG = np.random.default_rng(0)
D, K, C, N = 20, 6, 3, 2345  # more than two chunks, the last not whole
PARAMS = Params(*(jnp.asarray(RNG.standard_normal(shape)) for shape in ((D, K), (K,), (K, C), (C,))))
SPLIT = Split(RNG.integers(0, 256, (N, 4, 5), np.uint8), RNG.integers(0, C, N).astype(np.uint8))
PHI = (relu, sigmoid)
NETWORK = Network(PARAMS, PHI, View())


@pytest.fixture(scope="module")
def scores():
    return scoring.score(NETWORK, SPLIT, "here")


PIXELS = SPLIT.images.reshape(N, D) / 255


def by_hand(x0=PIXELS):
    W1, b1, W2, b2 = map(np.asarray, PARAMS)
    x1 = np.maximum(x0 @ W1 + b1, 0)
    return 1 / (1 + np.exp(-(x1 @ W2 + b2)))


def test_outputs_losses_and_predictions(scores):
    x2 = by_hand()
    y = SPLIT.labels[:, None] == np.arange(C)
    np.testing.assert_allclose(scores.outputs, x2, rtol=1e-12)
    np.testing.assert_allclose(scores.losses, ((x2 - y) ** 2).sum(1) / 2, rtol=1e-12)
    np.testing.assert_array_equal(scores.predictions, x2.argmax(1))
    assert scores.errors == (x2.argmax(1) != SPLIT.labels).sum()


def test_agrees_with_what_training_reports(scores):
    reported = evaluate(PARAMS, SPLIT.images.reshape(N, D), SPLIT.labels, PHI)
    assert scores.errors == reported.errors
    assert scores.losses.mean() == pytest.approx(float(reported.loss), rel=1e-12)


def test_confusion_matrix(scores):
    counts = scoring.confusion_matrix(scores)
    predictions = by_hand().argmax(1)
    for label in range(C):
        for prediction in range(C):
            assert counts[label, prediction] == sum((SPLIT.labels == label) & (predictions == prediction))


def test_worst_mistakes():
    outputs = np.array([[0.9, 0.1], [0.9, 0.2], [0.2, 0.3], [1.0, 0.0], [0.9, 0.2]])
    scores = Scores(np.array([0, 1, 1, 1, 1], np.uint8), outputs, np.array([0.01, 0.7, 0.8, 1.0, 0.7]))
    worst = [
        Mistake(index=3, label=1, prediction=0, loss=1.0, outputs=[1.0, 0.0]),
        Mistake(index=1, label=1, prediction=0, loss=0.7, outputs=[0.9, 0.2]),
        Mistake(index=4, label=1, prediction=0, loss=0.7, outputs=[0.9, 0.2]),
    ]
    assert scoring.worst_mistakes(scores, 10) == worst  # no. 2 has a large loss, but is right
    assert scoring.worst_mistakes(scores, 2) == worst[:2]
    assert scoring.worst_mistakes(Scores(scores.labels[:1], outputs[:1], scores.losses[:1]), 10) == []


def test_refuses_data_of_another_size_or_with_more_classes():
    with pytest.raises(DataError, match=r"^here: expected images of 20 pixels, one for each input, got 5x5$"):
        scoring.score(NETWORK, Split(np.zeros((2, 5, 5), np.uint8), np.zeros(2, np.uint8)), "here")
    with pytest.raises(DataError, match=r"^here: expected labels below 3, one for each output, got 3$"):
        scoring.score(NETWORK, Split(SPLIT.images[:1], np.array([3], np.uint8)), "here")


def test_refuses_outputs_that_are_not_finite():
    with pytest.raises(NetworkError, match=r"^the network: expected finite outputs, got \[nan, .* for image 0"):
        scoring.outputs(NETWORK._replace(params=PARAMS._replace(b2=PARAMS.b2.at[0].set(jnp.nan))), SPLIT.images)


@pytest.mark.parametrize("edges", [False, True])
def test_gradient_norms_against_the_gradients_written_out(edges):
    W1, b1, W2, b2 = map(np.asarray, PARAMS)
    pixels = SPLIT.images.reshape(N, 2, 10) / 255
    x0 = np.asarray(edge_maps(pixels) if edges else pixels).reshape(N, D)
    z1 = x0 @ W1 + b1
    x1, x2 = np.maximum(z1, 0), by_hand(x0)
    delta2 = (x2 - np.eye(C)[SPLIT.labels]) * x2 * (1 - x2)
    delta1 = (delta2 @ W2.T) * (z1 > 0)
    leaves = (x0[:, :, None] * delta1[:, None], delta1, x1[:, :, None] * delta2[:, None], delta2)
    want = np.sqrt(sum((leaf.reshape(N, -1) ** 2).sum(axis=1) for leaf in leaves))
    network = NETWORK._replace(view=View(edges=edges))
    got = scoring.gradient_norms(network, Split(SPLIT.images.reshape(N, 2, 10), SPLIT.labels))
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_edge_maps_for_a_network_of_such():
    network, split = NETWORK._replace(view=View(edges=True)), Split(SPLIT.images.reshape(N, 2, 10), SPLIT.labels)
    x2 = by_hand(np.asarray(edge_maps(split.images / 255)).reshape(N, D))
    np.testing.assert_allclose(scoring.outputs(network, split.images), x2, rtol=1e-12)
    reported = evaluate(PARAMS, *split, PHI, network.view)
    assert reported.errors == (x2.argmax(1) != SPLIT.labels).sum()
    odd = Split(SPLIT.images.reshape(N, 5, 4), SPLIT.labels)
    with pytest.raises(NetworkError, match=r"^the network \(--edges\): expected images of an even .*, got 5x4$"):
        scoring.score(network, odd, "here")


def test_upright_digits_for_a_network_of_such(scores):
    network = NETWORK._replace(view=View(deskew=True))
    upright = Split(deskewed(SPLIT.images), SPLIT.labels)
    np.testing.assert_array_equal(scoring.outputs(network, SPLIT.images), scoring.outputs(NETWORK, upright.images))
    norms = scoring.gradient_norms(network, SPLIT)
    np.testing.assert_array_equal(norms, scoring.gradient_norms(NETWORK, upright))
    assert not np.allclose(norms, scoring.gradient_norms(NETWORK, SPLIT))


def test_a_committee_is_the_mean_of_its_outputs(scores):
    """Of three members: the mean of two is their median too."""
    outputs = [scores.outputs, scores.outputs[:, ::-1], scores.outputs**3]
    mean = scoring.committee([Scores(scores.labels, x2, scores.losses) for x2 in outputs])
    np.testing.assert_allclose(mean.outputs, (outputs[0] + outputs[1] + outputs[2]) / 3, rtol=1e-12)
    y = scores.labels[:, None] == np.arange(C)
    np.testing.assert_allclose(mean.losses, ((mean.outputs - y) ** 2).sum(1) / 2, rtol=1e-12)


def test_a_committee_of_unequal_networks_is_refused(scores):
    narrow = Scores(scores.labels, scores.outputs[:, :2], scores.losses)
    with pytest.raises(NetworkError, match=r"^the committee: expected the same number .*, got 2 and 3$"):
        scoring.committee([scores, narrow])
