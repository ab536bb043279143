"""What is right, wrong, or too small to tell, and what is said of it."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from values import compare_values

from jaxmlp import batch, gradcheck
from jaxmlp.activations import sigmoid, tanh
from jaxmlp.network import Params

DTYPES = ["float32", "float64"]
MODES: list[dict[str, Any]] = [{}, {"differences": True}, {"own_dtype": True}]


def example(dtype: str, shape: tuple[int, int, int] = (6, 5, 4), n: int = 3) -> tuple[Params, jax.Array, jax.Array]:
    D, K, C = shape
    random = np.random.default_rng(1)
    params = Params(*(jnp.asarray(random.normal(0, 0.5, s), dtype) for s in ((D, K), (K,), (K, C), (C,))))
    x = jnp.asarray(random.uniform(0, 1, (n, D)), dtype)
    return params, x, jnp.asarray(np.eye(C)[random.integers(0, C, n)], dtype)


def ours(params: Params, x: jax.Array, y: jax.Array) -> Params:
    return batch.loss_and_gradient(params, x, y)[1]


class Layer(NamedTuple):
    weight: Any
    bias: Any


def model(dtype: str) -> tuple[Any, tuple[Any, ...]]:
    """Somebody else's model: dicts, a list, a NamedTuple, None and a scalar; integer labels and a flag as data."""
    random = np.random.default_rng(2)
    params = {
        "scale": jnp.asarray(1.5, dtype),
        "heads": [jnp.asarray(random.normal(size=3), dtype), jnp.asarray(random.normal(size=3), dtype)],
        "embed": Layer(jnp.asarray(random.normal(size=(4, 3)), dtype), jnp.asarray(random.normal(size=3), dtype)),
        "none": None,
    }
    return params, (np.array([2, 0, 2]), "linear")


def model_loss(params: Any, labels: Any, kind: str) -> jax.Array:
    assert kind == "linear"
    rows = params["embed"].weight[labels] + params["embed"].bias[None, :]
    return params["scale"] * jnp.sum(rows @ params["heads"][0] + jnp.sin(params["heads"][1]).sum())


def model_gradient(params: Any, labels: Any, kind: str) -> Any:
    first, second = params["heads"]
    rows = params["embed"].weight[labels] + params["embed"].bias[None, :]
    each = params["scale"] * first
    return {
        "scale": jnp.sum(rows @ first) + len(labels) * jnp.sum(jnp.sin(second)),
        "heads": [params["scale"] * rows.sum(0), params["scale"] * len(labels) * jnp.cos(second)],
        "embed": Layer(jnp.zeros_like(params["embed"].weight).at[labels].add(each), len(labels) * each),
        "none": None,
    }


# A right gradient


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_our_gradient_is_right(dtype: str, mode: dict[str, Any]) -> None:
    report = gradcheck.compare(batch.loss, ours, *example(dtype), **mode)
    assert report.verdict != "MISMATCH", str(report)
    assert [leaf.name for leaf in report.leaves] == [".W1", ".b1", ".W2", ".b2"]
    if "own_dtype" not in mode:
        gradcheck.check(batch.loss, ours, *example(dtype), **mode)


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_model_and_any_data(dtype: str, mode: dict[str, Any]) -> None:
    params, data = model(dtype)
    report = gradcheck.compare(model_loss, model_gradient, params, *data, **mode)
    assert report.ok, str(report)
    names = ["['embed'].weight", "['embed'].bias", "['heads'][0]", "['heads'][1]", "['scale']"]
    assert [leaf.name for leaf in report.leaves] == names


def test_a_bare_float_and_a_bare_array_are_parameters_too() -> None:
    assert gradcheck.compare(lambda p: p**3, lambda p: 3 * p**2, 0.5)
    assert gradcheck.compare(lambda p: p**3, lambda p: 3 * p**2, 0.5, differences=True)
    assert gradcheck.compare(lambda p: jnp.sum(p**3), lambda p: 3 * p**2, np.ones(2))


def test_an_activation_can_be_data() -> None:
    def hand(params: Params, *rest: Any) -> Params:
        return batch.loss_and_gradient(params, *rest)[1]

    assert gradcheck.compare(batch.loss, hand, *example("float64"), (tanh, sigmoid), differences=True)


