"""The table of records, from runs that are there already."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOL = ROOT / "tools" / "reproduce.py"
HEAD = 2  # lines


@pytest.fixture
def runs(trained_run, tmp_path):
    """Three finished runs of 30, 40 and 65 test errors, and one minute each."""
    for seed, errors in enumerate((30, 40, 65)):
        run = shutil.copytree(trained_run, tmp_path / "runs" / f"simard800-{seed}")
        (run / "test.json").write_text(json.dumps({"epoch": 8, "errors": errors, "examples": 10_000}))
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        (run / "metrics.jsonl").write_text("".join(json.dumps({**row, "seconds": 7.5}) + "\n" for row in rows))
    return tmp_path / "runs"


def reproduce(runs, *arguments):
    command = [sys.executable, TOOL, f"--runs={runs}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_row_is_the_mean_of_its_seeds(runs):
    done = reproduce(runs, "--seeds=3", "simard800")
    assert done.stderr == ""
    cells = done.stdout.splitlines()[HEAD].split(" | ")
    assert cells[3:] == ["0.45 ± 0.18", "30, 40, 65", "1.0 min", "simard800 |"]
    assert reproduce(runs, "simard800").stdout.splitlines()[HEAD].split(" | ")[3:5] == ["0.30", "30"]


def test_the_committee_is_of_those_runs(runs, trained_run):
    """Members that are one network make its errors."""
    done = reproduce(runs, "--seeds=3", "committee")
    command = [sys.executable, "-m", "jaxmlp.evaluate", "--split=test", "--json", trained_run]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=120).stdout)
    cells = done.stdout.splitlines()[HEAD].split(" | ")
    assert cells[1].endswith("mean output of 3")
    assert cells[4:6] == [str(said["errors"]), "3.0 min"]


def test_an_unknown_row_is_one_line():
    done = reproduce("nowhere", "simrad800")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: expected rows among nielsen30, ")
    assert done.stderr.endswith(", got simrad800\n")


def test_every_recipe_is_a_row_or_the_quick_one():
    rows = reproduce("nowhere", "none").stderr.split("among ")[1].split(", got")[0].split(", ")
    recipes = {recipe.stem for recipe in (ROOT / "jaxmlp" / "recipes").glob("*.flags")}
    assert recipes == {*rows, "quick"} - {"committee"}
