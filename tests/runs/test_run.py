"""A run directory read for a report."""

import json
import shutil

import numpy as np
import pytest

import jaxmlp
from jaxmlp.runs import checkpoint
from jaxmlp.runs.checkpoint import CheckpointError
from jaxmlp.runs.run import read_run
from jaxmlp.runs.run_directory import RunError, RunWarning


@pytest.fixture
def copy(trained_run, tmp_path):
    return shutil.copytree(trained_run, tmp_path / "copy")


def test_reads_a_run(trained_run):
    run = read_run(trained_run)
    rows = [json.loads(line) for line in (trained_run / "metrics.jsonl").read_text().splitlines()]
    assert [m._asdict() for m in run.history] == rows
    assert len(rows) == 8
    assert run.name == "small"
    assert run.config["hidden"] == run.network.params.W1.shape[1] == 12
    best = json.loads(checkpoint.load(trained_run / "best.npz")["history"].tobytes())[-1]
    assert run.best._asdict() == best
    assert run.test == json.loads((trained_run / "test.json").read_text())


def test_a_run_that_is_not_done_has_no_test_errors(copy):
    (copy / "test.json").unlink()
    assert read_run(copy).test is None


@pytest.mark.parametrize("content", ["{}", "3", ""])
def test_refuses_a_damaged_record_of_the_test(copy, content):
    (copy / "test.json").write_text(content)
    with pytest.raises(RunError, match=r"test\.json: expected epoch, errors and examples, got "):
        read_run(copy)


def test_history_and_parameters_are_of_the_same_checkpoint(copy):
    (copy / "checkpoint-000008.npz").write_bytes(b"")
    with pytest.warns(RunWarning, match=r"checkpoint-000008\.npz: expected a whole .*; trying the one "):
        run = read_run(copy)
    assert len(run.history) == 7
    np.testing.assert_array_equal(
        run.network.params.W1, checkpoint.load(copy / "checkpoint-000007.npz")["params.W1"]
    )


@pytest.mark.parametrize("rows", ["", '{"epoch": 1'])
def test_a_damaged_file_of_rows_is_not_needed(trained_run, copy, rows):
    (copy / "metrics.jsonl").write_text(rows)
    assert read_run(copy).history == read_run(trained_run).history


def test_refuses_a_file_of_parameters_in_a_checkpoints_place(copy):
    jaxmlp.save(copy / "checkpoint-000008.npz", *jaxmlp.load(copy)[:1])
    with pytest.raises(CheckpointError, match=r"checkpoint-000008\.npz: expected the history of its epochs, got"):
        read_run(copy)
