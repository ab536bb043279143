"""The tables of records; the training with one small recipe in the place of all."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest

from jaxmlp.inspection import evaluation
from jaxmlp.runs import locking, storage
from jaxmlp.runs.run_directory import RunError
from tools.records import table, training

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
ROWS = [row for rows in table.TABLES.values() for row in rows]
NAMES = [row.recipe for row in ROWS]


@pytest.fixture
def cells(trained_run, monkeypatch):
    """The cells of a row, of runs of 30, 40 and 65 errors in one minute each."""
    results = [training.Result(trained_run, errors, 1.0) for errors in (30, 40, 65)]
    monkeypatch.setattr(training, "trained", lambda recipe, seeds, runs: [results[seed % 3] for seed in seeds])

    def cells(name, seeds):
        ((row,),) = table.chosen([name]).values()
        return table.line(row, seeds, Path("runs")).strip("| ").split(" | ")

    return cells


def test_a_row_is_the_mean_of_its_seeds(cells):
    assert cells("simard800", 3)[3:] == ["0.45 ± 0.18", "30, 40, 65", "1.0 min", "[simard800](simard800.flags)"]
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


@pytest.mark.parametrize(("recipe", "runs"), [("quick", 2), ("committee", 24)])
def test_below_a_table_is_when_and_on_what_its_runs_were_trained(recipe, runs, tmp_path):
    ((row,),) = table.chosen([recipe]).values()
    kinds = table.MEMBERS if recipe == "committee" else {recipe: range(2)}
    run_dirs = [tmp_path / kind / f"seed={seed}" for kind, seeds in kinds.items() for seed in seeds]
    assert len(run_dirs) == runs
    for run_dir in run_dirs:
        run_dir.mkdir(parents=True)
        on = {"jax": "0.10.1", "devices": ["cpu", "cpu"], "CPU model": "An A", "CPU count": 2}
        (run_dir / "config.json").write_text(json.dumps({"config": {}, "data": {}, "environment": on}))
        (run_dir / "test.json").write_text("{}")
        os.utime(run_dir / "test.json", (0, time.mktime((2026, 11, 28, 12, 0, 0, 0, 0, -1))))
    seeds = "- Errors of seeds 0, 1, 2, ... in this order."
    assert (
        table.footnote([row], 2, tmp_path) == f"{seeds} Trained 2026-11-28: jax 0.10.1 on cpu (An A, 2 processors)."
    )
    on = {"jax": "0.10.1", "devices": ["NVIDIA H100"], "CPU model": "A B"}  # of before the count was recorded
    (run_dirs[-1] / "config.json").write_text(json.dumps({"config": {}, "data": {}, "environment": on}))
    os.utime(run_dirs[-1] / "test.json", (0, time.mktime((2026, 12, 1, 12, 0, 0, 0, 0, -1))))
    both = "jax 0.10.1 on NVIDIA H100 (A B); jax 0.10.1 on cpu (An A, 2 processors)"
    assert table.footnote([row], 2, tmp_path) == f"{seeds} Trained 2026-11-28 to 2026-12-01: {both}."
    (run_dirs[-1] / "config.json").write_text(json.dumps({"config": {}, "data": {}, "environment": {}}))
    assert table.footnote([row], 2, tmp_path).endswith("(An A, 2 processors); jax unknown on unknown.")


def test_without_names_it_is_all_tables():
    assert table.chosen([]) == table.TABLES


def test_rows_are_printed_in_the_tables_of_the_page():
    asked = table.chosen(["fashion_pixels", "simard800", "quick"])
    titles = {title: [row.recipe for row in rows] for title, rows in asked.items()}
    assert titles == {"Records": ["quick", "simard800"], "Fashion-MNIST": ["fashion_pixels"]}


def test_the_page_has_these_rows():
    """All but what was measured is the same text there, in the same order under the same headings."""
    page = (ROOT / "jaxmlp" / "recipes" / "README.md").read_text()
    for title, rows in table.TABLES.items():
        (section,) = re.findall(rf"^##+ {title}$(.*?)(?=^#|\Z)", page, re.M | re.S)
        head, _, *lines = [line for line in section.splitlines() if line.startswith("|")]
        assert head == table.HEAD.splitlines()[0]
        written = [tuple(cell.strip() for cell in line.split("|")[1:4]) for line in lines]
        assert written == [(row.published, row.network, row.images) for row in rows]


def test_an_unknown_row_is_told():
    with pytest.raises(ValueError, match=r"^expected rows among quick, .*, committee, .*, got simrad800$"):
        table.chosen(["simrad800"])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "simrad800",
            f"error: expected rows among {', '.join(NAMES)}, got simrad800",
        ),
        ("--seed=2", "error: Unknown command line flag 'seed'. Did you mean: seeds ?"),
        ("--runs=", "error: flag --runs=: expected a folder"),
    ],
)
def test_on_the_command_line_it_is_one_line(argument, message):
    done = subprocess.run(
        [sys.executable, "-m", "tools.records", argument], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{message}\n")


def test_every_recipe_is_a_row():
    recipes = {recipe.stem for recipe in training.RECIPES.glob("*.flags")}
    assert {"committee", *recipes} == set(NAMES)
    assert set(table.recipes(ROWS)) == recipes


@pytest.fixture
def small_recipe(few_digits, tmp_path, monkeypatch):
    """Writes the flags of the only recipe."""
    monkeypatch.setattr(training, "RECIPES", tmp_path)
    file = tmp_path / "small.flags"
    return lambda *chosen: file.write_text("\n".join([f"--data_dir={few_digits}", "--hidden=5", *chosen]))


def test_a_recipe_is_trained_once_a_seed(small_recipe, tmp_path):
    small_recipe("--epochs=2")
    results = training.trained("small", range(2), tmp_path)
    assert [result.run_dir.name for result in results] == ["seed=0", "seed=1"]
    for seed, (run, errors, minutes) in enumerate(results):
        epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert f"--seed={seed}\n" in (run / "flags.txt").read_text()
        assert len(epochs) == 2
        assert errors == json.loads((run / "test.json").read_text())["errors"]
        assert minutes == pytest.approx(sum(epoch["seconds"] for epoch in epochs) / 60)
    again = training.trained("small", range(1, 3), tmp_path)
    assert again[0] == results[1]  # the seconds too: it was not trained again
    assert [result.run_dir.name for result in again] == ["seed=1", "seed=2"]


def test_a_training_that_fails_ends_the_table_with_its_code(small_recipe, tmp_path):
    small_recipe("--learning_rate=1e38", "--phi=relu,identity")
    with pytest.raises(SystemExit, match=r"^3$"):
        training.trained("small", range(1), tmp_path)


def test_seeds_that_are_done_stay_in_the_sweep(small_recipe, tmp_path):
    small_recipe("--epochs=1")
    training.trained("small", range(2), tmp_path)
    training.trained("small", range(1), tmp_path)
    assert len((tmp_path / "small" / "sweep.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("other", ["--deskew", "--train_on_all", "--momentum=0.5", "--learning_rate=2"])
def test_runs_of_other_flags_are_refused(small_recipe, tmp_path, other):
    """Those too that the recipe does not name."""
    small_recipe("--epochs=1", other)
    training.trained("small", range(1), tmp_path)
    small_recipe("--epochs=1")
    name, _, got = other.partition("=")
    expected = training.sweep.FLAGS.default(name.removeprefix("--"))
    message = f"small/flags.txt: expected {name}={expected}, as small has it, got {got or 'true'}"
    with pytest.raises(RunError, match=re.escape(message)):
        training.check("small", tmp_path)


def test_runs_of_its_own_flags_are_not(small_recipe, tmp_path):
    """Of other seeds too."""
    small_recipe("--epochs=1", "--learning_rate=2")
    training.trained("small", range(2), tmp_path)
    small_recipe("--epochs=1", "--learning_rate=2.0")
    training.check("small", tmp_path)


def test_runs_of_another_machine_are_told_of(small_recipe, tmp_path, capfd):
    small_recipe("--epochs=1")
    training.trained("small", range(3), tmp_path)
    config = tmp_path / "small" / "seed=1" / "config.json"
    recorded = json.loads(config.read_text())
    recorded["environment"] |= {"jax": "0.1.0", "git revision": "another"}
    config.write_text(json.dumps(recorded))
    training.trained("small", range(3), tmp_path)
    message = f"expected jax {jax.__version__}, as seed=0 had it, got 0.1.0"
    told = [line for line in capfd.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert told[-1] == f"warning: {config.parent}: {message}"


def test_it_looks_at_all_runs_before_it_trains(tmp_path):
    (tmp_path / "nielsen30").mkdir()
    flags = tmp_path / "nielsen30" / "flags.txt"
    flags.write_text("--deskew\n")
    command = [sys.executable, "-m", "tools.records", f"--runs={tmp_path}", "quick", "nielsen30"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    message = f"error: {flags}: expected --deskew=False, as nielsen30 has it, got true\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)


@pytest.mark.parametrize(
    ("argument", "stdout", "code", "told"),
    [
        ("--help", "/dev/null", 0, ""),
        ("--help", "/dev/full", 2, "error: standard output: No space left on device\n"),
        ("quick", "/dev/full", 2, "error: standard output: No space left on device\n"),
        ("quick", None, 141, ""),  # a pipe that nobody reads
    ],
)
def test_how_a_tool_ends(argument, stdout, code, told, tmp_path):
    if stdout:
        writer = os.open(stdout, os.O_WRONLY)
    else:
        reader, writer = os.pipe()
        os.close(reader)
    command = [sys.executable, "-m", "tools.records", f"--runs={tmp_path}", argument]
    done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (code, told)


def test_runs_of_other_data_are_refused(small_recipe, tmp_path, few_digits):
    small_recipe("--epochs=1")
    training.trained("small", range(1), tmp_path)
    shutil.copytree(few_digits, tmp_path / "others")
    small_recipe("--epochs=1", f"--data_dir={tmp_path / 'others'}")
    with pytest.raises(RunError, match=r"flags\.txt: expected --data_dir=.*others, as small has it, got "):
        training.check("small", tmp_path)


def test_data_that_are_missing_are_told_before_anything_is_trained(small_recipe, tmp_path):
    small_recipe(f"--data_dir={tmp_path / 'none'}")
    with pytest.raises(RunError, match=r"^small: expected the data in .*none, as small\.flags says, got no such f"):
        training.check("small", tmp_path)


def test_a_metrics_file_that_is_damaged_does_no_harm(small_recipe, tmp_path):
    small_recipe("--epochs=2")
    (result,) = training.trained("small", range(1), tmp_path)
    (result.run_dir / "metrics.jsonl").write_text("{")
    assert training.trained("small", range(1), tmp_path) == [result]


@pytest.mark.parametrize("copy", ["seed=0.bak", "seed=-1"])
def test_a_copy_of_a_run_beside_it_is_none(small_recipe, tmp_path, copy):
    small_recipe("--epochs=1")
    (result,) = training.trained("small", range(1), tmp_path)
    shutil.copytree(result.run_dir, result.run_dir.parent / copy)
    assert training.trained("small", range(1), tmp_path) == [result]


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_training_too(tmp_path, signum, code):
    """Sent to this process alone, while the network of the row trains; the same command goes on."""
    heeding = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"  # which nohup, say, ignores
    program = f"{heeding}; import runpy; runpy.run_module('tools.records', run_name='__main__')"
    command = [sys.executable, "-c", program, f"--runs={tmp_path}", "nielsen100"]
    run_dir = tmp_path / "nielsen100" / "seed=0"
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while not (run_dir / "config.json").exists():
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signum)
        process.communicate()
    assert process.returncode == code
    with locking.locked(run_dir.parent / "lock"):  # nobody else holds it
        pass


def test_a_private_recipe_is_trained_too(small_recipe, tmp_path):
    small_recipe("--epochs=1", "--batch_size=50", "--clip_norm=1", "--delta=1e-3", "--noise_multiplier=2")
    results = training.trained("small", range(3, 5), tmp_path)
    assert [result.run_dir for result in results] == [tmp_path / "small" / f"seed={seed}" for seed in (3, 4)]
    assert "--seed=4" in (results[1].run_dir / "flags.txt").read_text()
    assert (results[1].run_dir / "secret.key").exists()
