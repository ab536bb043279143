"""Noise is normal, of the deviation asked for, and independent between leaves and steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32
from scipy import special, stats

from jaxmlp.network import Params
from jaxmlp.training.privacy import noise

SECRET = bytes(range(32))
SIZE = 400, 500
DEVIATION = 3.0


@pytest.fixture(scope="module")
def drawn():
    """The noise of two steps on four leaves of one shape, (2, 4, 200,000)."""
    sums = Params(*(jnp.full(SIZE, 7, jnp.float32) for _ in range(4)))
    add = jax.jit(noise.added)
    noisy = [add(keys, sums, DEVIATION) for keys in noise.keys(SECRET, epoch=0, steps=2)]
    return np.array([[np.ravel(leaf) - 7 for leaf in of_step] for of_step in noisy], np.float64)


def test_it_is_normal_and_of_that_deviation(drawn):
    count = drawn.size
    assert drawn.mean() == pytest.approx(0, abs=5 * DEVIATION / np.sqrt(count))
    assert drawn.std() == pytest.approx(DEVIATION, rel=5 / np.sqrt(2 * count))
    assert stats.kstest(drawn.ravel() / DEVIATION, "norm").pvalue > 1e-4
    for limit in (3, 4):  # the tails, either of them
        for tail in (drawn > limit * DEVIATION, drawn < -limit * DEVIATION):
            expected = count * stats.norm.sf(limit)
            assert tail.sum() == pytest.approx(expected, abs=5 * np.sqrt(expected))


def test_every_leaf_of_every_step_has_its_own(drawn):
    rows = drawn.reshape(8, -1) / DEVIATION
    correlations = rows @ rows.T / rows.shape[1]
    assert np.abs(correlations - np.eye(8)).max() < 6 * np.sqrt(2 / rows.shape[1])


def test_neighbours_within_a_leaf_are_independent(drawn):
    leaf = drawn[0, 0].reshape(SIZE) / DEVIATION
    for shifted in (np.roll(leaf, 1, axis=0), np.roll(leaf, 1, axis=1)):
        assert abs(np.mean(leaf * shifted)) < 5 / np.sqrt(leaf.size)


def test_every_leaf_step_epoch_and_secret_has_a_key_of_its_own():
    keys = [noise.keys(secret, epoch, 3) for secret in (SECRET, SECRET[::-1]) for epoch in (0, 1)]
    assert keys[0].shape == (3, 4, 3)
    assert len({tuple(key) for of_epoch in keys for key in of_epoch.reshape(12, 3)}) == 48
    np.testing.assert_array_equal(noise.keys(SECRET, 0, 3), keys[0])


def test_the_sum_is_still_in_it():
    sums = Params(jnp.ones((2, 3)), jnp.arange(5.0), jnp.ones((2, 2)), jnp.zeros(3))
    (keys,) = noise.keys(SECRET, 0, 1)
    noisy, alone = (noise.added(keys, tree, DEVIATION) for tree in (sums, jax.tree.map(jnp.zeros_like, sums)))
    jax.tree.map(lambda n, a, s: np.testing.assert_allclose(n - a, s, atol=1e-12), noisy, alone, sums)
    assert noise.added(keys, sums, 0.0).b1.tolist() == sums.b1.tolist()


def test_the_bits_are_those_of_jax():
    """Whose function takes the first halves of all counters, then the second halves."""
    words = np.random.default_rng(0).integers(0, 2**32, (2, 50), np.uint32)
    words[:, 0], words[:, 1] = 0, 2**32 - 1
    for key in ((0, 0), (2**32 - 1, 2**32 - 1), (0x13198A2E, 0x03707344)):
        key = jnp.array(key, jnp.uint32)
        got = noise.threefry(key, *map(jnp.asarray, words))
        np.testing.assert_array_equal(np.ravel(got), threefry_2x32(key, jnp.ravel(words)))


def test_the_numbers_are_the_quantiles_of_their_bits():
    """Down to the last of the bits, nine standard deviations out."""
    high = np.concatenate([2 * np.arange(3), 2 ** np.arange(1, 32), np.linspace(0, 2**32 - 2, 10_001)]).astype(
        np.uint32
    )
    high = high // 2 * 2
    low = np.random.default_rng(0).integers(0, 2**32, high.shape, np.uint32)
    low[:2] = 0, 2**32 - 1
    p = (high // 2 + (low // 2 + 0.5) * 2.0**-31) * 2.0**-31
    expected = -special.ndtri(p / 2)
    got = np.array(noise.quantile(jnp.array(high), jnp.array(low)))
    np.testing.assert_allclose(got, expected, rtol=3e-7, atol=2e-6)
    assert got[0] == pytest.approx(9.08, abs=0.01)
    np.testing.assert_array_equal(noise.quantile(jnp.array(high + 1), jnp.array(low)), -got)


def test_every_place_has_its_own_number_whatever_the_shape():
    (key, *_) = noise.keys(SECRET, 0, 1)[0]
    flat = noise.normal(key, (24,))
    np.testing.assert_array_equal(noise.normal(key, (4, 6)).ravel(), flat)
    assert len(set(flat.tolist())) == 24
