"""Curvature: against the Hessian and the Jacobian by autodiff, and where units are saturated."""

from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import oracle
from compare import assert_close
from jaxmlp import batch, curvature
from jaxmlp.activations import relu, sigmoid
from nets import PAIRS, digits_sized, random_net, take

SIZES = [pytest.param(1, marks=pytest.mark.slow), 5]
OTHER = np.array([3, 0, 2])  # another batch, made of some of the same examples


def every_quantity(passes, v, other):
    return {
        "hessian_diagonal": curvature.hessian_diagonal(passes),
        "hessian_traces": curvature.hessian_traces(passes),
        "gauss_newton_diagonal": curvature.gauss_newton_diagonal(passes),
        "kronecker_factors": curvature.kronecker_factors(passes),
        "empirical_kronecker_factors": curvature.kronecker_factors(passes, kind="empirical"),
        "hessian_vector_product": curvature.hessian_vector_product(passes, v),
        "gauss_newton_vector_product": curvature.gauss_newton_vector_product(passes, v),
        "tangent_kernel": curvature.tangent_kernel(passes),
        "tangent_kernel_with_other": curvature.tangent_kernel(passes, other),
    }


def mean_square(rows):
    """The mean over the first axis of row rowᵀ; (n, C, K) has C rows for each of n examples."""
    return sum(np.outer(row, row) for row in rows.reshape(-1, rows.shape[-1])) / len(rows)


def expected_quantities(derivatives, params, x, v, rows):
    """From the plain definitions."""
    x1, gradients, hessians, jacobians = derivatives
    n = len(x)
    v = ravel_pytree(v)[0]
    gauss_newtons = [J.T @ J for J in jacobians]
    kernel = np.einsum("nkp,mlp->nkml", jacobians, jacobians)
    by_biases = oracle.split(jacobians, params)  # ∂x2/∂b is ∂x2/∂z
    deltas = oracle.split(gradients, params)
    ones = np.ones((n, 1))
    A1, A2 = mean_square(np.hstack([x, ones])), mean_square(np.hstack([x1, ones]))
    flat = {
        "hessian_diagonal": np.diag(np.mean(hessians, axis=0)),
        "gauss_newton_diagonal": np.diag(sum(gauss_newtons) / n),
        "hessian_vector_product": np.mean(hessians, axis=0) @ v,
        "gauss_newton_vector_product": sum(gauss_newtons) / n @ v,
    }
    return {name: oracle.split(leaves, params) for name, leaves in flat.items()} | {
        "hessian_traces": np.trace(hessians, axis1=1, axis2=2),
        "kronecker_factors": (A1, mean_square(by_biases.b1), A2, mean_square(by_biases.b2)),
        "empirical_kronecker_factors": (A1, mean_square(deltas.b1), A2, mean_square(deltas.b2)),
        "tangent_kernel": kernel,
        "tangent_kernel_with_other": kernel[:, :, rows],
    }


@cache
def net_and_results(n):
    """What jaxmlp says of a net, what autodiff says, and its derivatives, for all pairs of activations."""
    params, x, y = random_net(n=n)
    v = random_net(seed=1)[0]
    rows = OTHER % n

    def ours(phi, params, x, y):
        passes = batch.passes(params, x, y, phi)
        return every_quantity(passes, v, passes[rows])

    got = oracle.for_every_pair(ours, params, x, y)
    derivatives = oracle.derivatives_of_every_pair(params, x, y)
    expected = [expected_quantities(take(derivatives, i), params, x, v, rows) for i in range(len(PAIRS))]
    return params, got, expected, derivatives


def names():
    passes = batch.passes(*random_net(n=2))
    return list(jax.eval_shape(every_quantity, passes, passes.params, passes))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", names())
def test_every_pair_of_activations_against_autodiff(name, n):
    _, got, expected, _ = net_and_results(n)
    for i in range(len(PAIRS)):
        assert_close(take(got[name], i), expected[i][name])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kronecker_factors", "empirical_kronecker_factors"])
