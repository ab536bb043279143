"""The READMEs: links lead somewhere, quoted code is the code, examples print what is shown, figures agree."""

import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from shell import ENVIRONMENT
from tools.mutants import table

ROOT = Path(__file__).parent.parent
PAGES = {
    path: (ROOT / path).read_text("utf-8")
    for path in (
        "README.md",
        "CHANGELOG.md",
        "jaxmlp/explorer/README.md",
        "jaxmlp/gradcheck/README.md",
        "jaxmlp/recipes/README.md",
        "jaxmlp/recipes/tried.md",
        "jaxmlp/runs/README.md",
        "jaxmlp/training/privacy/README.md",
        "tools/README.md",
    )
}
README, RECIPES, TOOLS = PAGES["README.md"], PAGES["jaxmlp/recipes/README.md"], PAGES["tools/README.md"]

TAGS = ["F1", "F2", "F3", "F4", "L", "B1", "B2", "G1", "G2", "G3", "G4"]
CODE_LINKS = re.findall(r"^\| (\w\d?) \|.*\[[^]]+\]\((jaxmlp/\w+\.py)#L(\d+)\)", README, re.MULTILINE)
TEST_LINKS = sorted(set(re.findall(r"\[(test_\w+)\]\((tests/\w+\.py)#L(\d+)\)", README)))
LINKS = [
    (page, link)
    for page, text in PAGES.items()
    for link in sorted(set(re.findall(r"\]\(([^():]+)\)", text)))
    if not link.startswith("http")
]
EXAMPLES = re.findall(r"^```python\n(import jax.*?)^```\n(?:\n```\n(.*?)^```)?", README, re.MULTILINE | re.DOTALL)

# Of each row but the committee's, which has no recipe of its own.
RECORDS = re.findall(
    r"\| ([\d.]+ ± [\d.]+) \| ([\d, ]+, [\d, ]+) \| ([^|]+) \| \[([\w.]+)\]\([\w.]+\.flags\) \|$",
    RECIPES,
    re.MULTILINE,
)


def lines(file):
    return (ROOT / file).read_text("utf-8").splitlines()


def test_it_is_a_door():
    assert len(README.splitlines()) <= 160


def test_the_table_holds_every_equation():
    assert [tag for tag, _, _ in CODE_LINKS] == TAGS


@pytest.mark.parametrize(("tag", "file", "line"), CODE_LINKS)
def test_an_equation_links_to_its_line(tag, file, line):
    (right,) = (n for n, text in enumerate(lines(file), 1) if text.endswith(f"# {tag}"))
    assert int(line) == right, f"README.md: expected {file}#L{right} for {tag}, got L{line}"


@pytest.mark.parametrize(("name", "file", "line"), TEST_LINKS)
def test_a_test_links_to_its_line(name, file, line):
    (right,) = (n for n, text in enumerate(lines(file), 1) if text.startswith(f"def {name}("))
    assert int(line) == right, f"README.md: expected {file}#L{right} for {name}, got L{line}"


def test_the_quoted_lines_are_those_of_the_network():
    """All that are an equation, in their order, and what else is quoted stands in network.py too."""
    (quoted,) = re.findall(r"^```python\n(z1 = .*?)^```", README, re.MULTILINE | re.DOTALL)
    code, shown = ([text.strip() for text in part] for part in (lines("jaxmlp/network.py"), quoted.splitlines()))
    tagged = re.compile(r"# \w\d?$")
    assert list(filter(tagged.search, shown)) == list(filter(tagged.search, code))
    assert set(shown) <= set(code)


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_a_link_leads_somewhere(page, link):
    path, _, anchor = link.partition("#")
    target = ((ROOT / page).parent / path) if path else ROOT / page
    assert target.exists()
    if anchor and target.suffix == ".md":
        headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
        assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


def skeleton(text):
    """The text without its numbers, which differ a little from machine to machine, and its columns."""
    return re.sub(r"[-\d.,e]*\d|\s+", " ", text).split()


