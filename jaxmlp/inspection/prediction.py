"""The class and the outputs of images that somebody hands in."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jaxmlp.data import pictures
from jaxmlp.data.idx import DataError
from jaxmlp.inspection import scoring
from jaxmlp.inspection.scoring import NetworkError
from jaxmlp.runs.storage import Network

LOW = 0.5  # a largest output below it is in doubt
NEAR = 0.4  # as is one that is less above the second largest


class Predictions(NamedTuple):
    """Of several files."""

    table: str  # a row for each image that could be predicted; empty if none could
    refused: list[str]  # what is wrong with each other file, a line that names it


def predict(network: Network, files: list[Path]) -> Predictions:
    """For each image in the files its name, the class predicted, the output of each class, and `doubt`.

    An image of a file that can hold several is named by its index too. Raises MissingExtra.
    """
    names: list[str] = []
    rows: list[npt.NDArray[np.floating]] = []
    refused: list[str] = []
    for file in files:
        try:
            images = pictures.read(file, network.params.W1.shape[0])
            rows.extend(scoring.outputs(network, images))
        except DataError as error:
            refused.append(str(error))
        except NetworkError as error:
            refused.append(f"{file}: {error}")
        else:
            names += [str(file)] if len(images) == 1 else [f"{file}[{i}]" for i in range(len(images))]
    return Predictions(_table(names, rows) if names else "", refused)


def doubt(outputs: npt.NDArray[np.floating]) -> str:
    """Why a prediction from these outputs, (C,), is not to be trusted; empty if nothing speaks against it.

    Targets are 0 and 1, so the largest output should be near 1 and all others near 0. LOW and NEAR are chosen on
    MNIST's 10,000 validation digits: of the recipe quick's wrong predictions (288) they put 63% in doubt and of its
    right ones 2.2%, of nielsen30's (402) 49% and 2.5%, of 15 epochs of lecun300_distorted's (123) 62% and 1.6%.
    """
    second, first = np.argsort(outputs, kind="stable")[-2:]
    if outputs[first] < LOW:
        return f"not sure: largest output {outputs[first]:.2f}"
    if outputs[first] - outputs[second] < NEAR:
        return f"not sure: {first} or {second}"
    return ""


def _table(names: list[str], rows: list[npt.NDArray[np.floating]]) -> str:
    width = max(map(len, (*names, "image")))
    lines = [f"{'image':{width}} prediction " + "".join(f"{c:6}" for c in range(len(rows[0])))]
    for name, outputs in zip(names, rows, strict=True):
        shown = "".join(f"{x:6.2f}" for x in outputs)
        lines.append(f"{name:{width}} {np.argmax(outputs):10} {shown}  {doubt(outputs)}".rstrip())
    return "\n".join(lines)
