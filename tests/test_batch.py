"""The batch: against network.py one example at a time, NumPy, and autodiff of its own loss; and what it costs."""

import inspect
import math
from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oracle
import reference
from compare import assert_close
from jaxmlp import batch, curvature, loss_and_gradient, network, statistics
from jaxmlp.activations import identity, relu, sigmoid, tanh
from jaxmlp.batch import Passes
from jaxmlp.network import Deltas, Params, Trace
from nets import DTYPES, PAIRS, SHAPES, SINGLES, phi_of, random_net, stack, take

N = 6
MIXED = ("tanh", "sigmoid")
SOME = [*zip(SINGLES, SINGLES, strict=True), MIXED]


def mean(trees):
    return jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), stack(trees))


def check_against_everything(net, hidden, output):
    params, x, y = net
    phi = phi_of(hidden, output)
    loss, gradient = batch.loss_and_gradient(params, x, y, phi)
    assert type(gradient) is Params
    assert {leaf.dtype for leaf in (loss, *gradient)} == {x.dtype}
    assert_close((loss, gradient), reference.mean_loss_and_gradient(params, x, y, hidden, output))
    assert_close((loss, gradient), jax.value_and_grad(batch.loss)(params, x, y, phi))


@pytest.mark.parametrize(("hidden", "output"), SOME)
def test_compiled(hidden, output):
    """In the dtype in which people train."""
    check_against_everything(random_net(n=N, dtype="float32"), hidden, output)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "n"), list(zip(SHAPES, [3, 1, 2, 5, 1], strict=True)))
def test_every_shape(shape, n, dtype):
    check_against_everything(random_net(shape, n=n, dtype=dtype, seed=2), *MIXED)


def derivatives(gradient, params):
    """A Hessian-vector product by jvp of this gradient, and the gradient of a function of it."""
    direction = random_net(seed=1)[0]

    def penalty(params):
        return sum(jnp.vdot(leaf, v + leaf) for leaf, v in zip(gradient(params), direction, strict=True))

    return jax.jvp(gradient, (params,), (direction,))[1], jax.grad(penalty)(params)


@cache
def of_every_pair():
    """For every pair of activations, in float64: the passes, then the same things by hand and by autodiff."""

    def both(phi, params, x, y):
        passes = batch.passes(params, x, y, phi)
        ours = derivatives(lambda params: batch.loss_and_gradient(params, x, y, phi)[1], params)
        theirs = derivatives(lambda params: jax.grad(batch.loss)(params, x, y, phi), params)
        ours = batch.loss_and_gradient(params, x, y, phi), ours
        theirs = jax.value_and_grad(batch.loss)(params, x, y, phi), theirs
        return (passes.trace, passes.deltas), ours, theirs

    return oracle.for_every_pair(both, *random_net(n=N))


@pytest.mark.parametrize("i", range(len(PAIRS)), ids=map("-".join, PAIRS))
def test_every_pair_of_activations(i):
    """Against NumPy and against autodiff, also in what autodiff makes of ours."""
    params, x, y = random_net(n=N)
    passes, ours, theirs = take(of_every_pair(), i)
    traces = [reference.forward(params, x0, *PAIRS[i]) for x0 in x]
    deltas = [reference.backward(params, *of_one, *PAIRS[i]) for of_one in zip(traces, y, strict=True)]
    assert_close(passes, (stack(traces), stack(deltas)))
    assert_close(ours[0], reference.mean_loss_and_gradient(params, x, y, *PAIRS[i]))
    assert_close(ours, theirs)


def test_every_function_is_a_python_loop_over_the_network():
    """Per-example values come unscaled; the loss and the gradient are means."""
    params, x, y = random_net(n=N)
    phi = phi_of(*MIXED)
    traces = [network.forward(params, x0, phi) for x0 in x]
    deltas = [network.backward(params, trace, target, phi) for trace, target in zip(traces, y, strict=True)]
    gradients = [network.gradient(*pair) for pair in zip(traces, deltas, strict=True)]
    losses = [network.loss(params, x0, target, phi) for x0, target in zip(x, y, strict=True)]

    trace = batch.forward(params, x, phi)
    delta = batch.backward(params, trace, y, phi)
    assert (type(trace), type(delta)) == (Trace, Deltas)
    assert_close(trace, stack(traces))
    assert_close(delta, stack(deltas))
    assert_close(batch.gradient(trace, delta), mean(gradients))
    assert_close(batch.loss(params, x, y, phi), mean(losses))
    assert_close(batch.loss_and_gradient(params, x, y, phi), (mean(losses), mean(gradients)))