@pytest.mark.parametrize("differences", [False, True])
def test_a_number_in_the_data_may_be_static(differences: bool) -> None:
    @partial(jax.jit, static_argnames=("scale", "power"))
    def loss(p: jax.Array, scale: float, power: int) -> jax.Array:
        return scale * jnp.sum(p**power)

    assert gradcheck.compare(
        loss, lambda p, s, n: n * s * p ** (n - 1), jnp.ones(2), 1.5, 3, differences=differences
    )


def test_float32_without_x64_and_the_setting_is_left_as_it_was() -> None:
    with jax.enable_x64(False):
        assert gradcheck.compare(batch.loss, ours, *example("float32"))
        assert gradcheck.compare(batch.loss, ours, *example("float32"), differences=True)
        assert jnp.ones(1).dtype == jnp.float32
    assert jnp.ones(1).dtype == jnp.float64


def test_an_empty_leaf_is_left_out() -> None:
    values = {"none": jnp.zeros((0, 3)), "w": jnp.ones(2)}
    assert [leaf.name for leaf in compare_values(values, values).leaves] == ["['w']"]


@pytest.mark.parametrize("differences", [False, True])
def test_products_are_taken_at_full_precision_on_any_device(differences: bool) -> None:
    precisions = set()

    def loss(p: jax.Array) -> jax.Array:
        precisions.add(jax.config.jax_default_matmul_precision)
        return p @ p

    with jax.default_matmul_precision("bfloat16"):
        assert gradcheck.compare(loss, lambda p: 2 * p, jnp.ones(2), differences=differences)
    assert precisions == {"highest"}


def test_arguments_donated_to_jit_are_copies() -> None:
    w = jnp.ones(2)
    assert gradcheck.compare(lambda w: jnp.sum(w**2), jax.jit(lambda w: 2 * w, donate_argnums=0), w)
    assert w[0] == 1


# What rounding explains


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1.0, 1e30, 1e300])
def test_each_entry_is_measured_by_itself(size: float) -> None:
    reference = size * jnp.array([1.0, 1e-7])
    assert compare_values(reference * (1 + 0.7e-12), reference)
    for entry in (0, 1):
        assert not compare_values(reference.at[entry].multiply(1 + 3e-12), reference)


def test_the_last_place_of_a_sum_that_cancels() -> None:
    x = jnp.array([[1e8, 3.0], [1.0, 4.0], [-1e8, 5.0]]) / 3
    report = gradcheck.compare(lambda w, x: jnp.sum(x @ w), lambda w, x: x[::-1].sum(0), jnp.ones(2), x)
    (leaf,) = report.leaves
    assert leaf.ok
    off = gradcheck.compare(lambda w, x: jnp.sum(x @ w), lambda w, x: x.sum(0) + 1e-6, jnp.ones(2), x)
    assert [off.leaves[0].verdict, off.leaves[0].off] == ["MISMATCH", 2]


def test_a_formula_that_rounds_more_than_autodiff_is_right() -> None:
    x = jnp.linspace(40, 60, 12).reshape(4, 3)

    def loss(w: jax.Array, x: jax.Array) -> jax.Array:
        return jnp.mean(jax.nn.softplus(-(x @ w)))

    def by_hand(w: Any, x: Any) -> Any:
        return x.T @ (1 / (1 + np.e ** -(x @ w)) - 1) / len(x)  # nothing is left of it

    for arguments in ((jnp.ones(3) / 3, x), (np.ones(3) / 3, np.array(x))):
        assert gradcheck.compare(loss, by_hand, *arguments).verdict != "MISMATCH"
        wrong = gradcheck.compare(loss, lambda *a: -by_hand(*a), *arguments)
        assert wrong.verdict == "too small to tell"
        assert wrong.leaves[0].mistake is not None
        assert wrong.leaves[0].mistake.kind == "sign"


