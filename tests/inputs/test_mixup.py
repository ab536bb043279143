"""Mixtures of examples: of which two, in which parts, and how the parts are distributed."""

import jax
import numpy as np
import pytest
from scipy import stats

from jaxmlp.inputs.mixup import mix


def batch(n):
    random = np.random.default_rng(n)
    return random.random((n, 7)), np.eye(4)[random.integers(0, 4, n)]


def test_an_image_and_its_target_are_mixed_in_the_same_parts_with_the_example_before():
    x, y = batch(9)
    mixed_x, mixed_y = map(np.asarray, mix(jax.random.key(0), x, y, 0.5))
    parts = []
    for i in range(9):
        other_x, other_y = x[i - 1], y[i - 1]
        part = np.dot(mixed_x[i] - other_x, x[i] - other_x) / np.sum((x[i] - other_x) ** 2)
        np.testing.assert_allclose(mixed_x[i], part * x[i] + (1 - part) * other_x, rtol=1e-12)
        np.testing.assert_allclose(mixed_y[i], part * y[i] + (1 - part) * other_y, rtol=1e-12)
        parts.append(part)
    assert len(np.unique(np.round(parts, 9))) == 9
    assert min(parts) >= 0.5


@pytest.mark.slow
def test_parts_are_the_larger_of_a_beta_variable_and_its_complement():
    """Targets 1 and 0 in turn: every mixed target of a 1 is its part."""
    n = 20_000
    y = np.eye(2)[np.arange(n) % 2]
    for alpha in (0.3, 1.0):
        part = np.asarray(mix(jax.random.key(1), y, y, alpha)[1])[::2, 0]
        wanted = stats.beta(alpha, alpha)
        assert stats.kstest(part, lambda t, wanted=wanted: wanted.cdf(t) - wanted.cdf(1 - t)).pvalue > 1e-3


def test_dtypes_stay():
    x, y = batch(5)
    mixed = mix(jax.random.key(0), x.astype(np.float32), y.astype(np.float32), 0.5)
    assert [leaf.dtype for leaf in mixed] == [np.float32, np.float32]
