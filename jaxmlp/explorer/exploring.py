"""The page of a run, written: its network, and fifty digits of the test set that show it at its worst and at work."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from jaxmlp.data import datasets
from jaxmlp.data.datasets import Split
from jaxmlp.explorer.page import Digits, page
from jaxmlp.inspection import scoring
from jaxmlp.runs import files
from jaxmlp.runs.storage import Network

SHOWN = 50  # digits
WORST = 10  # of them: the worst mistakes


def write(network: Network, name: str, data_dir: Path | None, out: Path) -> None:
    """Write the page of the network, called `name`, to `out`, with test digits of the set in `data_dir`, else MNIST.

    Raises DataError for a set that is not the network's, NetworkError, FileError.
    """
    test = datasets.load(data_dir).test
    digits = _digits(test, scoring.score(network, test, str(data_dir or "MNIST")))
    files.replace(out, page(network, digits, name).encode())


def _digits(test: Split, scores: scoring.Scores) -> Digits:
    """The worst mistakes, the worst first, then digits of every class in turn."""
    worst = [mistake.index for mistake in scoring.worst_mistakes(scores, WORST)]
    others = [index for index in _in_turn(test.labels) if index not in worst]
    numbers = [*worst, *others][:SHOWN]
    return Digits(test.images[numbers], test.labels[numbers], numbers, len(worst))


def _in_turn(labels: npt.NDArray[np.uint8]) -> list[int]:
    """The index of the first of each class, then of the second of each, and so on."""
    turn = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        turn[labels == label] = np.arange(np.sum(labels == label))
    return np.lexsort((labels, turn)).tolist()
