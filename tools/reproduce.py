"""The record table: every recipe trained and tested, beside what was published for the same network.

    python tools/reproduce.py                              one seed a row, no committee
    python tools/reproduce.py --seeds=5 simard800          a row of your choice, the mean of five
    python tools/reproduce.py --seeds=10 committee         of ten networks of either of MEMBERS

Runs are kept in --runs: a finished one is not repeated, one that was interrupted goes on, one of other flags is
refused. Prints Markdown.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from absl import app, flags, logging

from jaxmlp.inspection import evaluation
from jaxmlp.runs import run_directory, storage

SEEDS = flags.DEFINE_integer("seeds", 1, "train each recipe with the seeds 0 to this number - 1", lower_bound=1)
RUNS = flags.DEFINE_string("runs", "runs/reproduce", "the folder of the runs")

ROOT = Path(__file__).resolve().parent.parent


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
MEMBERS = "simard800_deskewed", "simard800_edges"
COMMITTEE = Row(
    "committee",
    "0.39 (Meier 2011, 25 networks)",
    "784-800-10, the mean output of {}",
    "elastic, upright, half of them as edges",
)


class Result(NamedTuple):
    errors: int  # of 10,000
    minutes: float  # of training


def main(arguments: list[str]) -> None:
    logging.set_verbosity(logging.WARNING)  # JAX says at INFO which backends it did not find
    rows = {row.recipe: row for row in (*ROWS, COMMITTEE)}
    unknown = [name for name in arguments[1:] if name not in rows]
    if unknown:
        sys.exit(f"error: expected rows among {', '.join(rows)}, got {unknown[0]}")
    if COMMITTEE.recipe in arguments and SEEDS.value == 1:
        sys.exit("error: --seeds: expected 2 or more for a committee, got 1")
    names = arguments[1:] or [name for name in rows if name != COMMITTEE.recipe or SEEDS.value > 1]
    print(
        "| published test error, % | network | training images | here, % | errors in 10,000 | training | recipe |"
    )
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in names:
        print(_line(rows[name]), flush=True)


def _line(row: Row) -> str:
    seeds = range(SEEDS.value)
    if row is COMMITTEE:
        members = [(recipe, seed) for recipe in MEMBERS for seed in seeds]
        minutes = sum(_trained(*member).minutes for member in members)
        networks = [storage.newest(_run_dir(*member)) for member in members]
        results = [Result(evaluation.evaluate(networks, None, "test").errors, minutes)]
        row = row._replace(network=row.network.format(len(members)))
    else:
        results = [_trained(row.recipe, seed) for seed in seeds]
    errors = [result.errors for result in results]
    minutes = statistics.mean(result.minutes for result in results)
    mean, spread = statistics.mean(errors), statistics.stdev(errors) if len(errors) > 1 else None
    percent = f"{mean / 100:.2f}" + ("" if spread is None else f" ± {spread / 100:.2f}")
    here = f"{percent} | {', '.join(map(str, errors))} | {minutes:.1f} min"
    return f"| {row.published} | {row.network} | {row.images} | {here} | {row.recipe} |"


def _run_dir(recipe: str, seed: int) -> Path:
    return Path(RUNS.value) / f"{recipe}-{seed}"


def _trained(recipe: str, seed: int) -> Result:
    """The run's test errors and training time, after what is left of it to do."""
    run_dir, flagfile = _run_dir(recipe, seed), ROOT / "jaxmlp" / "recipes" / f"{recipe}.flags"
    command = [sys.executable, "-m", "jaxmlp.train", f"--flagfile={flagfile}", f"--seed={seed}"]
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


if __name__ == "__main__":
    app.run(main)
