"""python -m jaxmlp.report: a run on one HTML page, RUN/report/index.html. Needs [plot].

python -m jaxmlp.report RUN
python -m jaxmlp.report --run_dir=RUN --compare RUN2 ...     with the learning curves and results of others beside
python -m jaxmlp.report --compare RUN1 RUN2 ...              that comparison alone, RUN1/report/comparison.html
python -m jaxmlp.report SWEEP                                the networks of a sweep, SWEEP/report/index.html

To compare, a SWEEP stands for all its runs.
"""

from pathlib import Path
from typing import Any

from jaxmlp import commands
from jaxmlp.extras import plot_extra
from jaxmlp.runs import sweep_directory

FLAGS = commands.Flags(__doc__, operands=True, takes_run=lambda operands: len(operands) == 1 and not COMPARE.value)
RUN_DIR = FLAGS.path("run_dir", "the run directory; the report goes into its folder report")
DATA_DIR = FLAGS.path("data_dir", "where the data of the run lie now; empty for MNIST", empty=True)
COMPARE: Any = FLAGS.switch("compare", "compare with the run directories named: --compare RUN1 RUN2")


def main(*named: str) -> None:
    if named and not COMPARE.value:
        commands.fail(f"expected --compare before other run directories, got {named[0]!r}", commands.WRONG_FLAGS)
    if COMPARE.value and not named:
        commands.fail("--compare: expected run directories after the flags, got none", commands.WRONG_FLAGS)
    if not (RUN_DIR.value or named):
        commands.fail("--run_dir: expected a run directory, got none", commands.WRONG_FLAGS)
    with plot_extra():
        from jaxmlp.inspection import reporting
    others = [Path(folder) for folder in named]
    if RUN_DIR.value and sweep_directory.is_sweep(RUN_DIR.value):
        print(reporting.write_sweep(RUN_DIR.value, others))
    elif RUN_DIR.value:
        print(reporting.write_report(RUN_DIR.value, DATA_DIR.value, others))
    else:
        print(reporting.write_comparison(others))


if __name__ == "__main__":
    commands.start(main, FLAGS)
