"""The per-example derivatives of L and of x2 by autodiff alone, for every pair of activations, to compare with.

36 programs would take minutes to compile. So one program takes each φ by its number, `by_number` here and in the
tests of statistics.py and curvature.py, and maps over all pairs in a scan.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxmlp.activations import ACTIVATIONS, Activation

PHI = {
    "sigmoid": lambda z: 1 / (1 + jnp.exp(-z)),
    "tanh": jnp.tanh,
    "scaled_tanh": lambda z: 1.7159 * jnp.tanh(2 * z / 3),
    "relu": lambda z: jnp.where(z > 0, z, 0),
    "softplus": lambda z: jnp.log1p(jnp.exp(z)),
    "identity": lambda z: z,
}
NUMBERS = jnp.array([(hidden, output) for hidden in range(len(PHI)) for output in range(len(PHI))])


class Derivatives(NamedTuple):
    """P is the number of parameters, W1, b1, W2, b2 flattened row by row, one after the other."""

    x1: np.ndarray  # (n, K)
    gradients: np.ndarray  # (n, P)
    hessians: np.ndarray  # (n, P, P)
    jacobians: np.ndarray  # (n, C, P), of x2


def by_number(functions, i):
    return lambda z: jnp.stack([f(z) for f in functions])[i]


def activation(i):
    """The i-th of jaxmlp's activations, where i may be traced."""
    phis, primes, seconds = zip(*((a.phi, a.prime, a.second) for a in ACTIVATIONS.values()), strict=True)
    return Activation(by_number(phis, i), by_number(primes, i), by_number(seconds, i))


def for_every_pair(f, *args):
    """f((φ1, φ2), *args), mapped over all pairs: a leading axis of 36, in the order of nets.PAIRS."""
    run = jax.jit(lambda *args: jax.lax.map(lambda pair: f(tuple(map(activation, pair)), *args), NUMBERS))
    return jax.tree.map(np.asarray, run(*args))


def predict(params, x0, phi1, phi2):
    W1, b1, W2, b2 = params
    return phi2(phi1(x0 @ W1 + b1) @ W2 + b2)


def loss(params, x0, y, phi1, phi2):
    return ((predict(params, x0, phi1, phi2) - y) ** 2).sum() / 2


@jax.jit
def _derivatives_of_every_pair(params, x, y):
    theta, unravel = ravel_pytree(tuple(params))

    def of_pair(pair):
        phis = [by_number(list(PHI.values()), i) for i in pair]

        def of_example(x0, y):
            W1, b1, _, _ = params
            return Derivatives(
                phis[0](x0 @ W1 + b1),
                jax.grad(lambda theta: loss(unravel(theta), x0, y, *phis))(theta),
                jax.hessian(lambda theta: loss(unravel(theta), x0, y, *phis))(theta),
                jax.jacrev(lambda theta: predict(unravel(theta), x0, *phis))(theta),
            )

        return jax.vmap(of_example)(x, y)

    return jax.lax.map(of_pair, NUMBERS)


def derivatives_of_every_pair(params, x, y):
    """Derivatives of leaves with a leading axis of 36, in the order of nets.PAIRS."""
    assert list(PHI) == list(ACTIVATIONS)
    return jax.tree.map(np.asarray, _derivatives_of_every_pair(params, x, y))


def split(flat, params):
    """(..., P) into a leaf for each of the parameters, (..., *its shape)."""
    ends = np.cumsum([leaf.size for leaf in params])[:-1]
    leaves = np.split(np.asarray(flat), ends, axis=-1)
    return type(params)(*(a.reshape(*a.shape[:-1], *leaf.shape) for a, leaf in zip(leaves, params, strict=True)))
