"""Optimizers as pure pairs (init, update), and learning-rate schedules.

θ is any pytree of arrays, g its gradient, η the learning rate. θ keeps its dtype; the state, and what is computed,
is float32 at least. Weight decay λ is decoupled from the gradient (Loshchilov and Hutter 2019): it shrinks what its
mask names by the factor 1 − ηλ, by default all leaves but those that are called a bias: b1, b2, hidden_bias.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.training.config import Config

BIAS = re.compile(r"bias|(^|_)b(\d*$|_)")

Tree = Any
Mask = Callable[[Tree], Tree] | Tree  # a bool for each leaf of θ, or for all of a subtree, or what makes them of θ


class Optimizer(NamedTuple):
    """`init(θ)` gives the first optimizer state; `update(g, state, θ, η)` gives the next (θ, state)."""

    init: Callable[[Tree], Tree]
    update: Callable[[Tree, Tree, Tree, jax.Array], tuple[Tree, Tree]]


def weights(params: Tree) -> Tree:
    """True for every leaf but those that are called a bias in a NamedTuple, a dataclass or a dict.

    That is b, b1, b_out, hidden_b, and all that has "bias" in it; of a leaf without a name nothing is known.
    """

    def is_weight(path: Any, leaf: jax.Array) -> bool:
        return not BIAS.search(jax.tree_util.keystr(path[-1:], simple=True).lower())

    return jax.tree.map_with_path(is_weight, params)


def sgd(
    momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0, decayed: Mask = weights
) -> Optimizer:
    """v ← μv + g;  θ ← θ − η(v + λθ), where Nesterov's variant has μv + g (with the new v) in place of v.

    λ is `weight_decay` where the mask `decayed` is True, else 0.
    """

    descend = _descent(weight_decay, decayed)

    def init(params: Tree) -> Tree:
        return jax.tree.map(_zeros, params) if momentum else ()

    def update(gradient: Tree, velocity: Tree, params: Tree, learning_rate: jax.Array) -> tuple[Tree, Tree]:
        gradient = jax.tree.map(_widened, gradient)
        if not momentum:
            return descend(params, gradient, learning_rate), velocity
        velocity = jax.tree.map(lambda v, g: momentum * v + g, velocity, gradient)
        direction = jax.tree.map(lambda v, g: momentum * v + g, velocity, gradient) if nesterov else velocity
        return descend(params, direction, learning_rate), velocity

    return Optimizer(init, update)


class AdamState(NamedTuple):
    updates: jax.Array  # done so far, t
    mean: Tree  # m, the running mean of g
    square: Tree  # s, the running mean of g²


def adam(
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    decayed: Mask = weights,
) -> Optimizer:
    """Kingma and Ba 2015, with decoupled weight decay (AdamW).

    m ← β1 m + (1 − β1) g;  s ← β2 s + (1 − β2) g²;  θ ← θ − η(m̂ / (√ŝ + ε) + λθ),
    where m̂ = m / (1 − β1^t) and ŝ = s / (1 − β2^t) at the t-th update.
    """

    descend = _descent(weight_decay, decayed)

    def init(params: Tree) -> AdamState:
        mean, square = (jax.tree.map(_zeros, params) for _ in range(2))  # two buffers: a state is donated
        return AdamState(jnp.zeros((), jnp.int32), mean, square)

    def update(gradient: Tree, state: AdamState, params: Tree, learning_rate: jax.Array) -> tuple[Tree, AdamState]:
        gradient, t = jax.tree.map(_widened, gradient), state.updates + 1
        mean = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, state.mean, gradient)
        square = jax.tree.map(lambda s, g: beta2 * s + (1 - beta2) * g**2, state.square, gradient)

        def debiased(average: jax.Array, beta: float) -> jax.Array:
            return average / (1 - beta ** t.astype(average.dtype))

        direction = jax.tree.map(
            lambda m, s: debiased(m, beta1) / (jnp.sqrt(debiased(s, beta2)) + epsilon), mean, square
        )
        return descend(params, direction, learning_rate), AdamState(t, mean, square)

    return Optimizer(init, update)


def optimizer_of(config: Config) -> Optimizer:
    """The optimizer that the config names."""
    if config.optimizer == "sgd":
        return sgd(config.momentum, config.nesterov, config.weight_decay)
    return adam(config.beta1, config.beta2, config.epsilon, config.weight_decay)


def _widened(leaf: jax.Array) -> jax.Array:
    return leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32))


def _zeros(leaf: jax.Array) -> jax.Array:
    return jnp.zeros(leaf.shape, jnp.promote_types(leaf.dtype, jnp.float32))


def _descent(weight_decay: float, decayed: Mask) -> Callable[[Tree, Tree, jax.Array], Tree]:
    """θ, direction, η ↦ θ − η(direction + λθ)."""

    def descend(params: Tree, direction: Tree, learning_rate: jax.Array) -> Tree:
        def of_leaf(p: jax.Array, d: jax.Array, decays: bool) -> jax.Array:
            step = d + weight_decay * p if weight_decay and decays else d
            return (p - learning_rate * step).astype(p.dtype)

        mask = decayed(params) if callable(decayed) else decayed
        of_each = jax.tree.broadcast(mask, params)
        return jax.tree.map(of_leaf, params, direction, of_each)

    return descend


class Schedule(NamedTuple):
    """η at each step: `warmup` steps of a straight line up to `peak`, then constant, or half a cosine down to 0.

    Steps count from 0 over the whole run of `total` steps; the first of w warm-up steps has η = peak / w.
    """

    peak: float
    total: int
    warmup: int = 0
    cosine: bool = False

    def learning_rates(self, steps: np.ndarray) -> np.ndarray:
        """η at these steps (n,), float32; depends on the step number alone, so a resumed run sees the same."""
        up = (steps + 1) / max(self.warmup, 1)
        progress = (steps - self.warmup) / max(self.total - self.warmup, 1)
        down = (1 + np.cos(np.pi * progress)) / 2 if self.cosine else np.ones(len(steps))
        return (self.peak * np.where(steps < self.warmup, up, down)).astype(np.float32)


def schedule_of(config: Config, steps: int) -> Schedule:
    """The schedule of a run whose epochs have so many steps."""
    cosine = config.schedule == "cosine"
    return Schedule(config.learning_rate, config.epochs * steps, config.warmup_epochs * steps, cosine)
