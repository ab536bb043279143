"""python -m jaxmlp.train: train the network of the flags, print its progress, and count its test errors."""

from pathlib import Path

from absl import flags

from jaxmlp import commands
from jaxmlp.runs import stopping, trainer

DATA_DIR = flags.DEFINE_string("data_dir", None, "a folder with four IDX files named as MNIST's; without it, MNIST")
RUN_DIR = flags.DEFINE_string("run_dir", None, "where the run is saved, or goes on (default: runs/<time>-<recipe>)")
CACHE_DIR = flags.DEFINE_string(
    "compilation_cache_dir",
    None,
    "keep what is compiled in this folder, for later runs on this machine (default: none)",
)
for path in ("data_dir", "run_dir", "compilation_cache_dir"):  # empty: most likely of a variable that is not set
    flags.register_validator(path, lambda value: value != "", "expected a path, got nothing")  # type: ignore[no-untyped-call]
commands.define_config_flags()


def main() -> None:
    if DATA_DIR.value:
        flags.FLAGS["data_dir"].value = str(Path(DATA_DIR.value).absolute())  # a run may go on from another folder
    if CACHE_DIR.value:
        commands.keep_compiled(CACHE_DIR.value)
    config = commands.config_from_flags()
    data_dir = Path(DATA_DIR.value) if DATA_DIR.value else None
    run_dir = Path(RUN_DIR.value) if RUN_DIR.value else None
    flags_text, recipe = commands.flagfile(DATA_DIR.name), commands.recipe()
    stopping.heed_signals(lambda stop: trainer.train(config, data_dir, run_dir, flags_text, stop, recipe))


if __name__ == "__main__":
    commands.start(main)