def test_gradient_is_the_mean_of_the_outer_products():
    """The contraction over n against vmap and a mean, on arrays unrelated to each other."""
    normal = np.random.default_rng(1).normal
    trace = Trace(
        *(jnp.asarray(normal(size=(3, 3))) for _ in range(5))
    )  # n = D = K = C: no axis shows by its length
    deltas = Deltas(*(jnp.asarray(normal(size=(3, 3))) for _ in range(2)))
    gradient = batch.gradient(trace, deltas)
    assert type(gradient) is Params
    per_example = jax.vmap(network.gradient)(trace, deltas)
    assert_close(gradient, jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), per_example))


def test_backward_reads_the_trace_it_is_given():
    params = random_net((3, 3, 3))[0]
    normal = np.random.default_rng(1).normal
    trace = Trace(*(jnp.asarray(normal(size=(3, 3))) for _ in range(5)))
    y = jnp.asarray(normal(size=(3, 3)))
    expected = [reference.backward(params, [leaf[i] for leaf in trace], y[i], *MIXED) for i in range(3)]
    assert_close(batch.backward(params, trace, y, phi_of(*MIXED)), stack(expected))


def test_batch_of_one_is_the_example():
    params, x, y = random_net(n=1)
    trace = network.forward(params, x[0])
    expected = network.gradient(trace, network.backward(params, trace, y[0]))
    assert_close(batch.loss_and_gradient(params, x, y), (network.loss(params, x[0], y[0]), expected))


@pytest.mark.parametrize("scale", [1e-6, 1e3])
def test_every_scale(scale):
    with jax.disable_jit():
        check_against_everything(random_net(n=N, scale=scale), "identity", "identity")


def test_phi_defaults_to_sigmoid():
    for function in (batch.forward, batch.loss, batch.backward, batch.loss_and_gradient):
        assert inspect.signature(function).parameters["phi"].default is sigmoid
    params, x, y = random_net(n=N)
    assert_close(batch.loss_and_gradient(params, x, y), batch.loss_and_gradient(params, x, y, sigmoid))


def test_black_images_on_the_kink_of_relu():
    params, _, y = random_net(n=N, dtype="float32")
    params, x = params._replace(b1=jnp.zeros(4, jnp.float32)), jnp.zeros((N, 5), jnp.float32)
    loss, gradient = batch.loss_and_gradient(params, x, y, (relu, sigmoid))
    assert not gradient.W1.any()
    assert not gradient.b1.any()
    assert gradient.b2.all()
    assert_close((loss, gradient), jax.value_and_grad(batch.loss)(params, x, y, (relu, sigmoid)))


def test_nan_is_not_hidden():
    """One bad pixel in one example shows in the loss and in every leaf."""
    params, x, y = random_net(n=N)
    loss, gradient = batch.loss_and_gradient(params, x.at[3, 0].set(jnp.nan), y, identity)
    assert jnp.isnan(loss)
    assert all(jnp.isnan(leaf).any() for leaf in gradient)