@pytest.mark.parametrize("to", [np.asarray, jnp.asarray])
@pytest.mark.parametrize("scale", [1, 30, 300])
def test_a_gradient_with_numbers_of_python_is_right(scale: float, to: Any) -> None:
    random = np.random.default_rng(0)
    w, x, y = random.normal(size=3), random.normal(size=(6, 3)), random.integers(0, 2, 6)

    def loss(w: Any, x: Any, y: Any) -> Any:
        return jnp.mean(jnp.logaddexp(0, x @ w) - y * (x @ w))

    def by_hand(w: Any, x: Any, y: Any) -> Any:
        w, x, total = np.asarray(w), np.asarray(x), np.zeros(3)
        for one, label in zip(x, y, strict=True):
            z = (one @ w).item()
            p = 1 / (1 + math.exp(-z)) if z > 0 else 1 - 1 / (1 + math.exp(z))  # nothing is left of a small one
            total += (p - float(label)) * one / len(x)
        return total

    arguments = to(scale * w), to(x), to(y)
    assert gradcheck.compare(loss, by_hand, *arguments).verdict != "MISMATCH"
    assert not gradcheck.compare(loss, lambda *a: 1.01 * by_hand(*a), *arguments)


def test_what_python_rounds_away_is_no_mistake() -> None:
    x, w = np.linspace(40, 60, 12).reshape(4, 3), np.ones(3) / 3

    def by_hand(w: Any, x: Any) -> Any:
        return sum((1 / (1 + math.exp(-float(one @ w))) - 1) * np.asarray(one) for one in x) / len(x)

    def loss(w: Any, x: Any) -> Any:
        return jnp.mean(jax.nn.softplus(-(x @ w)))

    assert gradcheck.compare(loss, by_hand, w, x).verdict != "MISMATCH"


def test_two_zeros_elsewhere_say_nothing() -> None:
    x = jnp.full((1, 3), 235.0)  # exp(-705) is a number, and a little further on 0

    def by_hand(w: jax.Array, x: jax.Array) -> jax.Array:
        return x.T @ (1 - 1 / (1 + jnp.exp(-(x @ w))))

    report = gradcheck.compare(lambda w, x: jnp.sum(jax.nn.softplus(-(x @ w))), by_hand, jnp.ones(3), x)
    assert report.leaves[0].reference < 0
    assert report.verdict == "too small to tell"


def test_at_an_optimum_a_wrong_gradient_is_not_called_right() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(8, 2)), random.normal(size=8)
    w = np.linalg.lstsq(x, y)[0]

    def loss(w: Any, x: Any, y: Any) -> Any:
        return jnp.mean((x @ w - y) ** 2) / 2

    def right(w: Any, x: Any, y: Any) -> Any:
        return x.T @ (x @ w - y) / 8

    assert gradcheck.compare(loss, right, w, x, y)
    report = gradcheck.compare(loss, lambda *a: 3 * right(*a), w, x, y)
    assert report.too_small_to_tell
    assert "nearby it is off" in str(report)
    with pytest.raises(AssertionError, match="too small to tell"):
        gradcheck.check(loss, lambda *a: 3 * right(*a), w, x, y)
    gradcheck.check(loss, lambda *a: 3 * right(*a), w, x, y, too_small_is_ok=True)


def test_a_captured_array_in_float32_hides_no_small_term() -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 3)), "float32")

    def loss(w: jax.Array) -> jax.Array:
        return jnp.mean((x @ w) ** 2) / 2 + 5e-10 * w @ w

    with jax.enable_x64(False):
        assert not gradcheck.compare(loss, lambda w: x.T @ (x @ w) / 8, jnp.ones(3))
        assert gradcheck.compare(loss, lambda w: x.T @ (x @ w) / 8 + 1e-9 * w, jnp.ones(3))


def test_what_is_computed_in_float32_inside_is_judged_as_such() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (6, 3)).astype(np.uint8)

    def loss(w: jax.Array, x: Any) -> jax.Array:
        return jnp.mean((x.astype(jnp.float32) / 255) @ w)

    assert gradcheck.compare(loss, lambda w, x: (x / 255.0).mean(0), jnp.ones(3), pixels)
    assert not gradcheck.compare(loss, lambda w, x: (x / 256.0).mean(0), jnp.ones(3), pixels)
    assert gradcheck.compare(loss, lambda w, x: (x / 255.0).mean(0).astype("float32"), jnp.ones(3), pixels)


