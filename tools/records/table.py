"""The tables of records, row by row: what was published, and the runs that are compared with it."""

import statistics
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from jaxmlp.inspection import evaluation
from jaxmlp.runs import run_directory, storage
from tools.records import training

HEAD = """\
| published test error, % | network | training images | here, % | errors in 10,000 | training | recipe |
|---|---|---|---|---|---|---|"""


class Row(NamedTuple):
    recipe: str
    published: str  # test error in per cent, and whose
    network: str
    images: str = "plain"


KINDS = ("simard800_deskewed", "simard800_edges", "simard800_directions", "simard800_directions_slanted")
MEMBERS = {recipe: range(6) for recipe in KINDS}  # the seeds of each
COMMITTEE = Row(
    "committee",
    "0.39 (Meier 2011, 25 networks)",
    f"784-800-10, the mean output of {sum(map(len, MEMBERS.values()))}",
    "elastic; six each upright, as edges, and as directions upright and not",
)
SEEN = "upright, as directions"
MNIST = [
    Row("quick", "", "784-128-10"),
    Row("nielsen30", "about 5 (Nielsen 2015)", "784-30-10"),
    Row("nielsen100", "3.41 (Nielsen 2015)", "784-100-10"),
    Row("lecun300", "4.7 (LeCun 1998)", "784-300-10", "mixup"),
    Row("lecun300_distorted", "3.6 (LeCun 1998)", "784-300-10", "affine"),
    Row("simard800_plain", "1.6 (Simard 2003, cross-entropy)", "784-800-10", "mixup, pixels left out"),
    Row("invariant2048", "1.4 (Gaussian SVM)", "784-2048-10", "mixup, pixels left out"),
    Row(
        "invariant2048_adversarial",
        "1.4 (Gaussian SVM)",
        "784-2048-10",
        "mixup, pixels left out, virtual adversarial",
    ),
    Row("invariant800", "1.4 (Gaussian SVM)", "784-800-10", "elastic, on a learned grid"),
    Row("simard800_affine", "1.1 (Simard 2003, cross-entropy)", "784-800-10", "affine"),
    Row("simard800_quick", "0.9 (Simard 2003)", "784-800-10", "elastic"),
    Row("simard800", "0.9; cross-entropy 0.7 (Simard 2003)", "784-800-10", "elastic"),
    Row("simard800_deskewed", "0.9; cross-entropy 0.7 (Simard 2003)", "784-800-10", "elastic, upright"),
    Row("simard800_edges", "0.9; cross-entropy 0.7 (Simard 2003)", "784-800-10", "elastic, upright, as edges"),
    Row("simard800_directions", "0.9; cross-entropy 0.7 (Simard 2003)", "784-800-10", f"elastic, {SEEN}"),
    Row(
        "simard800_directions_slanted",
        "0.9; cross-entropy 0.7 (Simard 2003)",
        "784-800-10",
        "elastic, as directions",
    ),
    COMMITTEE,
]
PRIVATE = [
    Row(
        "private_epsilon_0.5",
        "10 (Abadi 2016: one hidden layer of 1,000 units on 60 private principal components)",
        "784-300-10 at ε 0.5",
        SEEN,
    ),
    Row(
        "private_epsilon_1",
        "5.1 at ε 1.16 (Opacus' example, CNN on pixels), 5.0 at 1.19 (TensorFlow Privacy's, CNN on pixels)",
        "784-300-10 at ε 1",
        SEEN,
    ),
    Row("private_epsilon_2", "5 (Abadi 2016, as above)", "784-300-10 at ε 2", SEEN),
    Row(
        "private_epsilon_3",
        "1.3 (Tramèr and Boneh 2021, linear on ScatterNet), 1.9 (theirs, CNN on pixels)",
        "784-300-10 at ε 3",
        SEEN,
    ),
    Row("private_epsilon_8", "3 (Abadi 2016, as above)", "784-1000-10 at ε 8", SEEN),
]
FASHION = [  # from the folder that the recipes name
    Row(
        "fashion_pixels",
        "11.7 (multilayer perceptron 256-128-100), 10.2 (gradient-boosted trees)",
        "784-1600-10",
        "elastic, mixup",
    ),
    Row("fashion_directions", "7.4 (HOG features, SVM)", "784-1600-10", "mixup, as directions"),
]
TABLES = {"Records": MNIST, "Private training": PRIVATE, "Fashion-MNIST": FASHION}


