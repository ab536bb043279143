"""Statistics of a batch's gradients: against per-example gradients by autodiff, and where numbers are extreme."""

from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import oracle
from compare import assert_close
from jaxmlp import activations, batch, statistics
from jaxmlp.activations import relu, sigmoid
from jaxmlp.batch import Passes
from jaxmlp.network import Deltas, Params, Trace
from nets import PAIRS, digits_sized, random_net, take

SIZES = [pytest.param(1, marks=pytest.mark.slow), 5]
OTHER = np.array([3, 0, 2])  # another batch, made of some of the same examples
MAX_NORM = 1.5  # some gradients are longer, some shorter


def mask_for(n):
    """All but every third, beginning with the second."""
    return jnp.arange(n) % 3 != 1


def weights_for(n):
    return jnp.asarray(np.random.default_rng(1).normal(size=n))


def every_statistic(passes, weights, v, other, max_norm=MAX_NORM):
    return {
        "per_example_gradients": statistics.per_example_gradients(passes),
        "squared_norms": statistics.squared_norms(passes),
        "gradient_norms": statistics.gradient_norms(passes),
        "weighted_gradient": statistics.weighted_gradient(passes, weights),
        "clipped_gradient": statistics.clipped_gradient(passes, max_norm),
        "clipped_sum": statistics.clipped_sum(passes, max_norm, mask_for(len(passes.y))),
        "second_moment": statistics.second_moment(passes),
        "variance": statistics.variance(passes),
        "gram": statistics.gram(passes),
        "gram_with_other": statistics.gram(passes, other),
        "directional": statistics.directional(passes, v),
        "noise_scale": statistics.noise_scale(passes),
    }


def expected_statistics(gradients, params, weights, v, other, max_norm=MAX_NORM):
    """From the plain definitions; `gradients` (n, P) and `other` (m, P) are flat."""
    n = len(gradients)
    norms = np.linalg.norm(gradients, axis=1)
    expected = {
        "per_example_gradients": gradients,
        "weighted_gradient": sum(w * g for w, g in zip(weights, gradients, strict=True)),
        "clipped_gradient": sum(g * min(1, max_norm / np.linalg.norm(g)) for g in gradients) / n,
        "clipped_sum": sum(g * min(1, max_norm / np.linalg.norm(g)) for g in gradients[np.arange(n) % 3 != 1]),
        "second_moment": np.mean(gradients**2, axis=0),
    }
    if n > 1:
        expected["variance"] = np.var(gradients, axis=0, ddof=1)
    expected = {name: oracle.split(flat, params) for name, flat in expected.items()}
    expected["squared_norms"] = Params(
        *(np.sum(leaf.reshape(n, -1) ** 2, axis=1) for leaf in expected["per_example_gradients"])
    )
    expected["gradient_norms"] = norms
    expected["gram"] = gradients @ gradients.T
    expected["gram_with_other"] = gradients @ other.T
    expected["directional"] = gradients @ ravel_pytree(v)[0]
    if n > 1:
        # The unbiased ‖G‖² is the mean of ⟨g_n, g_m⟩ over the pairs of different examples.
        between = gradients @ gradients.T
        squared_norm = (between.sum() - np.trace(between)) / (n * (n - 1))
        covariance_trace = np.var(gradients, axis=0, ddof=1).sum()
        expected["noise_scale"] = (covariance_trace, squared_norm)
    return expected


@cache
def net_and_results(n):
    """The net, what jaxmlp says of it, and the oracle's gradients, for all pairs of activations."""
    params, x, y = random_net(n=n)
    v = random_net(seed=1)[0]
    rows = OTHER % n

    def ours(phi, params, x, y):
        passes = batch.passes(params, x, y, phi)
        return every_statistic(passes, weights_for(n), v, passes[rows])

    got = oracle.for_every_pair(ours, params, x, y)
    gradients = oracle.derivatives_of_every_pair(params, x, y).gradients
    expected = [expected_statistics(g, params, weights_for(n), v, g[rows]) for g in gradients]
    return got, expected


