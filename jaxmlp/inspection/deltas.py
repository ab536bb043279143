"""The backward pass of a few examples, from the loss back to the pixels: what to show, computed and drawn."""

from typing import NamedTuple
from xml.etree.ElementTree import Element

import jax
import numpy as np
import numpy.typing as npt

from jaxmlp import batch
from jaxmlp.activations import as_pair
from jaxmlp.data.datasets import Split
from jaxmlp.inspection import bars, tiles
from jaxmlp.inspection.markup import tag
from jaxmlp.inspection.page import Section
from jaxmlp.inspection.scoring import Scores
from jaxmlp.runs.storage import Network

Floats = npt.NDArray[np.floating]

TERMS = 4  # of the sum W1 δ1, that are shown one by one

EQUATIONS = (
    ("F1", "z1 = W1ᵀ x0 + b1"),
    ("F2", "x1 = φ(z1)"),
    ("F3", "z2 = W2ᵀ x1 + b2"),
    ("F4", "x2 = φ(z2)"),
    ("L", "L = ½ Σ (x2 − y)²"),
    ("B1", "δ2 = (x2 − y) ⊙ φ′(z2)"),
    ("B2", "δ1 = (W2 δ2) ⊙ φ′(z1)"),
    ("", "∂L/∂x0 = W1 δ1"),
)


class Example(NamedTuple):
    """One example and its passes. D = height x width."""

    number: int  # in its split, from 0
    label: int
    prediction: int
    why: str  # it was chosen
    loss: float  # L
    image: npt.NDArray[np.uint8]  # (height, width), 0 to 255
    x0: Floats  # (D,)
    x2: Floats  # (C,)
    prime2: Floats  # (C,), φ′(z2)
    delta2: Floats  # (C,)
    delta1: Floats  # (K,)
    input_gradient: Floats  # (D,), W1 δ1


def chosen(scores: Scores, norms: Floats) -> dict[int, str]:
    """Which examples to show, by index, and why: right and wrong ones of small and large gradients."""
    right = scores.predictions == scores.labels
    candidates = [
        (~right, -norms, "wrong, of the largest gradient"),
        (right, -norms, "right, of the largest gradient"),
    ]
    candidates.append((~right, -scores.losses, "wrong, of the largest loss"))
    if right.any():
        typical = np.abs(norms - np.median(norms[right]))
        candidates.append((right, typical, "right, of a gradient like most"))
    found: dict[int, str] = {}
    for among, order, why in candidates:
        if among.any():
            found.setdefault(int(np.argmin(np.where(among, order, np.inf))), why)
    return found


def examples(network: Network, split: Split, scores: Scores, indices: dict[int, str]) -> list[Example]:
    """The passes of the examples of these indices, each with its reason."""
    params, phi, view = network
    rows = list(indices)
    y = np.eye(params.b2.shape[0], dtype=params.b2.dtype)[split.labels[rows]]
    passes = batch.passes(params, view.x0(split.images[rows], params.b2.dtype), y, phi)
    trace, deltas = jax.tree.map(np.asarray, (passes.trace, passes.deltas))
    prime2 = np.asarray(jax.vmap(as_pair(phi)[1].prime)(passes.trace.z2))
    input_gradients = deltas.delta1 @ np.asarray(params.W1).T
    return [
        Example(
            number=row,
            label=int(split.labels[row]),
            prediction=int(scores.predictions[row]),
            why=indices[row],
            loss=float(scores.losses[row]),
            image=split.images[row],
            x0=trace.x0[i],
            x2=trace.x2[i],
            prime2=prime2[i],
            delta2=deltas.delta2[i],
            delta1=deltas.delta1[i],
            input_gradient=input_gradients[i],
        )
        for i, row in enumerate(rows)
    ]


def largest_terms(example: Example, W1: Floats) -> list[int]:
    """The hidden units j of the largest ‖W1_j δ1_j‖, where W1_j is a column of W1; TERMS at most."""
    sizes = np.linalg.norm(W1, axis=0) * np.abs(example.delta1)
    return [int(j) for j in np.argsort(-sizes, kind="stable")[:TERMS]]


def section(found: list[Example], network: Network) -> Section:
    W1 = np.asarray(network.params.W1)
    equations = [tag("div", tag("dt", name), tag("dd", equation)) for name, equation in EQUATIONS]
    intro = tag(
        "p",
        "Each example goes forwards to its loss L, and back from there to its pixels. δ2 = ∂L/∂z2 is how L changes "
        "with what each output is given, δ1 = ∂L/∂z1 with what each hidden unit is given, and W1 δ1 = ∂L/∂x0 with "
        "each input: a larger one on ",
        tag("b", "red", class_="red"),
        " raises L, on ",
        tag("b", "blue", class_="blue"),
        " lowers it. The line on that picture is the outline of x0. Each picture and each set of bars has its own "
        "scale; ± is what its darkest colours stand for.",
        f" The network sees its images {', '.join(network.view.seen)}." if network.view.seen else "",
    )
    cards = [_card(example, network, W1) for example in found]
    return Section(
        "deltas", "From the loss back to the pixels: δ", [tag("dl", *equations, class_="equations"), intro, *cards]
    )


