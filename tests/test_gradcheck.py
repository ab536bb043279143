"""gradcheck must call a right gradient right and catch every kind of wrong one."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import batch, gradcheck, network
from jaxmlp.activations import ACTIVATIONS, Activation, sigmoid, tanh
from jaxmlp.gradcheck import __main__ as command
from jaxmlp.network import Deltas, Params

DTYPES = ["float32", "float64"]


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
    """Somebody else's model: dicts, a list, a NamedTuple and a scalar; its data holds integer labels and a flag."""
    random = np.random.default_rng(2)
    params = {
        "scale": jnp.asarray(1.5, dtype),
        "heads": [jnp.asarray(random.normal(size=3), dtype), jnp.asarray(random.normal(size=3), dtype)],
        "embed": Layer(jnp.asarray(random.normal(size=(4, 3)), dtype), jnp.asarray(random.normal(size=3), dtype)),
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
    }


def compare_values(by_hand: Any, reference: Any, **options: Any) -> gradcheck.Report:
    """A comparison of two given gradients: the loss is linear in the parameters, with slopes `reference`."""

    def loss(params: Any) -> jax.Array:
        return sum(jnp.sum(p * g) for p, g in zip(jax.tree.leaves(params), jax.tree.leaves(reference), strict=True))

    return gradcheck.compare(loss, lambda params: by_hand, jax.tree.map(jnp.ones_like, reference), **options)


# A right gradient


