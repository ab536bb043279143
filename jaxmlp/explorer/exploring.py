"""The page of a network, written, with fifty test digits: its worst mistakes, and some of every class."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from jaxmlp.data import datasets
from jaxmlp.data.datasets import Split
from jaxmlp.explorer.page import Digits, page
from jaxmlp.inspection import scoring
from jaxmlp.runs import files, run_directory
from jaxmlp.runs.storage import Network

SHOWN = 50  # digits
WORST = 10  # of them: the worst mistakes


def write(network: Network, name: str, data_dir: Path | None, out: Path, run_dir: Path | None = None) -> None:
    """Write the page of the network, called `name`, to `out`, with test digits of the set in `data_dir` or MNIST.

    The run in `run_dir`, if one is given, must have been trained on that set. Raises DataError, NetworkError,
    RunError, FileError.
    """
    dataset = datasets.load(data_dir)
    if run_dir:
        run_directory.check_data(run_dir, dataset.sha256)
    digits = _digits(dataset.test, scoring.score(network, dataset.test, str(data_dir or "MNIST")))
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
    in_turn: list[int] = np.lexsort((labels, turn)).tolist()
    return in_turn
