"""The worst mistakes, each image beside its outputs."""

from xml.etree.ElementTree import Element

from jaxmlp.data.datasets import Split
from jaxmlp.inspection import bars, tiles
from jaxmlp.inspection.markup import tag
from jaxmlp.inspection.page import Section
from jaxmlp.inspection.scoring import Mistake
from jaxmlp.runs.storage import Network


def section(mistakes: list[Mistake], split: Split, network: Network) -> Section:
    """These mistakes, of validation images."""
    if not mistakes:
        return Section("mistakes", "The worst mistakes", [tag("p", "No validation image is predicted wrongly.")])
    every = bars.span([1.0, *(output for mistake in mistakes for output in mistake.outputs)])
    intro = tag(
        "p",
        "The validation images of the largest loss L among those predicted wrongly, by their number from 0, with "
        "the output of each class: ",
        tag("b", "the label's", class_="label"),
        " and ",
        tag("b", "the prediction's", class_="prediction"),
        ".",
        f" The network sees them {', '.join(network.view.seen)}." if network.view.seen else "",
    )
    cards = (_card(mistake, split, every) for mistake in mistakes)
    return Section("mistakes", "The worst mistakes", [intro, tag("div", *cards, class_="mistakes")])


def _card(mistake: Mistake, split: Split, span: tuple[float, float]) -> Element:
    label, prediction = mistake.label, mistake.prediction
    image = tiles.ink(split.images[mistake.index], 255, f"image no. {mistake.index}")
    drawn = bars.bars(
        mistake.outputs,
        bars.shown(mistake.outputs, (label, prediction)),
        span,
        {prediction: "prediction", label: "label"},
        f"outputs: {bars.listed(mistake.outputs)}",
    )
    return tag(
        "figure",
        tag(
            "h3",
            tag("span", f"{label}", class_="label"),
            ", taken for ",
            tag("span", f"{prediction}", class_="prediction"),
        ),
        tag("div", image, drawn),
        tag("figcaption", f"no. {mistake.index}, L = {bars.alone(mistake.loss)}"),
    )
