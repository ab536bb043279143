"""φ, φ′ and φ″: against NumPy in float64, autodiff and central differences, and out in the tails."""

import copy
import math
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reference
from jaxmlp import activations
from jaxmlp.activations import ACTIVATIONS, Activation, as_pair, relu, sigmoid, tanh
from nets import DTYPES, SINGLES

MODERATE = np.array([0.0, -0.0, 1e-3, -1e-3, 0.3, -0.3, 1.0, -1.0, 2.5, -2.5, 7.0, -7.0, 17.0, -17.0])
EXTREME = np.array([0.0, *(sign * z for z in (1e-3, 1, 17, 88, 104, 1e3, 1e4) for sign in (1, -1))])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SINGLES)
def test_values_against_numpy(name, dtype):
    activation = ACTIVATIONS[name]
    z = jnp.asarray(np.concatenate([MODERATE, EXTREME]), dtype)
    tolerance = {"float32": 1e-6, "float64": 1e-14}[dtype]
    functions = (activation, activation.prime, activation.second)
    for function, expected in zip(functions, reference.ACTIVATIONS[name], strict=True):
        got = function(z)
        assert got.dtype == z.dtype
        assert got.shape == z.shape
        np.testing.assert_allclose(got, expected(np.asarray(z, np.float64)), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["sigmoid", "softplus"])
def test_small_values_keep_their_digits(name):
    """φ(-z) is exp(-z) far out: log(1 + exp(z)), say, has lost it to the 1 at z = -17."""
    z = jnp.asarray([-5.0, -17.0, -40.0, -80.0], jnp.float32)
    np.testing.assert_allclose(
        ACTIVATIONS[name](z), reference.ACTIVATIONS[name][0](np.asarray(z, float)), rtol=1e-5
    )


@pytest.mark.parametrize("name", SINGLES)
def test_derivatives_against_autodiff(name):
    activation = ACTIVATIONS[name]
    z = jnp.asarray(MODERATE[MODERATE != 0] if name == "relu" else MODERATE)
    np.testing.assert_allclose(activation.prime(z), jax.vmap(jax.grad(activation))(z), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(
        activation.second(z), jax.vmap(jax.grad(activation.prime))(z), rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize("name", SINGLES)
def test_derivatives_against_central_differences(name):
    activation, h = ACTIVATIONS[name], 1e-5
    z = jnp.asarray(MODERATE[MODERATE != 0])
    for function, derivative in ((activation, activation.prime), (activation.prime, activation.second)):
        differences = (function(z + h) - function(z - h)) / (2 * h)
        np.testing.assert_allclose(derivative(z), differences, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", SINGLES)
def test_finite_in_the_tails(name):
    """No NaN and no infinity in float32, neither in a value, nor on the way to it, nor in its autodiff."""
    activation = ACTIVATIONS[name]
    z = jnp.asarray(EXTREME, jnp.float32)
    with jax.debug_nans(True), jax.debug_infs(True):
        for function in (activation, activation.prime, activation.second):
            assert jnp.all(jnp.isfinite(function(z)))
            assert jnp.all(jnp.isfinite(jax.vmap(jax.grad(function))(z)))


def test_relu_has_derivative_zero_at_zero():
    for zero in (0.0, -0.0):
        assert relu.prime(jnp.asarray(zero)) == relu.second(jnp.asarray(zero)) == 0
        assert jax.grad(relu)(zero) == 0


def test_scaled_tanh_maps_one_to_one():
    np.testing.assert_allclose(activations.scaled_tanh(jnp.array([-1.0, 1.0])), [-1, 1], atol=1e-4)


def test_names():
    assert list(ACTIVATIONS) == ["sigmoid", "tanh", "scaled_tanh", "relu", "softplus", "identity"]
    for name, activation in ACTIVATIONS.items():
        assert getattr(activations, name) is activation


def test_compared_by_identity_and_static_under_jit():
    twin = Activation(sigmoid.phi, sigmoid.prime, sigmoid.second)
    assert sigmoid == sigmoid
    assert twin != sigmoid
    assert len({sigmoid, twin, tanh}) == 3

    traced = []

    def apply(z, phi):
        traced.append(phi)
        return as_pair(phi)[1](z)

    jitted = jax.jit(apply, static_argnames="phi")
    z = jnp.ones(3)
    for phi in (sigmoid, (tanh, sigmoid), twin):
        for _ in range(2):  # the second call finds the first one's program
            jitted(z, phi=phi)
    assert traced == [sigmoid, (tanh, sigmoid), twin]


def test_layers():
    assert as_pair(tanh) == (tanh, tanh)
    assert as_pair((tanh, sigmoid)) == (tanh, sigmoid)


@pytest.mark.parametrize("phi", ["sigmoid", None, jnp.tanh, (tanh,), (tanh, "relu"), (tanh,) * 3, [tanh, tanh]])
def test_layers_refuses(phi):
    with pytest.raises(
        ValueError, match=r"^phi: expected an Activation or a pair \(hidden, output\) of them, got "
    ):
        as_pair(phi)


def test_copies_and_pickles_of_the_six_are_themselves():
    for name, activation in ACTIVATIONS.items():
        for other in (
            copy.copy(activation),
            copy.deepcopy(activation),
            pickle.loads(pickle.dumps(activation)),
            copy.deepcopy({"phi": (activation, sigmoid)})["phi"][0],
        ):
            assert other is activation, name
    pair = (relu, sigmoid)
    assert pickle.loads(pickle.dumps(pair)) == pair


def test_the_six_are_printed_by_name_and_others_by_their_functions():
    assert repr(activations.relu) == "relu"
    assert repr((activations.relu, activations.sigmoid)) == "(relu, sigmoid)"
    assert repr(Activation(jnp.sin, jnp.cos, jnp.negative)).startswith("Activation(<")


def test_one_that_is_only_registered_pickles_by_its_functions(monkeypatch):
    own = Activation(math.sin, math.cos, math.tan)
    monkeypatch.setitem(activations.ACTIVATIONS, "sin", own)
    assert pickle.loads(pickle.dumps(own)).phi is math.sin


def test_an_activation_of_ones_own_is_itself_when_copied_and_pickles_by_its_functions():
    own = Activation(np.sin, np.cos, np.negative)
    assert copy.deepcopy(own) is own
    again = pickle.loads(pickle.dumps(own))
    assert (again.phi, again.prime, again.second) == (np.sin, np.cos, np.negative)


@pytest.mark.slow
def test_a_spawned_worker_finds_the_same_activation():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(_names_of, (relu, sigmoid)).result(timeout=100) == ["relu", "sigmoid"]


def _names_of(pair):
    return [name for phi in pair for name, activation in ACTIVATIONS.items() if activation is phi]


@pytest.mark.parametrize("z", [-80.0, -18.0, -9.0, 9.0, 18.0, 80.0])
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "scaled_tanh", "softplus"])
def test_slopes_keep_their_digits_in_float32_where_a_unit_saturates(name, z):
    """There 1 − σ(z) and 1 − tanh(z)² are 0 in float32."""
    activation, (_, prime, second) = ACTIVATIONS[name], reference.ACTIVATIONS[name]
    z32 = jnp.float32(z)
    for ours, theirs in ((activation.prime(z32), prime(z)), (activation.second(z32), second(z))):
        if abs(theirs) > np.finfo(np.float32).tiny:
            np.testing.assert_allclose(ours, theirs, rtol=2e-5)
