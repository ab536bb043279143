"""The table of records; the training with one small recipe in the place of all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jaxmlp.inspection import evaluation
from jaxmlp.runs import storage
from tools.records import table

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def cells(trained_run, monkeypatch):
    """The cells of a row, of runs of 30, 40 and 65 errors in one minute each."""
    results = [table.Result(trained_run, errors, 1.0) for errors in (30, 40, 65)]
    monkeypatch.setattr(table, "trained", lambda recipe, seeds, runs: results[:seeds])

    def cells(name, seeds):
        (row,) = table.chosen([name], seeds)
        return table.line(row, seeds, Path("runs")).strip("| ").split(" | ")

    return cells


def test_a_row_is_the_mean_of_its_seeds(cells):
    assert cells("simard800", 3)[3:] == ["0.45 ± 0.18", "30, 40, 65", "1.0 min", "simard800"]
    assert cells("simard800", 1)[3:5] == ["0.30", "30"]


def test_the_committee_is_of_those_runs(cells, trained_run):
    """Members that are one network make its errors."""
    row = cells("committee", 3)
    network = storage.newest(trained_run)
    assert row[1].endswith("mean output of 6")
    assert row[4:6] == [str(evaluation.evaluate([network], None, "test").errors), "6.0 min"]


def test_without_a_number_of_seeds_there_is_no_committee():
    assert [row.recipe for row in table.chosen([], 1)][-2:] == ["simard800_deskewed", "simard800_edges"]
    assert [row.recipe for row in table.chosen([], 2)][-2:] == ["simard800_edges", "committee"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("simrad800", "expected rows among nielsen30, .*, committee, got simrad800"),
        ("committee", "--seeds: expected 2 or more for a committee, got 1"),
    ],
)
def test_a_mistake_is_told(row, message):
    with pytest.raises(ValueError, match=message):
        table.chosen([row], 1)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("committee", "error: --seeds: expected 2 or more for a committee, got 1\n"),
        ("--seed=2", "error: Unknown command line flag 'seed'. Did you mean: seeds ?\n"),
    ],
)
def test_on_the_command_line_it_is_one_line(argument, message):
    done = subprocess.run(
        [sys.executable, "-m", "tools.records", argument], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message)


def test_every_recipe_is_a_row_or_the_quick_one():
    recipes = {recipe.stem for recipe in table.RECIPES.glob("*.flags")}
    assert recipes == {*(row.recipe for row in table.ROWS), "quick"}


@pytest.fixture
def small_recipe(few_digits, tmp_path, monkeypatch):
    """Writes the flags of the only recipe."""
    monkeypatch.setattr(table, "RECIPES", tmp_path)
    file = tmp_path / "small.flags"
    return lambda *chosen: file.write_text("\n".join([f"--data_dir={few_digits}", "--hidden=5", *chosen]))


def test_a_recipe_is_trained_once_a_seed(small_recipe, tmp_path):
    small_recipe("--epochs=2")
    results = table.trained("small", 2, tmp_path)
    assert [result.run_dir.name for result in results] == ["seed=0", "seed=1"]
    for seed, (run, errors, minutes) in enumerate(results):
        epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert f"--seed={seed}\n" in (run / "flags.txt").read_text()
        assert len(epochs) == 2
        assert errors == json.loads((run / "test.json").read_text())["errors"]
        assert minutes == pytest.approx(sum(epoch["seconds"] for epoch in epochs) / 60)
    again = table.trained("small", 3, tmp_path)
    assert again[:2] == results  # the seconds too: nothing was trained again
    assert len(again) == 3


def test_a_training_that_fails_ends_the_table_with_its_code(small_recipe, tmp_path):
    small_recipe("--learning_rate=1e38", "--phi=relu,identity")
    with pytest.raises(SystemExit, match=r"^3$"):
        table.trained("small", 1, tmp_path)
