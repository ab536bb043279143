"""What a network says of a data set: its outputs, which classes it confuses, its worst mistakes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jaxmlp import batch, statistics
from jaxmlp.data.datasets import Split
from jaxmlp.data.idx import DataError
from jaxmlp.runs.storage import Network
from jaxmlp.training import validation


class NetworkError(ValueError):
    """A network that cannot be scored. The text is one line: what was expected of it, what came."""


class Scores(NamedTuple):
    """Of n examples, in their order."""

    labels: npt.NDArray[np.uint8]  # (n,)
    outputs: npt.NDArray[np.floating]  # (n, C): x2
    losses: npt.NDArray[np.floating]  # (n,): L of each, unscaled

    @property
    def predictions(self) -> npt.NDArray[np.int64]:
        """The class of the largest output, the first of equal ones; (n,)."""
        predictions: npt.NDArray[np.int64] = np.argmax(self.outputs, axis=1)
        return predictions

    @property
    def errors(self) -> int:
        return int(np.sum(self.predictions != self.labels))


@dataclass(frozen=True)
class Mistake:
    """An example whose prediction is not its label."""

    index: int  # in its split, from 0
    label: int
    prediction: int
    loss: float  # L, unscaled
    outputs: list[float]  # x2


def outputs(network: Network, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.floating]:
    """x2 of each image, (n, C). Images are (n, height, width) of 0 to 255, with a pixel for each input.

    Raises NetworkError if it cannot be shown images of this size, and for an output that is not finite: no
    prediction could be read off it.
    """
    params, phi, view = network
    if misfit := view.misfit(images.shape[1:]):
        name, needs = misfit
        raise NetworkError(f"the network (--{name}): expected images of {needs}, got {_size(images)}")
    x2 = np.asarray(validation.outputs(params, view.prepare(images), phi, view))
    bad = np.flatnonzero(~np.isfinite(x2).all(axis=1))
    if bad.size:
        raise NetworkError(f"the network: expected finite outputs, got {x2[bad[0]].tolist()} for image {bad[0]}")
    return x2


def score(network: Network, split: Split, source: str) -> Scores:
    """The scores of every example.

    Raises NetworkError, and DataError, which names the `source` of the split, if the network has other inputs or
    too few outputs.
    """
    inputs, classes = network.params.W1.shape[0], network.params.b2.shape[0]
    if split.images[0].size != inputs:
        raise DataError(
            f"{source}: expected images of {inputs} pixels, one for each input, got {_size(split.images)}"
        )
    if split.labels.max() >= classes:
        raise DataError(f"{source}: expected labels below {classes}, one for each output, got {split.labels.max()}")
    return _scored(outputs(network, split.images), split.labels)


def committee(members: Sequence[Scores]) -> Scores:
    """The scores of the mean of the members' outputs, which are of the same examples.

    Raises NetworkError if they have not the same number of outputs.
    """
    counts = sorted({member.outputs.shape[1] for member in members})
    if len(counts) > 1:
        raise NetworkError(
            f"the committee: expected the same number of outputs from each, got {counts[0]} and {counts[-1]}"
        )
    return _scored(np.mean([member.outputs for member in members], axis=0), members[0].labels)


def _scored(x2: npt.NDArray[np.floating], labels: npt.NDArray[np.uint8]) -> Scores:
    y = np.eye(x2.shape[1], dtype=x2.dtype)[labels]
    return Scores(labels, x2, np.asarray(validation.losses(x2, y)))


def _size(images: npt.NDArray[np.uint8]) -> str:
    _, height, width = images.shape
    return f"{height}x{width}"


def gradient_norms(network: Network, split: Split) -> npt.NDArray[np.floating]:
    """‖g‖ of each example over all parameters, (n,): from the deltas, in chunks that bound the memory."""
    params, phi, view = network
    y = np.eye(params.b2.shape[0], dtype=params.b2.dtype)[split.labels]
    norms = []
    for start in range(0, len(y), validation.AT_ONCE):
        chunk = slice(start, start + validation.AT_ONCE)
        passes = batch.passes(params, view.x0(split.images[chunk], params.b2.dtype), y[chunk], phi)
        norms.append(np.asarray(statistics.gradient_norms(passes)))
    return np.concatenate(norms)


def confusion_matrix(scores: Scores) -> npt.NDArray[np.int64]:
    """(C, C): row i, column j counts the examples of label i that are predicted to be j."""
    classes = scores.outputs.shape[1]
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (scores.labels, scores.predictions), 1)
    return counts


def worst_mistakes(scores: Scores, at_most: int) -> list[Mistake]:
    """The mistakes of the largest loss, largest first."""
    by_loss = np.argsort(-scores.losses, kind="stable")
    predictions = scores.predictions
    wrong = by_loss[predictions[by_loss] != scores.labels[by_loss]][:at_most]
    return [
        Mistake(
            index=int(i),
            label=int(scores.labels[i]),
            prediction=int(predictions[i]),
            loss=float(scores.losses[i]),
            outputs=scores.outputs[i].tolist(),
        )
        for i in wrong
    ]
