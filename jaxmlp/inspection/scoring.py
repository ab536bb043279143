"""What a network says of a data set: its outputs, which classes it confuses, its worst mistakes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from jaxmlp import batch, statistics
from jaxmlp.activations import Phi
from jaxmlp.data.datasets import Split
from jaxmlp.data.idx import DataError
from jaxmlp.network import Params, forward, squared_error
from jaxmlp.storage import Network
from jaxmlp.training.epoch import SCORED_AT_ONCE, floats, inputs_of, unit


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

    Raises DataError for images of a size without edge maps, if those are the inputs, and for an output that is not
    finite: no prediction could be read off it.
    """
    _, height, width = images.shape
    if network.edges and (height % 2 or width % 2):
        raise DataError(f"the network: expected images of an even height and width, got {height}x{width}")
    x2 = np.asarray(_outputs(network.params, network.upright(images), network.phi, network.edges))
    bad = np.flatnonzero(~np.isfinite(x2).all(axis=1))
    if bad.size:
        raise DataError(f"the network: expected finite outputs, got {x2[bad[0]].tolist()} for image {bad[0]}")
    return x2


@partial(jax.jit, static_argnames=("phi", "edges"))
def _outputs(params: Params, images: jax.Array, phi: Phi, edges: bool) -> jax.Array:
    def output(pixels: jax.Array) -> jax.Array:
        (x0,) = inputs_of(unit(params, pixels)[None], edges)
        return forward(params, x0, phi).x2

    x2: jax.Array = jax.lax.map(output, images, batch_size=SCORED_AT_ONCE)
    return x2


def score(network: Network, split: Split, source: str) -> Scores:
    """The scores of every example.

    Raises DataError, which names the `source` of the split, if the network has other inputs or too few outputs.
    """
    inputs, classes = network.params.W1.shape[0], network.params.b2.shape[0]
    _, height, width = split.images.shape
    if height * width != inputs:
        raise DataError(f"{source}: expected images of {inputs} pixels, one for each input, got {height}x{width}")
    if split.labels.max() >= classes:
        raise DataError(f"{source}: expected labels below {classes}, one for each output, got {split.labels.max()}")
    return _scored(outputs(network, split.images), split.labels)


def committee(members: Sequence[Scores]) -> Scores:
    """The scores of the mean of the members' outputs, which are of the same examples.

    Raises DataError if they have not the same number of outputs.
    """
    counts = sorted({member.outputs.shape[1] for member in members})
    if len(counts) > 1:
        raise DataError(
            f"the committee: expected the same number of outputs from each, got {counts[0]} and {counts[-1]}"
        )
    return _scored(np.mean([member.outputs for member in members], axis=0), members[0].labels)


def _scored(x2: npt.NDArray[np.floating], labels: npt.NDArray[np.uint8]) -> Scores:
    y = np.eye(x2.shape[1], dtype=x2.dtype)[labels]
    losses = jax.lax.map(lambda pair: squared_error(*pair), (x2, y), batch_size=SCORED_AT_ONCE)
    return Scores(labels, x2, np.asarray(losses))


def gradient_norms(network: Network, split: Split) -> npt.NDArray[np.floating]:
    """‖g‖ of each example over all parameters, (n,): from the deltas, in chunks that bound the memory."""
    params, phi = network.params, network.phi
    norms = []
    for start in range(0, len(split.labels), SCORED_AT_ONCE):
        chunk = slice(start, start + SCORED_AT_ONCE)
        images, labels = jnp.asarray(network.upright(split.images[chunk])), jnp.asarray(split.labels[chunk])
        x, y = floats(params, images, labels)
        trace = batch.forward(params, inputs_of(x, network.edges), phi)
        norms.append(np.asarray(statistics.gradient_norms(trace, batch.backward(params, trace, y, phi))))
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
