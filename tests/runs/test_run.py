"""A run directory read for a report."""

import json
import os
import re
import shutil
import time

import numpy as np
import pytest

import jaxmlp
from jaxmlp.runs import checkpoint
from jaxmlp.runs.checkpoint import CheckpointError
from jaxmlp.runs.run import read_run
from jaxmlp.runs.run_directory import RunError, RunWarning
from jaxmlp.training.config import Config

SMALL = {"hidden": 12, "phi": "relu,sigmoid", "learning_rate": 0.5, "epochs": 8}


@pytest.fixture
def copy(trained_run, tmp_path):
    return shutil.copytree(trained_run, tmp_path / "copy")


def test_reads_a_run(trained_run):
    run = read_run(trained_run)
    rows = [json.loads(line) for line in (trained_run / "metrics.jsonl").read_text().splitlines()]
    assert [m._asdict() for m in run.history] == rows
    assert len(rows) == 8
    assert run.name == "small"
    assert run.config.hidden == run.network.params.W1.shape[1] == 12
    best = json.loads(checkpoint.load(trained_run / "best.npz")["history"].tobytes())[-1]
    assert run.best._asdict() == best
    assert run.test == json.loads((trained_run / "test.json").read_text())


def test_a_flag_that_is_younger_than_the_run_has_its_default(copy):
    recorded = json.loads((copy / "config.json").read_text())
    del recorded["config"]["nesterov"], recorded["config"]["train_on_all"]
    recorded["config"]["older"] = 3
    (copy / "config.json").write_text(json.dumps(recorded))
    assert read_run(copy).config == Config(**SMALL)


def test_refuses_a_flag_of_a_wrong_value(copy):
    text = (copy / "config.json").read_text()
    (copy / "config.json").write_text(text.replace('"epochs": 8', '"epochs": "many"'))
    with pytest.raises(RunError, match=r"config\.json: epochs: expected an integer from 0 to 1000000, got 'many'$"):
        read_run(copy)


@pytest.mark.parametrize("read", [read_run, jaxmlp.load])
def test_a_checkpoint_of_another_kind_of_run_is_refused(copy, edges_run, read):
    file = copy / "checkpoint-000008.npz"
    shutil.copy(edges_run / file.name, file)
    message = f"{file}: expected deskew False, as its run has it, got True"
    with pytest.raises(CheckpointError, match=f"^{re.escape(message)}$"):
        read(copy)


def test_a_run_is_dated_by_its_folder_and_its_checkpoint(copy, tmp_path):
    os.utime(copy / "checkpoint-000008.npz", (0, time.mktime((2026, 11, 24, 15, 31, 7, 0, 0, -1))))
    run = read_run(copy.rename(tmp_path / "20261124-153000-quick"))
    assert run.saved[:6] == (2026, 11, 24, 15, 31, 7)
    assert run.begun[:6] == (2026, 11, 24, 15, 30, 0)
    assert run._replace(path=tmp_path / "copy").begun is None


def test_a_run_that_is_not_done_has_no_test_errors(copy):
    assert read_run(copy).tested
    (copy / "test.json").unlink()
    assert read_run(copy).test is None
    assert not read_run(copy).tested


@pytest.mark.parametrize("content", ["{}", "3", ""])
def test_refuses_a_damaged_record_of_the_test(copy, content):
    (copy / "test.json").write_text(content)
    with pytest.raises(RunError, match=r"test\.json: expected epoch, errors and examples, got "):
        read_run(copy)


def test_history_and_parameters_are_of_the_same_checkpoint(copy):
    (copy / "checkpoint-000008.npz").write_bytes(b"")
    with pytest.warns(
        RunWarning, match=r"checkpoint-000008\.npz: expected a whole checkpoint, .*; trying the one "
    ):
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
