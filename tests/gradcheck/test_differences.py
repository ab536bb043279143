"""Central differences at any scale, at a kink, and of a sample."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import gradcheck
from jaxmlp.gradcheck.differences import slope
from jaxmlp.gradcheck.rounding import spread

Function = Callable[[float], float]


def slope_at(function: Function, p: float) -> tuple[float, float, bool]:
    found = slope(lambda t: float(function(p + t)), abs(p) or 1.0, 4e-16 * abs(function(p) if p else 1.0))
    return found.value, found.error, found.is_kink


@pytest.mark.parametrize(
    ("function", "p", "expected"),
    [
        (np.log, 1e-3, 1e3),
        (np.log, 1e-6, 1e6),
        (np.exp, 0.0, 1.0),
        (math.sin, 1e6, math.cos(1e6)),
        (lambda p: (p - 1) ** 2, 1e-12, -2.0),
        (lambda p: 1e200 * p**3, 2.0, 1.2e201),
        (lambda p: math.exp(1e4 * p), 1e-3, 1e4 * math.exp(10)),
        (lambda p: max(p, 0.0), 1e-9, 1.0),
        (lambda p: 1e8 + p * p - 1e8, 0.5, 1.0),
    ],
)
def test_a_step_for_every_scale(function: Function, p: float, expected: float) -> None:
    value, error, is_kink = slope_at(function, p)
    assert value == pytest.approx(expected, rel=1e-7)
    assert abs(value - expected) <= 2 * error + 1e-10 * abs(expected)
    assert error <= 1e-7 * abs(expected)
    assert not is_kink


@pytest.mark.parametrize(
    ("function", "low", "high"),
    [
        (lambda p: max(p, 0.0), 0, 1),
        (abs, -1, 1),
        (lambda p: p**2 - 3 * abs(p) + p, -2, 4),
        (lambda p: max(2 * p, 5 * p), 2, 5),
    ],
)
def test_a_kink(function: Function, low: float, high: float) -> None:
    found = slope(lambda t: float(function(t)), 1.0, 4e-16)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


def test_a_square_root_at_0_has_no_slope() -> None:
    value, error, _ = slope_at(lambda p: math.sqrt(p) if p >= 0 else math.nan, 0.0)
    assert math.isnan(value)
    assert error == math.inf


def test_a_loss_in_steps_is_unreliable_and_not_called_right() -> None:
    report = gradcheck.compare(
        lambda w: jnp.sum(jnp.round(1e5 * w**2) / 1e5), lambda w: 2 * w, jnp.array([0.7]), differences=True
    )
    assert not report
    assert "unreliable" in str(report)


def test_a_loss_in_numpy() -> None:
    def loss(w: np.ndarray) -> float:
        return float(sum(float(one) ** 3 for one in np.asarray(w)))

    w = np.float32([1, -2])
    assert gradcheck.compare(loss, lambda w: 3 * w**2, w, differences=True)
    assert not gradcheck.compare(loss, lambda w: 2 * w**2, w, differences=True)


def large(p: dict[str, jax.Array]) -> jax.Array:
    return jnp.sum(jnp.tanh(p["w"]) ** 2) + jnp.sum(p["b"] ** 2)


def by_hand(p: dict[str, jax.Array]) -> dict[str, jax.Array]:
    t = jnp.tanh(p["w"])
    return {"w": 2 * t * (1 - t**2), "b": 2 * p["b"]}


def test_a_sample_of_a_large_model_is_said() -> None:
    p = {"w": jnp.asarray(np.random.default_rng(0).normal(size=(300, 400))), "b": jnp.ones(3)}
    report = gradcheck.compare(large, by_hand, p, differences=True, seed=5)
    assert report.ok, str(report)
    assert report.sampled == (
        "judged: 64 of 120,003 entries, drawn at random, and 4 random directions v through a leaf (seed 5)"
    )
    assert [(leaf.name, leaf.entries) for leaf in report.leaves[:3]] == [
        ("['b']", 3),
        ("['w']", 61),
        ("['b'] · v1", 1),
    ]


def test_a_direction_catches_what_no_drawn_entry_shows() -> None:
    p = {"w": jnp.asarray(np.random.default_rng(0).normal(size=(300, 400))), "b": jnp.ones(3)}

    def wrong(p: dict[str, jax.Array]) -> dict[str, jax.Array]:
        right = by_hand(p)
        return {**right, "w": right["w"].at[7, 9].set(0)}

    report = gradcheck.compare(large, wrong, p, differences=True, entries=10)
    assert [leaf.name for leaf in report.leaves if not leaf.ok] == ["['w'] · v1", "['w'] · v2"]
    assert report.leaves[1].entries == 7


def test_the_seed_draws_the_entries() -> None:
    p = {"w": jnp.asarray(np.random.default_rng(0).normal(size=(40, 40))), "b": jnp.ones(3)}
    one, same, other = (gradcheck.compare(large, by_hand, p, differences=True, seed=seed) for seed in (1, 1, 2))
    assert str(one) == str(same) != str(other)


def test_the_spread_is_what_rounding_does() -> None:
    x = np.random.default_rng(0).normal(size=(1000, 2)) * np.array([1.0, 1e6])
    for function, most in (
        (lambda x: x.sum(0), 20),
        (lambda x: jnp.sum(x, 0), 20),
        (lambda x: np.asarray(x).sum(0), 1000),  # all rounded in one direction
    ):
        (moved,) = spread(function, (x,))
        terms = np.sqrt(np.sum(x**2, 0)) * 2.2e-16
        assert np.all(moved < most * terms)
        assert np.all(moved > 0.3 * terms)


def test_the_spread_of_equal_values_keeps_them_equal() -> None:
    (moved,) = spread(jax.grad(lambda w: jnp.max(w) + jnp.linalg.norm(w)), (jnp.array([3.0, 1.0, 2.0]),))
    assert np.all(moved < 1e-14)
