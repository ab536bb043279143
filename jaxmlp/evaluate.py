"""python -m jaxmlp.evaluate: errors, confusion matrix and worst mistakes of a run's network.

The network is that of the newest whole checkpoint of --run_dir, or of the file --checkpoint; the data are those of
--run_dir, or of --data_dir, or else MNIST.
"""

from pathlib import Path

from absl import flags

from jaxmlp import commands
from jaxmlp.inspection import evaluation

commands.define_network_flags()
DATA_DIR = flags.DEFINE_string("data_dir", None, "a folder with four IDX files named as MNIST's; empty for MNIST")
SPLIT = flags.DEFINE_enum("split", "validation", ["validation", "test"], "the part of the data that is scored")
JSON = flags.DEFINE_bool("json", False, "print one JSON object, for programs")


def main() -> None:
    data_dir = Path(DATA_DIR.value) if DATA_DIR.value else None
    result = evaluation.evaluate(commands.network_file(), data_dir, SPLIT.value)
    print(evaluation.as_json(result) if JSON.value else evaluation.as_text(result))


if __name__ == "__main__":
    commands.run(main)
