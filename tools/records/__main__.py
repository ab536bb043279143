"""The tables of records: every recipe trained and tested, beside what was published for the same network.

    python -m tools.records                              all tables, one seed a row: hours
    python -m tools.records --seeds=5 simard800          a row of your choice, the mean of five
    python -m tools.records committee                    the committee of the table, of 24 networks

Runs are kept in --runs: a finished one is not repeated, one that was interrupted goes on, one of other flags is
refused. Prints Markdown. Exit codes are those of the commands.
"""

import sys
from pathlib import Path
from typing import Any

from absl import flags

from jaxmlp.commands.flags import FlagError
from jaxmlp.commands.start import BAD_DATA
from jaxmlp.runs.checkpoint import CheckpointError
from jaxmlp.runs.run_directory import RunError
from tools import arguments
from tools.records import table, training

_validate: Any = flags.register_validator
SEEDS = flags.DEFINE_integer("seeds", 1, "train each recipe with the seeds 0 to this number - 1", lower_bound=1)
RUNS = flags.DEFINE_string("runs", "runs/reproduce", "the folder of the runs")
_validate("runs", bool, "expected a folder")


def main(names: list[str]) -> int | None:
    try:
        tables = table.chosen(names)
    except ValueError as error:
        sys.exit(f"error: {error}")
    try:
        _print(tables, Path(RUNS.value))
    except (FlagError, RunError, CheckpointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_DATA
    return None


def _print(tables: dict[str, list[table.Row]], runs: Path) -> None:
    for recipe in table.recipes([row for rows in tables.values() for row in rows]):
        training.check(recipe, runs)  # before the first of them takes hours
    for title, rows in tables.items():
        print(f"### {title}\n\n{table.HEAD}", flush=True)
        for row in rows:
            print(table.line(row, SEEDS.value, runs), flush=True)
        print(f"\n{table.footnote(rows, SEEDS.value, runs)}\n", flush=True)


if __name__ == "__main__":
    arguments.start(main)
