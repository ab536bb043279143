"""Breaks the package on purpose, one mutant at a time, and shows that the tests notice.

    python -m tools.mutants                          every mutant
    python -m tools.mutants B1_drops_prime batch     some of them, by name or by module
    python -m tools.mutants --handful                a few of all parts, as continuous integration does

A mutant is one replacement in one module, a line of table.toml, made in a temporary copy of the package and its
tests; the working tree is only read. It is killed when a test fails; those tests must pass on the package as it is.
Exit code 1 if one survives, if the tests could not run, or if a mutant does not fit the code.
"""

import sys

from absl import flags

from tools import arguments
from tools.mutants import running, table

JOBS = flags.DEFINE_integer("jobs", 2, "how many mutants to test at the same time", short_name="j", lower_bound=1)
HANDFUL = flags.DEFINE_bool("handful", False, "test the mutants that table.toml names as its handful")


def main(names: list[str]) -> int:
    try:
        return 0 if running.all_killed(table.chosen(names, HANDFUL.value), JOBS.value) else 1
    except (ValueError, running.NotRun) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    arguments.start(main)