def test_own_dtype_judges_the_rounding() -> None:
    def loss(w: jax.Array) -> jax.Array:
        return jnp.sum(jnp.log1p(w))

    w = jnp.full(2, 1e-3, "float32")
    with jax.enable_x64(False):
        assert gradcheck.compare(loss, lambda w: 1 / (1 + w), w, own_dtype=True)
        unstable = gradcheck.compare(loss, lambda w: (((1 + w) ** 2 - 1) / w - w) / 2 / (1 + w), w, own_dtype=True)
        assert not unstable
        assert gradcheck.compare(loss, lambda w: (((1 + w) ** 2 - 1) / w - w) / 2 / (1 + w), w)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_judged_in_float64(dtype: str) -> None:
    w = jnp.array([0.5, -2.0], dtype)
    assert gradcheck.compare(lambda w: jnp.sum(w**3), lambda w: 3 * w**2, w)
    assert not gradcheck.compare(lambda w: jnp.sum(w**3), lambda w: 3.0001 * w**2, w)


@pytest.mark.parametrize(("mode", "tolerance"), [({}, 1e-12), ({"differences": True}, 1e-7)], ids=str)
def test_the_tolerance(mode: dict[str, Any], tolerance: float) -> None:
    assert compare_values(jnp.full(2, 1 + 0.7 * tolerance), jnp.ones(2), **mode)
    assert not compare_values(jnp.full(2, 1 + 1.4 * tolerance), jnp.ones(2), **mode)
    assert compare_values(jnp.full(2, 1 + 1.4 * tolerance), jnp.ones(2), tolerance=2 * tolerance, **mode)


# A kink, and what has no value


@pytest.mark.parametrize("differences", [False, True])
@pytest.mark.parametrize(
    ("slope", "verdict"), [(0.0, "ok"), (1.0, "ok"), (0.3, "ok"), (1.1, "MISMATCH"), (-1e-3, "MISMATCH")]
)
def test_at_a_kink_every_slope_between_is_right(slope: float, verdict: str, differences: bool) -> None:
    report = gradcheck.compare(
        lambda w: jnp.sum(jnp.maximum(w, 0)),
        lambda w: (w > 0) * 1.0 + (w == 0) * slope,
        jnp.array([0.0, 1.0, -1.0]),
        differences=differences,
    )
    assert report.verdict == verdict, str(report)
    assert "a kink, where any slope from 0 to 1 is right" in str(report)


@pytest.mark.parametrize(("by_hand", "verdict"), [(0.0, "ok"), (7.0, "MISMATCH")])
def test_differences_step_in_where_jax_grad_has_no_value(by_hand: float, verdict: str) -> None:
    def loss(w: jax.Array) -> jax.Array:
        return jnp.sum(jnp.where(w > 0, jnp.sqrt(w), 0.0))

    w = jnp.array([-1.0, 4.0])
    assert np.isnan(jax.grad(loss)(w)[0])
    report = gradcheck.compare(loss, lambda w: jnp.array([by_hand, 0.25]), w)
    assert report.verdict == verdict, str(report)


SLOPES_AT_1 = {1.0: lambda w: w, np.inf: lambda w: jnp.sqrt(w - 1), np.nan: lambda w: 0 * jnp.sqrt(w - 1)}


@pytest.mark.parametrize(
    ("by_hand", "reference", "said"),
    [
        (np.nan, 1.0, "not finite in 1 of 3"),
        (np.nan, np.nan, "neither is finite"),
        (np.inf, np.inf, "neither is finite"),
        (1.0, np.inf, "jax.grad is inf: central differences"),
        (-np.inf, 1.0, "not finite in 1 of 3"),
    ],
)
def test_what_is_not_finite_never_passes(by_hand: float, reference: float, said: str) -> None:
    slope = next(slope for value, slope in SLOPES_AT_1.items() if np.array_equal(value, reference, equal_nan=True))

    def loss(p: Any) -> jax.Array:
        return p["a"][0] + slope(p["a"][1]) + 2 * p["a"][2] + p["b"]

    hand = {"a": jnp.array([1.0, by_hand, 2.0]), "b": jnp.ones(())}
    report = gradcheck.compare(loss, lambda p: hand, {"a": jnp.ones(3), "b": jnp.ones(())})
    a, b = report.leaves
    assert not a.ok
    assert (a.index, report.worst) == ((1,), a)
    assert said in a.explanation
    assert b.ok