def some_passes(n, phi=sigmoid, **more):
    return batch.passes(*random_net(n=n, **more), phi)


def names():
    passes = some_passes(2)
    shapes = jax.eval_shape(every_statistic, passes, weights_for(2), passes.params, passes)
    return list(shapes)


NAMES = names()


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_every_pair_of_activations_against_autodiff(name, n):
    got, expected = net_and_results(n)
    for i, pair in enumerate(PAIRS):
        ours = take(got[name], i)
        if n == 1 and name in ("variance", "noise_scale"):
            assert all(np.all(np.isnan(leaf)) for leaf in ours), pair
        else:
            assert type(ours) is type(got[name])
            assert_close(ours, expected[i][name])


def test_the_ratio_of_the_noise_scale():
    noise = statistics.noise_scale(some_passes(5))
    assert noise.ratio == noise.covariance_trace / noise.squared_norm


D, K, C, N = 784, 100, 10, 256


@pytest.fixture(scope="module")
def digits():
    return digits_sized((D, K, C), N)


@pytest.mark.slow
def test_float32_at_the_size_of_mnist(digits):
    """Within 1e-5 of autodiff in float64, differences of two means included."""
    params, x, y = digits
    passes = batch.passes(params, x, y, (relu, sigmoid))
    v = random_net((D, K, C), dtype="float32", seed=1)[0]
    weights = weights_for(N).astype(jnp.float32)
    max_norm = float(jnp.median(statistics.gradient_norms(passes)))
    got = every_statistic(passes, weights, v, passes[OTHER], max_norm)
    assert {leaf.dtype for leaf in jax.tree.leaves(got)} == {np.dtype(np.float32)}

    wide = jax.tree.map(lambda a: a.astype(jnp.float64), (params, x, y))
    gradient = partial(jax.grad(oracle.loss), phi1=oracle.PHI["relu"], phi2=oracle.PHI["sigmoid"])
    leaves = jax.jit(jax.vmap(gradient, in_axes=(None, 0, 0)))(*wide)
    gradients = np.concatenate([leaf.reshape(N, -1) for leaf in leaves], axis=1)
    expected = expected_statistics(gradients, params, weights, v, gradients[OTHER], max_norm)
    for name, value in got.items():
        assert_close(value, expected[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name != "per_example_gradients"])
def test_no_gradient_per_example_in_memory(digits, name):
    """Beside its result, a statistic needs less than one gradient's memory for every 40 examples, variance for 20,
    which holds x0, its square, and both centred.
    """
    passes = batch.passes(*digits)
    weights = jnp.ones(N, jnp.float32)
    program = jax.jit(lambda *args: every_statistic(*args)[name])
    memory = program.lower(passes, weights, passes.params, passes[OTHER]).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 4 * N * D * K / (20 if name == "variance" else 40)


def test_in_a_scanned_training_loop():
    """Clipped steps in lax.scan are the steps of a Python loop."""
    params, x, y = random_net(n=6)
    batches = x.reshape(3, 2, -1), y.reshape(3, 2, -1)

    def step(params, examples):
        passes = batch.passes(params, *examples)
        gradient = statistics.clipped_gradient(passes, 0.5)
        read = statistics.gradient_norms(passes), statistics.noise_scale(passes)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), read

    scanned, read = jax.lax.scan(step, params, batches)
    for i in range(3):
        params, expected = step(params, take(batches, i))
        assert_close(take(read, i), expected)
    assert_close(scanned, params)


def test_gram_by_blocks_of_rows():
    """The recipe in the docstring of `gram`."""
    passes, u = some_passes(6), weights_for(6)
    rows = jax.lax.map(lambda rows: statistics.gram(passes[rows], passes) @ u, jnp.arange(6).reshape(-1, 2)).ravel()
    assert_close(rows, statistics.gram(passes) @ u)


# Where numbers are extreme. Of one hidden unit and one class, every gradient can be written down by hand.


