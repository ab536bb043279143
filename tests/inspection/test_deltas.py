"""The backward pass of a few examples: the numbers against autodiff, and that the page shows them."""

import jax
import numpy as np
import pytest

pytest.importorskip("matplotlib")

from jaxmlp import network
from jaxmlp.activations import relu, sigmoid
from jaxmlp.data.datasets import Split
from jaxmlp.inputs.view import View
from jaxmlp.inspection import deltas, scoring
from jaxmlp.runs.storage import PIXELS, Network
from nets import random_net

HEIGHT, WIDTH, K, C, N = 4, 6, 7, 3, 40
PARAMS, _, _ = random_net((HEIGHT * WIDTH, K, C))
RNG = np.random.default_rng(0)
SPLIT = Split(RNG.integers(0, 256, (N, HEIGHT, WIDTH), np.uint8), RNG.integers(0, C, N).astype(np.uint8))


def found(view=PIXELS):
    net = Network(PARAMS, (relu, sigmoid), view)
    scores = scoring.score(net, SPLIT, "here")
    indices = deltas.chosen(scores, scoring.gradient_norms(net, SPLIT))
    return net, scores, deltas.examples(net, SPLIT, scores, indices)


@pytest.mark.parametrize("view", [View(), View(deskew=True, edges=True)])
def test_every_delta_against_autodiff(view):
    net, scores, examples = found(view)
    assert len(examples) >= 3
    for example in examples:
        y = np.eye(C)[example.label]
        x0 = np.asarray(view.x0(example.image[None], np.float64)[0])
        np.testing.assert_allclose(example.x0, x0, rtol=1e-12)
        assert (example.label, example.prediction) == (SPLIT.labels[example.number], np.argmax(example.x2))
        trace = network.forward(PARAMS, x0, net.phi)
        np.testing.assert_allclose(example.x2, trace.x2, rtol=1e-12)
        assert example.loss == pytest.approx(float(network.loss(PARAMS, x0, y, net.phi)), rel=1e-12)
        by_input = jax.grad(network.loss, argnums=1)(PARAMS, x0, y, net.phi)
        np.testing.assert_allclose(example.input_gradient, by_input, rtol=1e-9, atol=1e-13)
        by_bias = jax.grad(network.loss)(PARAMS, x0, y, net.phi)
        np.testing.assert_allclose(example.delta1, by_bias.b1, rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(example.delta2, by_bias.b2, rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(example.prime2 * (example.x2 - y), example.delta2, rtol=1e-9, atol=1e-13)


def scores_of(labels, predictions, losses):
    return scoring.Scores(np.array(labels, np.uint8), np.eye(C)[predictions], np.array(losses))


def test_chosen_are_extremes_and_one_like_most():
    scores = scores_of([0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 2, 2, 2], [0, 0, 0, 0, 0.5, 1.4, 0.6])
    norms = np.array([0.1, 0.2, 0.3, 0.8, 2.0, 0.1, 1.0])
    assert deltas.chosen(scores, norms) == {
        4: "wrong, of the largest gradient",
        3: "right, of the largest gradient",
        5: "wrong, of the largest loss",
        1: "right, of a gradient like most",
    }


def test_a_network_without_mistakes_or_without_right_answers():
    right = scores_of([0, 1, 2], [0, 1, 2], [0, 0, 0.1])
    assert set(deltas.chosen(right, np.array([1.0, 3.0, 2.0]))) == {1, 2}
    wrong = scores_of([0, 1, 2], [1, 2, 0], [1, 2, 3])
    assert deltas.chosen(wrong, np.array([1.0, 3.0, 2.0])) == {
        1: "wrong, of the largest gradient",
        2: "wrong, of the largest loss",
    }


def test_a_term_is_large_by_its_delta_and_its_weights():
    _, _, (example, *_) = found()
    W1 = np.ones((5, 6)) * [1, 10, 1, 1, 1, 0]
    terms = deltas.largest_terms(example._replace(delta1=np.array([0.3, -0.1, -0.5, 0.01, 0.2, 9.0])), W1)
    assert terms == [1, 2, 0, 4]


def test_the_section_shows_each_example_in_the_notes_symbols():
    net, _, examples = found()
    section = deltas.section(examples, net)
    cards = [element for element in section.content if element.tag == "article"]
    assert len(cards) == len(examples)
    for card, example in zip(cards, examples, strict=True):
        text = "".join(card.itertext())
        assert f"no. {example.number}" in text
        for symbols in ("= φ(z2), and y", "= (x2 − y) ⊙ φ′(z2)", "= (W2 δ2) ⊙ φ′(z1)", "= W1 δ1", f"{K} units"):
            assert symbols in text
        assert len(card.findall(".//svg[@class='bars']")) == 2
        assert len(card.findall(".//img")) == 3 + deltas.TERMS
        assert f"+ {K - deltas.TERMS} smaller terms" in text
    upright, _, examples = found(View(deskew=True))
    section = deltas.section(examples, upright)
    assert len(section.content[-1].findall(".//img")) == 4 + deltas.TERMS  # the image as it is in the file too
    assert "sees its images upright." in "".join(section.content[1].itertext())
