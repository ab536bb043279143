"""What runs on the device: one epoch as one scan, and the scoring of a data set. Pure and jitted.

Images are uint8 (n, D) on the device and become floats in [0, 1] inside a step; labels are uint8 (n,).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmlp import batch, network, statistics
from jaxmlp.activations import Phi
from jaxmlp.network import Params
from jaxmlp.statistics import NoiseScale
from jaxmlp.training.optimizers import Optimizer

SCORED_AT_ONCE = 1000  # examples in a chunk of an evaluation


class Seen(NamedTuple):
    """What a step saw of its examples before it changed the parameters; or the mean of that over an epoch."""

    loss: jax.Array  # mean over the examples
    noise: NoiseScale | None  # of their gradients, if asked for


class State(NamedTuple):
    """All that an epoch changes."""

    params: Params
    optimizer: Any


def order(key: jax.Array, epoch: int | jax.Array, n: int) -> jax.Array:
    """The order in which epoch number `epoch` sees its n examples: a function of (key, epoch) alone."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), n)


@partial(
    jax.jit,
    static_argnames=("batch_size", "phi", "optimizer", "clip_norm", "log_noise_scale"),
    donate_argnames="state",
)
def train_epoch(
    state: State,
    images: jax.Array,
    labels: jax.Array,
    key: jax.Array,
    epoch: jax.Array,
    learning_rates: jax.Array,
    *,
    batch_size: int,
    phi: Phi,
    optimizer: Optimizer,
    clip_norm: float = 0.0,
    log_noise_scale: bool = False,
) -> tuple[State, Seen]:
    """One pass over the n examples in batches of `batch_size`, and what it saw of them as they were met.

    `learning_rates` has one entry a step, ceil(n / batch_size) of them. The last batch holds the n mod batch_size
    examples that remain, if any, and its gradient is the mean over those. With a `clip_norm` > 0 every example's
    gradient is first clipped to that norm. `state` is donated.
    """
    n = images.shape[0]
    rows = order(key, epoch, n)
    whole = n // batch_size

    def step(state: State, batch_of: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[State, Seen]:
        pixels, label, learning_rate = batch_of
        x, y = _floats(state.params, pixels, label)
        trace = batch.forward(state.params, x, phi)
        deltas = batch.backward(state.params, trace, y, phi)
        if clip_norm:
            gradient = statistics.clipped_gradient(trace, deltas, clip_norm)
        else:
            gradient = batch.gradient(trace, deltas)
        seen = Seen(
            loss=batch.mean_loss(trace, y),
            noise=statistics.noise_scale(trace, deltas) if log_noise_scale else None,
        )
        return State(*optimizer.update(gradient, state.optimizer, state.params, learning_rate)), seen

    # One gather for the epoch, not one a step.
    pixels, label = images[rows], labels[rows]
    batches = (
        pixels[: whole * batch_size].reshape(whole, batch_size, -1),
        label[: whole * batch_size].reshape(whole, batch_size),
        learning_rates[:whole],
    )
    state, seen = jax.lax.scan(step, state, batches)
    loss = jnp.sum(seen.loss) * batch_size
    noise = jax.tree.map(jnp.mean, seen.noise)  # over the whole batches
    if remaining := n - whole * batch_size:
        state, last = step(state, (pixels[-remaining:], label[-remaining:], learning_rates[-1]))
        loss += last.loss * remaining
    return state, Seen(loss / n, noise)


class Score(NamedTuple):
    """Of a whole data set: the mean loss, and the number of examples whose largest output is not their label's."""

    loss: jax.Array
    errors: jax.Array


@partial(jax.jit, static_argnames="phi")
def evaluate(params: Params, images: jax.Array, labels: jax.Array, phi: Phi) -> Score:
    """Every example is scored, and the errors are counted exactly, in chunks that bound the memory."""

    def score(example: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        x0, y = _floats(params, *example)
        x2 = network.forward(params, x0, phi).x2
        return network.squared_error(x2, y), jnp.argmax(x2) != jnp.argmax(y)

    losses, wrong = jax.lax.map(score, (images, labels), batch_size=SCORED_AT_ONCE)
    return Score(jnp.mean(losses), jnp.sum(wrong))


def _floats(params: Params, pixels: jax.Array, label: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(pixels in [0, 1], the one-hot label), in the dtype of the parameters."""
    dtype, classes = params.b2.dtype, params.b2.shape[0]
    return pixels.astype(dtype) / 255, jax.nn.one_hot(label, classes, dtype=dtype)
