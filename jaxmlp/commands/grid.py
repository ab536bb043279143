"""Flags that take lists, as in --learning_rate=0.1,0.3 --seed=0:25, and the networks that they ask for.

Values are divided by commas, those of --phi, which may hold a comma, by slashes: --phi=relu,sigmoid/tanh. Of
integers 0:25 is a range, without its end.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import Field
from itertools import product
from math import prod
from typing import Any, NamedTuple

from absl import flags as absl_flags

from jaxmlp.training.config import Config

MOST = 10_000  # networks

_SEPARATORS = {"phi": "/"}
_PARSERS: dict[Any, Callable[[str], Any]] = {
    int: int,
    float: float,
    str: str,
    bool: absl_flags.BooleanParser().parse,
}


class GridError(ValueError):
    """A list that is not understood. The text is one line: flag, what was expected, what came."""


class Values(tuple[Any, ...]):
    """The values of a flag, each of them once; as text, what was given."""

    text: str

    def __str__(self) -> str:
        return self.text


class Grid(NamedTuple):
    """Networks that differ in the options `varying`, by names that say these: every combination of their values."""

    varying: tuple[str, ...]
    members: dict[str, Config]


class ListParser(absl_flags.ArgumentParser[Values]):
    """For absl: the values of a field of Config."""

    def __init__(self, field: "Field[Any]") -> None:
        self.name, self.kind, self.expected = field.name, field.type, field.metadata["expected"]

    def parse(self, argument: Any) -> Values:
        """Raises GridError."""
        text = str(argument)
        values = Values(v for part in text.split(_SEPARATORS.get(self.name, ",")) for v in self._part(part, text))
        if len(set(values)) < len(values):
            raise GridError(f"--{self.name}: expected each value once, got {text!r}")
        values.text = text
        return values

    def _part(self, part: str, text: str) -> Any:
        try:
            if self.kind is int and (ends := re.fullmatch(r"(-?\d+):(-?\d+)", part)):
                values = range(int(ends[1]), int(ends[2]))
                if not 1 <= len(values) <= MOST:
                    raise GridError(f"--{self.name}: expected 1 to {MOST} values, got {len(values)} in {text!r}")
                return values
            return [_PARSERS[self.kind](part)]
        except GridError:
            raise
        except ValueError as error:
            wrong = repr(text) if part == text else f"{part!r} in {text!r}"
            raise GridError(f"--{self.name}: expected {self.expected}, got {wrong}") from error


def grid(values: Mapping[str, Values]) -> Grid:
    """The networks of these values of the fields of Config. Raises GridError, ConfigError."""
    count = prod(map(len, values.values()))
    if count > MOST:
        raise GridError(f"expected flags that ask for at most {MOST} networks, got {count}")
    varying = tuple(name for name, of_flag in values.items() if len(of_flag) > 1)
    configs = (Config(**dict(zip(values, chosen, strict=True))) for chosen in product(*values.values()))
    return Grid(varying, {_name(config, varying or ("seed",)): config for config in configs})


def _name(config: Config, options: tuple[str, ...]) -> str:
    return "-".join(f"{option}={getattr(config, option)}" for option in options)
