"""python -m jaxmlp.train: train the network of the flags, print its progress, and count its test errors.

python -m jaxmlp.train --recipe=quick
python -m jaxmlp.train --run_dir=RUN                 goes on with a run, with its own flags
srun python -m jaxmlp.train --distributed            one run of several processes; see training/README.md
"""

from jaxmlp import commands
from jaxmlp.commands import target_epsilon
from jaxmlp.commands.machine_flags import MachineFlags
from jaxmlp.runs import environment, stopping, trainer
from jaxmlp.training import devices

FLAGS = commands.Flags(__doc__)
DATA_DIR = FLAGS.path("data_dir", "a folder with four IDX files named as MNIST's; without it, MNIST", absolute=True)
RUN_DIR = FLAGS.path("run_dir", "where the run is saved, or goes on; by default runs/<time>-<recipe>")
CACHE_DIR = FLAGS.path("compilation_cache_dir", "keep what is compiled here, for later runs on this machine")
DEVICES = FLAGS.integer(
    "devices",
    "divide the hidden units among so many devices, of each process if there are several (0: what is fastest)",
    0,
    0,
    100_000,
)
MACHINES = MachineFlags(FLAGS)
FLAGS.config()
TARGET_EPSILON = FLAGS.positive(
    "target_epsilon", "the ε of the whole run, in place of noise_multiplier, which is then found", "privacy"
)


def set_up() -> None:
    MACHINES.join(told=("run_dir", "devices", "target_epsilon"), own=("data_dir", "compilation_cache_dir"))
    devices.make_cpu_devices(DEVICES.value)


def main() -> None:
    if CACHE_DIR.value:
        environment.keep_compiled(CACHE_DIR.value)
    if TARGET_EPSILON.value is not None:
        target_epsilon.resolve(FLAGS, TARGET_EPSILON.value, DATA_DIR.value)
    config, flagfile = FLAGS.read_config(), FLAGS.flagfile("data_dir", "devices")
    stopping.heed_signals(
        lambda stop: trainer.train(
            config, DATA_DIR.value, RUN_DIR.value, flagfile, stop, FLAGS.recipe, DEVICES.value
        )
    )


if __name__ == "__main__":
    commands.start(main, FLAGS, set_up=set_up, refused=MACHINES.expect)