@pytest.mark.parametrize("differences", [False, True])
@pytest.mark.parametrize("n", [70, pytest.param(1000, marks=pytest.mark.slow)])
def test_many_at_a_kink_at_once(n: int, differences: bool) -> None:
    steep = np.arange(1.0, n + 1)

    def loss(w: jax.Array) -> jax.Array:
        return jnp.sum(steep * jnp.maximum(w, 0))

    for inside in (0.0, 1.0):
        assert gradcheck.compare(loss, lambda w, s=inside: s * steep, jnp.zeros(n), differences=differences)
    wrong = gradcheck.compare(loss, lambda w: steep * np.where(steep == 7, 1.5, 1.0), jnp.zeros(n))
    assert (wrong.verdict, wrong.leaves[0].off, wrong.leaves[0].index) == ("MISMATCH", 1, (6,))


def to_first(w: jax.Array) -> jax.Array:
    return jnp.zeros_like(w).at[jnp.argmax(w)].set(1)


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize(
    ("by_hand", "verdict"),
    [
        (to_first, "ok"),
        (lambda w: jnp.array([0.3, 0.7, 0.0]), "ok"),
        (lambda w: 1.0 * (w == jnp.max(w)), "MISMATCH"),
        (lambda w: jnp.array([0.5, 1.0, 0.0]), "MISMATCH"),
    ],
)
def test_at_a_tie_the_shares_add_up(by_hand: Any, verdict: str, mode: dict[str, Any]) -> None:
    report = gradcheck.compare(jnp.max, by_hand, jnp.array([3.0, 3.0, 1.0]), **mode)
    assert report.verdict == verdict, str(report)


@pytest.mark.parametrize("first", [True, False])
def test_ties_of_max_pooling(first: bool) -> None:
    x = jnp.asarray(np.random.default_rng(0).integers(0, 2, (4, 4)), "float64")

    def windows(x: jax.Array) -> jax.Array:
        return x.reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(4, 4)

    def by_hand(x: jax.Array) -> jax.Array:
        each = windows(x)
        to = jax.vmap(to_first)(each) if first else each == each.max(1, keepdims=True)
        shares = to * (1 + each.max(1, keepdims=True))
        return shares.reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(4, 4)

    def loss(x: jax.Array) -> jax.Array:
        return jnp.sum(windows(x).max(1) + windows(x).max(1) ** 2 / 2)

    report = gradcheck.compare(loss, by_hand, x)
    assert report.verdict == ("ok" if first else "MISMATCH"), str(report)


@pytest.mark.parametrize("differences", [False, True])
@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "ok"), (0.7, "MISMATCH")])
def test_steep_is_no_kink(factor: float, verdict: str, differences: bool) -> None:
    report = gradcheck.compare(
        lambda w: jnp.sum(jax.nn.softplus(1e8 * w)),
        lambda w: factor * 1e8 * jax.nn.sigmoid(1e8 * w),
        jnp.zeros(1),
        differences=differences,
    )
    assert report.verdict == verdict, str(report)


@jax.custom_vjp
def cube(p: jax.Array) -> jax.Array:
    return p**3


cube.defvjp(lambda p: (p**3, p), lambda p, g: (2 * p**2 * g,))  # wrong: 3 p² is right


def test_differences_catch_a_rule_that_jax_grad_has_wrong() -> None:
    def loss(p: jax.Array) -> jax.Array:
        return jnp.sum(cube(p))

    params = jnp.array([1.0, -2.0])
    assert gradcheck.compare(loss, lambda p: 2 * p**2, params)
    assert not gradcheck.compare(loss, lambda p: 2 * p**2, params, differences=True)
    assert gradcheck.compare(loss, lambda p: 3 * p**2, params, differences=True)
    assert "central differences agree with it" in str(gradcheck.compare(loss, lambda p: 3 * p**2, params))


# Arguments


