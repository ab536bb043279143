"""The README: its links point at the lines they name, and its Python runs."""

import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from shell import ENVIRONMENT

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()

CODE_LINKS = re.findall(r"^\| (\w\d?) \|.*\[[^]]+\]\((jaxmlp/\w+\.py)#L(\d+)\)", README, re.MULTILINE)
TEST_LINKS = re.findall(r"\[(test_\w+)\]\((tests/\w+\.py)#L(\d+)\)", README)

# Of each row but the committee's, which has no recipe of its own.
RECORDS = re.findall(
    r"\| ([\d.]+ ± [\d.]+) \| ([\d, ]+, [\d, ]+) \| ([\d.]+) min[^|]* \| (?!committee)(\w+) \|$",
    README,
    re.MULTILINE,
)
RECIPES = re.findall(r"^\| \[(\w+)\]\(.*\.flags\) \|.*\| ([\d.]+ ± [\d.]+) \| ([\d.]+)% \|", README, re.MULTILINE)


def test_every_record_is_looked_at():
    assert len(RECORDS) == 11
    assert [name for name, *_ in RECIPES] == ["quick", "nielsen30", "nielsen100"]


def test_the_table_holds_every_equation():
    assert [tag for tag, _, _ in CODE_LINKS] == ["F1", "F2", "F3", "F4", "L", "B1", "B2", "G1", "G2", "G3", "G4"]


@pytest.mark.parametrize(("tag", "file", "line"), CODE_LINKS)
def test_an_equation_links_to_its_line(tag, file, line):
    assert (ROOT / file).read_text().splitlines()[int(line) - 1].endswith(f"# {tag}")


@pytest.mark.parametrize(("name", "file", "line"), TEST_LINKS)
def test_a_test_links_to_its_line(name, file, line):
    assert (ROOT / file).read_text().splitlines()[int(line) - 1].startswith(f"def {name}(")


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([\w./]+)(?:#\w+)?\)", README))))
def test_a_link_leads_to_a_file(link):
    assert (ROOT / link).exists()


@pytest.mark.parametrize("code", re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL))
def test_an_example_runs(code, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("percent", "errors", "minutes", "recipe"), RECORDS)
def test_a_record_is_what_its_recipe_says(percent, errors, minutes, recipe):
    said = (ROOT / "jaxmlp" / "recipes" / f"{recipe}.flags").read_text()
    of_each = [int(number) for number in errors.split(",")]
    mean, spread = statistics.mean(of_each), statistics.stdev(of_each)
    assert percent == f"{mean / 100:.2f} ± {spread / 100:.2f}"
    assert f"{mean:.1f} ± {spread:.1f} test errors in 10,000" in said
    assert f"Training takes {minutes} min" in " ".join(said.replace("#", "").split()) or " s from the shell" in said


@pytest.mark.parametrize(("recipe", "errors", "accuracy"), RECIPES)
def test_a_recipe_says_the_same(recipe, errors, accuracy):
    said = (ROOT / "jaxmlp" / "recipes" / f"{recipe}.flags").read_text()
    assert f"{errors} test errors in 10,000" in said
    assert float(accuracy) == pytest.approx(100 - float(errors.split()[0]) / 100, abs=0.005001)


def test_it_counts_the_mutants_and_each_fits_the_code(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    import mutants

    assert f"{len(mutants.chosen([]))} times" in README