def chosen(names: Sequence[str]) -> dict[str, list[Row]]:
    """The rows of these names, in tables by title; of no names, all. Raises ValueError."""
    known = [row.recipe for rows in TABLES.values() for row in rows]
    for name in names:
        if name not in known:
            raise ValueError(f"expected rows among {', '.join(known)}, got {name}")
    asked = {title: [row for row in rows if row.recipe in (names or known)] for title, rows in TABLES.items()}
    return {title: rows for title, rows in asked.items() if rows}


def recipes(rows: Sequence[Row]) -> list[str]:
    """The recipes that these rows take, those of the committee's members too."""
    return [recipe for row in rows for recipe in _seeds_of(row, 1)]


def _seeds_of(row: Row, seeds: int) -> dict[str, range]:
    """Of each recipe that a row of so many seeds takes."""
    return MEMBERS if row is COMMITTEE else {row.recipe: range(seeds)}


def footnote(rows: Sequence[Row], seeds: int, runs: Path) -> str:
    """When, by the time of the file of their test errors, and on what these rows' runs were trained: a line."""
    days, machines = set(), set()
    for row in rows:
        for recipe, of_recipe in _seeds_of(row, seeds).items():
            for seed in of_recipe:
                run_dir = runs / recipe / f"seed={seed}"
                machines.add(_machine(run_directory.read_config(run_dir)["environment"]))
                days.add(date.fromtimestamp((run_dir / run_directory.TEST).stat().st_mtime).isoformat())
    when = " to ".join(dict.fromkeys((min(days), max(days))))
    return f"- Errors of seeds 0, 1, 2, ... in this order. Trained {when}: {'; '.join(sorted(machines))}."


def _machine(environment: Mapping[str, Any]) -> str:
    """Of a run's environment, which may lack what is younger than itself."""
    devices = ", ".join(dict.fromkeys(environment.get("devices", ["unknown"])))
    known = {"CPU model": "{}", "CPU count": "{} processors"}.items()
    processors = ", ".join(words.format(environment[name]) for name, words in known if name in environment)
    return f"jax {environment.get('jax', 'unknown')} on {devices}" + (f" ({processors})" if processors else "")


def line(row: Row, seeds: int, runs: Path) -> str:
    """A row in Markdown, of runs with the seeds 0 to `seeds` - 1, or of a committee, after what is left to do."""
    of_kinds = [training.trained(recipe, of_recipe, runs) for recipe, of_recipe in _seeds_of(row, seeds).items()]
    results = [result for of_kind in of_kinds for result in of_kind]
    if row is COMMITTEE:
        minutes = sum(result.minutes for result in results)
        networks = [storage.newest(result.run_dir) for result in results]
        errors = [evaluation.evaluate(networks, None, "test").errors]
        recipe = "committee"
    else:
        errors = [result.errors for result in results]
        minutes = statistics.mean(result.minutes for result in results)
        recipe = f"[{row.recipe}]({row.recipe}.flags)"
    mean, spread = statistics.mean(errors), statistics.stdev(errors) if len(errors) > 1 else None
    percent = f"{mean / 100:.2f}" + ("" if spread is None else f" ± {spread / 100:.2f}")
    duration = f"{minutes:.1f} min" if minutes >= 0.1 else f"{60 * minutes:.1f} s"
    here = f"{percent} | {', '.join(map(str, errors))} | {duration}"
    return f"| {row.published} | {row.network} | {row.images} | {here} | {recipe} |"
