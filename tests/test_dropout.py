"""Dropout's two changed equations against autodiff of a masked network that is written out here."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import activations, batch, dropout, network, statistics
from jaxmlp.activations import ACTIVATIONS

N, D, K, C = 6, 7, 5, 4
PAIRS = [(activations.tanh, activations.sigmoid), (activations.softplus, activations.tanh)]


def example(dtype=jnp.float64):
    keys = jax.random.split(jax.random.key(5), 3)
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), network.init(keys[0], D, K, C))
    x = jax.random.normal(keys[1], (N, D), dtype)
    y = jax.nn.one_hot(jnp.arange(N) % C, C, dtype=dtype)
    return params, x, y, dropout.mask(keys[2], (N, K), 0.5, dtype)


def loss_of_one(params, x0, y, m, phi):
    """Without network.py."""
    hidden, output = phi
    x2 = output.phi((m * hidden.phi(x0 @ params.W1 + params.b1)) @ params.W2 + params.b2)
    return jnp.sum((x2 - y) ** 2) / 2


@pytest.mark.parametrize("phi", PAIRS)
def test_its_gradient_is_that_of_the_masked_network(phi):
    params, x, y, m = example()
    trace = dropout.forward(params, x, m, phi)
    deltas = dropout.backward(params, trace, m, y, phi)
    each = jax.vmap(jax.value_and_grad(loss_of_one), (None, 0, 0, 0, None))
    losses, gradients = jax.jit(each, static_argnums=4)(params, x, y, m, phi)
    np.testing.assert_allclose(batch.mean_loss(trace, y), losses.mean(), rtol=1e-13)
    for ours, theirs in zip(batch.gradient(trace, deltas), gradients, strict=True):
        np.testing.assert_allclose(ours, theirs.mean(axis=0), rtol=1e-11, atol=1e-14)
    norms = jnp.sqrt(sum(jnp.sum(g.reshape(N, -1) ** 2, axis=1) for g in gradients))
    np.testing.assert_allclose(statistics.gradient_norms(trace, deltas), norms, rtol=1e-11)


def test_a_unit_that_is_left_out_says_and_learns_nothing():
    params, x, y, m = example()
    phi = PAIRS[0]
    trace = dropout.forward(params, x, m, phi)
    deltas = dropout.backward(params, trace, m, y, phi)
    out = np.asarray(m == 0)
    assert 0 < out.sum() < out.size
    assert not np.any(trace.x1[out])
    assert np.all(np.asarray(trace.x1)[~out])
    assert not np.any(deltas.delta1[out])
    assert np.all(np.asarray(deltas.delta1)[~out])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_masked_activation_has_masked_derivatives(name):
    z, m = jnp.linspace(-2.05, 2, 9), jnp.array([0.0, 2, 0, 2, 2, 2, 0, 2, 2])
    masked = dropout.masked(ACTIVATIONS[name], m)
    np.testing.assert_allclose(masked(z), m * ACTIVATIONS[name](z))
    slope = jax.vmap(jax.grad(lambda z, m: m * ACTIVATIONS[name](z)))
    bend = jax.vmap(jax.grad(jax.grad(lambda z, m: m * ACTIVATIONS[name](z))))
    np.testing.assert_allclose(masked.prime(z), slope(z, m), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(masked.second(z), bend(z, m), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.75])
def test_a_mask_keeps_the_mean(rate):
    m = np.asarray(dropout.mask(jax.random.key(0), (400, 500), rate, jnp.float32))
    assert m.dtype == np.float32
    assert set(np.unique(m).tolist()) <= {0.0, float(np.float32(1 / (1 - rate)))}
    np.testing.assert_allclose(np.mean(m == 0), rate, atol=0.005)
    np.testing.assert_allclose(m.mean(), 1, atol=0.02)


def test_masks_of_another_shape_or_dtype_are_named():
    params, x, y, m = example()
    trace = dropout.forward(params, x, m)
    with pytest.raises(
        ValueError, match=r"^m: expected float64 array of shape \(6, 5\), got float64 array .*\(5,\)"
    ):
        dropout.forward(params, x, m[0])
    with pytest.raises(ValueError, match=r"^m: expected float64 array .*, got float32"):
        dropout.backward(params, trace, m.astype(jnp.float32), y)
    with pytest.raises(ValueError, match=r"^x: expected"):
        dropout.forward(params, x[0], m)
