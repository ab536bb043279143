"""The two-layer perceptron, forward and backward, on ONE example. The batch is in batch.py.

    x0 ∈ R^D   --W1, b1-->   z1 ∈ R^K   --φ-->   x1   --W2, b2-->   z2 ∈ R^C   --φ-->   x2 = ŷ

W1 ∈ R^{D×K}, b1 ∈ R^K, W2 ∈ R^{K×C}, b2 ∈ R^C, and y ∈ R^C is the target, one-hot. φ is one activation for
both layers, or a pair (hidden, output). Everything here is of one example and unscaled; nothing is a mean.
Arguments of a wrong shape or dtype raise ValueError while tracing.
"""

from math import sqrt
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmlp.activations import Phi, as_pair, sigmoid
from jaxmlp.checks import check_deltas, check_inputs, check_sizes, check_targets, check_trace
from jaxmlp.sharding import DELTAS, PARAMS, SCALAR, TRACE, on_any_mesh


class Params(NamedTuple):
    """The parameters; also their gradient, leaf by leaf of the same shape."""

    W1: jax.Array  # (D, K)
    b1: jax.Array  # (K,)
    W2: jax.Array  # (K, C)
    b2: jax.Array  # (C,)


class Trace(NamedTuple):
    """What the forward pass computed on its way."""

    x0: jax.Array  # (D,)
    z1: jax.Array  # (K,)
    x1: jax.Array  # (K,)
    z2: jax.Array  # (C,)
    x2: jax.Array  # (C,)  the prediction ŷ


class Deltas(NamedTuple):
    """δ1 = ∂L/∂z1 and δ2 = ∂L/∂z2."""

    delta1: jax.Array  # (K,)
    delta2: jax.Array  # (C,)


def init(key: jax.Array, inputs: int = 784, hidden: int = 30, outputs: int = 10) -> Params:
    """Normal weights (D, K) and (K, C) of mean 0 and variance 1/fan-in, biases 0, in JAX's default float dtype.

    Raises ValueError for a size below 1.
    """
    check_sizes(inputs=inputs, hidden=hidden, outputs=outputs)
    key1, key2 = jax.random.split(key)
    return scaled(jax.random.normal(key1, (inputs, hidden)), jax.random.normal(key2, (hidden, outputs)))


def scaled(normal1: Any, normal2: Any) -> Params:
    """Parameters from standard normal numbers, (D, K) and (K, C): variance 1/fan-in, and biases of 0."""
    (D, K), C = normal1.shape, normal2.shape[1]
    return Params(W1=normal1 / sqrt(D), b1=jnp.zeros(K), W2=normal2 / sqrt(K), b2=jnp.zeros(C))


@on_any_mesh(TRACE)
def forward(params: Params, x0: jax.Array, phi: Phi = sigmoid) -> Trace:
    """F1 to F4: the prediction x2 of x0, (D,), with all that the backward pass needs."""
    check_inputs(params, x0)
    W1, b1, W2, b2 = params
    phi1, phi2 = as_pair(phi)
    z1 = W1.T @ x0 + b1  # F1
    x1 = phi1(z1)  # F2
    z2 = W2.T @ x1 + b2  # F3
    x2 = phi2(z2)  # F4
    return Trace(x0, z1, x1, z2, x2)


@on_any_mesh(SCALAR)
def squared_error(x2: jax.Array, y: jax.Array) -> jax.Array:
    """L = ½ Σ_k (x2_k − y_k)², a scalar."""
    check_targets(x2, y)
    return jnp.sum((x2 - y) ** 2) / 2  # L


@on_any_mesh(SCALAR)
def loss(params: Params, x0: jax.Array, y: jax.Array, phi: Phi = sigmoid) -> jax.Array:
    """L of the prediction, a scalar."""
    return squared_error(forward(params, x0, phi).x2, y)


@on_any_mesh(DELTAS)
def backward(params: Params, trace: Trace, y: jax.Array, phi: Phi = sigmoid) -> Deltas:
    """B1 and B2: the derivatives of L by z2, then z1. y is (C,), `trace` that of the same params and phi."""
    check_trace(params, trace, y)
    x0, z1, x1, z2, x2 = trace
    phi1, phi2 = as_pair(phi)
    delta2 = (x2 - y) * phi2.prime(z2)  # B1
    delta1 = (params.W2 @ delta2) * phi1.prime(z1)  # B2
    return Deltas(delta1, delta2)


@on_any_mesh(PARAMS)
def gradient(trace: Trace, deltas: Deltas) -> Params:
    """G1 to G4: the derivatives of L with respect to the parameters."""
    check_deltas(trace, deltas)
    x0, z1, x1, z2, x2 = trace
    delta1, delta2 = deltas
    return Params(
        W2=jnp.outer(x1, delta2),  # G1
        b2=delta2,  # G2
        W1=jnp.outer(x0, delta1),  # G3
        b1=delta1,  # G4
    )
