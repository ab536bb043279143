"""The rows of the table of records: what was published, and the runs that are compared with it."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxmlp.commands.flags import RECIPES
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


ROWS = [
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
]
MEMBERS = {"simard800_deskewed": range(10, 20), "simard800_edges": range(10)}  # the seeds of each
COMMITTEE = Row(
    "committee",
    "0.39 (Meier 2011, 25 networks)",
    "784-800-10, the mean output of {}",
    "elastic, upright, half of them as edges",
)


class Result(NamedTuple):
    errors: int  # of 10,000
    minutes: float  # of training


def chosen(names: Sequence[str]) -> list[Row]:
    """The rows of these names; of none, all but the committee. Raises ValueError."""
    rows = {row.recipe: row for row in (*ROWS, COMMITTEE)}
    for name in names:
        if name not in rows:
            raise ValueError(f"expected rows among {', '.join(rows)}, got {name}")
    return [rows[name] for name in names] or ROWS


def line(row: Row, seeds: int, runs: Path) -> str:
    """A row in Markdown, of runs with the seeds 0 to `seeds` - 1, or of a committee, after what is left to do."""
    if row is COMMITTEE:
        members = [(recipe, seed) for recipe, seeds_of in MEMBERS.items() for seed in seeds_of]
        minutes = sum(trained(*member, runs).minutes for member in members)
        networks = [storage.newest(_run_dir(*member, runs)) for member in members]
        results = [Result(evaluation.evaluate(networks, None, "test").errors, minutes)]
        row = row._replace(network=row.network.format(len(members)))
    else:
        results = [trained(row.recipe, seed, runs) for seed in range(seeds)]
    errors = [result.errors for result in results]
    minutes = statistics.mean(result.minutes for result in results)
    mean, spread = statistics.mean(errors), statistics.stdev(errors) if len(errors) > 1 else None
    percent = f"{mean / 100:.2f}" + ("" if spread is None else f" ± {spread / 100:.2f}")
    here = f"{percent} | {', '.join(map(str, errors))} | {minutes:.1f} min"
    return f"| {row.published} | {row.network} | {row.images} | {here} | {row.recipe} |"


def trained(recipe: str, seed: int, runs: Path) -> Result:
    """The run's test errors and training time, after what is left of it to do. Exits with its code if it fails."""
    run_dir = _run_dir(recipe, seed, runs)
    command = [sys.executable, "-m", "jaxmlp.train", f"--flagfile={RECIPES / recipe}.flags", f"--seed={seed}"]
    with subprocess.Popen([*command, f"--run_dir={run_dir}"], stdout=sys.stderr) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            code = process.wait()  # it was interrupted too, and saves
    if code:
        sys.exit(code)
    errors = json.loads((run_dir / run_directory.TEST).read_text())["errors"]
    epochs = [json.loads(line) for line in (run_dir / run_directory.METRICS).read_text().splitlines()]
    return Result(errors, sum(epoch["seconds"] for epoch in epochs) / 60)


def _run_dir(recipe: str, seed: int, runs: Path) -> Path:
    return runs / f"{recipe}-{seed}"