def centred(w: Any, x: Any) -> Any:
    x -= x.mean(0)
    return x.T @ (x @ w) / len(x)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_gradient_that_changes_its_arguments(mode: dict[str, Any]) -> None:
    x = np.float32([[3, 1], [5, 2], [4, 6]])
    report = gradcheck.compare(
        lambda w, x: jnp.mean((jnp.asarray(x) @ w) ** 2) / 2, centred, jnp.ones(2), x, **mode
    )
    assert report.changed == ("x",)
    assert report.leaves[0].verdict == "MISMATCH"
    assert x[0, 0] == 3


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_an_entry_of_a_dict_rebound(mode: dict[str, Any]) -> None:
    def gradient(p: Any, x: Any) -> Any:
        p["w"] = 2 * p["w"]
        return {"w": p["w"]}

    report = gradcheck.compare(lambda p, x: jnp.sum(p["w"] ** 2), gradient, {"w": jnp.ones(2)}, [1.0], **mode)
    assert [leaf.verdict for leaf in report.leaves] == ["ok"]
    assert not report
    with pytest.raises(AssertionError, match=r"gradient changes its arguments: p\['w'\]"):
        gradcheck.check(lambda p, x: jnp.sum(p["w"] ** 2), gradient, {"w": jnp.ones(2)}, [1.0], **mode)


class Data:
    def __init__(self) -> None:
        self.x = np.array([[3.0, 1.0], [5.0, 2.0], [4.0, 6.0]])
        self.kept = np.zeros(3)


def data_loss(w: Any, data: Data) -> jax.Array:
    return jnp.mean((data.x @ w) ** 2) / 2


def data_gradient(w: Any, data: Data) -> Any:
    return data.x.T @ (data.x @ w) / len(data.x)


def test_an_object_that_the_gradient_changes() -> None:
    def centring_first(w: Any, data: Data) -> Any:
        data.x -= data.x.mean(0)
        return data_gradient(w, data)

    def centring_last(w: Any, data: Data) -> Any:
        gradient = data_gradient(w, data)
        data.x -= data.x.mean(0)
        return gradient

    for gradient in (centring_first, centring_last):
        data = Data()
        report = gradcheck.compare(data_loss, gradient, jnp.ones(2), data)
        assert (report.verdict, report.changed) == ("MISMATCH", ("data.x",))
        assert data.x[0, 0] == 3


def test_an_object_may_keep_what_it_computes() -> None:
    def keeping(w: Any, data: Data) -> Any:
        data.kept = np.asarray(data.x @ np.asarray(w))
        return data.x.T @ data.kept / len(data.x)

    assert gradcheck.compare(data_loss, keeping, jnp.ones(2), Data())


@pytest.mark.parametrize("wrap", [jax.jit, lambda loss: loss])
def test_what_the_loss_closes_over_is_changed(wrap: Any) -> None:
    data = Data()

    def centring(w: Any) -> Any:
        data.x[:] = data.x - data.x.mean(0)
        return data_gradient(w, data)

    report = gradcheck.compare(wrap(lambda w: data_loss(w, data)), centring, jnp.ones(2))
    assert (report.verdict, report.beyond) == ("MISMATCH", ("data.x",))
    assert str(report).startswith("the loss is another once the gradient ran: it changed data.x\n")


def test_what_is_closed_over_may_be_a_memory() -> None:
    kept = {"z": np.zeros(3), "dz": np.zeros(3)}

    def loss(w: Any, x: Any) -> jax.Array:
        kept["z"] = x @ w
        return jnp.mean(kept["z"] ** 2) / 2

    def gradient(w: Any, x: Any) -> Any:
        loss(w, x)
        kept["dz"] = kept["z"] / len(x)
        return x.T @ kept["dz"]

    assert gradcheck.compare(loss, gradient, jnp.ones(2), jnp.asarray(Data().x))


def test_a_set_that_the_gradient_changes() -> None:
    def gradient(w: Any, chosen: set[int]) -> Any:
        size = len(chosen)
        chosen.add(99)
        return 2 * w * size

    chosen = {1, 2}
    report = gradcheck.compare(lambda w, chosen: jnp.sum(w**2) * len(chosen), gradient, jnp.ones(2), chosen)
    assert (report.changed, chosen) == (("chosen",), {1, 2})


# A product with the Hessian


