"""Every function of network, batch, statistics and curvature on a mesh: the same numbers as on one device, laid
out as expected, and nothing sent but what must be.
"""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from collectives import collectives
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxmlp import activations, adversarial, batch, curvature, network, statistics
from jaxmlp.network import Params
from jaxmlp.sharding import ARGUMENTS
from nets import random_net

n, D, K, C = 16, 12, 8, 4
PHI = (activations.tanh, activations.sigmoid)
HOST = jax.tree.map(np.asarray, random_net((D, K, C), n))
V = jax.tree.map(np.asarray, random_net((D, K, C), n, seed=1)[0])
WEIGHTS = np.linspace(-1, 1, n)


def of_passes(function, *more, **options):
    return lambda params, x, y, v, w: function(
        batch.passes(params, x, y, PHI), *({"v": v, "w": w}.get(a, a) for a in more), **options
    )


def pairwise(function):
    def of_two(params, x, y, v, w):
        passes = batch.passes(params, x, y, PHI)
        return function(passes, passes)

    return of_two


FUNCTIONS = {
    "forward": lambda params, x, y, v, w: batch.forward(params, x, PHI),
    "loss": lambda params, x, y, v, w: batch.loss(params, x, y, phi=PHI),
    "backward": lambda params, x, y, v, w: batch.backward(params, batch.forward(params, x, PHI), y, PHI),
    "gradient": lambda params, x, y, v, w: batch.gradient(*_trace_and_deltas(params, x, y)),
    "loss_and_gradient": lambda params, x, y, v, w: batch.loss_and_gradient(params, x, y, PHI),
    "passes": lambda params, x, y, v, w: batch.passes(params, x, y, PHI),
    "mean_loss": lambda params, x, y, v, w: batch.mean_loss(batch.forward(params, x, PHI), y),
    "per_example_gradients": of_passes(statistics.per_example_gradients),
    "squared_norms": of_passes(statistics.squared_norms),
    "gradient_norms": of_passes(statistics.gradient_norms),
    "weighted_gradient": of_passes(statistics.weighted_gradient, "w"),
    "clipped_gradient": of_passes(statistics.clipped_gradient, 1.0),
    "clipped_sum": lambda params, x, y, v, w: statistics.clipped_sum(batch.passes(params, x, y, PHI), 1.0, w > 0),
    "clipped_deltas": of_passes(statistics.clipped_deltas, 1.0),
    "second_moment": of_passes(statistics.second_moment),
    "variance": of_passes(statistics.variance),
    "gram": of_passes(statistics.gram),
    "gram of two": pairwise(statistics.gram),
    "directional": of_passes(statistics.directional, "v"),
    "noise_scale": of_passes(statistics.noise_scale),
    "hessian_diagonal": of_passes(curvature.hessian_diagonal),
    "hessian_traces": of_passes(curvature.hessian_traces),
    "gauss_newton_diagonal": of_passes(curvature.gauss_newton_diagonal),
    "kronecker_factors": of_passes(curvature.kronecker_factors),
    "kronecker_factors empirical": of_passes(curvature.kronecker_factors, kind="empirical"),
    "hessian_vector_product": of_passes(curvature.hessian_vector_product, "v"),
    "gauss_newton_vector_product": of_passes(curvature.gauss_newton_vector_product, "v"),
    "tangent_kernel": of_passes(curvature.tangent_kernel),
    "tangent_kernel of two": pairwise(curvature.tangent_kernel),
    "moved_inputs": lambda params, x, y, v, w: adversarial.moved_inputs(batch.passes(params, x, y, PHI), y, 0.5),
}


def _trace_and_deltas(params, x, y):
    passes = batch.passes(params, x, y, PHI)
    return passes.trace, passes.deltas