class TestDropIn:
    """`loss_and_gradient` where `jax.value_and_grad(batch.loss)` was, with nothing else changed."""

    autodiff = staticmethod(jax.value_and_grad(batch.loss))

    def test_is_exported(self):
        assert loss_and_gradient is batch.loss_and_gradient

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_same_tree_shapes_and_dtypes(self, dtype):
        net = random_net(n=N, dtype=dtype)
        ours, theirs = (jax.eval_shape(function, *net) for function in (loss_and_gradient, self.autodiff))
        assert ours == theirs
        assert jax.tree.structure(ours) == jax.tree.structure(theirs)

    def test_phi_by_position_and_by_keyword(self):
        net = random_net(n=N)
        expected = self.autodiff(*net, tanh)
        assert_close(loss_and_gradient(*net, tanh), expected)
        assert_close(loss_and_gradient(*net, phi=tanh), expected)
        params, x, y = net
        assert_close(loss_and_gradient(params=params, x=x, y=y, phi=tanh), expected)

    def test_in_a_callers_jit(self):
        params, x, y = random_net(n=N)

        def step(function):
            loss, gradient = function(params, x, y, (relu, sigmoid))
            return loss, jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient)

        assert_close(jax.jit(step, static_argnums=0)(loss_and_gradient), step(self.autodiff))

    def test_under_vmap_over_an_ensemble(self):
        _, x, y = random_net(n=N)
        ensemble = stack([random_net(seed=seed)[0] for seed in range(3)])
        got, expected = (
            jax.vmap(function, in_axes=(0, None, None))(ensemble, x, y)
            for function in (loss_and_gradient, self.autodiff)
        )
        assert got[0].shape == (3,)
        assert_close(got, expected)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_in_a_scan(self, dtype):
        params, x, y = random_net(n=4 * N, dtype=dtype)
        batches = x.reshape(4, N, -1), y.reshape(4, N, -1)

        def train(function):
            def step(params, xy):
                loss, gradient = function(params, *xy)
                return jax.tree.map(lambda p, g: p - 0.5 * g, params, gradient), loss

            return jax.lax.scan(step, params, batches)

        assert_close(train(loss_and_gradient), train(self.autodiff))

    def test_takes_numpy_arrays(self):
        net = random_net(n=N)
        assert_close(loss_and_gradient(*jax.tree.map(np.asarray, net)), self.autodiff(*net))


def test_compiled_hessian_vector_product():
    params, x, y = random_net(n=N)
    direction = random_net(seed=1)[0]

    @partial(jax.jit, static_argnums=0)
    def product(gradient):
        return jax.jvp(lambda params: gradient(params, x, y), (params,), (direction,))[1]

    assert_close(product(lambda *net: batch.loss_and_gradient(*net)[1]), product(jax.grad(batch.loss)))


