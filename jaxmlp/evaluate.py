"""python -m jaxmlp.evaluate: errors, confusion matrix and worst mistakes of a run's network, or of a committee.

    python -m jaxmlp.evaluate RUN                        the network of its newest whole checkpoint
    python -m jaxmlp.evaluate --checkpoint=FILE          of this file
    python -m jaxmlp.evaluate RUN1 RUN2 ...              a committee, whose output is the mean of theirs
    python -m jaxmlp.evaluate SWEEP                      the committee of all networks of a sweep

The data are those that the run or the sweep was trained on, or those of --data_dir; without it, other committees'
are MNIST.
"""

import warnings
from pathlib import Path

from jaxmlp import commands
from jaxmlp.commands.network_flags import NetworkFlags
from jaxmlp.inspection import evaluation
from jaxmlp.runs import run_directory, storage, sweep_directory
from jaxmlp.runs.run_directory import RunWarning

FLAGS = commands.Flags(__doc__, operands=True, takes_run=lambda operands: len(operands) == 1)
NETWORK = NetworkFlags(FLAGS)
DATA_DIR = FLAGS.path("data_dir", "a folder with four IDX files named as MNIST's; empty for MNIST", empty=True)
SPLIT = FLAGS.choice("split", "the part of the data that is scored", ("validation", "test"))
JSON = FLAGS.switch("json", "print one JSON object, for programs")


def main(*members: str) -> None:
    run_dir, checkpoint = NETWORK.run_dir.value, NETWORK.checkpoint.value
    if members and (run_dir or checkpoint):
        message = f"expected run directories, or --run_dir or --checkpoint, got {members[0]!r} as well as a flag"
        commands.fail(message, commands.WRONG_FLAGS)
    named = [Path(member) for member in members] or ([run_dir] if run_dir and not checkpoint else [])
    run_dirs = [path for folder in named for path in sweep_directory.run_dirs(folder)]
    networks = [storage.newest(path) for path in run_dirs] or [NETWORK.read()]
    if SPLIT.value == "validation":
        for path in run_dirs:
            if run_directory.read_config(path)["config"].get("train_on_all"):
                text = f"{path}: trained with --train_on_all, on its validation images too"
                warnings.warn(text, RunWarning, stacklevel=1)
    trained_on_these = [] if FLAGS.given("data_dir") else run_dirs or ([run_dir] if run_dir else [])
    result = evaluation.evaluate(networks, DATA_DIR.value, SPLIT.value, trained_on_these)
    print(evaluation.as_json(result) if JSON.value else evaluation.as_text(result))


if __name__ == "__main__":
    commands.start(main, FLAGS)
