"""Inputs moved the way that changes a prediction most: against autodiff, and where there is no such way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from compare import assert_close
from jaxmlp import activations, adversarial, batch, network
from nets import PAIRS, digits_sized, phi_of, random_net

n, D, K, C = 6, 12, 5, 4
LENGTH = 0.7


def passes_of(phi, dtype="float64"):
    params, x, y = jax.tree.map(lambda a: a.astype(dtype), random_net((D, K, C), n))
    return batch.passes(params, x, y, phi)


def errors(dtype="float64"):
    """e of every example."""
    return jnp.asarray(np.random.default_rng(2).normal(size=(n, C)), dtype)


def by_autodiff(passes, e):
    """The derivative of e · x2 by x0, of every example."""
    x2 = lambda x0: network.forward(passes.params, x0, passes.phi).x2  # noqa: E731
    return jax.vmap(lambda x0, e: jax.vjp(x2, x0)[1](e)[0])(passes.trace.x0, e)


@pytest.mark.parametrize(("hidden", "output"), PAIRS)
def test_the_gradient_by_the_inputs_and_a_move_along_it(hidden, output):  # B3, R
    passes, e = passes_of(phi_of(hidden, output)), errors()
    expected = by_autodiff(passes, e)
    of_one = [adversarial.input_gradient(passes.params, passes[i].trace, e[i], passes.phi) for i in range(n)]
    assert_close(jnp.stack(of_one), expected, 1e-12)
    norms = np.linalg.norm(expected, axis=1, keepdims=True)
    r = LENGTH * expected / np.where(norms == 0, 1, norms)  # 0 where all of relu's units are off
    assert_close(adversarial.moved_inputs(passes, e, LENGTH), passes.trace.x0 + r, 1e-12)


def test_with_the_error_of_the_prediction_it_is_the_gradient_of_the_loss():
    passes = passes_of(activations.sigmoid)
    x2, y = passes.trace.x2, passes.y
    expected = jax.vmap(jax.grad(network.loss, argnums=1), in_axes=(None, 0, 0))(passes.params, passes.trace.x0, y)
    assert_close(adversarial.input_gradient(passes.params, passes[2].trace, (x2 - y)[2]), expected[2], 1e-12)


def test_no_other_move_of_that_length_changes_e_x2_as_much():
    passes, e, short = passes_of((activations.tanh, activations.sigmoid)), errors(), 1e-5

    def change(moved):
        x2 = batch.forward(passes.params, moved, passes.phi).x2
        return jnp.sum(e * (x2 - passes.trace.x2), axis=1)

    most = change(adversarial.moved_inputs(passes, e, short))
    for seed in range(100):
        other = np.random.default_rng(seed).normal(size=(n, D))
        other *= short / np.linalg.norm(other, axis=1, keepdims=True)
        assert (change(passes.trace.x0 + other) < most).all()


def test_where_nothing_changes_the_prediction_nothing_moves():
    passes = passes_of(activations.relu)
    dead = passes.params._replace(b1=jnp.full(K, -100.0))
    passes = batch.passes(dead, passes.trace.x0, passes.y, activations.relu)
    np.testing.assert_array_equal(adversarial.moved_inputs(passes, errors(), LENGTH), passes.trace.x0)


def test_float32_stays_float32():
    passes = batch.passes(*digits_sized((784, 30, 10), 8), activations.sigmoid)
    e = passes.y - 0.1
    moved = adversarial.moved_inputs(passes, e, 0.5)
    assert moved.dtype == jnp.float32
    lengths = jnp.linalg.norm(moved - passes.trace.x0, axis=1)
    np.testing.assert_allclose(lengths, 0.5, rtol=1e-5)


@pytest.mark.parametrize(("dtype", "size"), [("float32", 1e-30), ("float32", 1e30), ("float64", 1e-250)])
def test_its_length_is_right_whatever_the_size_of_e(dtype, size):
    """Whose square is 0, or infinite."""
    passes = passes_of(activations.tanh, dtype)
    moved = adversarial.moved_inputs(passes, size * errors(dtype), LENGTH)
    np.testing.assert_allclose(jnp.linalg.norm(moved - passes.trace.x0, axis=1), LENGTH, rtol=1e-5)


def test_its_derivative_is_that_of_autodiff_and_0_where_nothing_moves():
    passes, weights = passes_of(activations.tanh), jnp.arange(n * D).reshape(n, D) / D

    def plain(e):
        delta0 = by_autodiff(passes, e)
        return jnp.sum(weights * LENGTH * delta0 / jnp.linalg.norm(delta0, axis=1, keepdims=True))

    def ours(e):
        return jnp.sum(weights * adversarial.moved_inputs(passes, e, LENGTH))

    assert_close(jax.grad(ours)(errors()), jax.grad(plain)(errors()), 1e-11)
    np.testing.assert_array_equal(jax.grad(ours)(0 * errors()), 0 * errors())


@pytest.mark.parametrize("wrong", [jnp.ones(D), jnp.ones((n, 1)), jnp.ones(1)])
def test_a_length_that_is_no_scalar_is_named(wrong):
    with pytest.raises(ValueError, match=r"^length: expected .* array of shape \(\), got "):
        adversarial.moved_inputs(passes_of(activations.sigmoid), errors(), wrong)


@pytest.mark.parametrize("wrong", [jnp.ones(()), jnp.ones(1), jnp.ones(C + 1), errors()])
def test_a_wrong_e_of_one_example_is_named(wrong):
    passes = passes_of(activations.sigmoid)
    with pytest.raises(ValueError, match=rf"^e: expected float64 array of shape \({C},\), got "):
        adversarial.input_gradient(passes.params, passes[0].trace, wrong)


def test_a_trace_of_a_batch_is_none_of_one_example():
    passes = passes_of(activations.sigmoid)
    with pytest.raises(ValueError, match=r"^trace\.x0: expected "):
        adversarial.input_gradient(passes.params, passes.trace, errors())


@pytest.mark.parametrize("wrong", [errors()[:, 1:], errors()[1:], errors("float32"), 1.0])
def test_a_wrong_e_is_named(wrong):
    with pytest.raises(ValueError, match=rf"^e: expected float64 array of shape \({n}, {C}\), got "):
        adversarial.moved_inputs(passes_of(activations.sigmoid), wrong, LENGTH)


def test_in_place_of_passes_nothing_else_will_do():
    with pytest.raises(ValueError, match=r"^passes: expected "):
        adversarial.moved_inputs(passes_of(activations.sigmoid).trace, errors(), LENGTH)