def tiny(delta1, delta2, dtype="float32", x0=3.0, x1=0.0):
    """Passes with one input, one hidden unit, one class, of as many examples as deltas."""
    delta1, delta2 = (jnp.asarray(delta, dtype)[:, None] for delta in (delta1, delta2))
    x0, x1 = jnp.full_like(delta1, x0), jnp.full_like(delta1, x1)
    params, _, _ = random_net((1, 1, 1), dtype=dtype)
    return Passes(params, Trace(x0, x1, x1, x1, x1), Deltas(delta1, delta2), y=x1, phi=sigmoid)


def gradient(passes):
    return batch.gradient(passes.trace, passes.deltas)


def test_a_zero_gradient():
    passes = tiny([0, 0, 0], [0, 0, 0])
    assert not np.any(statistics.gradient_norms(passes))
    for max_norm in (0.0, 1.0, np.inf):
        assert_close(statistics.clipped_gradient(passes, max_norm), gradient(passes))
    assert_close(statistics.variance(passes), gradient(passes))
    noise = statistics.noise_scale(passes)
    assert noise.covariance_trace == noise.squared_norm == 0
    assert np.isnan(noise.ratio)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("max_norm", [0.0, 1.0, np.inf])
def test_a_gradient_that_is_not_finite_shows_in_the_clipped_mean(bad, max_norm):
    passes = tiny([1, bad, 1], [1, 1, 1])
    assert list(np.isnan(statistics.gradient_norms(passes))) == [False, True, False]
    assert np.all(np.isnan(statistics.clipped_gradient(passes, max_norm).W1))


def test_max_norm():
    passes = some_passes(5)
    clip = partial(statistics.clipped_gradient, passes)
    assert_close(clip(jnp.inf), gradient(passes))
    assert_close(clip(10**6), gradient(passes))
    assert_close(clip(0), jax.tree.map(jnp.zeros_like, passes.params))
    assert_close(clip(np.float32(0.5)), clip(0.5))
    assert all(np.all(np.isnan(leaf)) for leaf in clip(jnp.nan))


def test_one_example_less_moves_the_clipped_sum_by_its_own_clipped_gradient():
    """Which is no longer than the bound."""
    passes, bound, everybody = some_passes(5, dtype="float32"), 0.7, jnp.ones(5, bool)
    norms = np.asarray(statistics.gradient_norms(passes))
    assert norms.min() < bound < norms.max()
    whole = ravel_pytree(statistics.clipped_sum(passes, bound, everybody))[0]
    for i, norm in enumerate(norms):
        without = ravel_pytree(statistics.clipped_sum(passes, bound, everybody.at[i].set(False)))[0]
        moved = np.linalg.norm(whole - without)
        assert moved <= bound * (1 + 1e-6)
        assert moved == pytest.approx(min(norm, bound), rel=1e-5)


@pytest.mark.parametrize("held", [np.nan, np.inf, 1e30])
def test_padding_may_hold_anything(held):
    passes, mask = some_passes(5), jnp.array([True, False, True, True, False])
    padded = jax.tree.map(lambda a: jnp.where(mask[:, None], a, held), (passes.trace, passes.deltas, passes.y))
    got = statistics.clipped_sum(Passes(passes.params, *padded, passes.phi), MAX_NORM, mask)
    assert_close(got, statistics.clipped_sum(passes[mask], MAX_NORM, jnp.ones(3, bool)))
    nobody = statistics.clipped_sum(Passes(passes.params, *padded, passes.phi), MAX_NORM, jnp.zeros(5, bool))
    assert not any(np.any(leaf) for leaf in nobody)


@pytest.mark.parametrize("size", [1e-45, 1e-37, 1e-30, 1e-20, 1.0, 1e20, 1e30, 2e37])
def test_norms_neither_underflow_nor_overflow(size):
    passes = tiny([size, 0, 4 * size], [0, size, 3 * size])
    expected = size * np.array([np.sqrt(10), 1, np.sqrt(16 * 10 + 9)])
    if size < np.finfo(np.float32).tiny:
        expected = np.zeros(3)
    assert_close(statistics.gradient_norms(passes), expected, 1e-6)
    if size > 1:
        clipped = statistics.clipped_gradient(passes, 1.0)
        assert np.sqrt(sum(np.sum(leaf**2) for leaf in clipped)) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
