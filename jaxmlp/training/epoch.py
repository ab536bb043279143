"""What runs on the device: one epoch as one scan. Pure and jitted.

Images are uint8 on the device and become floats in [0, 1] inside a step; labels are uint8 (n,).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxmlp import adversarial, batch, network, statistics
from jaxmlp.batch import Passes
from jaxmlp.inputs import pixels
from jaxmlp.inputs.pixel_grid import Grid
from jaxmlp.network import Params
from jaxmlp.statistics import NoiseScale
from jaxmlp.training import blocked, devices
from jaxmlp.training.augmentation import augmented
from jaxmlp.training.config import Config
from jaxmlp.training.optimizers import Tree, optimizer_of
from jaxmlp.training.privacy import noise


class Seen(NamedTuple):
    """What a step saw of its examples before it changed the parameters; or the mean of that over an epoch."""

    loss: jax.Array  # mean over the examples
    noise: NoiseScale | None  # of their gradients, if asked for


class Tuning(NamedTuple):
    """How an epoch is computed on its devices: no more than roundings depend on it. Hashable: static under jit."""

    mesh: Mesh | None = None  # of devices.py; None for arrays that lie on one device
    batches_per_block: int = 1  # of blocked.py, if > 1: for a `blockable` config


PLAIN = Tuning()


class State(NamedTuple):
    """All that an epoch changes."""

    params: Params
    optimizer: Any


class Private(NamedTuple):
    """What a private step is given beside its batch; with a leading axis, all those of an epoch."""

    mask: Any  # (padded,), bool: False for padding
    noise_key: Any  # of privacy/noise.py


class EpochInput(NamedTuple):
    """What an epoch is given beside the state."""

    images: jax.Array  # (n, D), uint8
    labels: jax.Array  # (n,), uint8
    rows: Any  # (n,): the order in which the examples are met; of a private epoch (steps, padded), its batches
    learning_rates: Any  # one a step, ceil(n / batch_size) of them
    key: jax.Array  # of all that is random in the steps
    strength: Any  # of the distortions, a scalar
    private: Any = None  # a Private, if the config is private


class StepInput(NamedTuple):
    """One batch; with a leading axis, all those of a scan over steps."""

    pixels: jax.Array  # (B, D), uint8
    label: jax.Array  # (B,), uint8
    learning_rate: jax.Array
    key: jax.Array
    private: Any = None  # a Private, if the config is private


@partial(jax.jit, static_argnames=("config", "tuning", "size", "grid"), donate_argnames="state")
def train_epoch(
    state: State,
    inputs: EpochInput,
    config: Config,
    tuning: Tuning = PLAIN,
    size: tuple[int, int] | None = None,
    grid: Grid | None = None,
) -> tuple[State, Seen]:
    """One pass over the n examples in batches, and what it saw of them as they were met.

    The last batch holds the n mod batch_size examples that remain, if any, and its gradient is the mean over those.
    `size` is the (H, W) of an image, which distortions and edge maps need: images are carried flat, for a TPU pads
    the last two axes of an array. If their pixels lie on a learned `grid`, W1 has its rows in the same order until
    the end. `state` is donated.
    """
    images, labels, rows, learning_rates, key, strength, private = inputs
    n, B, S = images.shape[0], config.batch_size, tuning.batches_per_block
    whole = n // B
    in_blocks = whole // S * S if S > 1 else 0
    images, labels = images[rows], labels[rows]  # one gather for the epoch, not one a step
    keys = jax.random.split(key, len(learning_rates))
    step = partial(_step, strength=strength, config=config, mesh=tuning.mesh, size=size)
    state = _reordered(state, grid) if grid else state

    def ended(state: State) -> State:
        state = _flipped(state)
        placed: State = devices.keep_placed(_reordered(state, np.argsort(grid)) if grid else state, tuning.mesh)
        return placed

    if config.private:
        sizes = jnp.sum(private.mask, axis=1)
        state, seen = jax.lax.scan(step, _flipped(state), StepInput(images, labels, learning_rates, keys, private))
        loss = jnp.sum(seen.loss * sizes) / jnp.maximum(jnp.sum(sizes), 1)
        return ended(state), Seen(loss, None)

    def batches(start: int, stop: int) -> StepInput:
        part = slice(start * B, stop * B)
        shape = stop - start, B
        return StepInput(
            images[part].reshape(*shape, *images.shape[1:]),
            labels[part].reshape(shape),
            learning_rates[start:stop],
            keys[start:stop],
        )

    loss = jnp.zeros((), state.params.b2.dtype)
    if in_blocks:
        state, losses = _scan_blocks(state, batches(0, in_blocks), S, config)
        loss += jnp.sum(losses) * B
    state = _flipped(state)
    state, seen = jax.lax.scan(step, state, batches(in_blocks, whole))
    loss += jnp.sum(seen.loss) * B
    if remaining := n - whole * B:
        rest = StepInput(images[-remaining:], labels[-remaining:], learning_rates[-1], keys[-1])
        state, last = step(state, rest)
        loss += last.loss * remaining
    noise = jax.tree.map(jnp.mean, seen.noise)  # over the whole batches
    return ended(state), Seen(loss / n, noise)


def _step(
    state: State,
    inputs: StepInput,
    strength: jax.Array,
    config: Config,
    mesh: Mesh | None,
    size: tuple[int, int] | None,
) -> tuple[State, Seen]:
    """One update of a flipped state by one batch."""
    params = _flipped(state.params)
    images, y = pixels.examples(params, inputs.pixels, inputs.label)
    images = images.reshape(-1, *size) if size else images
    x, y = augmented(inputs.key, images, y, strength, config, mesh)
    passes = batch.passes(params, x, y, config.activation)
    if config.private:
        gradient, seen = _private_gradient(passes, inputs.private, config)
    else:
        gradient, seen = _gradient(passes, config)
    if config.virtual_adversarial:
        direction_key = jax.random.fold_in(inputs.key, 3)  # `augmented` has 0 to 2
        gradient = jax.tree.map(jnp.add, gradient, _adversarial_gradient(direction_key, passes, config))
    update = optimizer_of(config).update(gradient, state.optimizer, state.params, inputs.learning_rate)
    return State(*update), seen


def _gradient(passes: Passes, config: Config) -> tuple[Params, Seen]:
    """(the gradient by these examples, flipped; what was seen of them)."""
    if config.clip_norm:
        gradient = statistics.clipped_gradient(passes, config.clip_norm)
    else:
        gradient = batch.gradient(passes.trace, passes.deltas)
    seen = Seen(
        loss=batch.mean_loss(passes.trace, passes.y),
        noise=statistics.noise_scale(passes) if config.log_noise_scale else None,
    )
    return _flipped(gradient), seen


def _adversarial_gradient(key: jax.Array, passes: Passes, config: Config) -> Params:
    """The gradient, flipped, of the mean of ½ ‖x2(x0 + r) − x2(x0)‖², in which x2(x0) and r count as constants."""
    x2 = passes.trace.x2
    e = jax.random.normal(key, x2.shape, x2.dtype)
    moved = adversarial.moved_inputs(passes, e, config.virtual_adversarial)
    there = batch.passes(passes.params, moved, x2, config.activation)
    gradient: Params = _flipped(batch.gradient(there.trace, there.deltas))
    return gradient


def _private_gradient(passes: Passes, private: Private, config: Config) -> tuple[Params, Seen]:
    """The same in private: (Σ of the clipped gradients + noise) / B, B being the batch size that was asked for.

    To divide by the size that was drawn would tell it. Abadi et al. 2016, algorithm 1.
    """
    B, C, mask = config.batch_size, config.clip_norm, private.mask
    clipped = _flipped(statistics.clipped_sum(passes, C, mask))
    noisy = noise.added(private.noise_key, clipped, config.noise_multiplier * C)
    losses = jax.vmap(network.squared_error)(passes.trace.x2, passes.y)
    loss = jnp.sum(losses, where=mask) / jnp.maximum(jnp.sum(mask), 1)
    return jax.tree.map(lambda leaf: leaf / B, noisy), Seen(loss, None)


def _flipped(tree: Tree) -> Tree:
    """`tree` with every W1 in it transposed.

    A loop that carries W1 as (K, D) adds to it δ1 x0ᵀ, a product that XLA computes faster than x0 δ1ᵀ: at K = 30
    and B = 1 an epoch then takes a third of the time.
    """
    return _with_each_W1(tree, jnp.transpose)


def _reordered(tree: Tree, pixels: Any) -> Tree:
    """`tree` with the rows of every W1 in it, one a pixel, in this order."""
    return _with_each_W1(tree, lambda W1: W1[np.array(pixels)])


def _with_each_W1(tree: Tree, f: Callable[[jax.Array], jax.Array]) -> Tree:
    return jax.tree.map(
        lambda node: node._replace(W1=f(node.W1)) if isinstance(node, Params) else node,
        tree,
        is_leaf=lambda node: isinstance(node, Params),
    )


def _scan_blocks(
    state: State, batches: StepInput, batches_per_block: int, config: Config
) -> tuple[State, jax.Array]:
    """The updates by these batches, a block at a time, and their losses."""
    phi, optimizer = config.activation, optimizer_of(config)
    blocks = jax.tree.map(lambda a: a.reshape(-1, batches_per_block, *a.shape[1:]), batches)
    plans = blocked.plan(tuple(state), blocks.learning_rate, optimizer)

    def block(state: blocked.State, block_of: Any) -> tuple[blocked.State, jax.Array]:
        inputs, plan = block_of
        x, y = pixels.examples(state[0], inputs.pixels, inputs.label)
        return blocked.update(state, x, y, plan, phi, optimizer, config.clip_norm)

    end, losses = jax.lax.scan(block, tuple(state), (blocks, plans))
    return State(*end), losses
