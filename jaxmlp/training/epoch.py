"""What runs on the device: one epoch as one scan, and the scoring of a data set. Pure and jitted.

Images are uint8 on the device and become floats in [0, 1] inside a step; labels are uint8 (n,).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmlp import batch, network, statistics
from jaxmlp.activations import Phi
from jaxmlp.data.augment import Distortion, distort
from jaxmlp.data.edges import edge_maps
from jaxmlp.data.mixup import mix
from jaxmlp.network import Params
from jaxmlp.statistics import NoiseScale
from jaxmlp.training import blocked
from jaxmlp.training.optimizers import Optimizer, Tree

SCORED_AT_ONCE = 1000  # examples in a chunk of an evaluation


class Seen(NamedTuple):
    """What a step saw of its examples before it changed the parameters; or the mean of that over an epoch."""

    loss: jax.Array  # mean over the examples
    noise: NoiseScale | None  # of their gradients, if asked for


class Settings(NamedTuple):
    """What is fixed when an epoch is compiled."""

    batch_size: int
    phi: Phi
    optimizer: Optimizer
    clip_norm: float = 0.0  # of each example's gradient, if > 0
    log_noise_scale: bool = False
    distortion: Distortion | None = None  # of each image, anew every epoch
    edges: bool = False  # whether the network is given edge maps, not pixels
    mixup: float = 0.0  # the α of mixup, if > 0
    input_dropout: float = 0.0  # the probability that a pixel is left out
    batches_per_block: int = 1  # of blocked.py, if > 1: for an optimizer that it takes, with clip_norm at most
    halves: bool = False  # compute each batch as two halves, at once; for an even batch_size, no log_noise_scale


class State(NamedTuple):
    """All that an epoch changes."""

    params: Params
    optimizer: Any


class StepInput(NamedTuple):
    """One batch; with a leading axis, all those of a scan over steps."""

    pixels: jax.Array  # (B, D) or (B, H, W), uint8
    label: jax.Array  # (B,), uint8
    learning_rate: jax.Array
    key: jax.Array


@partial(jax.jit, static_argnames="settings", donate_argnames="state")
def train_epoch(
    state: State,
    images: jax.Array,
    labels: jax.Array,
    rows: jax.Array,
    learning_rates: jax.Array,
    key: jax.Array,
    strength: jax.Array,
    settings: Settings,
) -> tuple[State, Seen]:
    """One pass over the n examples in batches, in the order `rows`, and what it saw of them as they were met.

    Images are (n, D), or (n, H, W) with H · W = D, which distortions and edge maps need. `learning_rates` has
    one entry a step, ceil(n / batch_size) of them. The last batch holds the n mod batch_size examples that remain,
    if any, and its gradient is the mean over those. Distortions (of this `strength`, a scalar), mixtures and
    dropout are drawn from `key`. `state` is donated.
    """
    n, B, S = images.shape[0], settings.batch_size, settings.batches_per_block
    whole = n // B
    in_blocks = whole // S * S if S > 1 else 0
    pixels, label = images[rows], labels[rows]  # one gather for the epoch, not one a step
    keys = jax.random.split(key, len(learning_rates))

    def batches(start: int, stop: int) -> StepInput:
        part = slice(start * B, stop * B)
        shape = stop - start, B
        return StepInput(
            pixels[part].reshape(*shape, *images.shape[1:]),
            label[part].reshape(shape),
            learning_rates[start:stop],
            keys[start:stop],
        )

    loss = jnp.zeros((), state.params.b2.dtype)
    if in_blocks:
        state, losses = _scan_blocks(state, batches(0, in_blocks), settings)
        loss += jnp.sum(losses) * B
    step = partial(_step, strength=strength)
    state = _flipped(state)
    state, seen = jax.lax.scan(partial(step, settings=settings), state, batches(in_blocks, whole))
    loss += jnp.sum(seen.loss) * B
    if remaining := n - whole * B:
        rest = StepInput(pixels[-remaining:], label[-remaining:], learning_rates[-1], keys[-1])
        state, last = step(state, rest, settings=settings._replace(halves=False))
        loss += last.loss * remaining
    noise = jax.tree.map(jnp.mean, seen.noise)  # over the whole batches
    return _flipped(state), Seen(loss / n, noise)


def _step(state: State, inputs: StepInput, strength: jax.Array, settings: Settings) -> tuple[State, Seen]:
    """One update of a flipped state by one batch."""
    params = _flipped(state.params)
    x, y = floats(params, inputs.pixels, inputs.label)
    distortion_key, mixup_key, dropout_key = jax.random.split(inputs.key, 3)
    if settings.distortion is not None:
        x = distort(distortion_key, x, settings.distortion, strength)
    x = inputs_of(x, settings.edges)
    if settings.mixup:
        x, y = mix(mixup_key, x, y, settings.mixup)
    if settings.input_dropout:
        x = jnp.where(jax.random.bernoulli(dropout_key, settings.input_dropout, x.shape), 0, x)
        x /= 1 - settings.input_dropout  # so that z1 keeps its mean
    if settings.halves:
        halves = zip(jnp.split(x, 2), jnp.split(y, 2), strict=True)
        of_each = [_flipped_gradient(params, *half, settings) for half in halves]
        gradient, seen = jax.tree.map(lambda first, second: (first + second) / 2, *of_each)
    else:
        gradient, seen = _flipped_gradient(params, x, y, settings)
    update = settings.optimizer.update(gradient, state.optimizer, state.params, inputs.learning_rate)
    return State(*update), seen


def _flipped_gradient(params: Params, x: jax.Array, y: jax.Array, settings: Settings) -> tuple[Params, Seen]:
    """(the gradient by these examples, flipped; what was seen of them)."""
    trace = batch.forward(params, x, settings.phi)
    deltas = batch.backward(params, trace, y, settings.phi)
    if settings.clip_norm:
        gradient = statistics.clipped_gradient(trace, deltas, settings.clip_norm)
    else:
        gradient = batch.gradient(trace, deltas)
    seen = Seen(
        loss=batch.mean_loss(trace, y),
        noise=statistics.noise_scale(trace, deltas) if settings.log_noise_scale else None,
    )
    return _flipped(gradient), seen


def _flipped(tree: Tree) -> Tree:
    """`tree` with every W1 in it transposed.

    A loop that carries W1 as (K, D) adds to it δ1 x0ᵀ, a product that XLA computes faster than x0 δ1ᵀ: at K = 30
    and B = 1 an epoch then takes a third of the time.
    """
    return jax.tree.map(
        lambda node: node._replace(W1=node.W1.T) if isinstance(node, Params) else node,
        tree,
        is_leaf=lambda node: isinstance(node, Params),
    )


def _scan_blocks(state: State, batches: StepInput, settings: Settings) -> tuple[State, jax.Array]:
    """The updates by these batches, a block at a time, and their losses."""
    phi, optimizer = settings.phi, settings.optimizer
    blocks = jax.tree.map(lambda a: a.reshape(-1, settings.batches_per_block, *a.shape[1:]), batches)
    plans = blocked.plan(tuple(state), blocks.learning_rate, optimizer)

    def block(state: blocked.State, block_of: Any) -> tuple[blocked.State, jax.Array]:
        inputs, plan = block_of
        x, y = floats(state[0], inputs.pixels, inputs.label)
        return blocked.update(state, x.reshape(*y.shape[:2], -1), y, plan, phi, optimizer, settings.clip_norm)

    end, losses = jax.lax.scan(block, tuple(state), (blocks, plans))
    return State(*end), losses


class Score(NamedTuple):
    """Of a whole data set: the mean loss, and the number of examples whose largest output is not their label's."""

    loss: jax.Array
    errors: jax.Array


