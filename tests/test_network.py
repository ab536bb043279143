"""One example: each equation against NumPy written from the notes, autodiff, and central differences."""

import inspect
import itertools
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oracle
import reference
from compare import assert_close
from jaxmlp import network
from jaxmlp.activations import ACTIVATIONS, identity, relu, sigmoid, tanh
from jaxmlp.network import Deltas, Params, Trace
from nets import DTYPES, PAIRS, SHAPES, SINGLES, phi_of, random_net, take

MIXED = ("tanh", "sigmoid")


def hand_gradient(params, x0, y, phi=sigmoid):
    """Forward, backward and gradient in a row, as a user writes them."""
    trace = network.forward(params, x0, phi)
    return network.gradient(trace, network.backward(params, trace, y, phi))


def assert_all_equations(net, hidden, output, phi):
    """F1 to F4, L, B1, B2 and G1 to G4 of one example, against NumPy and against autodiff."""
    params, x0, y = net
    trace = network.forward(params, x0, phi)
    deltas = network.backward(params, trace, y, phi)
    gradient = network.gradient(trace, deltas)
    assert (type(trace), type(deltas), type(gradient)) == (Trace, Deltas, Params)
    assert {leaf.dtype for leaf in (*trace, *deltas, *gradient)} == {x0.dtype}

    expected = reference.forward(params, x0, hidden, output)
    expected_deltas = reference.backward(params, expected, y, hidden, output)
    assert_close(trace, expected)  # F1 to F4
    assert_close(network.loss(params, x0, y, phi), reference.loss(expected[4], np.asarray(y, float)))  # L
    assert_close(deltas, expected_deltas)  # B1, B2
    assert_close(gradient, reference.gradient(expected, expected_deltas))  # G1 to G4

    assert_close(gradient, jax.grad(network.loss)(params, x0, y, phi))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape(shape, dtype):
    assert_all_equations(random_net(shape, dtype=dtype, seed=2), *MIXED, phi_of(*MIXED))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SINGLES)
def test_a_single_activation(name, dtype):
    assert_all_equations(random_net(dtype=dtype, seed=2), name, name, ACTIVATIONS[name])


@pytest.mark.parametrize("scale", [1e-6, 1e3])
def test_every_scale(scale):
    """Nothing is clipped and nothing added: the equations hold at the small end and at the large end."""
    assert_all_equations(random_net(scale=scale), "identity", "identity", identity)
    assert_all_equations(random_net(scale=scale), "relu", "relu", relu)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus"])
def test_far_out_on_a_curve(name):
    """Where |z| is above 5 in either layer, slopes are small, and still what they are."""
    params, x0, y = random_net(scale=2.0, seed=1)
    trace = network.forward(params, x0, ACTIVATIONS[name])
    assert min(np.max(np.abs(z)) for z in (trace.z1, trace.z2)) > 5
    assert_all_equations((params, x0, y), name, name, ACTIVATIONS[name])


def test_one_hot_target():
    params, x0, _ = random_net()
    assert_all_equations((params, x0, jax.nn.one_hot(1, 3, dtype=x0.dtype)), *MIXED, phi_of(*MIXED))


def equations(phi, params, x0, y):
    """F1 to F4, L, B1, B2 and G1 to G4."""
    trace = network.forward(params, x0, phi)
    deltas = network.backward(params, trace, y, phi)
    return trace, network.loss(params, x0, y, phi), deltas, network.gradient(trace, deltas)


def autodiff(phi, params, x0, y):
    """The derivatives of L with respect to z1, z2 and the parameters; then of the gradient along a direction, and
    of a function of the gradient.
    """
    phi1, phi2 = phi

    def loss_of_z2(z2):
        return jnp.sum((phi2(z2) - y) ** 2) / 2

    def loss_of_z1(z1):
        return loss_of_z2(phi1(z1) @ params.W2 + params.b2)

    z1 = x0 @ params.W1 + params.b1
    z2 = phi1(z1) @ params.W2 + params.b2
    by_z = jax.grad(loss_of_z1)(z1), jax.grad(loss_of_z2)(z2)
    return by_z, derivatives(lambda params: jax.grad(network.loss)(params, x0, y, phi), params)


