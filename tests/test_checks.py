"""Wrong input to network.py and batch.py: one line that names the argument, what was expected and what came."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import batch, curvature, network, statistics
from jaxmlp.activations import sigmoid, tanh
from jaxmlp.batch import Passes
from jaxmlp.network import Deltas, Params, Trace


def array(*shape, dtype="float32"):
    return np.ones(shape, dtype)


# D, K, C = 5, 4, 3 and n = 6; the checks look at no value
PARAMS = Params(array(5, 4), array(4), array(4, 3), array(3))
X0, Y0, TRACE0 = array(5), array(3), Trace(array(5), array(4), array(4), array(3), array(3))
X, Y, TRACE = array(6, 5), array(6, 3), Trace(array(6, 5), array(6, 4), array(6, 4), array(6, 3), array(6, 3))
DELTAS0, DELTAS = Deltas(array(4), array(3)), Deltas(array(6, 4), array(6, 3))


def assert_refused(function, arguments, line):
    """As soon as the function is called, and while tracing too, when there are shapes and dtypes but no values."""
    for call in (function, lambda *arguments: jax.eval_shape(function, *arguments)):
        with pytest.raises(ValueError, match="expected") as raised:
            call(*arguments)
        assert str(raised.value) == line


def described(value):
    return f"{value.dtype} array of shape {value.shape}" if hasattr(value, "shape") else type(value).__name__


FREE_W1 = "float32 or float64 array of shape (D >= 1, K >= 1)"
FREE_W2 = "float32 array of shape (4, C >= 1)"


@pytest.mark.parametrize(
    ("leaf", "wrong", "expected"),
    [
        ("W1", array(5), FREE_W1),
        ("W1", array(0, 4), FREE_W1),
        ("W1", array(5, 0), FREE_W1),
        ("W1", array(5, 4, dtype="int32"), FREE_W1),
        ("W1", None, FREE_W1),
        ("b1", array(5), "float32 array of shape (4,)"),
        ("b1", array(4, 1), "float32 array of shape (4,)"),
        ("b1", array(4, dtype="float64"), "float32 array of shape (4,)"),
        ("b1", [1.0] * 4, "float32 array of shape (4,)"),
        ("W2", array(3, 4), FREE_W2),
        ("W2", array(4), FREE_W2),
        ("W2", array(4, 0), FREE_W2),
        ("W2", array(4, 3, dtype="float64"), FREE_W2),
        ("b2", array(4), "float32 array of shape (3,)"),
        ("b2", array(), "float32 array of shape (3,)"),
        ("b2", array(3, dtype="float64"), "float32 array of shape (3,)"),
    ],
    ids=lambda value: value if isinstance(value, str) else described(value),
)
def test_wrong_leaf_of_params(leaf, wrong, expected):
    refused_by_all_that_take_params(
        PARAMS._replace(**{leaf: wrong}), f"params.{leaf}: expected {expected}, got {described(wrong)}"
    )


@pytest.mark.parametrize(
    "params", [PARAMS._asdict(), tuple(PARAMS), list(PARAMS), TRACE0], ids=lambda p: type(p).__name__
)
def test_params_of_a_wrong_type(params):
    refused_by_all_that_take_params(params, f"params: expected Params(W1, b1, W2, b2), got {type(params).__name__}")


def refused_by_all_that_take_params(params, line):
    assert_refused(network.forward, (params, X0), line)
    assert_refused(network.loss, (params, X0, Y0), line)
    assert_refused(network.backward, (params, TRACE0, Y0), line)
    assert_refused(batch.forward, (params, X), line)
    assert_refused(batch.loss, (params, X, Y), line)
    assert_refused(batch.backward, (params, TRACE, Y), line)
    assert_refused(batch.loss_and_gradient, (params, X, Y), line)


@pytest.mark.parametrize(
    "x0",
    [
        array(4),
        array(6, 5),  # a batch
        array(5, dtype="float64"),
        array(5, dtype="uint8"),
        array(5, dtype="bool"),
        jax.random.key(0),
        [1.0] * 5,
        None,
    ],
    ids=described,
)
def test_wrong_inputs_of_one_example(x0):
    line = f"x0: expected float32 array of shape (5,), got {described(x0)}"
    assert_refused(network.forward, (PARAMS, x0), line)
    assert_refused(network.loss, (PARAMS, x0, Y0), line)


@pytest.mark.parametrize(
    "y",
    [
        array(4),
        array(3, 1),
        array(6, 3),  # a batch
        array(dtype="int32"),  # a label
        array(3, dtype="int32"),
        array(3, dtype="float64"),
        [1.0] * 3,
        None,
    ],
    ids=described,
)
def test_wrong_target_of_one_example(y):
    line = f"y (one-hot): expected float32 array of shape (3,), got {described(y)}"
    assert_refused(network.loss, (PARAMS, X0, y), line)
    assert_refused(network.backward, (PARAMS, TRACE0, y), line)
    assert_refused(network.squared_error, (array(3), y), line)


@pytest.mark.parametrize(
    "x",
    [
        array(5),  # no batch axis
        array(6, 4),
        array(0, 5),  # n = 0
        array(6, 5, 1),
        array(6, 5, dtype="float64"),
        array(6, 5, dtype="uint8"),
        [[1.0] * 5] * 6,
        None,
    ],
    ids=described,
)
def test_wrong_inputs_of_a_batch(x):
    line = f"x: expected float32 array of shape (n >= 1, 5), got {described(x)}"
    assert_refused(batch.forward, (PARAMS, x), line)
    assert_refused(batch.loss, (PARAMS, x, Y), line)
    assert_refused(batch.loss_and_gradient, (PARAMS, x, Y), line)


@pytest.mark.parametrize(
    "y",
    [
        array(5, 3),  # another n
        array(1, 3),
        array(6, 2),
        array(3),  # no batch axis
        array(6, dtype="int32"),  # labels
        array(6, 3, dtype="int32"),
        array(6, 3, dtype="float64"),
        [[1.0] * 3] * 6,
        None,
    ],
    ids=described,
)
def test_wrong_targets_of_a_batch(y):
    line = f"y (one-hot): expected float32 array of shape (6, 3), got {described(y)}"
    assert_refused(batch.loss, (PARAMS, X, y), line)
    assert_refused(batch.mean_loss, (TRACE, y), line)
    assert_refused(batch.backward, (PARAMS, TRACE, y), line)
    assert_refused(batch.loss_and_gradient, (PARAMS, X, y), line)


@pytest.mark.parametrize("leaf", Trace._fields)
def test_wrong_leaf_of_a_trace_on_the_way_back(leaf):
    (length,) = getattr(TRACE0, leaf).shape
    for wrong in (array(length + 1), array(6, length), array(length, dtype="float64"), None):
        line = f"trace.{leaf}: expected float32 array of shape ({length},), got {described(wrong)}"
        assert_refused(network.backward, (PARAMS, TRACE0._replace(**{leaf: wrong}), Y0), line)

    lead = "n >= 1" if leaf == "x0" else "6"
    for wrong in (array(length), array(6, length + 1), array(0, length), array(6, length, dtype="int32"), None):
        line = f"trace.{leaf}: expected float32 array of shape ({lead}, {length}), got {described(wrong)}"
        assert_refused(batch.backward, (PARAMS, TRACE._replace(**{leaf: wrong}), Y), line)


@pytest.mark.parametrize(("leaf", "axis"), [("x0", "D"), ("x1", "K"), ("x2", "C")])
def test_wrong_leaf_of_a_trace_in_a_gradient(leaf, axis):
    dtype = "float32 or float64" if leaf == "x0" else "float32"
    for wrong in (array(0), array(6, 2), array(2, dtype="int32"), None):
        line = f"trace.{leaf}: expected {dtype} array of shape ({axis} >= 1,), got {described(wrong)}"
        assert_refused(network.gradient, (TRACE0._replace(**{leaf: wrong}), DELTAS0), line)

    lead = "n >= 1" if leaf == "x0" else "6"
    for wrong in (array(2), array(0, 2), array(6, 0), array(6, 2, dtype="int32"), None):
        line = f"trace.{leaf}: expected {dtype} array of shape ({lead}, {axis} >= 1), got {described(wrong)}"
        assert_refused(batch.gradient, (TRACE._replace(**{leaf: wrong}), DELTAS), line)


@pytest.mark.parametrize("leaf", Deltas._fields)
def test_wrong_leaf_of_the_deltas(leaf):
    (length,) = getattr(DELTAS0, leaf).shape
    for wrong in (array(length + 1), array(6, length), array(length, dtype="float64"), None):
        line = f"deltas.{leaf}: expected float32 array of shape ({length},), got {described(wrong)}"
        assert_refused(network.gradient, (TRACE0, DELTAS0._replace(**{leaf: wrong})), line)
    for wrong in (array(5, length), array(1, length), array(length), array(6, length, dtype="float64"), None):
        line = f"deltas.{leaf}: expected float32 array of shape (6, {length}), got {described(wrong)}"
        assert_refused(batch.gradient, (TRACE, DELTAS._replace(**{leaf: wrong})), line)


def test_one_example_for_a_batch_and_a_batch_for_one_example():
    assert_refused(
        network.gradient,
        (TRACE, DELTAS),
        "trace.x0: expected float32 or float64 array of shape (D >= 1,), got float32 array of shape (6, 5)",
    )
    assert_refused(
        batch.gradient,
        (TRACE0, DELTAS0),
        "trace.x0: expected float32 or float64 array of shape (n >= 1, D >= 1), got float32 array of shape (5,)",
    )


def test_deltas_and_trace_the_wrong_way_round():
    line = "trace.x0: expected float32 or float64 array of shape (D >= 1,), got NoneType"
    assert_refused(network.gradient, (DELTAS0, TRACE0), line)


@pytest.mark.parametrize("phi", ["sigmoid", None, jnp.tanh, (tanh,), (sigmoid, "tanh"), (tanh,) * 3])
def test_wrong_phi(phi):
    for function, arguments in (
        (network.forward, (PARAMS, X0)),
        (network.loss, (PARAMS, X0, Y0)),
        (network.backward, (PARAMS, TRACE0, Y0)),
        (batch.forward, (PARAMS, X)),
        (batch.loss, (PARAMS, X, Y)),
        (batch.backward, (PARAMS, TRACE, Y)),
        (batch.loss_and_gradient, (PARAMS, X, Y)),
    ):
        with pytest.raises(ValueError, match="phi") as raised:
            function(*arguments, phi=phi)
        assert str(raised.value) == f"phi: expected an Activation or a pair (hidden, output) of them, got {phi!r}"


PASSES = Passes(PARAMS, TRACE, DELTAS, Y, sigmoid)


@pytest.mark.parametrize("function", [statistics.squared_norms, curvature.hessian_diagonal])
@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ((PARAMS, TRACE0, DELTAS, Y), "trace.x0: expected float32 array of shape (n >= 1, 5), got {} (5,)"),
        (
            (PARAMS, TRACE._replace(z2=array(6, 4)), DELTAS, Y),
            "trace.z2: expected float32 array of shape (6, 3), got {} (6, 4)",
        ),
        ((PARAMS, TRACE, DELTAS, Y[:5]), "y (one-hot): expected float32 array of shape (6, 3), got {} (5, 3)"),
        (
            (PARAMS, TRACE, Deltas(array(5, 4), array(5, 3)), Y),
            "deltas.delta1: expected float32 array of shape (6, 4), got {} (5, 4)",
        ),
    ],
)
def test_passes_put_together_by_hand(function, parts, line):
    assert_refused(function, (Passes(*parts, sigmoid),), line.format("float32 array of shape"))


def test_passes_of_another_network():
    larger = Passes(
        Params(array(5, 7), array(7), array(7, 3), array(3)),
        TRACE._replace(z1=array(6, 7), x1=array(6, 7)),
        Deltas(array(6, 7), array(6, 3)),
        Y,
        sigmoid,
    )
    line = "other.params.W1: expected float32 array of shape (5, 4), got float32 array of shape (5, 7)"
    assert_refused(statistics.gram, (PASSES, larger), line)
    assert_refused(curvature.tangent_kernel, (PASSES, larger), line)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
@pytest.mark.parametrize("n", [2, 70_000])
def test_half_precision_is_refused(dtype, n):
    """float16 cannot hold the squares of a loss, nor n = 70,000."""
    half = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, dtype), PARAMS)
    x, y = (jax.ShapeDtypeStruct((n, width), dtype) for width in (5, 3))
    expected = "expected float32 or float64 array of shape (D >= 1, K >= 1)"
    for function in (batch.loss, batch.loss_and_gradient, batch.passes):
        with pytest.raises(ValueError, match="16") as raised:
            jax.eval_shape(function, half, x, y)
        assert str(raised.value) == f"params.W1: {expected}, got {jnp.dtype(dtype)} array of shape (5, 4)"


def test_right_arguments_pass():
    assert jax.eval_shape(network.loss, PARAMS, X0, Y0).shape == ()
    assert jax.eval_shape(network.backward, PARAMS, TRACE0, Y0).delta1.shape == (4,)
    assert jax.eval_shape(network.gradient, TRACE0, DELTAS0).W1.shape == (5, 4)
    assert jax.eval_shape(batch.loss, PARAMS, X, Y).shape == ()
    assert jax.eval_shape(batch.backward, PARAMS, TRACE, Y).delta1.shape == (6, 4)
    assert jax.eval_shape(batch.gradient, TRACE, DELTAS).W1.shape == (5, 4)


def test_numpy_float64_counts_as_float32_while_x64_is_off():
    """jax converts it on entry, so it is no mismatch."""
    with jax.enable_x64(False):
        params = jax.tree.map(jnp.asarray, PARAMS)
        assert network.loss(params, X0.astype("float64"), Y0.astype("float64")).dtype == np.float32
        assert batch.loss(params, X.astype("float64"), Y.astype("float64")).dtype == np.float32
