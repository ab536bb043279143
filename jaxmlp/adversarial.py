"""Inputs moved the way that changes a prediction most: the backward pass, carried on to x0.

With some e ∈ R^C in place of x2 − y, B1 and B2 give the derivatives of e · x2 by z2 and z1. One more step gives
that by x0, and x0 is moved along it by the length ε:

    δ0 = W1 δ1                                                                             (B3)
    r = ε δ0 / ‖δ0‖                                                                        (R)

Of all moves of that length r makes e · x2 grow fastest, as far as it is linear. With e = x2 − y that is
adversarial training (Goodfellow et al. 2015, arXiv:1412.6572). A random e asks for no target: it is virtual
adversarial training (Miyato et al. 2016, arXiv:1507.00677), but that theirs begins with a random move of x0, and
takes its change of x2 for e.
"""

import jax
import jax.numpy as jnp

from jaxmlp.activations import Phi, as_pair, sigmoid
from jaxmlp.batch import Passes
from jaxmlp.checks import check_array, check_passes, check_trace
from jaxmlp.network import Params, Trace
from jaxmlp.sharding import on_any_mesh


@on_any_mesh("D")
def input_gradient(params: Params, trace: Trace, e: jax.Array, phi: Phi = sigmoid) -> jax.Array:
    """B1 to B3 of ONE example, with e, (C,), in place of x2 − y: the derivative of e · x2 by x0, (D,).

    Raises ValueError while tracing on a wrong shape or dtype.
    """
    check_trace(params, trace, e, name="e")
    x0, z1, x1, z2, x2 = trace
    phi1, phi2 = as_pair(phi)
    delta2 = e * phi2.prime(z2)  # B1
    delta1 = (params.W2 @ delta2) * phi1.prime(z1)  # B2
    return params.W1 @ delta1  # B3


@jax.jit
@on_any_mesh("nD")
def moved_inputs(passes: Passes, e: jax.Array, length: jax.Array | float) -> jax.Array:
    """x0 + r of each of n examples, (n, D), for e, (n, C), and ε = `length`, a scalar. Cost nDK.

    Where δ0 is 0, so is r, and the derivative of r. Raises ValueError while tracing on a wrong shape or dtype.
    """
    check_passes(passes)
    check_array("e", e, passes.y.shape, passes.y.dtype)
    length = jnp.asarray(length, passes.y.dtype)
    check_array("length", length, ())
    delta0 = jax.vmap(lambda t, e: input_gradient(passes.params, t, e, passes.phi))(passes.trace, e)
    norm = _norms(delta0)
    zero = norm == 0
    r = jnp.where(zero, 0, length * delta0 / jnp.where(zero, 1, norm))  # R
    return passes.trace.x0 + r


def _norms(rows: jax.Array) -> jax.Array:
    """‖·‖ of each of n rows, (n, 1), with derivative 0 where it is 0.

    A row is squared in units of a power of two near its size: no square underflows or overflows, and to divide by
    it rounds nothing.
    """
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(rows), axis=1, keepdims=True))
    smallest_normal = jnp.finfo(size.dtype).tiny  # type: ignore[no-untyped-call]
    zero = size < smallest_normal
    _, exponent = jnp.frexp(jnp.where(zero, 1, size))
    power = jnp.ldexp(jnp.ones_like(size), exponent - 1)
    norms = power * jnp.linalg.norm(jnp.where(zero, 1, rows / power), axis=1, keepdims=True)
    return jnp.where(zero, 0, norms)
