"""python -m jaxmlp.predict digit.png ...: which digit each picture shows, and the network's ten outputs.

Pictures are photos of one digit each, drawn with a pen (PNG or JPEG; needs the extra [plot]), IDX files or .npy
files. The network is that of the newest whole checkpoint of --run_dir, or of the file --checkpoint.
"""

from pathlib import Path

from jaxmlp import commands
from jaxmlp.inspection import prediction

commands.define_network_flags()


def main(*files: str) -> None:
    if not files:
        commands.fail("expected the files of pictures after the flags, got none", commands.WRONG_FLAGS)
    print(prediction.predict(commands.network_of_flags()[1], [Path(file) for file in files]))


if __name__ == "__main__":
    commands.start(main, operands=True)
