"""python -m jaxmlp.report: pictures of a run, and one HTML page of them, in <run_dir>/report. Needs [plot].

With --compare, the runs named after the flags join it: their learning curves in one picture, their results in one
table. Without --run_dir that comparison is all, and goes to <run1>/report/comparison.html.
"""

from pathlib import Path

from absl import flags

from jaxmlp import commands
from jaxmlp.extras import plot_extra

RUN_DIR = flags.DEFINE_string("run_dir", None, "the run directory; the report goes into its folder report")
DATA_DIR = flags.DEFINE_string("data_dir", None, "a folder with four IDX files named as MNIST's; empty for MNIST")
COMPARE = flags.DEFINE_bool("compare", False, "compare with the run directories named: --compare run1 run2")


def main(*named: str) -> None:
    if named and not COMPARE.value:
        commands.fail(f"expected --compare before other run directories, got {named[0]!r}", commands.WRONG_FLAGS)
    if COMPARE.value and not named:
        commands.fail("--compare: expected run directories after the flags, got none", commands.WRONG_FLAGS)
    if not (RUN_DIR.value or named):
        commands.fail("--run_dir: expected a run directory, got none", commands.WRONG_FLAGS)
    with plot_extra():
        from jaxmlp.inspection import reporting
    compared = [Path(path) for path in (RUN_DIR.value, *named) if path]
    if RUN_DIR.value:
        data_dir = Path(DATA_DIR.value) if DATA_DIR.value else None
        print(reporting.write_report(compared[0], data_dir, compared[1:]))
    else:
        print(reporting.write_comparison(compared))


if __name__ == "__main__":
    commands.start(main, operands=True)
