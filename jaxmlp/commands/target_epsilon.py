"""--target_epsilon: the noise multiplier of a private run, found from the ε that it shall end with."""

from dataclasses import replace
from functools import cache, partial
from math import isfinite
from pathlib import Path
from typing import Any

from jaxmlp.commands.flags import FlagError, Flags
from jaxmlp.commands.grid import Grid, Values
from jaxmlp.data import datasets
from jaxmlp.training.config import Config, ConfigError
from jaxmlp.training.privacy import account

NAME = "target_epsilon"


def resolve(flags: Flags, epsilon: float, data_dir: Path | None) -> None:
    """Set --noise_multiplier. Raises FlagError, ConfigError, DataError, MissingExtra."""
    if not (isfinite(epsilon) and epsilon > 0):
        raise ConfigError(NAME, flags.expected[NAME], epsilon)
    _check_alone(flags)
    flags.set("noise_multiplier", 1.0)  # for the checks of the other flags
    config = flags.read_config()
    shape = datasets.training_shape(data_dir, config.train_on_all)
    flags.set("noise_multiplier", _found(epsilon, config, shape))


def read_grid(flags: Flags, epsilons: Values | None, data_dir: Path | None) -> Grid:
    """The networks that flags of lists ask for, of which `epsilons` is one, if given.

    Raises FlagError, ConfigError, DataError, MissingExtra.
    """
    if epsilons is None:
        return flags.read_grid()
    _check_alone(flags)
    shape_of = cache(partial(datasets.training_shape, data_dir))

    def config_of(**options: Any) -> Config:
        epsilon = options.pop(NAME)
        config = Config(**{**options, "noise_multiplier": 1.0})
        return replace(config, noise_multiplier=_found(epsilon, config, shape_of(config.train_on_all)))

    return flags.read_grid({NAME: epsilons}, config_of)


def _check_alone(flags: Flags) -> None:
    if flags.given("noise_multiplier"):
        raise FlagError("--target_epsilon: expected it or --noise_multiplier, got both")


def _found(epsilon: float, config: Config, shape: tuple[int, ...]) -> float:
    """The noise multiplier that gives this ε, for a config that has another, on training images of this shape."""
    config.check_data(shape)
    return account.noise_multiplier_for(epsilon, config, examples=shape[0])
