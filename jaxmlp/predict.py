"""python -m jaxmlp.predict: which digit each picture shows, and the network's ten outputs.

    python -m jaxmlp.predict RUN digit.png ...           the network of its newest whole checkpoint
    python -m jaxmlp.predict --checkpoint=FILE digit.png of this file

Pictures are photos of one digit each, drawn with a pen (PNG or JPEG; needs the extra [plot]), IDX files or .npy
files. The last column says where the network is not sure. Files that cannot be read are named one by one, after the
table of the others, and the exit code is 2.
"""

import sys
from pathlib import Path

from jaxmlp import commands
from jaxmlp.commands.network_flags import NetworkFlags
from jaxmlp.inspection import prediction

FLAGS = commands.Flags(__doc__, operands=True, takes_run=lambda operands: True)
NETWORK = NetworkFlags(FLAGS)


def main(*files: str) -> None:
    if not files:
        commands.fail("expected the files of pictures after the run or the flags, got none", commands.WRONG_FLAGS)
    table, refused = prediction.predict(NETWORK.read()[1], [Path(file) for file in files])
    if table:
        print(table, flush=True)
    for message in refused:
        commands.complain(message)
    if refused:
        sys.exit(commands.BAD_DATA)


if __name__ == "__main__":
    commands.start(main, FLAGS)
