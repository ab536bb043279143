"""What is said of a run in words."""

import shlex
import time

import pytest

pytest.importorskip("matplotlib")

from jaxmlp.data import datasets
from jaxmlp.inspection import facts
from jaxmlp.runs.run import read_run


@pytest.fixture
def run(trained_run):
    return read_run(trained_run)


def said(run, few_digits):
    listed = facts.facts(run, datasets.load(few_digits), few_digits)
    return {name: value if isinstance(value, str) else "".join(value.itertext()) for name, value in listed}


def test_the_first_line_is_network_errors_time_and_commit(run):
    run = run._replace(
        environment={"git revision": "0123456789abcdef"}, test={"epoch": 8, "errors": 31, "examples": 200}
    )
    seconds = sum(metrics.seconds for metrics in run.history)
    assert facts.summary(run) == (
        f"784-12-10, relu then sigmoid: 31 test errors in 200, trained in {seconds:.1f} s, commit 0123456789"
    )
    last = run.history[-1]
    for test in (None, {"epoch": 7, "errors": 31, "examples": 200}):  # not counted yet; the run has gone on since
        line = facts.summary(run._replace(test=test, environment={}))
        assert (
            f": {last.validation_errors} validation errors ({last.validation_accuracy:.2%} right) after 8 of 8"
            in line
        )
        assert "commit" not in line
    assert facts.test_errors(run._replace(test=None)) == "not counted yet"
    gone_on = run._replace(test={"epoch": 7, "errors": 31, "examples": 200})
    assert facts.test_errors(gone_on) == "31 of 200 (15.50%) after epoch 7, not counted since"


def test_only_what_is_not_default_and_the_command_that_repeats_it(run, few_digits, trained_run):
    listed = said(run, few_digits)
    assert listed["flags that are not defaults"] == "--hidden=12 --phi=relu,sigmoid --epochs=8 --learning_rate=0.5"
    first, *flags, where = shlex.split(listed["to repeat it"].removeprefix("python -m "))
    assert (first, where) == ("jaxmlp.train", f"--data_dir={few_digits}")
    begun_with = set((trained_run / "flags.txt").read_text().splitlines())
    assert set(flags) <= begun_with
    switched = run._replace(config=type(run.config)(deskew=True, train_on_all=True))
    assert switched.config.flags == ["--deskew", "--train_on_all"]
    assert "trained on too" in said(switched, few_digits)["note"]
    assert "note" not in listed


def test_machine_versions_and_date(run, few_digits, tmp_path):
    environment = {
        "python": "3.11.7",
        "jax": "0.10.1",
        "backend": "gpu",
        "devices": ["H100", "H100"],
        "CPU count": 2,
    }
    run = run._replace(path=tmp_path / "20261124-153000-quick", environment=environment)
    listed = said(run, few_digits)
    assert listed["begun"] == "2026-11-24 15:30"
    assert listed["last epoch saved"] == time.strftime("%Y-%m-%d %H:%M", run.saved)
    assert listed["machine"] == "2 processors"
    assert listed["jax ran on"] == "gpu: H100, H100"
    assert listed["versions"] == "python 3.11.7, jax 0.10.1"
    assert listed["data"].endswith("500 training, 100 validation, 200 test images of 28x28")


def test_a_run_of_which_little_is_known(run, few_digits, tmp_path):
    listed = said(run._replace(path=tmp_path / "99999999-999999", environment={}), few_digits)
    assert listed.keys().isdisjoint({"begun", "machine", "jax ran on", "versions", "XLA_FLAGS", "commit"})


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.23, "4.2 s"), (119, "119.0 s"), (150, "2.5 min"), (9000, "2.5 h")]
)
def test_durations(seconds, text):
    assert facts.duration(seconds) == text