def test_saturated_units_leave_everything_finite(scale):
    params, x, y = random_net(n=5, dtype="float32")
    params = jax.tree.map(lambda a: scale * a, params)
    passes = batch.passes(params, x, y)
    got = every_statistic(passes, jnp.ones(5, jnp.float32), params, passes)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(got))


def test_variance_of_equal_gradients_is_a_rounding_and_never_negative():
    passes = tiny([0.7] * 7, [0.3] * 7, x1=0.7)  # for which the differences come out below 0
    for variance, square in zip(statistics.variance(passes), statistics.second_moment(passes), strict=True):
        assert np.all((variance >= 0) & (variance <= 1e-6 * square))
    assert 0 <= statistics.noise_scale(passes).covariance_trace < 1e-5


@pytest.mark.parametrize("largest", [1, 5, 6])  # for which they come out below 0, though x and δ vary
def test_variance_of_equal_products_is_a_rounding_and_never_negative(largest):
    delta = np.linspace(0.5, largest, 7)
    passes = tiny(delta, delta, x0=1 / delta[:, None], x1=1 / delta[:, None])
    variance = statistics.variance(passes)
    assert all(np.all((leaf >= 0) & (leaf < 1e-5)) for leaf in (variance.W1, variance.W2))


@pytest.mark.parametrize("largest", [3, 5, 6])
def test_a_trace_of_the_covariance_that_is_less_than_its_rounding_is_not_negative(largest):
    delta = np.linspace(0.5, largest, 7)
    passes = tiny(delta, delta, x0=1e5 / delta[:, None], x1=1e5 / delta[:, None])
    assert statistics.noise_scale(passes).covariance_trace >= 0


def wrong_calls():
    """Calls with one wrong argument, and what the message must say of it."""
    passes = some_passes(5)
    params, trace, x = passes.params, passes.trace, passes.trace.x0
    narrow = batch.passes(params._replace(W1=params.W1[:3]), x[:, :3], passes.y)
    unequal = replace(passes, deltas=passes[:2].deltas)
    return {
        "deltas of other examples": (
            lambda: statistics.squared_norms(unequal),
            r"deltas.delta1: expected float64 array of shape \(5, 4\), got float64 array of shape \(2, 4\)",
        ),
        "one example": (
            lambda: statistics.gradient_norms(passes[0]),
            r"trace.x0: expected .*\(n >= 1, 5\).*\(5,\)",
        ),
        "no example": (lambda: statistics.variance(passes[:0]), r"trace.x0: .*\(0, 5\)"),
        "a trace": (lambda: statistics.variance(trace), r"passes: expected the Passes of .*, got Trace"),
        "weights": (
            lambda: statistics.weighted_gradient(passes, jnp.ones((5, 1))),
            r"weights: expected float64 array of shape \(5,\), got float64 array of shape \(5, 1\)",
        ),
        "weights of integers": (
            lambda: statistics.weighted_gradient(passes, jnp.ones(5, int)),
            r"weights: expected float64 .*, got int64",
        ),
        "max_norm for each": (
            lambda: statistics.clipped_gradient(passes, jnp.ones(5)),
            r"max_norm: expected .* shape \(\), got float64 array of shape \(5,\)",
        ),
        "a mask of weights": (
            lambda: statistics.clipped_sum(passes, 1.0, jnp.ones(5)),
            r"mask: expected bool array of shape \(5,\), got float64 array of shape \(5,\)",
        ),
        "v": (
            lambda: statistics.directional(passes, params._replace(W2=params.W2.T)),
            r"v.W2: expected float64 array of shape \(4, 3\), got float64 array of shape \(3, 4\)",
        ),
        "v a flat array": (lambda: statistics.directional(passes, x), r"v.W1: expected .*, got NoneType"),
        "other a trace": (lambda: statistics.gram(passes, trace), r"other: expected the Passes of .*, got Trace"),
        "other of another net": (
            lambda: statistics.gram(passes, narrow),
            r"other.params.W1: expected float64 array of shape \(5, 4\), got float64 array of shape \(3, 4\)",
        ),
        "other that disagrees on m": (
            lambda: statistics.gram(passes, unequal),
            r"deltas.delta1: expected float64 array of shape \(5, 4\), got float64 array of shape \(2, 4\)",
        ),
    }


