"""The table of mutants fits the code, and a mistake in asking for some is one line. Here no mutant is tested."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.mutants import running, table
from tools.mutants.running import Outcome

ROOT = Path(__file__).resolve().parent.parent
MUTANTS, HANDFUL = table.read()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_code(mutant):
    table.check(mutant)
    assert mutant.old != mutant.new


def test_a_name_that_stands_twice_is_refused(tmp_path, monkeypatch):
    twice = tmp_path / "table.toml"
    twice.write_text('handful = []\n[network]\nsame = ["a", "b"]\n[batch]\nsame = ["a", "b"]\n')
    monkeypatch.setattr(table, "TABLE", twice)
    with pytest.raises(ValueError, match=r"^table\.toml: expected every name once, got same again$"):
        table.read()


@pytest.mark.parametrize(
    ("old", "tests", "message"),
    [
        ("delta1", "test_network.py", "expected 'delta1' once in jaxmlp/network.py, got it [0-9]+ times"),
        ("delta3", "test_network.py", "expected 'delta3' once in jaxmlp/network.py, got it 0 times"),
        ("# B1", "test_networks.py", "expected tests in tests/test_networks.py, got no such file"),
    ],
)
def test_a_mutant_that_does_not_fit_is_refused(old, tests, message):
    with pytest.raises(ValueError, match=f"^wrong: {message}$"):
        table.check(table.Mutant("wrong", "network", old, "", Path("tests", tests)))


def test_mutants_are_chosen_by_name_module_or_handful():
    assert table.chosen([]) == MUTANTS
    assert [mutant.name for mutant in table.chosen(["B1_sign"])] == ["B1_sign"]
    assert {mutant.module for mutant in table.chosen(["batch"])} == {"batch"}
    assert {mutant.name for mutant in table.chosen([], handful=True)} == set(HANDFUL)


def test_the_handful_is_of_all_parts():
    parts = {mutant.module.partition(".")[0] for mutant in MUTANTS}
    assert {mutant.module.partition(".")[0] for mutant in table.chosen([], handful=True)} == parts


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("B1_sing", r"expected mutants or modules, such as B1_sign, .*, got B1_sing"),
        ("--handfull", r"Unknown command line flag 'handfull'. Did you mean: handful \?"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(argument, message):
    done = subprocess.run(
        [sys.executable, "-m", "tools.mutants", argument], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(f"error: {message}\n", done.stderr)


@pytest.fixture
def failing(monkeypatch):
    """The tests fail on these mutants, and on the package as it is if `package` says so."""

    def failing(*names, package=None):
        def outcome_of(mutant, cache):
            return Outcome("tests/test_it.py::test_it[1]" if mutant.name in names else None, 1.0, "")

        monkeypatch.setattr(running, "outcome_of", outcome_of)
        monkeypatch.setattr(running, "outcome_of_package", lambda tests, cache: Outcome(package, 1.0, ""))

    return failing


def test_one_that_survives_is_told(failing, capsys):
    failing("B1_sign")
    assert running.all_killed(table.chosen(["B1_sign"]), jobs=1)
    assert not running.all_killed(table.chosen(["B1_sign", "B2_sign"]), jobs=2)
    assert re.search("B2_sign .* NOTHING: it survives\n\n1 of 2 killed", capsys.readouterr().out)


def test_killing_means_nothing_where_the_package_fails_too(failing):
    failing("B1_sign", package="tests/test_it.py::test_it[1]")
    with pytest.raises(running.NotRun, match="expected tests that pass on the package as it is, got a failure"):
        running.all_killed(table.chosen(["B1_sign"]), jobs=1)