@pytest.mark.slow
@pytest.mark.parametrize(("code", "output"), EXAMPLES)
def test_an_example_prints_what_is_shown(code, output, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT
    )
    assert (done.returncode, done.stderr) == (0, "")
    shown = output or "".join(re.findall(r"^# (.+\n)", code, re.MULTILINE))
    printed = done.stdout.splitlines()[-len(shown.splitlines()) :]
    assert [skeleton(line) for line in printed] == [skeleton(line) for line in shown.splitlines()]


def test_both_examples_are_tried():
    assert len(EXAMPLES) == 2


def costs(text):
    """call: cost, of every row of a table that has both."""
    found = {}
    for calls, cost in re.findall(r"^\|.*?((?:`\w+\.\w+`[^|`]*)+)\| ([\d., ]+) \|", text, re.MULTILINE):
        names = re.findall(r"`(\w+\.\w+)`", calls)
        found |= dict(zip(names, cost.split(", "), strict=True))
    return found


def test_the_costs_are_those_of_the_whole_table():
    assert len(costs(README)) == 16
    assert costs(README) == costs(TOOLS)


def test_every_record_is_looked_at():
    recipes = {path.stem for path in (ROOT / "jaxmlp" / "recipes").glob("*.flags")}
    assert {name for *_, name in RECORDS} == recipes


@pytest.mark.parametrize(("percent", "errors", "time", "recipe"), RECORDS)
def test_a_record_is_what_its_recipe_says(percent, errors, time, recipe):
    said = " ".join((ROOT / "jaxmlp" / "recipes" / f"{recipe}.flags").read_text("utf-8").replace("#", "").split())
    of_each = [int(number) for number in errors.split(",")]
    mean, spread = statistics.mean(of_each), statistics.stdev(of_each)
    assert percent == f"{mean / 100:.2f} ± {spread / 100:.2f}"
    assert f"{mean:.1f} ± {spread:.1f} test errors in 10,000" in said
    share = re.search(r"deviation\), ([\d.]+)%( accuracy)?", said)
    assert float(share[1]) == pytest.approx(100 - mean / 100 if share[2] else mean / 100, abs=0.005001)
    shell, minutes = re.search(r"([\d.]+) s from the shell", time), re.search(r"([\d.]+) min", time)
    assert f"{shell[0]}" in said if shell else f"Training takes {minutes[0]}" in said


def test_readme_has_private_rows_of_the_records():
    """As accuracies, in place of errors."""
    rows = re.findall(r"^\| ([\d.]+) \| ([\d.]+) ± ([\d.]+) \|", README, re.MULTILINE)
    errors = {recipe: percent.split(" ± ") for percent, _, _, recipe in RECORDS}
    assert len(rows) == 3
    for epsilon, accuracy, spread in rows:
        mean, deviation = errors[f"private_epsilon_{epsilon}"]
        assert (f"{100 - float(mean):.2f}", deviation) == (accuracy, spread)


def test_readme_names_the_first_and_the_best_record():
    assert "test errors: 467 of 10,000" in README
    assert re.search(r"4\.26 ± 0\.25 \| 467, ", RECIPES)
    assert re.search(r"\| 0\.37 \| 37 \|", RECIPES)
    assert "37 errors in 10,000" in README


def test_it_counts_the_mutants():
    assert f"{len(table.chosen([], False))} times" in TOOLS


def test_a_package_index_shows_no_link_into_the_repository():
    index_readme = pytest.importorskip(
        "tools.index_readme", exc_type=ImportError, reason="needs hatchling, of the extra [dev]"
    )
    shown = index_readme.without_relative_links(README)
    assert re.findall(r"\]\((?!http)", shown) == []
    assert "| F1 | z1 = W1ᵀ x0 + b1 | network.py | test_every_pair_of_activations |" in shown
    assert index_readme.without_relative_links("![a](b.png)\n[c](https://d) [e](f)") == "[c](https://d) e"
