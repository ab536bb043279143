"""S consecutive minibatch updates at the speed of one large batch: the same numbers, to rounding.

A small batch makes small matrix products with W1. But W1 is needed during the S updates of a block only as W1ᵀ x0,
and a linear optimizer changes it by multiples of the gradients G3, which are known as soon as the deltas are. With
the weights W of the first layer at the start of the block, batch r's inputs X_r (B, D) and deltas Δ1_r (B, K), the
weights before batch s are

    W1 = a_s W + Σ_{r<s} p_sr X_rᵀ Δ1_r / B,

for plain SGD with a_s = Π_{r<s} (1 − η_r λ) and p_sr = −η_r Π_{r<q<s} (1 − η_q λ), so that F1 of batch s needs no
product with W1 of its own:

    X_s W1 = a_s (X W)_s + Σ_{r<s} p_sr (X Xᵀ)_sr Δ1_r / B.

X W and X Xᵀ are two large products for the whole block, and at its end W1 is updated by a third, Xᵀ (p Δ1). b1 is
the weight of a constant input 1, which adds 1 to X Xᵀ, with coefficients of its own since it does not decay. W2 and
b2 are updated at every batch as usual. With momentum the velocity V joins W: X_s W1 gains a multiple of (X V)_s,
and V is brought up to date at the end in the same way.

The coefficients (a, p) are not derived for each optimizer: they are the coordinates of W1 in the basis
(W, V, g_0, ..., g_{S−1}), and the optimizer itself computes them when it is run on unit vectors (`plan`). So an
optimizer must be linear in (θ, its state, g), act on each entry alone, and keep nothing but arrays like θ:
`optimizers.sgd` in all its variants, but not `optimizers.adam`.

This is the delayed rank-k update of blocked matrix factorizations (as in LAPACK) applied to backpropagation.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmlp import batch, network, statistics
from jaxmlp.activations import Phi, as_pair
from jaxmlp.batch import Passes
from jaxmlp.network import Params, Trace
from jaxmlp.training.config import Config
from jaxmlp.training.optimizers import Optimizer

State = tuple[Params, Any]  # (parameters, optimizer state)
NOTHING: tuple[Any, Any] = (None, None)


def batches_per_block(config: Config, backend: str) -> int:
    """The block size S that the config asks for, or else the fastest on a 2-core CPU; 1 for single batches.

    X Xᵀ costs S · B · D multiplications a row, little next to the K · D of a product with W1 only where K is large,
    and large next to B. Momentum doubles the cost of a block, and a batch of one is cheap without.
    """
    if config.batches_per_block or not config.blockable or backend != "cpu":
        return config.batches_per_block or 1
    B = config.batch_size
    least = max(200 if config.momentum or B == 1 else 100, 10 * B)
    return max(1, 80 // B) if config.hidden >= least else 1


class Plan(NamedTuple):
    """What the updates of a block do to W1 and b1, as coordinates: c_0 W + c_1 V + Σ_r c_{m+r} g_r, m = 1 or 2.

    A leading axis of blocks is added by `plan`, and taken off by the scan over blocks.
    """

    learning_rates: jax.Array  # (S,)
    before: Params  # W1 (S, m + S, 1) and b1 (S, m + S): before each update
    after: list[Params]  # W1 (m + S, 1) and b1 (m + S,): W1 and b1, then their velocities, after the last


def plan(state: State, learning_rates: jax.Array, optimizer: Optimizer) -> Plan:
    """The plan of every block, given the learning rates (blocks, S)."""
    starts, structure = _split(state)
    m, S = len(starts), learning_rates.shape[1]
    basis = jnp.eye(m + S, dtype=starts[0].W1.dtype)

    def coordinates(unit: jax.Array) -> Params:
        return _first_layer(W1=unit[:, None], b1=unit)

    def update(state: State, step: tuple[jax.Array, jax.Array]) -> tuple[State, Params]:
        unit, learning_rate = step
        params, optimizer_state = state
        return optimizer.update(coordinates(unit), optimizer_state, params, learning_rate), params

    def of_block(learning_rates: jax.Array) -> Plan:
        start = structure.unflatten([coordinates(unit) for unit in basis[:m]])
        end, before = jax.lax.scan(update, start, (basis[m:], learning_rates))
        return Plan(learning_rates, before, _split(end)[0])

    return jax.vmap(of_block)(learning_rates)


def update(
    state: State, x: jax.Array, y: jax.Array, plan: Plan, phi: Phi, optimizer: Optimizer, clip_norm: float = 0.0
) -> tuple[State, jax.Array]:
    """S updates by the batches x (S, B, D), y (S, B, C), and the S mean losses as they were met.

    Equals, to rounding, S times `batch.loss_and_gradient` and `optimizer.update`; with a `clip_norm` > 0, static,
    `statistics.clipped_gradient` in place of the gradient.
    """
    starts, structure = _split(state)
    phi1, phi2 = as_pair(phi)
    S, B, D = x.shape
    m, K = len(starts), starts[0].b1.shape[0]
    X = x.reshape(S * B, D)
    on_W1, on_b1 = plan.before.W1[..., 0], plan.before.b1  # (S, m + S) each

    # F1 of every batch as far as it is known at the start of the block.
    products = jnp.stack([X @ p.W1 for p in starts]).reshape(m, S, B, K)
    known = jnp.einsum("si,isbk->sbk", on_W1[:, :m], products)
    known += (on_b1[:, :m] @ jnp.stack([p.b1 for p in starts]))[:, None]
    # What the Δ1 of the block (S · B rows, zero until met) add to it.
    gram = (X @ X.T).reshape(S, B, S, B)
    from_deltas = (gram * on_W1[:, None, m:, None] + on_b1[:, None, m:, None]).reshape(S, B, S * B) / B

    def update_second_layer(carry: Any, step: Any) -> tuple[Any, jax.Array]:
        (params, optimizer_state), delta1s = carry
        first_row, x0, y, known, from_deltas, learning_rate = step
        z1 = known + from_deltas @ delta1s  # F1
        x1 = jax.vmap(phi1)(z1)  # F2
        z2 = x1 @ params.W2 + params.b2[None]  # F3
        x2 = jax.vmap(phi2)(z2)  # F4
        trace = Trace(x0, z1, x1, z2, x2)
        params_of_block = params._replace(W1=starts[0].W1, b1=starts[0].b1)  # W2 alone is read from here on
        deltas = batch.backward(params_of_block, trace, y, phi)
        if clip_norm:
            deltas = statistics.clipped_deltas(Passes(params_of_block, trace, deltas, y, phi), clip_norm)
        gradient = _second_layer(batch.gradient(trace, deltas))
        delta1s = jax.lax.dynamic_update_slice_in_dim(delta1s, deltas.delta1, first_row, axis=0)
        state = optimizer.update(gradient, optimizer_state, params, learning_rate)
        return (state, delta1s), jnp.mean(jax.vmap(network.squared_error)(x2, y))

    second = structure.unflatten([_second_layer(p) for p in starts])
    steps = (jnp.arange(S) * B, x, y, known, from_deltas, plan.learning_rates)
    (second, delta1s), losses = jax.lax.scan(update_second_layer, (second, jnp.zeros((S * B, K), X.dtype)), steps)

    def first_layer(end: Params, after: Params) -> Params:
        weights, biases = after.W1[:, 0], after.b1
        of_rows = jnp.repeat(weights[m:], B)[:, None] / B, jnp.repeat(biases[m:], B) / B
        W1 = X.T @ (of_rows[0] * delta1s)
        b1 = of_rows[1] @ delta1s
        for weight, bias, start in zip(weights[:m], biases[:m], starts, strict=True):
            W1 += weight * start.W1
            b1 += bias * start.b1
        return end._replace(W1=W1, b1=b1)

    ends = [first_layer(end, after) for end, after in zip(_split(second)[0], plan.after, strict=True)]
    return structure.unflatten(ends), losses


def _split(state: State) -> tuple[list[Params], Any]:
    """The m Params that a state is made of, and its structure."""
    parts, structure = jax.tree.flatten(state, is_leaf=lambda node: isinstance(node, Params))
    if not all(isinstance(part, Params) for part in parts):
        raise ValueError(f"optimizer state: expected nothing but Params (as of sgd), got {type(state[1]).__name__}")
    return parts, structure


# A layer alone, as a tree that an optimizer updates like any other: the other layer's places are empty.


def _first_layer(W1: jax.Array, b1: jax.Array) -> Params:
    return Params(W1, b1, *NOTHING)


def _second_layer(params: Params) -> Params:
    return Params(*NOTHING, params.W2, params.b2)
