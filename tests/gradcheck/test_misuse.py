"""Wrong use is one clear line."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from values import compare_values

from jaxmlp import gradcheck
from jaxmlp.activations import tanh

REFERENCE = {"w": jnp.ones((2, 3)), "b": jnp.ones(())}


@pytest.mark.parametrize(
    ("by_hand", "message"),
    [
        ({"w": np.ones((2, 3))}, r"gradient: expected the structure .*; missing \[\"\['b'\]\"\], surplus \[\]"),
        ({"w": np.ones((2, 3)), "b": 1.0, "c": 1.0}, r"missing \[\], surplus \[\"\['c'\]\"\]"),
        ({"w": [np.ones((2, 3))], "b": 1.0}, r"missing \[\"\['w'\]\"\], surplus \[\"\['w'\]\[0\]\"\]"),
        ({"w": None, "b": 1.0}, r"missing \[\"\['w'\]\"\]"),
        ((1.0, REFERENCE), r"of a pair \(loss, gradient\) only the second"),
        ({"w": np.ones((2, 3), int), "b": 1.0}, r"gradient\['w'\]: expected a floating-point array .*, got int64"),
        ({"w": np.ones((2, 3), complex), "b": 1.0}, r"gradient\['w'\]: .*, got complex128 array"),
    ],
)
def test_a_gradient_of_another_form(by_hand: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare_values(by_hand, REFERENCE)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"w": np.ones(2), "steps": np.ones(3, "int32")}, r"params\['steps'\]: .* got int32 array of shape \(3,\)"),
        ({"w": np.ones(2), "steps": 3}, r"params\['steps'\]: expected a floating-point array or a float, got int"),
        ({"w": np.ones(2, complex)}, r"params\['w'\]: .* got complex128 array"),
        ({"w": np.ones(2), "phi": tanh}, r"params\['phi'\]: .* got Activation"),
        ({}, "params: expected at least one entry"),
        ([np.ones((0, 3))], "params: expected at least one entry"),
    ],
)
def test_parameters_that_have_no_gradient(params: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gradcheck.compare(lambda p: jnp.sum(p["w"]), lambda p: p, params)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda w: (jnp.sum(w), w), "loss: expected a scalar, got a tuple of 2; of a loss with auxiliary outputs"),
        (
            lambda w: jnp.sum(w)[None],
            r"loss: expected a real scalar, of shape \(\), got float64 array of shape \(1,\)",
        ),
        (lambda w: jnp.sum(w) + 1j, "loss: expected a real scalar, .* got complex128"),
        (lambda w: jnp.sum(w).astype(int), "loss: expected a real scalar, .* got int64"),
        (
            lambda w: np.sum(np.asarray(w)),
            "loss: expected a result .*differences=True judges one that JAX cannot trace",
        ),
        (
            partial(jax.jit, static_argnums=0)(jnp.sum),
            "loss: expected a result .* got ValueError: Non-hashable static",
        ),
        (lambda w: jnp.sum(w) + jnp.log(-1.0), "loss: expected a finite value, got nan"),
        (lambda w: jnp.sum(w) + jnp.inf, "loss: expected a finite value, got inf"),
        (3, "loss: expected a function, got int"),
        (lambda w: jnp.sum(w) * np.random.rand(), "loss: expected the same value for the same arguments"),  # noqa: NPY002
        (lambda w: w.fill(1) or jnp.sum(w), r"loss: expected to leave its arguments as they are, got w changed"),
    ],
)
def test_a_loss_that_is_none(loss: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gradcheck.compare(loss, lambda w: w, np.full(2, 0.5))


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        (
            lambda w: w / 0 if w[0] else 1 / 0,
            "gradient: expected a result for float64 copies .* got ZeroDivisionError",
        ),
        (lambda w: None, "gradient: expected the structure of params, got None: does the function return it?"),
        (np.ones(2), r"gradient: expected a function, got float64 array of shape \(2,\)"),
        (lambda w: w * np.random.rand(), "gradient: expected the same for the same arguments"),  # noqa: NPY002
    ],
)
def test_a_gradient_that_fails(gradient: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gradcheck.compare(lambda w: jnp.sum(w), gradient, np.arange(2.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": -1e-9}, "tolerance: expected a finite number >= 0, got -1e-09"),
        ({"tolerance": np.nan}, "tolerance: expected a finite number >= 0, got nan"),
        ({"tolerance": "a"}, "tolerance: expected a finite number >= 0, got 'a'"),
        ({"seed": -1}, "seed: expected an integer >= 0, got -1"),
        ({"seed": 0.5}, "seed: expected an integer >= 0, got 0.5"),
        ({"entries": 1.5, "differences": True}, "entries: expected 1 or more, .* got 1.5"),
        ({"entries": 3}, "entries: expected 1 or more, together with differences=True, got 3"),
        ({"entries": 0, "differences": True}, "entries: expected 1 or more"),
        (
            {"differences": True, "own_dtype": True},
            "differences: expected neither own_dtype nor a vector beside it",
        ),
        ({"vector": jnp.ones(3)}, "vector: expected the structure and shapes of params, got others"),
    ],
)
def test_an_option_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare_values(jnp.ones(2), jnp.ones(2), **options)


@pytest.mark.parametrize("differences", [False, True])
def test_a_key_among_the_data_is_data(differences: bool) -> None:
    def drawn(w: Any, key: Any) -> jax.Array:
        return jnp.sum(w * jax.random.normal(key, (2,)))

    def gradient(w: Any, key: Any) -> jax.Array:
        return jax.random.normal(key, (2,))

    assert gradcheck.compare(drawn, gradient, jnp.ones(2), jax.random.key(0), differences=differences).ok
