"""The benchmark: it runs, it refuses wrong flags, and nothing that computes something else is timed."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import init
from jaxmlp.data.datasets import Split
from tools.bench import costs, peers, training

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent


def bench(*arguments):
    command = [sys.executable, "-m", "tools.bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_a_table_and_its_samples(tmp_path):
    report = tmp_path / "bench.json"
    done = bench("--sizes=3x10", "--peers=numpy,grad,loop", "--rounds=2", "--run_seconds=0.01", f"--json={report}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "K = 3, B = 10" in done.stdout
    (size,) = json.loads(report.read_text())["training"]
    assert [row["contender"] for row in size["rows"]] == ["jaxmlp", "numpy", "grad", "loop"]
    assert all(len(row["seconds_per_60000"]) == 2 and row["error"] < 1e-4 for row in size["rows"])


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--peers=numpi", r"error: --peers: expected some of numpy,.*, got numpi"),
        ("--sizes=30", r"error: --sizes: expected KxB with .*, got '30'"),
        ("--costs --sizes=30x10", r"error: --sizes: expected nothing with --costs, got .*"),
        ("--json=nowhere/bench.json", r"error: --json: expected a file in a folder that exists, got .*"),
        ("--json=tools", r"error: --json: expected a file in a folder that exists, got tools"),
    ],
)
def test_a_wrong_flag_is_one_line(flag, message):
    done = bench(*flag.split())
    assert done.returncode == 1
    assert re.fullmatch(message + "\n", done.stderr)


def test_a_contender_that_trains_on_something_else_is_not_timed():
    def wrong(task):
        return peers.numpy_loop(replace(task, learning_rate=1.001 * task.learning_rate))

    rng = np.random.default_rng(0)
    few = Split(rng.integers(0, 256, (40, 4, 3), np.uint8), rng.integers(0, 10, 40, np.uint8))
    contenders = [peers.Contender("numpy", "", peers.numpy_loop), peers.Contender("wrong", "", wrong)]
    with pytest.raises(training.Disagreement, match=r"^wrong: expected the weights of NumPy .*, got 5\..e-04;"):
        training.run(3, 2, few, contenders, rounds=1, run_seconds=0.01)


def test_a_cost_that_autodiff_contradicts_is_not_timed():
    def right(p, x, y, v):
        return v.W1

    def doubled(p, x, y, v):
        return 2 * v.W1

    params = init(jax.random.key(0), 4, 3, 2)
    arguments = params, jnp.ones((5, 4)), jnp.ones((5, 2)), params
    for entry in (costs.Entry("doubled", doubled, right), costs.Entry("doubled", doubled, doubled, right)):
        with pytest.raises(
            costs.Disagreement, match=r"^doubled: expected what autodiff gives to 0\.001, got 1\.0e\+00"
        ):
            costs._row(entry, arguments, rounds=1)


def test_every_cost_is_of_what_autodiff_gives():
    """With as many parameters as are timed of a larger network, autodiff's part is the whole."""
    params, v = (jax.tree.map(jnp.float32, init(jax.random.key(seed), 12, 2, 2)) for seed in (0, 1))
    assert sum(leaf.size for leaf in params) == costs.BASIS
    rng = np.random.default_rng(0)
    x = jnp.float32(rng.uniform(size=(costs.N, 12)))
    y = jax.nn.one_hot(rng.integers(0, 2, costs.N), 2, dtype=jnp.float32)
    for entry in costs.ENTRIES:
        costs.compiled(entry, (params, x[: entry.n], y[: entry.n], v))
