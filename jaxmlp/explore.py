"""python -m jaxmlp.explore: a page on which one draws a digit and watches the network's backward pass.

One HTML file, by default explore.html in the run directory, for any browser: it holds the network of the newest
whole checkpoint of --run_dir, or of the file --checkpoint, and fifty test digits of the run's data, or of --data_dir.
"""

from pathlib import Path

from absl import flags

from jaxmlp import commands
from jaxmlp.explorer import exploring
from jaxmlp.runs.run_directory import EXPLORER

commands.define_network_flags()
DATA_DIR = flags.DEFINE_string("data_dir", None, "a folder with four IDX files named as MNIST's; empty for MNIST")
OUT = flags.DEFINE_string("out", None, f"the file to write, instead of {EXPLORER} beside the checkpoint")


def main() -> None:
    checkpoint, network = commands.network_of_flags()
    out = Path(OUT.value) if OUT.value else checkpoint.parent / EXPLORER
    run_dir = flags.FLAGS["run_dir"].value
    name = Path(run_dir).absolute().name if run_dir else checkpoint.stem
    exploring.write(network, name, Path(DATA_DIR.value) if DATA_DIR.value else None, out)
    print(out)


if __name__ == "__main__":
    commands.start(main)