def test_no_function_is_left_out():
    public = {
        name
        for module in (batch, statistics, curvature, adversarial)
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == module.__name__ and hasattr(value, "__wrapped__")
    }
    assert public == {"input_gradient", *(name.split()[0] for name in FUNCTIONS)}  # it is of one example


# One program a function: with dozens of independent collectives in one program, XLA's CPU devices may lock up.
SOME = ("loss_and_gradient", "gram of two")


@pytest.fixture(scope="module")
def on_one_device():
    return {name: function(*HOST, V, WEIGHTS) for name, function in FUNCTIONS.items()}


LAYOUTS = {  # of Params, x, y
    "units": (Params(P(None, "d"), P("d"), P("d", None), P()), P(), P()),
    "batch": (Params(P(), P(), P(), P()), P("d"), P("d")),
    "inputs": (Params(P("d"), P(), P(), P()), P(None, "d"), P()),
    "inputs of params, and batch": (Params(P("d"), P(), P(), P()), P("d"), P("d")),
    "outputs": (Params(P(), P(), P(None, "d"), P("d")), P(), P(None, "d")),
}


def arguments(layout, kind):
    """(params, x, y, v, weights) on a mesh of four devices."""
    mesh = jax.make_mesh((4,), ("d",), axis_types=(kind,))
    of_params, of_x, of_y = LAYOUTS[layout]
    put = partial(jax.tree.map, lambda array, spec: jax.device_put(array, NamedSharding(mesh, spec)))
    params, x, y = HOST
    of_weights = P(*of_y[:1])
    return mesh, (
        put(params, of_params),
        put(x, of_x),
        put(y, of_y),
        put(V, of_params),
        put(WEIGHTS, of_weights),
    )


def assert_equal(got, expected, tolerance=1e-12):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(a), b, rtol=tolerance, atol=tolerance)


def reduced(*shapes):
    return [("all-reduce", shape) for shape in shapes]


F3 = (C, n)  # the sum over the units of W2ᵀx1