@partial(jax.jit, static_argnames=("phi", "edges"))
def evaluate(params: Params, images: jax.Array, labels: jax.Array, phi: Phi, edges: bool = False) -> Score:
    """Every example is scored, and the errors are counted exactly, in chunks that bound the memory.

    Images are (n, D), or (n, H, W), which edge maps need.
    """

    def score(example: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        x, y = floats(params, *example)
        (x0,) = inputs_of(x[None], edges)
        x2 = network.forward(params, x0, phi).x2
        return network.squared_error(x2, y), jnp.argmax(x2) != jnp.argmax(y)

    losses, wrong = jax.lax.map(score, (images, labels), batch_size=SCORED_AT_ONCE)
    return Score(jnp.mean(losses), jnp.sum(wrong))


def floats(params: Params, pixels: jax.Array, label: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(pixels in [0, 1], the one-hot label), in the dtype of the parameters; with any leading axes."""
    dtype, classes = params.b2.dtype, params.b2.shape[0]
    pair = unit(params, pixels), jax.nn.one_hot(label, classes, dtype=dtype)
    # Without the barrier XLA converts a pixel anew for every hidden unit.
    x, y = jax.lax.optimization_barrier(pair)  # type: ignore[no-untyped-call]
    return x, y


def inputs_of(images: jax.Array, edges: bool) -> jax.Array:
    """x0 of images in [0, 1], (n, D): their edge maps, or their pixels."""
    return (edge_maps(images) if edges else images).reshape(len(images), -1)


def unit(params: Params, pixels: jax.Array) -> jax.Array:
    """Pixels of 0 to 255 brought to [0, 1], in the dtype of the parameters."""
    return pixels.astype(params.b2.dtype) / 255