def _card(example: Example, network: Network, W1: Floats) -> Element:
    label, prediction = example.label, example.prediction
    title = f"A {label}, predicted rightly" if label == prediction else f"A {label}, taken for a {prediction}"
    panels = [*_panels(example, network), _sum(example, W1)]
    return tag(
        "article",
        tag("h3", title, tag("small", f" {example.why} (no. {example.number})")),
        tag("div", *panels, class_="panels", style=f"--panels: {len(panels) - 1}"),
        class_="delta",
    )


def _panels(example: Example, network: Network) -> list[Element]:
    x2, delta2, delta1 = example.x2.tolist(), example.delta2.tolist(), example.delta1
    x0, by_input = (values.reshape(example.image.shape) for values in (example.x0, example.input_gradient))
    label, prediction = example.label, example.prediction
    classes, marks = bars.shown(x2, (label, prediction)), {prediction: "prediction", label: "label"}
    y = [float(k == label) for k in range(len(x2))]
    span2 = bars.span(delta2)
    unit = bars.exponent(max(-span2[0], span2[1]))
    limit1, limit0 = float(np.abs(delta1).max()), float(np.abs(by_input).max())
    image = tiles.ink(example.image, 255, f"image no. {example.number}, a {label}")
    high = max(1.0, float(x0.max()))
    inputs = tiles.signed(by_input, limit0, "W1 δ1, a pixel for each input")
    return [
        *([_panel("image", "as it is in the file", image)] if network.view.seen else []),
        _panel("x0", "the inputs", tiles.ink(x0, high, "x0, a pixel for each input")),
        _panel(
            "x2",
            "= φ(z2), and y as a line",
            bars.bars(x2, classes, bars.span([*x2, *y]), marks, f"x2 = {bars.listed(x2)}", y),
            f"L = {bars.alone(example.loss)}",
        ),
        _panel(
            "δ2",
            "= (x2 − y) ⊙ φ′(z2)",
            bars.bars(delta2, classes, span2, marks, f"δ2 = {bars.listed(delta2)}"),
            *([f"in units of {bars.power(unit)}"] if unit else []),
            *(_product(example, k) for k in sorted({label, prediction, int(np.argmax(np.abs(delta2)))})),
        ),
        _panel(
            "δ1",
            "= (W2 δ2) ⊙ φ′(z1)",
            tiles.signed(_in_rows(delta1), limit1, f"δ1, a square for each of {len(delta1)} hidden units"),
            f"{len(delta1):,} units, ±{bars.alone(limit1)}",
        ),
        _panel("∂L/∂x0", "= W1 δ1", tiles.outlined(inputs, x0 > high / 2), f"±{bars.alone(limit0)}"),
    ]


def _panel(name: str, equation: str, drawn: Element, *captions: str) -> Element:
    lines = (tag("div", caption) for caption in captions)
    return tag("figure", tag("h4", name, tag("small", equation)), drawn, tag("figcaption", *lines))


def _product(example: Example, k: int) -> str:
    """B1 of one class in numbers."""
    error = example.x2[k] - float(k == example.label)
    return f"{k}: {bars.alone(error)} × {bars.alone(example.prime2[k])}"


def _in_rows(delta1: Floats) -> Floats:
    """The units in rows, from left to right, as nearly a square as they give; what is left over is 0."""
    columns = int(np.ceil(np.sqrt(len(delta1))))
    rows = -(-len(delta1) // columns)
    return np.pad(delta1, (0, rows * columns - len(delta1))).reshape(rows, columns)


def _sum(example: Example, W1: Floats) -> Element:
    """W1 δ1 as a sum over the hidden units, its largest terms drawn."""
    terms = largest_terms(example, W1)
    drawn: list[Element] = []
    for j in terms:
        factor = float(example.delta1[j])
        sign = "−" if factor < 0 else "+" if drawn else ""
        weights = W1[:, j].reshape(example.image.shape)
        tile = tiles.signed(weights, float(np.abs(weights).max()), f"the weights into unit {j}")
        drawn.append(tag("span", f"{sign} {bars.alone(abs(factor))} ·", tile, tag("small", f"unit {j}")))
    rest = len(example.delta1) - len(terms)
    more = [tag("span", f"+ {rest:,} smaller terms")] if rest else []
    return tag("div", tag("span", "W1 δ1 ="), *drawn, *more, class_="sum")
