"""--target_epsilon: the noise multiplier of a private run, found from the ε that it shall end with."""

from math import isfinite
from pathlib import Path

from jaxmlp.commands.flags import FlagError, Flags
from jaxmlp.data import datasets
from jaxmlp.training.config import ConfigError
from jaxmlp.training.privacy import account


def resolve(flags: Flags, epsilon: float, data_dir: Path | None) -> None:
    """Set --noise_multiplier. Raises FlagError, ConfigError, DataError, MissingExtra."""
    if not (isfinite(epsilon) and epsilon > 0):
        raise ConfigError("target_epsilon", flags.expected["target_epsilon"], epsilon)
    if flags.given("noise_multiplier"):
        raise FlagError("--target_epsilon: expected it or --noise_multiplier, got both")
    flags.set("noise_multiplier", 1.0)  # for the checks of the other flags
    config = flags.read_config()
    shape = datasets.training_shape(data_dir, config.train_on_all)
    config.check_data(shape)
    flags.set("noise_multiplier", account.noise_multiplier_for(epsilon, config, examples=shape[0]))