def derivatives(gradient, params):
    """The gradient itself, a Hessian-vector product by jvp of it, and the gradient of a function of it."""
    direction = random_net(seed=1)[0]

    def penalty(params):
        return sum(jnp.vdot(leaf, v + leaf) for leaf, v in zip(gradient(params), direction, strict=True))

    return gradient(params), jax.jvp(gradient, (params,), (direction,))[1], jax.grad(penalty)(params)


@cache
def of_every_pair():
    """(our equations, derivatives through our gradient, autodiff) for every pair of activations, in float64."""

    def both(phi, params, x0, y):
        ours = derivatives(lambda params: hand_gradient(params, x0, y, phi), params)
        return equations(phi, params, x0, y), ours, autodiff(phi, params, x0, y)

    return oracle.for_every_pair(both, *random_net())


@pytest.mark.parametrize("i", range(len(PAIRS)), ids=map("-".join, PAIRS))
def test_every_pair_of_activations(i):
    """F1 to F4, L, B1, B2 and G1 to G4 against NumPy and against autodiff, and what autodiff makes of ours."""
    params, x0, y = random_net()
    (trace, loss, deltas, gradient), ours, (by_z, theirs) = take(of_every_pair(), i)
    expected = reference.forward(params, x0, *PAIRS[i])
    expected_deltas = reference.backward(params, expected, y, *PAIRS[i])
    assert_close(trace, expected)  # F1 to F4
    assert_close(loss, reference.loss(expected[4], np.asarray(y)))  # L
    assert_close(deltas, expected_deltas)  # B1, B2
    assert_close(deltas, by_z)
    assert_close(gradient, reference.gradient(expected, expected_deltas))  # G1 to G4
    assert_close(ours, theirs)


@pytest.mark.parametrize("name", SINGLES)
def test_every_entry_against_central_differences(name):
    params, x0, y = random_net((3, 3, 3))
    phi, h = ACTIVATIONS[name], 1e-5

    def difference(leaf, entry):
        up, down = (
            network.loss(params._replace(**{leaf: getattr(params, leaf).at[entry].add(step)}), x0, y, phi)
            for step in (h, -h)
        )
        return (up - down) / (2 * h)

    gradient = hand_gradient(params, x0, y, phi)
    for leaf, got in gradient._asdict().items():
        entries = itertools.product(*map(range, got.shape))
        differences = np.array([difference(leaf, entry) for entry in entries]).reshape(got.shape)
        assert_close({leaf: got}, {leaf: differences}, tolerance=1e-7)


@pytest.mark.parametrize("name", SINGLES)
def test_backward_reads_the_trace_it_is_given(name):
    """With five unrelated arrays for a trace, no z can stand in for an x, nor one layer for the other."""
    phi, params = ACTIVATIONS[name], random_net((3, 3, 3))[0]
    normal = np.random.default_rng(1).normal
    trace = Trace(*(jnp.asarray(normal(size=3)) for _ in range(5)))
    y = jnp.asarray(normal(size=3))
    expected = reference.backward(params, trace, y, name, name)
    assert_close(network.backward(params, trace, y, phi), expected)


def test_gradient_reads_the_trace_and_deltas_it_is_given():
    normal = np.random.default_rng(1).normal
    trace = Trace(*(jnp.asarray(normal(size=3)) for _ in range(5)))
    deltas = Deltas(*(jnp.asarray(normal(size=3)) for _ in range(2)))
    assert_close(network.gradient(trace, deltas), reference.gradient(trace, deltas))


def test_phi_defaults_to_sigmoid():
    for function in (network.forward, network.loss, network.backward):
        assert inspect.signature(function).parameters["phi"].default is sigmoid
    assert_all_equations(random_net(), "sigmoid", "sigmoid", sigmoid)
    params, x0, y = random_net()
    assert_close(hand_gradient(params, x0, y), jax.grad(network.loss)(params, x0, y))


