"""python -m jaxmlp.evaluate: errors, confusion matrix and worst mistakes of a run's network, or of a committee.

The network is that of the newest whole checkpoint of --run_dir, or of the file --checkpoint; the data are those of
--run_dir, or of --data_dir, or else MNIST. Run directories given as plain arguments are the members of a committee,
whose output is the mean of theirs; its data are those of --data_dir, or else MNIST, if they were trained on that.
"""

import warnings
from pathlib import Path

from absl import flags

from jaxmlp import commands
from jaxmlp.inspection import evaluation
from jaxmlp.runs import run_directory, storage
from jaxmlp.runs.run_directory import RunWarning

commands.define_network_flags()
DATA_DIR = flags.DEFINE_string("data_dir", None, "a folder with four IDX files named as MNIST's; empty for MNIST")
SPLIT = flags.DEFINE_enum("split", "validation", ["validation", "test"], "the part of the data that is scored")
JSON = flags.DEFINE_bool("json", False, "print one JSON object, for programs")


def main(*members: str) -> None:
    run_dir, checkpoint = flags.FLAGS["run_dir"].value, flags.FLAGS["checkpoint"].value
    if members and (run_dir or checkpoint):
        message = f"expected run directories, or --run_dir or --checkpoint, got {members[0]!r} as well as a flag"
        commands.fail(message, commands.WRONG_FLAGS)
    data_dir, run_dirs = Path(DATA_DIR.value) if DATA_DIR.value else None, [Path(member) for member in members]
    networks = [storage.newest(run_dir) for run_dir in run_dirs] or [commands.network_of_flags()]
    if SPLIT.value == "validation" and not checkpoint:
        for path in run_dirs or [networks[0][0].parent]:
            if run_directory.read_config(path)["config"].get("train_on_all"):
                text = f"{path}: trained with --train_on_all, on its validation images too"
                warnings.warn(text, RunWarning, stacklevel=1)
    result = evaluation.evaluate(networks, data_dir, SPLIT.value, [] if data_dir else run_dirs)
    print(evaluation.as_json(result) if JSON.value else evaluation.as_text(result))


if __name__ == "__main__":
    commands.start(main, operands=True)
