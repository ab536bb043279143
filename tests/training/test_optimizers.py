"""Optimizers against NumPy written from the published update rules, and schedules against their end points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from compare import assert_close
from jaxmlp.network import Params
from jaxmlp.training.config import Config
from jaxmlp.training.optimizers import Schedule, adam, optimizer_of, schedule_of, sgd, weights

STEPS = 5


def problem(seed: int) -> tuple[Params, list[Params]]:
    random = np.random.default_rng(seed)
    shapes = Params((4, 3), (3,), (3, 2), (2,))
    draw = lambda: Params(*(random.normal(size=shape) for shape in shapes))  # noqa: E731
    return draw(), [draw() for _ in range(STEPS)]


def optimized(optimizer, params: Params, gradients: list[Params], rates: list[float]) -> Params:
    state = optimizer.init(params)
    for gradient, rate in zip(gradients, rates, strict=True):
        params, state = jax.jit(optimizer.update)(gradient, state, params, jnp.float64(rate))
    return params


RATES = [0.5, 0.25, 0.125, 0.3, 0.1]


def by_leaf(expected, params, gradients, *amounts):
    return Params(
        *(expected(*leaves, *amounts) for leaves in zip(params, zip(*gradients, strict=True), strict=True))
    )


def expected_sgd(p, gradients, momentum, nesterov, decay):
    v = np.zeros_like(p)
    for g, rate in zip(gradients, RATES, strict=True):
        v = momentum * v + g
        step = momentum * v + g if nesterov else v
        p = p - rate * step - (rate * decay * p if p.ndim == 2 else 0)
    return p


def expected_adam(p, gradients, beta1, beta2, epsilon, decay):
    m, s = np.zeros_like(p), np.zeros_like(p)
    for t, (g, rate) in enumerate(zip(gradients, RATES, strict=True), start=1):
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * g * g
        step = m / (1 - beta1**t) / (np.sqrt(s / (1 - beta2**t)) + epsilon)
        p = p - rate * step - (rate * decay * p if p.ndim == 2 else 0)
    return p


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd(momentum, nesterov, decay):
    params, gradients = problem(0)
    ours = optimized(sgd(momentum, nesterov, decay), params, gradients, RATES)
    assert_close(ours, by_leaf(expected_sgd, params, gradients, momentum, nesterov, decay))


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize(("beta1", "beta2", "epsilon"), [(0.9, 0.999, 1e-8), (0.5, 0.8, 1e-2), (0.0, 0.0, 1e-3)])
def test_adam(beta1, beta2, epsilon, decay):
    params, gradients = problem(1)
    ours = optimized(adam(beta1, beta2, epsilon, decay), params, gradients, RATES)
    assert_close(ours, by_leaf(expected_adam, params, gradients, beta1, beta2, epsilon, decay))


@pytest.mark.parametrize("optimizer", [sgd(), sgd(0.9, True, 0.1), adam(weight_decay=0.1)])
def test_update_keeps_types_so_that_a_scan_can_carry_them(optimizer):
    params = jax.tree.map(jnp.float32, problem(2)[0])
    state = optimizer.init(params)
    after = jax.eval_shape(optimizer.update, params, state, params, jnp.float32(0.1))
    assert jax.tree.map(lambda a: (a.shape, a.dtype), after) == jax.tree.map(
        lambda a: (a.shape, a.dtype), (params, state)
    )


@pytest.mark.parametrize("make", [sgd, adam])
def test_decay_goes_by_name_however_the_networks_are_stacked(make):
    """Two networks on a leading axis, where a bias has two axes; and the same as a dict."""
    ones = Params(*(jnp.ones(shape) for shape in ((2, 4, 3), (2, 3), (2, 3, 2), (2, 2))))
    for params in (ones, ones._asdict()):
        zero = jax.tree.map(jnp.zeros_like, params)
        optimizer = make(weight_decay=0.5)
        after, _ = optimizer.update(zero, optimizer.init(params), params, jnp.float64(0.1))
        leaves = after if isinstance(after, dict) else after._asdict()
        means = {name: float(leaf.mean()) for name, leaf in leaves.items()}
        assert means == pytest.approx({"W1": 0.95, "b1": 1, "W2": 0.95, "b2": 1})


@pytest.mark.parametrize("name", ["b", "b1", "b12", "b_out", "hidden_b", "bias", "Bias", "out_bias", "biases"])
def test_a_bias_by_any_usual_name_stays(name):
    assert weights({name: jnp.ones((2, 2))}) == {name: False}


@pytest.mark.parametrize("name", ["W1", "kernel", "basis", "batchnorm_scale", "embedding", "sub_layer"])
def test_what_only_begins_or_ends_like_a_bias_decays(name):
    assert weights({name: jnp.ones((2, 2))}) == {name: True}


@pytest.mark.parametrize(
    ("decayed", "expected"), [(True, [0.95, 0.95]), (False, [1, 1]), ((False, True), [1, 0.95])]
)
def test_a_mask_may_be_of_subtrees(decayed, expected):
    params = ({"W": jnp.ones(2)}, {"b": jnp.ones(2)})
    zero = jax.tree.map(jnp.zeros_like, params)
    after, _ = sgd(weight_decay=0.5, decayed=decayed).update(zero, (), params, jnp.float64(0.1))
    assert [float(leaf[0]) for leaf in jax.tree.leaves(after)] == pytest.approx(expected)


def test_decay_by_a_mask_of_ones_own():
    params = {"kernel": jnp.ones((2, 2)), "scale": jnp.ones((2, 2))}
    optimizer = sgd(weight_decay=0.5, decayed=lambda tree: {name: name == "kernel" for name in tree})
    after, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), (), params, jnp.float64(0.1))
    assert float(after["kernel"].mean()) == pytest.approx(0.95)
    assert float(after["scale"].mean()) == 1


@pytest.mark.parametrize("optimizer", [sgd(0.9, True, 0.1), adam(weight_decay=0.1)])
def test_parameters_of_half_precision_stay_so(optimizer):
    params = {"W1": jnp.ones((2, 2), jnp.bfloat16), "b1": jnp.ones(2, jnp.bfloat16)}
    state = optimizer.init(params)
    after = optimizer.update(params, state, params, jnp.float32(0.1))
    assert jax.tree.map(lambda a: a.dtype, after) == jax.tree.map(lambda a: a.dtype, (params, state))


@pytest.mark.parametrize(
    ("options", "step"),
    [
        ({}, -2.0),
        ({"momentum": 0.5, "nesterov": True}, -3.0),
        ({"weight_decay": 0.25}, -2.25),
        ({"optimizer": "adam", "epsilon": 1.0}, -2.0 / 3.0),
    ],
)
def test_the_optimizer_is_the_one_of_the_options(options, step):
    """The first step from 1 along a gradient of 2, at learning rate 1."""
    optimizer = optimizer_of(Config(**options))
    weight = jnp.ones((1, 1))
    after, _ = optimizer.update(2 * weight, optimizer.init(weight), weight, jnp.asarray(1.0))
    assert after[0, 0] - 1 == pytest.approx(step)


def test_the_schedule_is_the_one_of_the_options():
    assert schedule_of(Config(learning_rate=2.0, epochs=3), steps=7) == Schedule(2.0, total=21)
    config = Config(learning_rate=2.0, epochs=3, schedule="cosine", warmup_epochs=1)
    assert schedule_of(config, steps=7) == Schedule(2.0, total=21, warmup=7, cosine=True)


def test_constant_schedule():
    rates = Schedule(peak=3.0, total=7).learning_rates(np.arange(7))
    assert rates.dtype == np.float32
    assert rates.tolist() == [3.0] * 7


def test_warmup_is_a_line_that_reaches_the_peak_and_stays():
    rates = Schedule(peak=2.0, total=10, warmup=4).learning_rates(np.arange(10))
    assert rates.tolist() == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]


def test_cosine_falls_from_the_peak_after_warmup_to_nothing():
    rates = Schedule(peak=2.0, total=12, warmup=2, cosine=True).learning_rates(np.arange(13))
    np.testing.assert_allclose(rates[[0, 1, 2, 7, 12]], [1.0, 2.0, 2.0, 1.0, 0.0], atol=1e-7)
    np.testing.assert_allclose(rates[2:], 1 + np.cos(np.pi * np.arange(11) / 10), atol=1e-6)


def test_a_schedule_read_epoch_by_epoch_is_the_whole_schedule():
    schedule = Schedule(peak=1.0, total=20, warmup=3, cosine=True)
    pieces = [schedule.learning_rates(np.arange(start, start + 5)) for start in range(0, 20, 5)]
    assert np.concatenate(pieces).tolist() == schedule.learning_rates(np.arange(20)).tolist()