def test_kronecker_factors_of_one_example_are_exact(kind):
    """A_l ⊗ G_l is then layer l's block of JᵀJ, or of g gᵀ."""
    params, got, _, derivatives = net_and_results(1)
    layer1 = slice(0, params.W1.size + params.b1.size)
    layer2 = slice(layer1.stop, None)
    rows = derivatives.jacobians if kind == "kronecker_factors" else derivatives.gradients[:, :, None]
    for i in range(len(PAIRS)):
        A1, G1, A2, G2 = take(got[kind], i)
        for A, G, layer in ((A1, G1, layer1), (A2, G2, layer2)):
            assert_close(np.kron(A, G), mean_square(rows[i][..., layer]))


D, K, C, N = 784, 100, 10, 256


@pytest.fixture(scope="module")
def digits():
    return digits_sized((D, K, C), N)


@pytest.mark.slow
def test_float32_at_the_size_of_mnist(digits):
    """Within 1e-5 of autodiff in float64.

    The Hessian of 79,510 rows is too large to hold: of the diagonals, ten random entries a leaf are compared, and
    of the tangent kernel two columns.
    """
    params, x, y = digits
    v = random_net((D, K, C), dtype="float32", seed=1)[0]
    passes = batch.passes(params, x, y, (relu, sigmoid))
    got = every_quantity(passes, v, passes[OTHER])
    assert {leaf.dtype for leaf in jax.tree.leaves(got)} == {np.dtype(np.float32)}

    params, x, y, v = jax.tree.map(lambda a: a.astype(jnp.float64), (params, x, y, v))
    theta, unravel = ravel_pytree(tuple(params))

    def predict(theta, x):
        return jax.vmap(lambda x0: oracle.predict(unravel(theta), x0, oracle.PHI["relu"], oracle.PHI["sigmoid"]))(x)

    def mean_loss(theta, x):
        return jnp.sum((predict(theta, x) - y) ** 2) / (2 * N)

    @jax.jit
    def along(v, theta, x):
        """Hv, Jv and JᵀJv / n."""
        Jv = jax.jvp(lambda theta: predict(theta, x), (theta,), (v,))[1]
        Hv = jax.jvp(lambda theta: jax.grad(mean_loss)(theta, x), (theta,), (v,))[1]
        return Hv, Jv, jax.vjp(lambda theta: predict(theta, x), theta)[1](Jv)[0] / N

    Hv, _, JTJv = along(ravel_pytree(v)[0], theta, x)
    assert_close(got["hessian_vector_product"], oracle.split(Hv, params))
    assert_close(got["gauss_newton_vector_product"], oracle.split(JTJv, params))

    random = np.random.default_rng(2)
    for leaf in oracle.split(np.arange(theta.size), params):
        entries = random.choice(leaf.ravel(), 10)
        products = [along(jnp.zeros_like(theta).at[entry].set(1), theta, x) for entry in entries]
        for name, i in (("hessian_diagonal", 0), ("gauss_newton_diagonal", 2)):
            diagonal = np.array([product[i][entry] for product, entry in zip(products, entries, strict=True)])
            assert_close(ravel_pytree(got[name])[0][entries], diagonal)

    for m, k in ((0, 1), (2, 7)):
        row = jax.grad(lambda theta, m=m, k=k: predict(theta, x)[OTHER[m], k])(theta)
        assert_close(got["tangent_kernel_with_other"][:, :, m, k], along(row, theta, x)[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hessian_diagonal", "hessian_traces", "gauss_newton_diagonal"])
def test_no_tensor_of_units_by_units_by_examples_in_memory(digits, name):
    """The diagonals need about the memory of x0², (n, D), and far from n·K·K."""
    program = getattr(curvature, name).lower(batch.passes(*digits))
    assert program.compile().memory_analysis().temp_size_in_bytes < 4 * N * (D + 3 * K)


@pytest.mark.slow
def test_no_jacobian_in_memory(digits):
    """Beside one more of its results, the tangent kernel needs about S, (n, C, K), of both batches."""
    passes = batch.passes(*digits)
    memory = curvature.tangent_kernel.lower(passes, passes[OTHER]).compile().memory_analysis()
    assert memory.temp_size_in_bytes < memory.output_size_in_bytes + 4 * N * (C * K * 1.5 + D)


@pytest.mark.slow
def test_exact_kronecker_factors_hold_one_output_at_a_time(digits):
    memory = curvature.kronecker_factors.lower(batch.passes(*digits)).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 4 * N * (2 * D + 5 * K) + 4 * 4 * K * K


def test_in_a_scanned_training_loop():
    """Steps preconditioned by the Gauss-Newton diagonal in lax.scan are the steps of a Python loop."""
    params, x, y = random_net(n=6)
    batches = x.reshape(3, 2, -1), y.reshape(3, 2, -1)

    def step(params, examples):
        passes = batch.passes(params, *examples)
        gradient = batch.gradient(passes.trace, passes.deltas)
        scale = curvature.gauss_newton_diagonal(passes)
        product = curvature.hessian_vector_product(passes, gradient)
        return jax.tree.map(lambda p, g, s: p - 0.1 * g / (s + 1), params, gradient, scale), product

    scanned, read = jax.lax.scan(step, params, batches)
    for i in range(3):
        params, expected = step(params, take(batches, i))
        assert_close(take(read, i), expected)
    assert_close(scanned, params)


def test_tangent_kernel_by_blocks_of_rows():
    """The recipe in the docstring of `tangent_kernel`."""
    passes = batch.passes(*random_net(n=6))
    u = jnp.asarray(np.random.default_rng(1).normal(size=passes.y.shape))

    def block(rows):
        return jnp.einsum("nkml,ml->nk", curvature.tangent_kernel(passes[rows], passes), u)

    got = jax.lax.map(block, jnp.arange(6).reshape(-1, 2)).reshape(u.shape)
    assert_close(got, jnp.einsum("nkml,ml->nk", curvature.tangent_kernel(passes), u))


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
def test_saturated_units_leave_everything_finite(scale):
    params, x, y = random_net(n=5, dtype="float32")
    params = jax.tree.map(lambda a: scale * a, params)
    passes = batch.passes(params, x, y)
    got = every_quantity(passes, params, passes)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(got))
    assert all(np.all(leaf >= 0) for leaf in got["gauss_newton_diagonal"])


def wrong_calls():
    """A call with one wrong argument, and what the message must say of it."""
    passes = batch.passes(*random_net(n=5))
    params, trace, y = passes.params, passes.trace, passes.y
    wide = replace(passes, trace=trace._replace(z2=trace.z1))
    product, kernel = (partial(f, passes) for f in (curvature.hessian_vector_product, curvature.tangent_kernel))
    return {
        "y": (
            lambda: curvature.hessian_diagonal(replace(passes, y=y[0])),
            r"y \(one-hot\): expected float64 .*\(5, 3\), got .*\(3,\)",
        ),
        "deltas": (
            lambda: curvature.hessian_diagonal(replace(passes, deltas=passes[:2].deltas)),
            r"deltas.delta1: expected .*\(5, 4\)",
        ),
        "trace": (lambda: curvature.hessian_traces(wide), r"trace.z2: expected .*\(5, 3\)"),
        "phi": (
            lambda: curvature.hessian_diagonal(replace(passes, phi=np.tanh)),
            r"phi: expected an Activation or a pair",
        ),
        "kind": (
            lambda: curvature.kronecker_factors(passes, kind="sampled"),
            r"kind: .*'empirical', got 'sampled'",
        ),
        "v": (lambda: product(params._replace(b1=y)), r"v.b1: expected .*\(4,\), got .*\(5, 3\)"),
        "other": (lambda: kernel(passes.deltas), r"other: expected the Passes of batch.passes, got Deltas"),
        "other.z2": (lambda: kernel(wide), r"trace.z2: expected .*\(5, 3\)"),
        "no batch": (lambda: curvature.tangent_kernel(passes[0]), r"trace.x0: expected .*\(n >= 1, 5\).*\(5,\)"),
        "not passes": (lambda: curvature.tangent_kernel(trace), r"passes: expected the Passes of .*, got Trace"),
    }


@pytest.mark.parametrize("name", list(wrong_calls()))
def test_a_wrong_argument_is_named(name):
    call, message = wrong_calls()[name]
    with pytest.raises(ValueError, match=message):
        call()
