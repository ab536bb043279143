"""The rows of the table of records: what was published, and the runs that are compared with it."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxmlp.commands.flags import RECIPES
from jaxmlp.commands.start import DIVERGED
from jaxmlp.inspection import evaluation
from jaxmlp.runs import run_directory, storage

HEAD = """\
| published test error, % | network | training images | here, % | errors in 10,000 | training | recipe |
|---|---|---|---|---|---|---|"""


class Row(NamedTuple):
    recipe: str
    published: str  # test error in per cent, and whose
    network: str
    images: str = "plain"


SEEN = "upright, as directions"
ROWS = [
    Row("quick", "", "784-128-10"),
    Row("nielsen30", "about 5 (Nielsen 2015)", "784-30-10"),
    Row("nielsen100", "3.41 (Nielsen 2015)", "784-100-10"),
    Row("lecun300", "4.7 (LeCun 1998)", "784-300-10", "mixup"),
    Row("lecun300_distorted", "3.6 (LeCun 1998)", "784-300-10", "affine"),
    Row("simard800_plain", "1.6 (Simard 2003, cross-entropy)", "784-800-10", "mixup, pixels left out"),
    Row("invariant2048", "1.4 (Gaussian SVM)", "784-2048-10", "mixup, pixels left out"),
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
]
PRIVATE = [
    Row("private_epsilon_0.5", "10 at ε 0.5 (Abadi 2016)", "784-300-10 at ε 0.5", SEEN),
    Row("private_epsilon_1", "5.0 at ε 1.19 (tf-privacy, CNN)", "784-300-10 at ε 1", SEEN),
    Row("private_epsilon_2", "5 at ε 2 (Abadi 2016)", "784-300-10 at ε 2", SEEN),
    Row("private_epsilon_3", "1.3 at ε 2.93 (Tramèr and Boneh 2021, linear)", "784-300-10 at ε 3", SEEN),
    Row("private_epsilon_8", "3 at ε 8 (Abadi 2016)", "784-1000-10 at ε 8", SEEN),
]
FASHION = [  # of Fashion-MNIST, from the folder that the recipes name
    Row("fashion_pixels", "11.7 (multilayer perceptron 256-128-100)", "784-1600-10", "elastic, mixup"),
    Row("fashion_directions", "7.4 (HOG features, SVM)", "784-1600-10", "mixup, as directions"),
]
KINDS = ("simard800_deskewed", "simard800_edges", "simard800_directions", "simard800_directions_slanted")
MEMBERS = {recipe: range(6) for recipe in KINDS}  # the seeds of each
COMMITTEE = Row(
    "committee",
    "0.39 (Meier 2011, 25 networks)",
    "784-800-10, the mean output of {}",
    "elastic; six each upright, as edges, and as directions upright and not",
)


class Result(NamedTuple):
    run_dir: Path
    errors: int  # of 10,000
    minutes: float  # of training


def chosen(names: Sequence[str]) -> list[Row]:
    """The rows of these names; of none, all. Raises ValueError."""
    rows = {row.recipe: row for row in (*ROWS, COMMITTEE, *PRIVATE, *FASHION)}
    for name in names:
        if name not in rows:
            raise ValueError(f"expected rows among {', '.join(rows)}, got {name}")
    return [rows[name] for name in names or rows]


def line(row: Row, seeds: int, runs: Path) -> str:
    """A row in Markdown, of runs with the seeds 0 to `seeds` - 1, or of a committee, after what is left to do."""
    if row is COMMITTEE:
        members = [result for recipe, of_recipe in MEMBERS.items() for result in trained(recipe, of_recipe, runs)]
        minutes = sum(member.minutes for member in members)
        networks = [storage.newest(member.run_dir) for member in members]
        errors = [evaluation.evaluate(networks, None, "test").errors]
        row = row._replace(network=row.network.format(len(members)))
    else:
        results = trained(row.recipe, range(seeds), runs)
        errors = [result.errors for result in results]
        minutes = statistics.mean(result.minutes for result in results)
    mean, spread = statistics.mean(errors), statistics.stdev(errors) if len(errors) > 1 else None
    percent = f"{mean / 100:.2f}" + ("" if spread is None else f" ± {spread / 100:.2f}")
    here = f"{percent} | {', '.join(map(str, errors))} | {minutes:.1f} min"
    return f"| {row.published} | {row.network} | {row.images} | {here} | {row.recipe} |"


def trained(recipe: str, seeds: range, runs: Path) -> list[Result]:
    """The results of these seeds, which follow one another, after what is left of them to do.

    Exits with the command's code if that fails, and if a network diverges.
    """
    folder, flagfile = runs / recipe, f"--flagfile={RECIPES / recipe}.flags"
    run_dirs = [folder / f"seed={seed}" for seed in seeds]
    _run("sweep", flagfile, f"--seed={seeds.start}:{seeds.stop}", f"--run_dir={folder}")
    if not all((run_dir / run_directory.TEST).exists() for run_dir in run_dirs):
        sys.exit(DIVERGED)
    return [_result(run_dir) for run_dir in run_dirs]


def _run(command: str, *flags: str) -> None:
    """The command of jaxmlp to its end. Exits with its code if it fails."""
    with subprocess.Popen([sys.executable, "-m", f"jaxmlp.{command}", *flags], stdout=sys.stderr) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            code = process.wait()  # it was interrupted too, and saves
    if code:
        sys.exit(code)


def _result(run_dir: Path) -> Result:
    errors = json.loads((run_dir / run_directory.TEST).read_text())["errors"]
    epochs = [json.loads(line) for line in (run_dir / run_directory.METRICS).read_text().splitlines()]
    return Result(run_dir, errors, sum(epoch["seconds"] for epoch in epochs) / 60)