@pytest.mark.parametrize("name", list(wrong_calls()))
def test_a_wrong_argument_is_named(name):
    call, message = wrong_calls()[name]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.slow
def test_derivatives_where_one_gradient_is_zero():
    """Of the norms: those of the other examples. Of the clipped gradient: that one stays below any bound."""
    params, x, y = random_net(n=5)
    y = y.at[2].set(batch.forward(params, x).x2[2])
    others = np.array([0, 1, 3, 4])

    def norms(params, x, y):
        return jnp.sum(statistics.gradient_norms(batch.passes(params, x, y)))

    def clipped(params, x, y, max_norm):
        passes = batch.passes(params, x, y)
        return len(x) * ravel_pytree(statistics.clipped_gradient(passes, max_norm))[0]

    slope, jacobian = jax.jit(jax.grad(norms)), jax.jit(jax.jacfwd(clipped))
    assert_close(slope(params, x, y), slope(params, x[others], y[others]))
    got = jacobian(params, x, y, MAX_NORM)
    in_parts = [jacobian(params, x[rows], y[rows], c) for rows, c in ((others, MAX_NORM), (np.array([2]), np.inf))]
    assert_close(got, jax.tree.map(jnp.add, *in_parts))
    assert_close(jax.jit(jax.jacrev(clipped))(params, x, y, MAX_NORM), got)


def test_the_derivative_where_a_gradient_is_tiny_and_stays_as_it_is():
    passes = some_passes(3)
    tiny = jax.tree.map(lambda delta: delta.at[1].multiply(1e-200), passes.deltas)

    def slope(function):
        return jax.grad(lambda d: jnp.sum(ravel_pytree(function(replace(passes, deltas=d)))[0]))(tiny)

    clipped, plain = slope(lambda passes: statistics.clipped_gradient(passes, MAX_NORM)), slope(gradient)
    assert_close(take(clipped, 1), take(plain, 1))


def with_mean(mean, spread, n=256):
    """Passes of one parameter each, a 1-1-1 net of identities, whose gradients of b2 are mean ± spread."""
    params = Params(*(jnp.zeros(shape, jnp.float32) for shape in ((1, 1), 1, (1, 1), 1)))
    y = np.float32(mean + spread * np.random.default_rng(0).normal(size=(n, 1)))
    return batch.passes(params, jnp.ones((n, 1), jnp.float32), y, activations.identity), y


@pytest.mark.parametrize(("mean", "spread"), [(2000, 1), (1e6, 100), (0, 1), (-3e4, 1)])
def test_a_large_mean_gradient_costs_the_variance_no_digits(mean, spread):
    passes, y = with_mean(mean, spread)
    variance = y.astype(np.float64).var(ddof=1)
    assert float(statistics.variance(passes).b2[0]) == pytest.approx(variance, rel=1e-5)
    scale = statistics.noise_scale(passes)
    assert float(scale.covariance_trace) == pytest.approx(variance, rel=1e-5)
    squared_norm = y.astype(np.float64).mean() ** 2 - variance / len(y)
    assert float(scale.squared_norm) == pytest.approx(squared_norm, rel=1e-5, abs=1e-5 * variance)


def test_a_bound_below_zero_is_zero():
    passes = batch.passes(*random_net(n=5))
    for bound in (-1.0, jnp.float64(-1.0), -jnp.inf):
        assert not any(np.any(leaf) for leaf in statistics.clipped_gradient(passes, bound))
    traced = jax.jit(lambda bound: statistics.clipped_gradient(passes, bound))(-0.5)
    assert not any(np.any(leaf) for leaf in traced)
