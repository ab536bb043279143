"""Dropout: the network of network.py while some of its hidden units are left out.

A mask m ∈ R^K is 0 for a unit that is left out, and 1/(1 − rate) for one that stays, so that x1 keeps its mean. It
multiplies the hidden activation, and with that it enters two equations and no other:

    x1 = m ⊙ φ(z1)  (F2)          δ1 = (W2 δ2) ⊙ m ⊙ φ′(z1)  (B2)

Every example of a batch has its own mask. Losses and gradients (L, G1 to G4) are those of batch.py, and so is all
that statistics.py makes of the trace and the deltas. Inputs are left out before the network sees them: m0 ⊙ x0.

Source: N. Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting, JMLR 2014.
"""

import jax
import jax.numpy as jnp

from jaxmlp import network
from jaxmlp.activations import Activation, Phi, layers, sigmoid
from jaxmlp.checks import BATCH, check_array, check_inputs, check_trace
from jaxmlp.network import Deltas, Params, Trace


def mask(key: jax.Array, shape: tuple[int, ...], rate: float, dtype: jnp.dtype) -> jax.Array:
    """0 with probability `rate`, else 1/(1 − rate), independently for each entry. 0 <= rate < 1."""
    return jax.random.bernoulli(key, 1 - rate, shape).astype(dtype) / (1 - rate)


def masked(phi: Activation, m: jax.Array) -> Activation:
    """m ⊙ φ, with its derivatives m ⊙ φ′ and m ⊙ φ″."""
    return Activation(lambda z: m * phi(z), lambda z: m * phi.prime(z), lambda z: m * phi.second(z))


def forward(params: Params, x: jax.Array, m: jax.Array, phi: Phi = sigmoid) -> Trace:
    """F1 to F4 of every example of x (n, D) with its mask in m (n, K): a Trace of (n, ·) arrays."""
    lead = check_inputs(params, x, lead=BATCH, name="x")
    check_array("m", m, (*lead, params.b1.shape[0]), params.b1.dtype)
    return jax.vmap(lambda x0, m: network.forward(params, x0, _masked_layers(phi, m)))(x, m)


def backward(params: Params, trace: Trace, m: jax.Array, y: jax.Array, phi: Phi = sigmoid) -> Deltas:
    """B1 and B2 of every example, with the masks of its forward pass: Deltas of (n, ·) arrays, unscaled."""
    check_trace(params, trace, y, lead=BATCH)
    check_array("m", m, trace.z1.shape, params.b1.dtype)
    return jax.vmap(lambda t, m, target: network.backward(params, t, target, _masked_layers(phi, m)))(trace, m, y)


def _masked_layers(phi: Phi, m: jax.Array) -> Phi:
    hidden, output = layers(phi)
    return masked(hidden, m), output
