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
RECIPES = [row.recipe for row in (*table.ROWS, *table.PRIVATE, *table.FASHION)]


@pytest.fixture
def cells(trained_run, monkeypatch):
    """The cells of a row, of runs of 30, 40 and 65 errors in one minute each."""
    results = [table.Result(trained_run, errors, 1.0) for errors in (30, 40, 65)]
    monkeypatch.setattr(table, "trained", lambda recipe, seeds, runs: [results[seed % 3] for seed in seeds])

    def cells(name, seeds):
        (row,) = table.chosen([name])
        return table.line(row, seeds, Path("runs")).strip("| ").split(" | ")

    return cells


def test_a_row_is_the_mean_of_its_seeds(cells):
    assert cells("simard800", 3)[3:] == ["0.45 ± 0.18", "30, 40, 65", "1.0 min", "simard800"]
    assert cells("simard800", 1)[3:5] == ["0.30", "30"]


def test_the_committee_is_the_one_of_the_table(cells, trained_run):
    """Of 24 members, whatever the number of seeds. As one network they make its errors."""
    row = cells("committee", 3)
    network = storage.newest(trained_run)
    assert row[1].endswith("mean output of 24")
    assert row[4:6] == [str(evaluation.evaluate([network], None, "test").errors), "24.0 min"]
    written = (ROOT / "jaxmlp" / "recipes" / "README.md").read_text()
    assert f"**{', '.join(table.MEMBERS)}, seeds 0 to 5 of each**" in written
    assert set(table.MEMBERS.values()) == {range(6)}


def test_without_names_it_is_the_whole_table():
    rows = [row.recipe for row in table.chosen([])]
    assert [rows[0], *rows[-9:]] == ["quick", "simard800_directions_slanted", "committee", *RECIPES[-7:]]


def test_an_unknown_row_is_told():
    with pytest.raises(ValueError, match=r"^expected rows among quick, .*, committee, .*, got simrad800$"):
        table.chosen(["simrad800"])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "simrad800",
            f"error: expected rows among {', '.join([*RECIPES[:-7], 'committee', *RECIPES[-7:]])}, got simrad800",
        ),
        ("--seed=2", "error: Unknown command line flag 'seed'. Did you mean: seeds ?"),
    ],
)
def test_on_the_command_line_it_is_one_line(argument, message):
    done = subprocess.run(
        [sys.executable, "-m", "tools.records", argument], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{message}\n")


def test_every_recipe_is_a_row():
    assert {recipe.stem for recipe in table.RECIPES.glob("*.flags")} == set(RECIPES)


@pytest.fixture
def small_recipe(few_digits, tmp_path, monkeypatch):
    """Writes the flags of the only recipe."""
    monkeypatch.setattr(table, "RECIPES", tmp_path)
    file = tmp_path / "small.flags"
    return lambda *chosen: file.write_text("\n".join([f"--data_dir={few_digits}", "--hidden=5", *chosen]))


def test_a_recipe_is_trained_once_a_seed(small_recipe, tmp_path):
    small_recipe("--epochs=2")
    results = table.trained("small", range(2), tmp_path)
    assert [result.run_dir.name for result in results] == ["seed=0", "seed=1"]
    for seed, (run, errors, minutes) in enumerate(results):
        epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert f"--seed={seed}\n" in (run / "flags.txt").read_text()
        assert len(epochs) == 2
        assert errors == json.loads((run / "test.json").read_text())["errors"]
        assert minutes == pytest.approx(sum(epoch["seconds"] for epoch in epochs) / 60)
    again = table.trained("small", range(1, 3), tmp_path)
    assert again[0] == results[1]  # the seconds too: it was not trained again
    assert [result.run_dir.name for result in again] == ["seed=1", "seed=2"]


def test_a_training_that_fails_ends_the_table_with_its_code(small_recipe, tmp_path):
    small_recipe("--learning_rate=1e38", "--phi=relu,identity")
    with pytest.raises(SystemExit, match=r"^3$"):
        table.trained("small", range(1), tmp_path)


def test_a_private_recipe_is_trained_too(small_recipe, tmp_path):
    small_recipe("--epochs=1", "--batch_size=50", "--clip_norm=1", "--delta=1e-3", "--noise_multiplier=2")
    results = table.trained("small", range(3, 5), tmp_path)
    assert [result.run_dir for result in results] == [tmp_path / "small" / f"seed={seed}" for seed in (3, 4)]
    assert "--seed=4" in (results[1].run_dir / "flags.txt").read_text()
    assert (results[1].run_dir / "secret.key").exists()
