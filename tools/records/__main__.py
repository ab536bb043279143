"""The record table: every recipe trained and tested, beside what was published for the same network.

    python -m tools.records                              the whole table, one seed a row: hours
    python -m tools.records --seeds=5 simard800          a row of your choice, the mean of five
    python -m tools.records committee                    the committee of the table, of 24 networks

Runs are kept in --runs: a finished one is not repeated, one that was interrupted goes on, one of other flags is
refused. Prints Markdown.
"""

import sys
from pathlib import Path

from absl import flags

from tools import arguments
from tools.records import table

SEEDS = flags.DEFINE_integer("seeds", 1, "train each recipe with the seeds 0 to this number - 1", lower_bound=1)
RUNS = flags.DEFINE_string("runs", "runs/reproduce", "the folder of the runs")


def main(names: list[str]) -> None:
    try:
        rows = table.chosen(names)
    except ValueError as error:
        sys.exit(f"error: {error}")
    print(table.HEAD, flush=True)
    for row in rows:
        print(table.line(row, SEEDS.value, Path(RUNS.value)), flush=True)


if __name__ == "__main__":
    arguments.start(main)
