"""python -m jaxmlp.sweep: train many networks side by side, every combination of the values that flags list.

python -m jaxmlp.sweep --recipe=nielsen30 --seed=0:25
python -m jaxmlp.sweep --learning_rate=0.1,0.3 --hidden=100,300 --seed=0:5
python -m jaxmlp.sweep --run_dir=SWEEP               goes on with a sweep, with its own flags
srun python -m jaxmlp.sweep --distributed ...        one sweep of several processes; see training/README.md

Values are divided by commas, those of --phi by slashes: relu,sigmoid/tanh. 0:25 are the integers from 0 to 24.
Combinations that cannot be, as of --optimizer=sgd,adam --momentum=0,0.9, are left out, in one line that says why.
Private networks (--target_epsilon, --noise_multiplier) are trained one after another.
"""

from dataclasses import asdict

from jaxmlp import commands
from jaxmlp.commands import target_epsilon
from jaxmlp.commands.flags import as_lines
from jaxmlp.commands.machine_flags import MachineFlags
from jaxmlp.runs import environment, stopping, sweeper
from jaxmlp.training import devices
from jaxmlp.training.config import Config

FLAGS = commands.Flags(__doc__)
DATA_DIR = FLAGS.path("data_dir", "a folder with four IDX files named as MNIST's; without it, MNIST", absolute=True)
RUN_DIR = FLAGS.path("run_dir", "where the runs are saved, or go on; by default runs/<time>-sweep-<recipe>")
CACHE_DIR = FLAGS.path("compilation_cache_dir", "keep what is compiled here, for later runs on this machine")
DEVICES = FLAGS.integer(
    "devices",
    "train on so many devices at once, of each process if there are several (0: on all; a CPU has one a core)",
    0,
    0,
    100_000,
)
MACHINES = MachineFlags(FLAGS)
FLAGS.config(lists=True)
TARGET_EPSILON = FLAGS.positive(
    "target_epsilon",
    "the ε of a whole run, in place of noise_multiplier, which is then found",
    "privacy",
    lists=True,
)


def set_up() -> None:
    MACHINES.join(told=("run_dir", "devices", "target_epsilon"), own=("data_dir", "compilation_cache_dir"))
    devices.make_cpu_devices(DEVICES.value or devices.cpu_count())


def main() -> None:
    if CACHE_DIR.value:
        environment.keep_compiled(CACHE_DIR.value)
    data_dir = DATA_DIR.value
    grid = target_epsilon.read_grid(FLAGS, TARGET_EPSILON.value, data_dir)

    def flags_of(config: Config) -> str:
        return as_lines({"data_dir": data_dir, "devices": 1, **asdict(config)})

    flags = FLAGS.flagfile("data_dir", "devices", "target_epsilon")
    told = sweeper.Told(grid.members, grid.asked, data_dir, flags, flags_of, grid.left_out)
    recipe = "sweep" if FLAGS.recipe == "train" else f"sweep-{FLAGS.recipe}"
    stopping.heed_signals(lambda stop: sweeper.sweep(told, RUN_DIR.value, stop, recipe, DEVICES.value))


if __name__ == "__main__":
    commands.start(main, FLAGS, set_up=set_up, refused=MACHINES.expect)
