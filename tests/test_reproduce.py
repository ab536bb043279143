"""The table of records; the training with one small recipe in the place of all."""

import json
import sys
from pathlib import Path

import pytest
from absl import flags

from jaxmlp.inspection import evaluation
from jaxmlp.runs import storage

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def reproduce():
    sys.path.insert(0, str(ROOT / "tools"))
    import reproduce

    yield reproduce
    sys.path.remove(str(ROOT / "tools"))


@pytest.fixture
def table(reproduce, trained_run, monkeypatch, capsys):
    """The rows printed for these arguments, of runs of 30, 40 and 65 errors in one minute each."""
    results = [reproduce.Result(errors, 1.0) for errors in (30, 40, 65)]
    monkeypatch.setattr(reproduce, "_trained", lambda recipe, seed: results[seed])
    monkeypatch.setattr(reproduce, "_run_dir", lambda recipe, seed: trained_run)

    def printed(*arguments):
        flags.FLAGS.unparse_flags()
        reproduce.main(flags.FLAGS(["reproduce.py", *arguments]))
        return [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]

    return printed


def test_a_row_is_the_mean_of_its_seeds(table):
    assert table("--seeds=3", "simard800")[0][3:] == ["0.45 ± 0.18", "30, 40, 65", "1.0 min", "simard800"]
    assert table("--seeds=1", "simard800")[0][3:5] == ["0.30", "30"]


def test_the_committee_is_of_those_runs(table, trained_run):
    """Members that are one network make its errors."""
    row = table("--seeds=3", "committee")[0]
    network = storage.newest(trained_run)
    assert row[1].endswith("mean output of 6")
    assert row[4:6] == [str(evaluation.evaluate([network], None, "test").errors), "6.0 min"]


def test_without_a_number_of_seeds_there_is_no_committee(table):
    assert [row[-1] for row in table("--seeds=1")][-2:] == ["simard800_deskewed", "simard800_edges"]
    assert [row[-1] for row in table("--seeds=2")][-2:] == ["simard800_edges", "committee"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("simrad800", "error: expected rows among nielsen30, .*, committee, got simrad800"),
        ("committee", "error: --seeds: expected 2 or more for a committee, got 1"),
    ],
)
def test_a_mistake_is_one_line(table, row, message):
    with pytest.raises(SystemExit, match=message):
        table("--seeds=1", row)


def test_every_recipe_is_a_row_or_the_quick_one(reproduce):
    recipes = {recipe.stem for recipe in (ROOT / "jaxmlp" / "recipes").glob("*.flags")}
    assert recipes == {*(row.recipe for row in reproduce.ROWS), "quick"}


@pytest.fixture
def small_recipe(reproduce, few_digits, tmp_path, monkeypatch):
    """Writes the flags of the only recipe; its runs go beside it."""
    file = tmp_path / "jaxmlp" / "recipes" / "small.flags"
    file.parent.mkdir(parents=True)
    monkeypatch.setattr(reproduce, "ROOT", tmp_path)
    flags.FLAGS.unparse_flags()
    flags.FLAGS(["reproduce.py", f"--runs={tmp_path / 'runs'}"])
    return lambda *chosen: file.write_text("\n".join([f"--data_dir={few_digits}", "--hidden=5", *chosen]))


def test_a_recipe_is_trained_once_a_seed(reproduce, small_recipe, tmp_path):
    small_recipe("--epochs=2")
    result = reproduce._trained("small", 7)
    run = tmp_path / "runs" / "small-7"
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert "--seed=7" in (run / "flags.txt").read_text()
    assert len(epochs) == 2
    assert result.errors == json.loads((run / "test.json").read_text())["errors"]
    assert result.minutes == pytest.approx(sum(epoch["seconds"] for epoch in epochs) / 60)
    assert reproduce._trained("small", 7) == result  # the seconds too: nothing was trained again


def test_a_training_that_fails_ends_the_table_with_its_code(reproduce, small_recipe):
    small_recipe("--learning_rate=1e38", "--phi=relu,identity")
    with pytest.raises(SystemExit, match=r"^3$"):
        reproduce._trained("small", 0)
