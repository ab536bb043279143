"""Normal noise for sums of gradients: each number from 64 random bits of its own, up to 9 standard deviations.

jax.random.normal would not do. In float32 it ends at 5.4 standard deviations. Of the hundred million numbers of a
run, and more, some dozens would lie farther out, and the account is of noise that may go anywhere.

The bits are those of JAX's generator, Threefry-2x32 with its 20 rounds (Salmon et al. 2011, Parallel random
numbers: as easy as 1, 2, 3). On a CPU JAX runs the rounds as a loop over arrays. Here they are written out, and XLA
makes one loop of them and of what follows, which is faster. A number depends on its key and its place alone: on a
mesh every device draws its own part.
"""

from functools import cache
from math import exp, log, sqrt
from statistics import NormalDist
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.network import Params
from jaxmlp.training.privacy.secret import derived

Tree = Any

WORDS = 3  # of 32 bits, in a key: two of Threefry's key, and one of its counter, the other being the place
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
DEGREE = 18  # errors of 2e-7, less than float32's roundings
FARTHEST = sqrt(1 + 2 * 63 * log(2))  # t for the least p


def keys(secret: bytes, epoch: int, steps: int) -> np.ndarray:
    """(steps, leaves, words), uint32: a key for every leaf of Params in every step of this epoch."""
    of_all = [
        np.frombuffer(derived(secret, "noise", epoch, step, leaf, size=4 * WORDS), np.uint32)
        for step in range(steps)
        for leaf in range(len(Params._fields))
    ]
    return np.reshape(of_all, (steps, -1, WORDS))


def added(keys: jax.Array, sums: Tree, deviation: float) -> Tree:
    """`sums` with independent noise from N(0, deviation²) on every entry; `keys` (leaves, words) has one a leaf."""
    leaves, structure = jax.tree.flatten(sums)
    noisy = [
        leaf + deviation * normal(key, leaf.shape).astype(leaf.dtype)
        for key, leaf in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, noisy)


def normal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Standard normal float32 numbers."""
    places = jnp.zeros(shape, jnp.uint32)
    for axis in range(len(shape)):
        places = places * np.uint32(shape[axis]) + jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
    return quantile(*threefry(key[:2], places, jnp.full(shape, key[2])))


def threefry(key: jax.Array, x0: jax.Array, x1: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Threefry-2x32 with 20 rounds: two words for the counter (x0, x1), all of them uint32."""
    schedule = key[0], key[1], key[0] ^ key[1] ^ np.uint32(PARITY)
    x0, x1 = x0 + schedule[0], x1 + schedule[1]
    for i in range(5):
        for bits in ROTATIONS[i % 2]:
            x0 = x0 + x1
            x1 = (x1 << bits | x1 >> 32 - bits) ^ x0
        x0, x1 = x0 + schedule[(i + 1) % 3], x1 + schedule[(i + 2) % 3] + np.uint32(i + 1)
    return x0, x1


def quantile(high: jax.Array, low: jax.Array) -> jax.Array:
    """The standard normal number, float32, that these bits stand for, two uint32 words: one bit is its sign.

    The next 62 are p, uniform on (0, 1): the probability that a normal number is as far from 0, or farther. Its
    distance z(p) is a smooth function of t = √(1 − 2 log p), and is computed as a polynomial in t.
    """
    p = (_upper_31_bits(high) + (_upper_31_bits(low) + 0.5) * 2.0**-31) * 2.0**-31
    t = jnp.sqrt(1 - 2 * jnp.log(p))
    x = (2 * t - (FARTHEST + 1)) / (FARTHEST - 1)
    z = jnp.zeros_like(x)
    for coefficient in reversed(_coefficients()):
        z = z * x + coefficient
    return jnp.where(high & 1, -z, z)


def _upper_31_bits(word: jax.Array) -> jax.Array:
    """As a float: of int32, which a CPU converts faster than uint32."""
    return jax.lax.bitcast_convert_type(word >> 1, jnp.int32).astype(jnp.float32)


@cache
def _coefficients() -> list[np.float32]:
    """Of the polynomial in x, t brought to (−1, 1) from (1, FARTHEST): it meets z(p) in the Chebyshev points."""

    def z(t: np.ndarray) -> np.ndarray:
        return np.array([-NormalDist().inv_cdf(exp((1 - s * s) / 2) / 2) for s in t])

    fitted = np.polynomial.Chebyshev.interpolate(z, DEGREE, domain=[1, FARTHEST])
    return list(np.polynomial.chebyshev.cheb2poly(fitted.coef).astype(np.float32))