def equations(jaxpr):
    """Every equation of a jaxpr and of the jaxprs inside it."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in equation.params.values():
            if hasattr(inner, "eqns"):
                yield from equations(inner)


def test_no_per_example_gradient_is_materialised():
    """Nothing on the way is as large as one leaf of per-example gradients: not as traced, not as compiled."""
    D, K, C, n = 40, 30, 20, 64
    net = random_net((D, K, C), n, "float32")
    traced = jax.make_jaxpr(batch.loss_and_gradient)(*net)
    sizes = [math.prod(result.aval.shape) for equation in equations(traced.jaxpr) for result in equation.outvars]
    assert n * D <= max(sizes) < n * K * C  # the transposed input is the largest
    memory = batch.loss_and_gradient.lower(*net).compile().memory_analysis()
    assert memory.temp_size_in_bytes < n * K * C * 4


@pytest.mark.slow
def test_sixty_thousand_rows():
    """jax 0.10.2 on CPU sums a jitted batch of more than 32,000 rows wrongly (jax issue 39103)."""
    D, K, C, n = 784, 30, 10, 60_000
    random = np.random.default_rng(0)
    params = Params(*(random.normal(size=s).astype(np.float32) / 8 for s in ((D, K), (K,), (K, C), (C,))))
    x = random.random((n, D), np.float32)
    y = np.eye(C, dtype=np.float32)[random.integers(C, size=n)]

    phi, prime, _ = reference.ACTIVATIONS["sigmoid"]
    W1, b1, W2, b2 = (leaf.astype(float) for leaf in params)
    loss, gradient = 0.0, [np.zeros(leaf.shape) for leaf in params]
    for rows in np.split(np.arange(n), 20):
        x0 = x[rows].astype(float)
        z1 = x0 @ W1 + b1
        x1 = phi(z1)
        z2 = x1 @ W2 + b2
        x2 = phi(z2)
        loss += np.sum((x2 - y[rows]) ** 2) / 2 / n
        delta2 = (x2 - y[rows]) * prime(z2) / n
        delta1 = (delta2 @ W2.T) * prime(z1)
        for total, part in zip(gradient, (x0.T @ delta1, delta1.sum(0), x1.T @ delta2, delta2.sum(0)), strict=True):
            total += part

    x, y = jnp.asarray(x), jnp.asarray(y)
    assert_close(batch.loss(params, x, y), loss)
    assert_close(batch.loss_and_gradient(params, x, y), (loss, gradient))


def test_deterministic():
    net = random_net(n=N, dtype="float32")
    first, again = (jax.tree.leaves(batch.loss_and_gradient(*net)) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


class TestPasses:
    """A batch and what its passes computed, handed over whole."""

    def test_they_are_what_forward_and_backward_give(self):
        params, x, y = random_net(n=N)
        passes = batch.passes(params, x, y, phi_of(*MIXED))
        trace = batch.forward(params, x, phi_of(*MIXED))
        assert_close(passes.trace, trace)
        assert_close(passes.deltas, batch.backward(params, trace, y, phi_of(*MIXED)))
        assert passes.phi == phi_of(*MIXED)
        assert passes.y is y or np.array_equal(passes.y, y)
        assert_close(passes.params, params)
        assert batch.passes(params, x, y).phi is sigmoid

    def test_a_tree_of_arrays_in_which_phi_is_static(self):
        passes = batch.passes(*random_net(n=N), tanh)
        leaves, structure = jax.tree.flatten(passes)
        assert len(leaves) == len(Params._fields) + len(Trace._fields) + len(Deltas._fields) + 1
        assert structure.unflatten(leaves).phi is tanh
        assert structure != jax.tree.structure(replace(passes, phi=relu))

        traced = []

        @jax.jit
        def norms(passes):
            traced.append(passes.phi)
            return statistics.gradient_norms(passes)

        for phi in (tanh, tanh, relu):  # the second call finds the first one's program
            norms(replace(passes, phi=phi))
        assert traced == [tanh, relu]

    @pytest.mark.parametrize("rows", [slice(1, 4), np.array([3, 0, 3]), jnp.array([2])], ids=str)
    def test_some_rows_are_the_passes_of_those_examples(self, rows):
        params, x, y = random_net(n=N)
        some, alone = batch.passes(params, x, y)[rows], batch.passes(params, x[rows], y[rows])
        assert type(some) is Passes
        assert_close(some, alone)
        assert some.phi is alone.phi
        assert_close(curvature.hessian_diagonal(some), curvature.hessian_diagonal(alone))

    def test_under_vmap_over_stacked_params(self):
        _, x, y = random_net(n=N)
        ensemble = [random_net(seed=seed)[0] for seed in range(3)]

        def of_one(params):
            passes = batch.passes(params, x, y, tanh)
            return statistics.gradient_norms(passes), curvature.hessian_diagonal(passes)

        assert_close(jax.vmap(of_one)(stack(ensemble)), stack([of_one(params) for params in ensemble]))
        passes = jax.vmap(lambda params: batch.passes(params, x, y, tanh))(stack(ensemble))  # out, and in again
        assert_close(jax.vmap(statistics.gradient_norms)(passes), stack([of_one(params)[0] for params in ensemble]))

    def test_in_a_scan(self):
        params, x, y = random_net(n=4 * N)
        batches = x.reshape(4, N, -1), y.reshape(4, N, -1)
        _, passes = jax.lax.scan(lambda p, xy: (p, batch.passes(p, *xy, tanh)), params, batches)
        for i in range(4):
            expected = batch.passes(params, *take(batches, i), tanh)
            assert_close((take(passes, i).trace, take(passes, i).deltas), (expected.trace, expected.deltas))

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            (lambda p, x, y: (p, x[0], y), r"^x: expected float64 array of shape \(n >= 1, 5\), got .*\(5,\)"),
            (
                lambda p, x, y: (p, x, y[:2]),
                r"^y \(one-hot\): expected float64 array of shape \(6, 3\), got .*\(2, 3\)",
            ),
            (lambda p, x, y: (tuple(p), x, y), r"^params: expected Params\(W1, b1, W2, b2\), got tuple"),
            (lambda p, x, y: (p, x, y, np.tanh), r"^phi: expected an Activation or a pair"),
        ],
        ids=["x", "y", "params", "phi"],
    )
    def test_a_wrong_argument_is_named(self, wrong, message):
        with pytest.raises(ValueError, match=message):
            batch.passes(*wrong(*random_net(n=N)))