def test_black_image_on_the_kink_of_relu():
    """z1 = 0 for every unit: relu is off there, so no derivative reaches W1 and b1, and none is NaN."""
    params, _, y = random_net()
    params, x0 = params._replace(b1=jnp.zeros(4)), jnp.zeros(5)
    phi = (relu, sigmoid)
    gradient = hand_gradient(params, x0, y, phi)
    assert not gradient.W1.any()
    assert not gradient.b1.any()
    assert gradient.b2.all()
    assert_close(gradient, jax.grad(network.loss)(params, x0, y, phi))


def test_black_image_with_biases():
    params, x0, y = random_net()
    assert_all_equations((params, jnp.zeros_like(x0), y), *MIXED, phi_of(*MIXED))


def test_saturated_units_give_no_nan():
    params, x0, y = random_net(dtype="float32")
    params = params._replace(b1=jnp.full(4, -1e4, jnp.float32), b2=jnp.full(3, 1e4, jnp.float32))
    for name in SINGLES:
        assert all(jnp.isfinite(leaf).all() for leaf in hand_gradient(params, x0, y, ACTIVATIONS[name]))


def test_nan_is_not_hidden():
    """A run that diverges must show: one NaN among the inputs reaches the loss and every leaf of the gradient."""
    params, x0, y = random_net()
    x0 = x0.at[0].set(jnp.nan)
    for phi in (sigmoid, identity):  # the derivative of identity is 1 even there
        assert jnp.isnan(network.loss(params, x0, y, phi))
        assert all(jnp.isnan(leaf).any() for leaf in hand_gradient(params, x0, y, phi))


def test_larger_than_mnist():
    """No size is written into the code: not 784, not 30, not 10."""
    params, x0, y = random_net((1000, 2, 12), scale=0.1)
    assert_all_equations((params, x0, y), *MIXED, phi_of(*MIXED))


def test_under_jit():
    params, x0, y = random_net()
    jitted = jax.jit(hand_gradient, static_argnames="phi")
    for phi in (sigmoid, (tanh, sigmoid)):
        assert_close(jitted(params, x0, y, phi=phi), hand_gradient(params, x0, y, phi))


class TestInit:
    @pytest.mark.parametrize("name", ["inputs", "hidden", "outputs"])
    def test_a_layer_without_units_is_refused(self, name):
        for size in (0, -1):
            with pytest.raises(ValueError, match=f"^{name}: expected 1 or more, got {size}$"):
                network.init(jax.random.key(0), **{name: size})

    def test_shapes(self):
        def shapes(**sizes):
            params = jax.eval_shape(partial(network.init, **sizes), jax.random.key(0))
            assert type(params) is Params
            return [leaf.shape for leaf in params]

        assert shapes() == [(784, 30), (30,), (30, 10), (10,)]
        assert shapes(inputs=5, hidden=1, outputs=3) == [(5, 1), (1,), (1, 3), (3,)]

    def test_weights_are_normal_with_variance_one_over_fan_in(self):
        params = network.init(jax.random.key(0), 400, 300, 200)
        for W in (params.W1, params.W2):
            units = np.asarray(W) * np.sqrt(W.shape[0])
            assert abs(units.mean()) < 0.01
            assert abs(units.std() - 1) < 0.01
            assert abs(np.mean(np.abs(units) < 1) - 0.6827) < 0.01  # a uniform law has 0.577 there

    def test_biases_are_zero(self):
        params = network.init(jax.random.key(0), 3, 3, 3)
        assert not params.b1.any()
        assert not params.b2.any()

    def test_follows_the_key_alone(self):
        first, again, other = (network.init(jax.random.key(seed), 3, 3, 3) for seed in (0, 0, 1))
        for a, b in zip(first, again, strict=True):
            np.testing.assert_array_equal(a, b)
        assert not jnp.isin(other.W1, first.W1).any()
        assert not jnp.isin(other.W2, first.W2).any()

    def test_the_two_layers_are_drawn_apart(self):
        params = network.init(jax.random.key(0), 3, 3, 3)
        assert not jnp.isin(params.W2, params.W1).any()

    def test_default_dtype(self):
        assert {leaf.dtype for leaf in network.init(jax.random.key(0), 3, 3, 3)} == {jnp.dtype("float64")}
        with jax.enable_x64(False):
            assert {leaf.dtype for leaf in network.init(jax.random.key(0), 3, 3, 3)} == {jnp.dtype("float32")}
