"""python -m jaxmlp.explore: a page on which one draws a digit and watches the network's backward pass.

    python -m jaxmlp.explore RUN                         the network of its newest whole checkpoint
    python -m jaxmlp.explore --checkpoint=FILE           of this file

One HTML file for any browser, RUN/explore.html unless --out names another. It holds fifty test digits of the data
that the run was trained on, or of --data_dir.
"""

from jaxmlp import commands
from jaxmlp.commands.network_flags import NetworkFlags
from jaxmlp.explorer import exploring
from jaxmlp.runs.run_directory import EXPLORER

FLAGS = commands.Flags(__doc__, operands=True, takes_run=lambda operands: len(operands) == 1)
NETWORK = NetworkFlags(FLAGS)
DATA_DIR = FLAGS.path("data_dir", "a folder with four IDX files named as MNIST's; empty for MNIST", empty=True)
OUT = FLAGS.path("out", f"the file to write, not {EXPLORER} beside the checkpoint")


def main(*named: str) -> None:
    if named:
        commands.fail(f"expected one run directory, got {named[0]!r} as well", commands.WRONG_FLAGS)
    checkpoint, network = NETWORK.read()
    run_dir = None if NETWORK.checkpoint.value else NETWORK.run_dir.value
    out = OUT.value or checkpoint.parent / EXPLORER
    name = run_dir.absolute().name if run_dir else checkpoint.stem
    exploring.write(network, name, DATA_DIR.value, out, None if FLAGS.given("data_dir") else run_dir)
    print(out)


if __name__ == "__main__":
    commands.start(main, FLAGS)