OVER_UNITS = {  # what is summed over the devices that share the units; of all others, F3 alone
    "squared_norms": reduced(F3, (n,), (n,)),
    "gradient_norms": reduced(F3, (n,), (n,), (n,)),
    "clipped_gradient": reduced(F3, (n,), (n,), (n,)),
    "clipped_sum": reduced(F3, (n,), (n,), (n,)),
    "clipped_deltas": reduced(F3, (n,), (n,), (n,)),
    "gram": reduced(F3, (n, n), (n, n)),
    "gram of two": reduced(F3, (n, n), (n, n)),
    "noise_scale": reduced(*4 * [()], F3, *2 * [(D,)], *5 * [(n,)]),
    "directional": reduced(F3, (n,), (C, n)),
    "hessian_traces": reduced(F3, (n,), (n,)),
    "hessian_vector_product": reduced(F3, F3, F3),
    "gauss_newton_vector_product": reduced(F3, F3, F3),
    "tangent_kernel": reduced(F3, (n, n), (C, C, n, n)),
    "tangent_kernel of two": reduced(F3, (n, n), (C, C, n, n)),
    "moved_inputs": reduced(F3, (D, n)),  # and that of B3
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_with_the_units_divided(name, on_one_device):
    _, args = arguments("units", AxisType.Explicit)
    compiled = jax.jit(FUNCTIONS[name]).lower(*args).compile()
    assert_equal(compiled(*args), on_one_device[name])
    if name.startswith("kronecker"):  # alone in gathering large arrays
        assert {kind for kind, _ in collectives(compiled)} > {"all-gather"}
    else:
        assert collectives(compiled) == sorted(OVER_UNITS.get(name, reduced(F3)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_with_the_batch_divided(name, on_one_device):
    """Nothing is sent but sums as large as the result; pairs of examples need all of one side."""
    _, args = arguments("batch", AxisType.Explicit)
    compiled = jax.jit(FUNCTIONS[name]).lower(*args).compile()
    results = compiled(*args)
    assert_equal(results, on_one_device[name])
    kinds = {kind for kind, _ in collectives(compiled)}
    if name.startswith(("gram", "tangent_kernel")):
        assert kinds == {"all-gather"}
    elif name in (
        "forward",
        "backward",
        "passes",
        "gradient_norms",
        "squared_norms",
        "directional",
        "moved_inputs",
    ):
        assert kinds == set()
    else:
        assert kinds <= {"all-reduce"}
    of_examples = [a for a in jax.tree.leaves(results) if a.shape[:1] == (n,)]
    assert all(a.sharding.spec[0] == "d" for a in of_examples)


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_on_any_mesh_and_within_its_context(layout, kind, name, on_one_device):
    mesh, args = arguments(layout, kind)
    assert_equal(FUNCTIONS[name](*args), on_one_device[name])
    with jax.set_mesh(mesh):
        assert_equal(jax.jit(FUNCTIONS[name])(*args), on_one_device[name])


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("layout", ["units", "batch", "outputs"])
def test_the_passes_of_some_examples_and_gram_by_blocks_of_them(layout, kind, on_one_device):
    _, (params, x, y, *_) = arguments(layout, kind)
    passes, expected = batch.passes(params, x, y, PHI), on_one_device["passes"]
    odd = np.arange(n) % 2 == 1
    for rows in (slice(2, 9), np.array([0, 3, 3]), np.array([[0, 1], [5, 2]]), odd, 5):
        assert_equal(passes[rows], expected[rows])
    blocks = jax.lax.map(lambda rows: statistics.gram(passes[rows], passes), jnp.arange(n).reshape(4, -1))
    assert_equal(blocks.reshape(n, n), on_one_device["gram"])


@pytest.mark.parametrize("name", ["passes", *SOME])
def test_on_a_mesh_of_two_axes(name, on_one_device):
    mesh = jax.make_mesh((2, 2), ("batch", "units"), axis_types=(AxisType.Explicit, AxisType.Explicit))
    params, x, y = HOST
    units = Params(P(None, "units"), P("units"), P("units"), P())

    def put(tree, spec):
        return jax.tree.map(lambda a, s: jax.device_put(a, NamedSharding(mesh, s)), tree, spec)

    args = put(params, units), put(x, P("batch")), put(y, P("batch")), put(V, units), put(WEIGHTS, P("batch"))
    results = jax.jit(FUNCTIONS[name])(*args)
    assert_equal(results, on_one_device[name])
    if name == "passes":
        assert results.trace.z1.sharding.spec == P("batch", "units")
    if name == "loss_and_gradient":
        assert results[1].W1.sharding.spec == P(None, "units")


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_in_a_shard_map_over_the_batch(kind, name):
    """Each device has a batch of its own."""
    mesh, args = arguments("batch", kind)

    @partial(jax.shard_map, mesh=mesh, in_specs=(P(), P("d"), P("d"), P(), P("d")), out_specs=P("d"))
    def of_each(*args):
        return jax.tree.map(lambda a: a[None], FUNCTIONS[name](*args))

    results = jax.jit(of_each)(*args)
    for device in range(4):
        rows = slice(4 * device, 4 * device + 4)
        mine = FUNCTIONS[name](HOST[0], HOST[1][rows], HOST[2][rows], V, WEIGHTS[rows])
        assert_equal(jax.tree.map(lambda a, device=device: np.asarray(a)[device], results), mine)


def test_in_a_shard_map_over_one_of_two_axes(on_one_device):
    """The batch is the caller's affair, the units are laid out in the types."""
    mesh = jax.make_mesh((2, 2), ("batch", "units"), axis_types=(AxisType.Explicit, AxisType.Explicit))
    params, x, y = HOST
    of_params = Params(P(None, "units"), P("units"), P("units"), P())
    params = jax.tree.map(lambda a, s: jax.device_put(a, NamedSharding(mesh, s)), params, of_params)
    x, y = (jax.device_put(a, NamedSharding(mesh, P("batch"))) for a in (x, y))

    @partial(jax.shard_map, mesh=mesh, axis_names={"batch"}, in_specs=(P(), P("batch"), P("batch")), out_specs=P())
    def mean(params, x, y):
        return jax.lax.pmean(batch.loss_and_gradient(params, x, y, PHI), "batch")

    with jax.set_mesh(mesh):
        loss, gradient = jax.jit(mean)(params, x, y)
    assert_equal((loss, gradient), on_one_device["loss_and_gradient"])
    assert gradient.W1.sharding.spec == P(None, "units")


def of_one_example(params, x0, y):
    """What every function of network makes of it, and that of adversarial."""
    trace = network.forward(params, x0, PHI)
    deltas = network.backward(params, trace, y, PHI)
    losses = network.loss(params, x0, y, PHI), network.squared_error(trace.x2, y)
    delta0 = adversarial.input_gradient(params, trace, y, PHI)
    return losses, delta0, trace, deltas, network.gradient(trace, deltas)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_functions_of_one_example(layout, kind):
    mesh, (params, x, y, *_) = arguments(layout, kind)
    x0, y0 = (
        jax.device_put(host[3], NamedSharding(mesh, P(*placed.sharding.spec[1:])))
        for host, placed in zip(HOST[1:], (x, y), strict=True)
    )
    expected = jax.vmap(of_one_example, in_axes=(None, 0, 0))(*HOST)
    assert_equal(of_one_example(params, x0, y0), jax.tree.map(lambda a: a[3], expected))
    if layout == "inputs of params, and batch":  # over one axis of the mesh, which JAX's vmap refuses
        return
    of_batch = jax.vmap(of_one_example, in_axes=(None, 0, 0))(params, x, y)
    assert_equal(of_batch, expected)
    if kind is AxisType.Explicit:
        assert tuple(of_batch[-1].W1.sharding.spec[1:]) == tuple(jax.typeof(params.W1).sharding.spec)


def test_differentiated_and_vmapped():
    mesh, (params, x, y, *_) = arguments("units", AxisType.Explicit)
    with jax.set_mesh(mesh):
        gradient = jax.jit(jax.grad(batch.loss), static_argnums=3)(params, x, y, PHI)
        two = jax.jit(jax.vmap(lambda x: batch.loss_and_gradient(params, x, y, PHI)))(jnp.stack([x, 2 * x]))
    assert_equal(gradient, jax.grad(batch.loss)(*HOST, PHI))
    for i, factor in enumerate((1, 2)):
        expected = batch.loss_and_gradient(HOST[0], factor * HOST[1], HOST[2], PHI)
        assert_equal(jax.tree.map(lambda a, i=i: np.asarray(a)[i], two), expected)
    assert two[1].W1.sharding.spec == P(None, None, "d")


def test_a_wrong_shape_is_still_named():
    _, (params, x, y, *_) = arguments("units", AxisType.Explicit)
    with pytest.raises(ValueError, match=r"^x: expected float64 array of shape \(n >= 1, 12\), got float64 array"):
        batch.loss(params, x.T, y, PHI)


def test_every_argument_has_its_axes():
    for module in (network, batch, statistics, curvature, adversarial):
        for name, function in vars(module).items():
            if hasattr(function, "__wrapped__") and function.__module__ == module.__name__:
                unnamed = set(inspect.signature(function).parameters) - set(ARGUMENTS)
                assert unnamed <= {"phi", "kind", "max_norm", "length"}, name
    passes = batch.passes(*HOST, PHI)
    shapes = {"n": n, "D": D, "K": K, "C": C}
    for axes, array in zip(jax.tree.leaves(ARGUMENTS["passes"]), jax.tree.leaves(passes), strict=True):
        assert array.shape == tuple(shapes[letter] for letter in axes)
