"""Random nets with their data, and the choices of φ, dtype and shape that the tests run through."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.activations import ACTIVATIONS
from jaxmlp.network import Params

DTYPES = ["float32", "float64"]
SINGLES = list(ACTIVATIONS)
PAIRS = list(itertools.product(SINGLES, repeat=2))  # (hidden, output), by name
SHAPES = [(3, 3, 3), (1, 1, 1), (1, 4, 3), (5, 1, 3), (5, 4, 1)]  # (D, K, C), beside the default of random_net


def phi_of(hidden, output):
    return ACTIVATIONS[hidden], ACTIVATIONS[output]


def random_net(shape=(5, 4, 3), n=None, dtype="float64", scale=1.0, seed=0):
    """(params, x, y), all of them normal, of one example or of n.

    The equations hold for any real y, and a y that is not one-hot shows more mistakes.
    """
    D, K, C = shape
    lead = () if n is None else (n,)
    random = np.random.default_rng(seed)

    def normal(*shape):
        return jnp.asarray(scale * random.normal(size=shape), dtype)

    return Params(normal(D, K), normal(K), normal(K, C), normal(C)), normal(*lead, D), normal(*lead, C)


def take(tree, rows):
    """These rows of every leaf."""
    return jax.tree.map(lambda a: a[rows], tree)


def stack(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def digits_sized(shape, n):
    """(params, x, y) in float32, with n examples of floats like digits."""
    D, _, C = shape
    random = np.random.default_rng(0)
    params, _, _ = random_net(shape, dtype="float32", scale=0.05)
    x = random.uniform(size=(n, D)) * (random.uniform(size=(n, D)) < 0.2)
    return params, jnp.asarray(x, jnp.float32), jnp.eye(C, dtype=jnp.float32)[random.integers(C, size=n)]
