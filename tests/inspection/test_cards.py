"""Hidden units and worst mistakes: that each picture is of what its caption says."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from jaxmlp.activations import relu, sigmoid
from jaxmlp.data.datasets import Split
from jaxmlp.inspection import mistakes, tiles, units
from jaxmlp.inspection.scoring import Mistake
from jaxmlp.network import Params
from jaxmlp.runs.storage import PIXELS, Network

RNG = np.random.default_rng(0)


def text(element):
    return "".join(element.itertext())


def test_units_are_ordered_by_their_outgoing_weights():
    W2 = np.zeros((130, 3))
    W2[:, 1] = RNG.permutation(130) - 65.0
    strongest = units.strongest(W2)
    assert len(strongest) == units.SHOWN
    assert np.all(np.diff(np.abs(W2[strongest, 1])) <= 0)
    assert np.abs(W2[strongest, 1]).min() >= 15


def test_units_are_columns_on_one_scale():
    W1, W2 = RNG.standard_normal((6, 4)), np.diag([1.0, 3.0, 2.0, 4.0])
    network = Network(Params(W1, np.zeros(4), W2, np.zeros(4)), (relu, sigmoid), PIXELS)
    _, shown = units.section(network, (2, 3)).content
    limit = float(np.quantile(np.abs(W1), 1 - units.BEYOND))
    assert [text(figure) for figure in shown] == ["3", "1", "2", "0"]
    for figure, j in zip(shown, (3, 1, 2, 0), strict=True):
        expected = tiles.signed(W1[:, j].reshape(2, 3), limit, "")
        assert figure.find("img").get("src") == expected.get("src")


def test_mistakes_show_their_image_and_the_output_of_their_label_even_at_0():
    split = Split(RNG.integers(0, 256, (9, 2, 4), np.uint8), np.ones(9, np.uint8))
    shown = [Mistake(8, 1, 2, 0.92, [0.1, 0.0, 0.9]), Mistake(3, 1, 0, 0.85, [0.7, -0.3, 0.5])]
    intro, cards = mistakes.section(shown, split, Network(None, None, PIXELS)).content
    assert "sees them" not in text(intro)
    for card, mistake in zip(cards, shown, strict=True):
        assert text(card.find("h3")) == f"{mistake.label}, taken for {mistake.prediction}"
        assert text(card.find("figcaption")) == f"no. {mistake.index}, L = {mistake.loss}"
        assert card.find("div/img").get("src") == tiles.ink(split.images[mistake.index], 255, "").get("src")
        (label,), (prediction,) = (card.findall(f".//g[@class='{name}']") for name in ("label", "prediction"))
        assert label.findall("text")[0].text == f"{mistake.label}"
        assert prediction.findall("text")[0].text == f"{mistake.prediction}"
        assert float(label.findall("rect")[1].get("width")) > 0
    assert cards[0].find(".//g[@class='label']").findall("text")[1].text == "0.00"
    zeros = {card.find(".//line[@class='zero']").get("x1") for card in cards}
    assert len(zeros) == 1  # one scale for all