@pytest.mark.parametrize("differences", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_our_gradient_is_ok(dtype: str, differences: bool) -> None:
    report = gradcheck.compare(batch.loss, ours, *example(dtype), differences=differences)
    assert report.ok
    assert report
    assert [leaf.name for leaf in report.leaves] == [".W1", ".b1", ".W2", ".b2"]
    gradcheck.check(batch.loss, ours, *example(dtype), differences=differences)


@pytest.mark.parametrize("differences", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_model_and_any_data(dtype: str, differences: bool) -> None:
    params, data = model(dtype)
    report = gradcheck.compare(model_loss, model_gradient, params, *data, differences=differences)
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


def test_a_float_in_the_data_stays_one() -> None:
    @partial(jax.jit, static_argnames="scale")
    def loss(p: jax.Array, scale: float) -> jax.Array:
        return scale * jnp.sum(p**2)

    assert gradcheck.compare(loss, lambda p, scale: 2 * scale * p, jnp.ones(2), 1.5, differences=True)


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


# The numbers in a report


def test_ratios_and_worst_entry() -> None:
    report = compare_values(
        {"w": jnp.array([[3.0, 0.0], [0.0, 4.5]]), "b": jnp.array(-2.0)},
        {"w": jnp.array([[3.0, 0.0], [0.0, 4.0]]), "b": jnp.array(2.0)},
    )
    b, w = report.leaves
    assert (w.norm_ratio, w.max_ratio) == (pytest.approx(0.1), pytest.approx(0.125))  # 0.5 over ‖(3, 4)‖ and over 4
    assert (w.index, w.by_hand, w.reference) == ((1, 1), 4.5, 4.0)
    assert (b.norm_ratio, b.max_ratio) == (pytest.approx(2), pytest.approx(2))
    assert (b.index, b.by_hand, b.reference) == ((), -2.0, 2.0)
    assert report.worst is b
    assert not report


@pytest.mark.parametrize(("reference", "by_hand", "ratio"), [(0.0, 0.0, 0.0), (0.0, 1e-30, np.inf)])
def test_a_zero_reference(reference: float, by_hand: float, ratio: float) -> None:
    (leaf,) = compare_values(jnp.array([by_hand, 0.0]), jnp.array([reference, 0.0])).leaves
    assert (leaf.norm_ratio, leaf.max_ratio) == (ratio, ratio)
    assert leaf.ok == (ratio == 0)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_a_square_that_overflows_or_vanishes(scale: float) -> None:
    (leaf,) = compare_values(scale * jnp.array([3.0, 4.5]), scale * jnp.array([3.0, 4.0])).leaves
    assert (leaf.norm_ratio, leaf.max_ratio) == (pytest.approx(0.1), pytest.approx(0.125))


def test_each_ratio_catches_what_the_other_forgives() -> None:
    one_large = jnp.zeros(10_000).at[0].set(1.0)
    (leaf,) = compare_values(one_large + 0.9e-12, one_large).leaves
    assert leaf.max_ratio <= leaf.tolerance < leaf.norm_ratio
    assert not leaf.ok
    (leaf,) = compare_values(jnp.ones(10_000) + 5e-12 * one_large, jnp.ones(10_000)).leaves
    assert leaf.norm_ratio <= leaf.tolerance < leaf.max_ratio
    assert not leaf.ok


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_the_tolerance_of_each_dtype(dtype: str, tolerance: float) -> None:
    reference = jnp.ones(2, dtype)
    assert compare_values(reference + jnp.asarray(0.7 * tolerance, dtype), reference)
    assert not compare_values(reference + jnp.asarray(1.4 * tolerance, dtype), reference)
    assert compare_values(reference + jnp.asarray(1.4 * tolerance, dtype), reference, tolerance=2 * tolerance)
    assert compare_values(reference, reference, tolerance=0.0)


def test_the_tolerance_of_differences() -> None:
    assert compare_values(jnp.full(2, 1 + 0.9e-7), jnp.ones(2), differences=True)
    assert not compare_values(jnp.full(2, 1 + 1.1e-7), jnp.ones(2), differences=True)
    assert compare_values(jnp.full(2, 1 + 1.1e-7), jnp.ones(2), differences=True, tolerance=1.3e-7)


def test_differences_at_large_and_small_entries() -> None:
    for p in (1e10, -1e10, 1.0, 1e-3, 0.0):
        scale = max(1.0, abs(p))

        def loss(p: jax.Array, scale: float = scale) -> jax.Array:
            return jnp.exp(p / scale)

        def hand(p: jax.Array, scale: float = scale) -> jax.Array:
            return jnp.exp(p / scale) / scale

        gradcheck.check(loss, hand, jnp.array(p), differences=True, tolerance=1e-9)


def test_the_table_has_a_line_for_each_leaf_and_aligned_columns() -> None:
    report = compare_values({"w": jnp.ones((2, 3)), "b": jnp.ones(())}, {"w": jnp.ones((2, 3)), "b": -jnp.ones(())})
    assert str(report).splitlines() == [
        "leaf   ‖d‖/‖g‖  max|d|/max|g|  tolerance  worst entry  by hand  jax.grad",
        "['b']  2.0e+00  2.0e+00        1.0e-12                 1        -1        MISMATCH",
        "['w']  0.0e+00  0.0e+00        1.0e-12    [0, 0]       1        1         ok",
    ]


# A wrong gradient


def one_entry(g: Params) -> Params:
    """The largest entry of W1 off by a thousandth."""
    largest = np.unravel_index(np.argmax(np.abs(g.W1)), g.W1.shape)
    return g._replace(W1=g.W1.at[largest].multiply(1.001))


WRONG: dict[str, tuple[str, Callable[[Params], Params]]] = {
    "b1 zeroed": (".b1", lambda g: g._replace(b1=0 * g.b1)),
    "a column of W1 zeroed": (".W1", lambda g: g._replace(W1=g.W1.at[:, 1].set(0))),
    "W1 x 1.01": (".W1", lambda g: g._replace(W1=1.01 * g.W1)),
    "a sign": (".W2", lambda g: g._replace(W2=-g.W2)),
    "a transposition": (".W2", lambda g: g._replace(W2=g.W2.T)),
    "one entry": (".W1", one_entry),
    "a NaN": (".b2", lambda g: g._replace(b2=g.b2.at[0].set(jnp.nan))),
    "an infinity": (".b2", lambda g: g._replace(b2=g.b2.at[0].set(-jnp.inf))),
}


@pytest.mark.parametrize("differences", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_gradient_is_a_mismatch(wrong: str, dtype: str, differences: bool) -> None:
    name, spoil = WRONG[wrong]
    arguments = example(dtype, shape=(6, 5, 5))
    report = gradcheck.compare(batch.loss, lambda *a: spoil(ours(*a)), *arguments, differences=differences)
    assert [leaf.name for leaf in report.leaves if not leaf.ok] == [name]
    assert report.worst.name == name


def test_one_entry_of_a_large_leaf() -> None:
    report = gradcheck.compare(batch.loss, lambda *a: one_entry(ours(*a)), *example("float32", (784, 30, 10), 10))
    W1 = report.leaves[0]
    assert not W1.ok
    assert W1.by_hand / W1.reference == pytest.approx(1.001, rel=1e-5)


@pytest.mark.parametrize(
    ("by_hand", "reference"), [(np.nan, 1.0), (1.0, np.nan), (np.nan, np.nan), (np.inf, np.inf), (1.0, np.inf)]
)
def test_what_is_not_finite_never_passes(by_hand: float, reference: float) -> None:
    values = jnp.array([1.0, by_hand, 2.0]), jnp.array([1.0, reference, 2.0])
    report = compare_values(
        {"a": values[0], "b": jnp.ones(1)}, {"a": values[1], "b": -jnp.ones(1)}, tolerance=1e300
    )
    a, b = report.leaves
    assert b.ok
    assert not a.ok
    assert (a.index, report.worst) == ((1,), a)


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


def test_check_names_the_leaf_and_the_entry() -> None:
    params, data = model("float32")

    def hand(*arguments: Any) -> Any:
        right = model_gradient(*arguments)
        return {**right, "heads": [right["heads"][0].at[2].set(7.5), right["heads"][1]]}

    reference = float(jax.grad(model_loss)(params, *data)["heads"][0][2])
    with pytest.raises(AssertionError) as raised:
        gradcheck.check(model_loss, hand, params, *data)
    first, *table = str(raised.value).splitlines()
    assert first.startswith(f"gradient['heads'][0][2]: 7.5 by hand, {reference!r} by jax.grad; ‖d‖/‖g‖ = ")
    assert first.endswith("tolerance = 1.0e-05")
    assert [line.split()[-1] for line in table[1:]] == ["ok", "ok", "MISMATCH", "ok", "ok"]


# What cannot be compared


@pytest.mark.parametrize(
    ("by_hand", "message"),
    [
        ({"w": np.ones((2, 3))}, r"gradient: expected the structure .*; missing \[\"\['b'\]\"\], surplus \[\]"),
        ({"w": np.ones((2, 3)), "b": 1.0, "c": 1.0}, r"missing \[\], surplus \[\"\['c'\]\"\]"),
        ({"w": [np.ones((2, 3))], "b": 1.0}, r"missing \[\"\['w'\]\"\], surplus \[\"\['w'\]\[0\]\"\]"),
        ({"w": None, "b": 1.0}, r"missing \[\"\['w'\]\"\]"),
        (
            {"w": np.ones((3, 2)), "b": 1.0},
            r"gradient\['w'\]: expected float64 array of shape \(2, 3\), got .*\(3, 2\)",
        ),
        ({"w": np.ones(3), "b": 1.0}, r"gradient\['w'\]: expected .*\(2, 3\), got float64 array of shape \(3,\)"),
        ({"w": np.ones((2, 3), "float32"), "b": 1.0}, r"gradient\['w'\]: expected float64 .*, got float32"),
        ({"w": np.ones((2, 3), int), "b": 1.0}, r"gradient\['w'\]: expected float64 .*, got int64"),
    ],
)
def test_a_gradient_of_another_form(by_hand: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare_values(by_hand, {"w": jnp.ones((2, 3)), "b": jnp.ones(())})


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


@pytest.mark.parametrize("tolerance", [-1e-9, np.nan, np.inf])
def test_a_tolerance_that_is_none(tolerance: float) -> None:
    with pytest.raises(ValueError, match="tolerance: expected a finite number >= 0, got"):
        compare_values(jnp.ones(2), jnp.ones(2), tolerance=tolerance)


def test_a_half_precision_leaf_needs_a_tolerance() -> None:
    ones = {"w": jnp.ones(2, "bfloat16")}
    with pytest.raises(
        ValueError, match=r"tolerance: expected a number, because gradient\['w'\] is bfloat16, got None"
    ):
        compare_values(ones, ones)
    assert compare_values(ones, ones, tolerance=1e-2)


def test_differences_of_a_loss_that_is_not_float64() -> None:
    with pytest.raises(ValueError, match="loss: expected float64 for float64 copies of its arguments, got float32"):
        gradcheck.compare(lambda p: jnp.sum(p).astype("float32"), jnp.ones_like, jnp.ones(2), differences=True)


# python -m jaxmlp.gradcheck


def fresh() -> dict[str, Activation]:
    """An activation new to every jitted function, so that a patched network is traced again."""
    return {"fresh": Activation(tanh.phi, tanh.prime, tanh.second)}


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    monkeypatch.setattr(command, "ACTIVATIONS", fresh())
    return command.main([]), capsys.readouterr().out.splitlines()


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, (versions, head, *rows, verdict) = run(monkeypatch, capsys)
    assert code == 0
    assert versions.startswith(f"jax {jax.__version__}, jaxlib ")
    assert [row.split()[:4] for row in rows[:3]] == [
        ["fresh", "fresh", "float32", "jax.grad"],
        ["fresh", "fresh", "float64", "jax.grad"],
        ["fresh", "fresh", "float64", "differences"],
    ]
    assert [row.split()[-1] for row in rows] == 5 * ["ok"]
    assert verdict == "5 comparisons, 0 mismatches"


def test_the_command_takes_every_pair(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.ACTIVATIONS is ACTIVATIONS
    two = {"a": tanh, "b": sigmoid}
    monkeypatch.setattr(command, "ACTIVATIONS", two)
    pairs = [(hidden, output) for hidden, output, _ in command._own_reports("float32")]
    assert pairs == [("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")]


def test_the_command_fails_on_a_broken_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = network.backward

    def broken(*arguments: Any) -> Deltas:
        delta1, delta2 = right(*arguments)
        return Deltas(1.0001 * delta1, delta2)

    monkeypatch.setattr(network, "backward", broken)
    code, lines = run(monkeypatch, capsys)
    assert code == 1
    assert [line.split()[-1] for line in lines[2:5]] == 3 * ["MISMATCH"]
    assert lines[-1] == "5 comparisons, 3 mismatches"


def test_the_command_fails_on_rows_lost_in_a_large_batch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = batch.loss

    def forgetful(params: Params, x: jax.Array, y: jax.Array, *phi: Any) -> jax.Array:
        return right(params, x[:32_768], y[:32_768], *phi)

    monkeypatch.setattr(batch, "loss", forgetful)
    code, lines = run(monkeypatch, capsys)
    assert code == 1
    assert [line.split()[-1] for line in lines[2:7]] == ["ok", "ok", "ok", "MISMATCH", "ok"]


def test_rows_that_a_faulty_jit_gets_wrong_are_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        return lambda rows: function(rows).at[32_768:].multiply(1.01)

    monkeypatch.setattr(jax, "jit", faulty)
    assert [leaf.ok for leaf in command._many_rows()] == [True, False]


def test_the_command_takes_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--seed", "1"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "gradcheck: expected no arguments, got --seed 1\n"
    assert captured.out == ""
