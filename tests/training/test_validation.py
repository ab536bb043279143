"""A whole data set scored, against NumPy written from the equations."""

import jax
import numpy as np
import pytest

from compare import assert_close
from jaxmlp import activations, network
from jaxmlp.inputs.edges import edge_maps
from jaxmlp.inputs.view import View
from jaxmlp.training import validation

D, K, C = 12, 5, 4
PHI = (activations.tanh, activations.sigmoid)
PARAMS = network.init(jax.random.key(3), D, K, C)


def data(n):
    random = np.random.default_rng(n)
    return random.integers(0, 256, (n, D), dtype=np.uint8), random.integers(0, C, n, dtype=np.uint8)


def by_hand(x):
    W1, b1, W2, b2 = map(np.asarray, PARAMS)
    return 1 / (1 + np.exp(-(np.tanh(x @ W1 + b1) @ W2 + b2)))


def losses_by_hand(x2, labels):
    return np.sum((x2 - np.eye(C)[labels]) ** 2, axis=1) / 2


@pytest.mark.parametrize("n", [1, 999, 1000, 2345])
def test_every_example_counts_once(n):
    images, labels = data(n)
    x2 = by_hand(images / 255)
    score = validation.evaluate(PARAMS, images, labels, PHI)
    assert score.errors == np.sum(x2.argmax(axis=1) != labels)
    assert_close(score.loss, losses_by_hand(x2, labels).mean())
    got = validation.outputs(PARAMS, images, PHI)
    assert_close(got, x2)
    assert_close(validation.losses(got, np.eye(C)[labels]), losses_by_hand(x2, labels))


def test_of_equal_outputs_the_first_is_the_prediction():
    equal = PARAMS._replace(W2=0 * PARAMS.W2)
    images, labels = data(50)
    assert validation.evaluate(equal, images, labels, PHI).errors == np.sum(labels != 0)


def test_a_view_is_converted_on_the_device():
    images, labels = data(50)
    images = images.reshape(50, 2, 6)
    x2 = by_hand(np.asarray(edge_maps(images / 255)).reshape(50, D))
    assert_close(validation.outputs(PARAMS, images, PHI, View(edges=True)), x2)
    score = validation.evaluate(PARAMS, images, labels, PHI, View(edges=True))
    assert score.errors == np.sum(x2.argmax(axis=1) != labels)
    assert_close(score.loss, losses_by_hand(x2, labels).mean())


def test_float32_parameters_score_in_float32():
    images, labels = data(10)
    params = jax.tree.map(np.float32, PARAMS)
    assert validation.evaluate(params, images, labels, PHI).loss.dtype == np.float32
    assert validation.outputs(params, images, PHI).dtype == np.float32
