"""python -m jaxmlp.gradcheck, with and without functions."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import pytest

import jaxmlp
from jaxmlp import batch, network
from jaxmlp.activations import ACTIVATIONS, Activation, sigmoid, tanh
from jaxmlp.gradcheck import __main__ as command
from jaxmlp.gradcheck import own
from jaxmlp.network import Deltas, Params

MODULE = """
import jax.numpy as jnp, numpy as np
def make_args(): return jnp.array([1.0, -2.0]), jnp.array([[1.0, 2.0], [3.0, 5.0], [2.0, 0.5]])
def vector(): return jnp.array([0.5, 1.0])
def no_tuple(): return 3
def fails(): raise RuntimeError("no data")
def leaves(): raise SystemExit(0)
def loss(w, x): return jnp.mean((x @ w) ** 2) / 2
def gradient(w, x): return x.T @ (x @ w) / len(x)
def product(w, v, x): return x.T @ (x @ v) / len(x)
def wrong(w, x): return 2 * gradient(w, x)
def optimum(): return np.linalg.lstsq(X, Y)[0], X, Y
X, Y = np.random.default_rng(0).normal(size=(8, 2)), np.random.default_rng(1).normal(size=8)
def fit(w, x, y): return jnp.mean((x @ w - y) ** 2) / 2
def wrong_fit(w, x, y): return 2 * x.T @ (x @ w - y) / 8
number = 5
"""


@pytest.fixture
def somebodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "somebodys_model.py").write_text(MODULE)
    (tmp_path / "broken_model.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


def arguments(line: str) -> list[str]:
    return line.replace("m:", "somebodys_model:").split()


@pytest.mark.parametrize(
    ("line", "code", "last"),
    [
        ("m:loss m:gradient --args m:make_args", 0, "ok"),
        ("m:loss m:gradient --args m:make_args --differences --entries 1 --seed 3", 0, "ok"),
        ("m:loss m:gradient --args m:make_args --own_dtype", 0, "ok"),
        ("m:loss m:product --args m:make_args --vector m:vector", 0, "ok"),
        ("m:loss m:wrong --args m:make_args", 1, "MISMATCH"),
        ("m:loss m:wrong --args m:make_args --tolerance 2", 0, "ok"),
        ("m:fit m:wrong_fit --args m:optimum", 2, "too small to tell"),
    ],
)
@pytest.mark.usefixtures("somebodys")
def test_somebodys_functions(line: str, code: int, last: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments(line)) == code
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == last
    assert printed.err == ""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("m:loss", "expected LOSS GRADIENT --args ARGS, each module:name, or no arguments at all"),
        ("m:loss m:gradient", "expected LOSS GRADIENT --args ARGS"),
        ("--seed 1", "expected LOSS GRADIENT --args ARGS"),
        ("--sead 1", "unrecognized arguments: --sead"),
        ("loss m:gradient --args m:make_args", "LOSS: expected module:name, got loss"),
        ("nowhere:loss m:gradient --args m:make_args", "LOSS: expected nowhere:loss, got ModuleNotFoundError"),
        ("m:loss m:nothing --args m:make_args", "GRADIENT: expected somebodys_model:nothing, got AttributeError"),
        (
            "broken_model:loss m:gradient --args m:make_args",
            "LOSS: expected broken_model:loss, got ZeroDivisionError",
        ),
        (
            "m:loss m:number --args m:make_args",
            "GRADIENT: expected a function, got somebodys_model:number, which is",
        ),
        ("m:loss m:gradient --args m:no_tuple", "--args: expected a tuple (params, *data), got int"),
        ("m:loss m:gradient --args m:fails", "--args: expected arguments, got RuntimeError: no data"),
        ("m:loss m:gradient --args m:leaves", "--args: expected arguments, got SystemExit: 0"),
        ("m:loss m:product --args m:make_args", "gradient: expected a result for float64 copies of its arguments"),
        (
            "m:loss m:gradient --args m:make_args --tolerance -1",
            "tolerance: expected a finite number >= 0, got -1.0",
        ),
        ("m:loss m:gradient --args m:make_args --tolerance x", "argument --tolerance: invalid float value: 'x'"),
    ],
)
@pytest.mark.usefixtures("somebodys")
def test_wrong_arguments_are_one_line(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments(line)) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"gradcheck: {message}")
    assert printed.err.count("\n") == 1


def test_help_says_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        command.main(["--help"])
    assert left.value.code == 0
    assert "exit codes: 0 right; 1 a mismatch, or wrong arguments; 2 could not tell" in capsys.readouterr().out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        command.main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"jaxmlp {jaxmlp.__version__}\n"


# Our own gradient


def fresh() -> dict[str, Activation]:
    """An activation new to every jitted function, so that a patched network is traced again."""
    return {"fresh": Activation(tanh.phi, tanh.prime, tanh.second)}


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    monkeypatch.setattr(own, "ACTIVATIONS", fresh())
    return command.main([]), capsys.readouterr().out.splitlines()


@pytest.mark.slow
def test_our_own_gradient(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, (versions, _, *rows, verdict) = run(monkeypatch, capsys)
    assert code == 0
    assert versions.startswith(f"jax {jax.__version__}, jaxlib ")
    assert [row.split()[:4] for row in rows[:3]] == [
        ["fresh", "fresh", "float32", "jax.grad"],
        ["fresh", "fresh", "float64", "jax.grad"],
        ["fresh", "fresh", "float64", "differences"],
    ]
    assert [row.split()[-1] for row in rows] == 5 * ["ok"]
    assert verdict == "5 comparisons, 0 mismatches"


def test_every_pair_of_activations(monkeypatch: pytest.MonkeyPatch) -> None:
    assert own.ACTIVATIONS is ACTIVATIONS
    monkeypatch.setattr(own, "ACTIVATIONS", {"a": tanh, "b": sigmoid})
    pairs = [(row.hidden, row.output) for row in own.own_rows("float32")]
    assert pairs == [("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")]


def test_a_broken_network_is_a_mismatch(
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


def test_rows_lost_in_a_large_batch_are_a_mismatch(
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
    assert [off <= own.ROWS_TOLERANCE for _, off in own.many_rows()] == [True, False]