def test_a_hessian_vector_product() -> None:
    random = np.random.default_rng(0)
    params, vector = ({"w": jnp.asarray(random.normal(size=3))} for _ in range(2))
    x = jnp.asarray(random.normal(size=(5, 3)))

    def loss(p: Any, x: jax.Array) -> jax.Array:
        return jnp.mean((x @ p["w"]) ** 4)

    def product(p: Any, v: Any, x: jax.Array) -> Any:
        return {"w": 12 * x.T @ ((x @ p["w"]) ** 2 * (x @ v["w"])) / len(x)}

    report = gradcheck.compare(loss, product, params, x, vector=vector)
    assert report.ok, str(report)
    assert report.reference == "jvp of jax.grad"
    wrong = gradcheck.compare(loss, lambda *a: {"w": product(*a)["w"] / 5}, params, x, vector=vector)
    assert wrong.leaves[0].mistake is not None
    assert wrong.leaves[0].mistake.kind == "mean for sum"


# A report


def test_the_table() -> None:
    reference = {"w": jnp.ones((2, 3)), "b": jnp.ones(())}
    report = compare_values({"w": jnp.ones((2, 3)), "b": -jnp.ones(())}, reference)
    assert str(report).splitlines() == [
        "leaf   off     worst entry  by hand  jax.grad  off by   allowed",
        "['b']  1 of 1               -1       1         2.0e+00  1.0e-12  MISMATCH: the sign is wrong: "
        "-1 times the right one",
        "['w']  0 of 6  [0, 0]       1        1         0.0e+00  1.0e-12  ok",
    ]
    assert (report.worst.name, report.verdict) == ("['b']", "MISMATCH")


def test_one_entry_is_explained_by_what_explains_the_others() -> None:
    random = np.random.default_rng(0)
    p = {"w": jnp.asarray(random.normal(size=3)), "b": jnp.asarray(0.3)}
    x, y = jnp.asarray(random.normal(size=(7, 3))), jnp.asarray(random.normal(size=7))

    def loss(p: Any, x: Any, y: Any) -> jax.Array:
        return jnp.mean((x @ p["w"] + p["b"] - y) ** 2) / 2

    def right(p: Any, x: Any, y: Any) -> Any:
        e = x @ p["w"] + p["b"] - y
        return {"w": x.T @ e / len(x), "b": jnp.mean(e)}

    def texts(by_hand: Any) -> list[str]:
        return [leaf.explanation for leaf in gradcheck.compare(loss, by_hand, p, x, y).leaves if not leaf.ok]

    def scaled(factor: float) -> Any:
        return lambda p, x, y: {**right(p, x, y), "b": factor * right(p, x, y)["b"]}

    assert texts(lambda p, x, y: right(p, x[:-1], y[:-1])) == 2 * ["example 6 of 7 is left out"]
    e = x @ p["w"] + p["b"] - y
    by_chance_twice = y.at[-1].add(e[-1] + 5 / 12 * jnp.sum(e[:-1]))  # the mean of e without the last example
    report = gradcheck.compare(loss, lambda p, x, y: right(p, x[:-1], y[:-1]), p, x, by_chance_twice)
    assert report.leaves[0].by_hand == pytest.approx(2 * report.leaves[0].reference)
    assert [leaf.explanation for leaf in report.leaves] == 2 * ["example 6 of 7 is left out"]
    assert texts(scaled(1.2345)) == [""]
    assert texts(scaled(7)) == ["n times the right one (n = 7, axis 0 of x): a sum where a mean belongs"]
    assert texts(scaled(-1)) == ["the sign is wrong: -1 times the right one"]


def test_check_says_what_is_wrong_and_where() -> None:
    params, data = model("float64")

    def hand(*arguments: Any) -> Any:
        right = model_gradient(*arguments)
        return {**right, "heads": [right["heads"][0].at[2].multiply(-1), right["heads"][1]]}

    with pytest.raises(AssertionError) as raised:
        gradcheck.check(model_loss, hand, params, *data)
    first, *table = str(raised.value).splitlines()
    assert first.startswith("gradient['heads'][0][2]: -5.57328259408468")
    assert first.endswith(" by jax.grad: MISMATCH; only [2]: the sign is wrong: -1 times the right one")
    assert sum("MISMATCH" in line for line in table) == 1
