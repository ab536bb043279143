"""network.mjs against network.py: both passes, the steps, the differences; and that a broken one is noticed."""

import itertools
import re
import shutil
from functools import partial

import jax
import jax.numpy as jnp
import node
import numpy as np
import pytest

from jaxmlp import network
from jaxmlp.activations import ACTIVATIONS, named
from jaxmlp.data import datasets

pytestmark = pytest.mark.slow

PAIRS = list(itertools.product(ACTIVATIONS, repeat=2))
ETA = 0.002  # small enough for every pair
TOLERANCE = {np.float64: 1e-11, np.float32: 1e-5}  # of the largest entry


@pytest.fixture(scope="module")
def digits():
    test = datasets.load().test
    return test.images[:3].reshape(3, -1), test.labels[:3]


def examples(digits):
    """(params, x0, y) in float64 with values that float32 has: three digits, three random inputs, a black image."""
    images, labels = digits
    keys = jax.random.split(jax.random.key(22), 6)
    for key, image, label in zip(keys[:3], images, labels, strict=True):
        params = as_float32(network.init(key, 784, 9, 10))
        yield params, as_float32(jnp.asarray(image) / 255), jax.nn.one_hot(label, 10)
    for key in keys[3:]:
        inner = jax.random.split(key, 6)
        params = network.init(inner[0], 12, 7, 4)
        params = params._replace(b1=jax.random.normal(inner[1], (7,)), b2=jax.random.normal(inner[2], (4,)))
        x0, y = jax.random.normal(inner[3], (12,)), jax.random.normal(inner[4], (4,))
        params, y = as_float32(params), as_float32(y)
        yield params, as_float32(x0), y
    yield params._replace(b1=jnp.zeros(7), b2=jnp.zeros(4)), jnp.zeros(12), y


def as_float32(tree):
    return jax.tree.map(lambda a: a.astype(jnp.float32).astype(jnp.float64), tree)


def case(run, params, x0, y, phi, **more):
    return {"run": run, "params": params._asdict(), "x0": x0, "y": y, "phi": phi, **more}


def passes(params, x0, y, phi):
    trace = network.forward(params, x0, phi)
    deltas = network.backward(params, trace, y, phi)
    gradient = network.gradient(trace, deltas)
    return {"trace": trace, "deltas": deltas, "gradient": gradient}, network.loss(params, x0, y, phi)


def assert_equal(got, expected, dtype):
    for name, array in expected._asdict().items():
        array = np.asarray(array, np.float64).ravel()
        atol = TOLERANCE[dtype] * np.abs(array).max()
        np.testing.assert_allclose(got[name], array, rtol=0, atol=atol, err_msg=name)


def compare(tmp_path, digits, pairs, sources=node.SOURCES):
    given = list(itertools.product(pairs, examples(digits)))
    results = node.run(tmp_path, *(case("passes", *example, phi) for phi, example in given), sources=sources)
    for (phi, example), got in zip(given, results, strict=True):
        for dtype in TOLERANCE:
            arguments = jax.tree.map(partial(jnp.asarray, dtype=dtype), example)
            expected, loss = passes(*arguments, named(",".join(phi)))
            for name, arrays in expected.items():
                assert_equal(got[name], arrays, dtype)
            np.testing.assert_allclose(got["loss"], loss, rtol=TOLERANCE[dtype])


def compare_steps(tmp_path, digits, pairs, sources=node.SOURCES):
    given = list(itertools.product(pairs, examples(digits)))
    more = {"eta": ETA, "count": 10}
    results = node.run(tmp_path, *(case("steps", *example, phi, **more) for phi, example in given), sources=sources)
    for (phi, (params, x0, y)), got in zip(given, results, strict=True):
        for _ in range(10):
            arrays, _ = passes(params, x0, y, named(",".join(phi)))
            params = jax.tree.map(lambda w, dw: w - ETA * dw, params, arrays["gradient"])
        assert_equal(got, params, np.float64)


def compare_all(*arguments):
    compare(*arguments)
    compare_steps(*arguments)


def test_activations_far_into_their_tails(tmp_path):
    z = np.concatenate([np.linspace(-40, 40, 161), [-800.0, 800.0]])
    results = node.run(tmp_path, *({"run": "activation", "phi": name, "z": z} for name in ACTIVATIONS))
    for (name, activation), got in zip(ACTIVATIONS.items(), results, strict=True):
        expected = [activation(jnp.asarray(z)), activation.prime(jnp.asarray(z))]
        np.testing.assert_allclose(got, expected, rtol=1e-13, err_msg=name)


def test_both_passes_for_every_pair_of_activations(tmp_path, digits):
    compare(tmp_path, digits, PAIRS)


def test_ten_steps(tmp_path, digits):
    compare_steps(tmp_path, digits, PAIRS)


