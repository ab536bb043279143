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
from tools.bench import costs, many, peers, training
from tools.bench.timing import Timing

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
        ("--sweep --peers=numpy", r"error: --peers: expected nothing with --sweep, got .*"),
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


def test_an_epoch_is_what_more_epochs_add_to_all_networks(monkeypatch):
    """Of the processes that train one after another a few are timed: their time is scaled."""
    seconds = {many.FEW: 4.0, many.MANY: 20.0}
    monkeypatch.setattr(many.os, "sched_getaffinity", lambda process: {0, 1})
    monkeypatch.setattr(
        many,
        "interleaved",
        lambda calls, rounds: {name: Timing([seconds[int(name.split(", ")[-1])]]) for name in calls},
    )
    sweep, one_after_another, pinned = many.run(3, 10, 1)
    assert (sweep.whole.median, one_after_another.whole.median, pinned.whole.median) == (20, 80, 80)
    more = 16 / (many.MANY - many.FEW) / many.NETWORKS
    assert (sweep.epoch.median, pinned.epoch.median) == pytest.approx((more, 4 * more))


def test_each_network_is_trained_once_on_a_core_or_after_another(monkeypatch, tmp_path):
    started, waited = [], []
    monkeypatch.setattr(many, "_start", lambda *arguments: started.append(arguments) or len(started))
    monkeypatch.setattr(many, "_wait", waited.append)
    many._pinned(4, [5, 7], ["--epochs=1"], tmp_path)
    assert [(options[-1], run_dir.name, core) for _, options, run_dir, core in started] == [
        ("--seed=0", "0", 5),
        ("--seed=1", "1", 7),
        ("--seed=2", "2", 5),
        ("--seed=3", "3", 7),
    ]
    assert waited == [[1, 2], [3, 4]]
    many._one_after_another(2, [], tmp_path)
    assert waited[2:] == [[5], [6]]
