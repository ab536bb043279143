"""python -m jaxmlp.train: train the network of the flags, print its progress, and count its test errors."""

from pathlib import Path

from absl import flags

from jaxmlp import commands
from jaxmlp.training import run

DATA_DIR = flags.DEFINE_string("data_dir", None, "a folder with four IDX files named as MNIST's; without it, MNIST")
commands.define_config_flags()


def main() -> None:
    run.train(commands.config_from_flags(), Path(DATA_DIR.value) if DATA_DIR.value else None)


if __name__ == "__main__":
    commands.run(main)