@pytest.mark.parametrize("calls", [3, 30])
def test_an_undo_brings_back_every_bit_and_computes_nothing(tmp_path, digits, calls):
    """Of the last twenty calls."""
    example = list(examples(digits))[3]
    (got,) = node.run(tmp_path, case("undone", *example, ("tanh", "sigmoid"), eta=0.1, calls=calls))
    steps, undone = got["steps"], got["undone"]
    assert all(done["passes"] == 2 for done in steps)
    assert len(undone) == min(calls, 20)
    assert all(done["passes"] == 0 for done in undone)
    earlier = [done["params"] for done in steps[-2::-1]]
    assert [done["params"] for done in undone[: len(earlier)]] == earlier[: len(undone)]
    assert got["trained"] == (calls <= 20)


def test_central_differences_on_every_entry(tmp_path, digits):
    smooth = [pair for pair in PAIRS if "relu" not in pair]
    given = list(itertools.product(smooth, list(examples(digits))[3:]))
    results = node.run(tmp_path, *(case("differences", *example, phi) for phi, example in given))
    for (phi, example), got in zip(given, results, strict=True):
        gradient = passes(*example, named(",".join(phi)))[0]["gradient"]
        for name, array in gradient._asdict().items():
            np.testing.assert_allclose(got[name], np.ravel(array), rtol=0, atol=1e-7 * np.abs(array).max())


def test_a_gradient_that_rounding_hides_is_not_compared(tmp_path, digits):
    """Where an output is saturated; elsewhere a gradient that is wrong agrees in no digit."""
    params, x0, y = next(examples(digits))
    phi = ("tanh", "sigmoid")
    flat = params._replace(b2=jnp.full(10, 30.0))  # φ′ is 1e-13
    sharp, saturated, wrong = node.run(
        tmp_path,
        case("verdicts", params, x0, y, phi, gradient=1),
        case("verdicts", flat, x0, y, phi, gradient=1),
        case("verdicts", params, x0, y, phi, gradient=-1),
    )
    assert all(re.fullmatch(r"They agree in (\d|1\d) digits\.", said) for said in sharp)
    assert set(saturated) <= {"Too small to compare: the rounding of L hides it.", "They are equal."}
    assert any(said.startswith("Too small") for said in saturated)
    assert set(wrong) == {"They agree in 0 digits."}


def test_hidden_units_stand_in_the_reports_order(tmp_path):
    report = pytest.importorskip("jaxmlp.inspection.units")
    W2 = np.random.default_rng(0).normal(size=(150, 10))
    W2[7] = W2[3]  # of equal ones the first
    (order,) = node.run(tmp_path, {"run": "units", "W2": W2})
    assert sorted(order) == list(range(150))
    assert order[: report.SHOWN] == report.strongest(W2).tolist()


MUTANTS = {
    "the hidden φ′ dropped": (
        "network",
        "hadamard(times(params.W2, delta2), z1.map(phi1.prime))",
        "times(params.W2, delta2)",
    ),
    "the output's φ′ dropped": ("network", "hadamard(minus(x2, y), z2.map(phi2.prime))", "minus(x2, y)"),
    "φ′ of the wrong layer": ("network", "z1.map(phi1.prime)", "z1.map(phi2.prime)"),
    "W2 as if transposed": ("network", "times(params.W2, delta2)", "transposedTimes(params.W2, delta2)"),
    "a sign": ("network", "minus(x2, y), z2", "minus(y, x2), z2"),
    "x0 in the place of x1": ("network", "outer(x1, delta2)", "outer(x0, delta2)"),
    "a bias forgotten": ("network", "transposedTimes(W2, x1), b2)", "transposedTimes(W2, x1), b2.map(() => 0))"),
    "no half in the loss": ("network", "** 2, 0) / 2", "** 2, 0)"),
    "η twice": ("network", "eta * dW", "eta * eta * dW"),
    "uphill": ("network", "value - eta", "value + eta"),
    "relu's slope at 0": ("activations", "z > 0 ? 1 : 0", "z >= 0 ? 1 : 0"),
    "no slope of scaled tanh": ("activations", "a * b * tanh", "a * tanh"),
    "a row too few": ("arrays", "i < W.rows; i++) {\n    if", "i < W.rows - 1; i++) {\n    if"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_network_is_noticed(tmp_path, digits, mutant):
    file, line, broken = MUTANTS[mutant]
    sources = shutil.copytree(
        node.SOURCES, tmp_path / "sources", ignore=shutil.ignore_patterns("*.py", "__pycache__")
    )
    text = (sources / f"{file}.mjs").read_text()
    assert text.count(line) == 1
    (sources / f"{file}.mjs").write_text(text.replace(line, broken))
    pairs = [("sigmoid", "tanh"), ("relu", "softplus"), ("scaled_tanh", "identity")]
    with pytest.raises(AssertionError, match="Not equal"):
        compare_all(tmp_path, digits, pairs, sources)
