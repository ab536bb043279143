"""A batch of n examples: network.py under vmap, and the means over the batch.

x is (n, D), y is (n, C), n >= 1; a Trace and Deltas of a batch hold arrays with that leading axis n. Losses and
gradients are the *mean* over the n examples. Every function with more than a line of work is jitted, with `phi`
static, and all check shapes and dtypes while tracing (ValueError). A trace that is handed to `backward` alone must
be that of the same params and phi, which no check can see; `passes` keeps together what belongs together.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxmlp import network
from jaxmlp.activations import Phi, sigmoid
from jaxmlp.checks import BATCH, check_deltas, check_inputs, check_targets, check_trace
from jaxmlp.network import Deltas, Params, Trace
from jaxmlp.sharding import DELTAS, PARAMS, PASSES, SCALAR, TRACE, chosen, of_batch, on_any_mesh

jit_phi = partial(jax.jit, static_argnames="phi")


@jit_phi
@on_any_mesh(of_batch(TRACE))
def forward(params: Params, x: jax.Array, phi: Phi = sigmoid) -> Trace:
    """F1 to F4 of every example: a Trace of (n, ·) arrays."""
    check_inputs(params, x, lead=BATCH, name="x")
    return jax.vmap(lambda x0: network.forward(params, x0, phi))(x)


@jit_phi
@on_any_mesh(SCALAR)
def loss(params: Params, x: jax.Array, y: jax.Array, phi: Phi = sigmoid) -> jax.Array:
    """The mean of L over the batch, a scalar."""
    return mean_loss(forward(params, x, phi), y)


@jit_phi
@on_any_mesh(of_batch(DELTAS))
def backward(params: Params, trace: Trace, y: jax.Array, phi: Phi = sigmoid) -> Deltas:
    """B1 and B2 of every example, unscaled: Deltas of (n, ·) arrays."""
    check_trace(params, trace, y, lead=BATCH)
    return jax.vmap(lambda t, target: network.backward(params, t, target, phi))(trace, y)


@jax.jit
@on_any_mesh(PARAMS)
def gradient(trace: Trace, deltas: Deltas) -> Params:
    """The mean over the batch of G1 to G4, each outer product and sum in one contraction over n.

    No per-example gradient is materialised: ∂L/∂W = (1/n) Σ_n x_n δ_nᵀ = XᵀΔ/n, computed as (ΔᵀX/n)ᵀ, the order
    of the factors in which XLA is faster on a CPU.
    """
    check_deltas(trace, deltas, lead=BATCH)
    x0, z1, x1, z2, x2 = trace
    delta1, delta2 = deltas
    n = x0.shape[0]
    return Params(
        W2=(delta2.T @ x1 / n).T,  # G1
        b2=jnp.mean(delta2, axis=0),  # G2
        W1=(delta1.T @ x0 / n).T,  # G3
        b1=jnp.mean(delta1, axis=0),  # G4
    )


@jit_phi
@on_any_mesh((SCALAR, PARAMS))
def loss_and_gradient(params: Params, x: jax.Array, y: jax.Array, phi: Phi = sigmoid) -> tuple[jax.Array, Params]:
    """(mean loss, a scalar; mean gradient) of the batch: what `jax.value_and_grad(batch.loss)` returns, by hand."""
    trace = forward(params, x, phi)
    deltas = backward(params, trace, y, phi)
    return mean_loss(trace, y), gradient(trace, deltas)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Passes:
    """A batch and all that its forward and backward pass computed: what statistics.py and curvature.py read.

    A pytree, in which `phi` is static. `passes[rows]` are the passes of some of its examples.
    """

    params: Params
    trace: Trace  # of (n, ·) arrays
    deltas: Deltas  # of (n, ·) arrays
    y: jax.Array  # (n, C)
    phi: Phi = field(metadata={"static": True})

    def __getitem__(self, rows: Any) -> "Passes":
        rank = 1 if isinstance(rows, slice) else jnp.ndim(rows)
        return on_any_mesh(chosen(PASSES, rank))(_chosen)(self, rows)


def _chosen(passes: Passes, rows: Any) -> Passes:
    trace, deltas, y = jax.tree.map(lambda a: a[rows], (passes.trace, passes.deltas, passes.y))
    return replace(passes, trace=trace, deltas=deltas, y=y)


@jit_phi
@on_any_mesh(PASSES)
def passes(params: Params, x: jax.Array, y: jax.Array, phi: Phi = sigmoid) -> Passes:
    """F1 to B2 of every example of x (n, D) and y (n, C), with what they were computed from."""
    trace = forward(params, x, phi)
    return Passes(params, trace, backward(params, trace, y, phi), y, phi)


@on_any_mesh(SCALAR)
def mean_loss(trace: Trace, y: jax.Array) -> jax.Array:
    """The mean of L over a batch whose trace is known, a scalar."""
    check_targets(trace.x2, y, lead=BATCH)
    return jnp.mean(jax.vmap(network.squared_error)(trace.x2, y))


def row_sums(rows: jax.Array) -> jax.Array:
    """Σ of each row, (n,), as a product with 1: that is vectorised on a CPU, a sum over the last axis is not."""
    return jnp.matmul(rows, jnp.ones(rows.shape[1], rows.dtype), precision="highest")
