"""The page filled in: one HTML file that holds a network and some digits, and asks nobody for anything."""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jaxmlp.activations import ACTIVATIONS, as_pair
from jaxmlp.explorer import formulas
from jaxmlp.runs.storage import Network

FOLDER = Path(__file__).parent
# Each file after those that it imports: one script holds them all, for browsers import no file from a disk.
MODULES = (
    "arrays",
    "activations",
    "network",
    "differences",
    "inputs",
    "photo",
    "model",
    "colours",
    "words",
    "check",
    "picture",
    "pictures",
    "bars",
    "drawing",
    "digits",
    "main",
)


class Digits(NamedTuple):
    """Images of a test set, for the reader to choose from."""

    images: npt.NDArray[np.uint8]  # (n, height, width), 0 to 255, n >= 1
    labels: npt.NDArray[np.uint8]  # (n,)
    numbers: Sequence[int]  # of each in its set, from 0
    worst: int  # how many of the first are the network's worst mistakes


def page(network: Network, digits: Digits, name: str) -> str:
    """The HTML of a page about `network`, called `name`, whose inputs are as many as the digits' pixels."""
    (inputs, hidden), outputs = network.params.W1.shape, len(network.params.b2)
    phi = ",".join(dict.fromkeys(_names(network)))
    return Template(formulas.in_html(_source("page.html"))).substitute(
        title=escape(f"{name}: {inputs}-{hidden}-{outputs}, {phi.replace(',', ', ')}"),
        style=_source("style.css"),
        script=script(),
        data=_inert(json.dumps(_data(network, digits))),
    )


def script() -> str:
    """The modules as one, without what they import from one another."""
    text = "\n".join(_source(f"{name}.mjs") for name in MODULES)
    return re.sub(r"(?m)^import [^;]+;\n|^export ", "", text)


def _source(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _names(network: Network) -> list[str]:
    """The names of φ, of the hidden layer and the output."""
    names = {activation: name for name, activation in ACTIVATIONS.items()}
    return [names[activation] for activation in as_pair(network.phi)]


def _data(network: Network, digits: Digits) -> dict[str, Any]:
    _, height, width = digits.images.shape
    return {
        "height": height,
        "width": width,
        "hidden": len(network.params.b1),
        "outputs": len(network.params.b2),
        "phi": _names(network),
        "view": asdict(network.view),
        "params": {leaf: _base64(np.asarray(W, "<f4")) for leaf, W in network.params._asdict().items()},
        "digits": {
            "images": _base64(digits.images),
            "labels": digits.labels.tolist(),
            "numbers": list(digits.numbers),
            "worst": digits.worst,
        },
    }


def _base64(array: npt.NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode()


def _inert(text: str) -> str:
    """JSON that no HTML parser takes for a tag."""
    return text.replace("<", "\\u003c")
