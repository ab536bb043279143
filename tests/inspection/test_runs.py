"""A run directory read for a report."""

import json
import shutil

import pytest

from jaxmlp.inspection import runs
from jaxmlp.training.run_directory import RunError


@pytest.fixture
def copy(trained_run, tmp_path):
    return shutil.copytree(trained_run, tmp_path / "copy")


def test_reads_a_run(trained_run):
    run = runs.read(trained_run)
    rows = [json.loads(line) for line in (trained_run / "metrics.jsonl").read_text().splitlines()]
    assert [m._asdict() for m in run.history] == rows
    assert len(rows) == 8
    assert run.name == "small"
    assert run.config["hidden"] == run.params.W1.shape[1] == 12
    assert run.best.validation_errors == min(row["validation_errors"] for row in rows)
    assert run.test == json.loads((trained_run / "test.json").read_text())


def test_a_run_that_is_not_done_has_no_test_errors(copy):
    (copy / "test.json").unlink()
    assert runs.read(copy).test is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.jsonl", "", "expected a row for each epoch, got none"),
        ("metrics.jsonl", '{"epoch": 1', "expected a row for each epoch, got "),
        ("metrics.jsonl", '{"epoch": 1}', "expected a row for each epoch, got "),
        ("metrics.jsonl", None, "expected a row for each epoch, got No such file"),
        ("test.json", "{}", "expected epoch, errors and examples, got "),
        ("test.json", "3", "expected epoch, errors and examples, got "),
    ],
)
def test_refuses_a_damaged_record(copy, name, content, message):
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_text(content)
    with pytest.raises(RunError, match=f"{name}: {message}"):
        runs.read(copy)
