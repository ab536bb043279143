"""Flags that take lists, as in --learning_rate=0.1,0.3 --seed=0:25, and the networks that they ask for.

Values are divided by commas, those of --phi, which may hold a comma, by slashes: --phi=relu,sigmoid/tanh. Of
integers 0:25 is a range, without its end. A combination of values that do not go together is left out.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from itertools import product
from math import prod
from typing import Any, NamedTuple

from absl import flags as absl_flags

from jaxmlp.training.config import Config, ConfigError

MOST = 10_000  # networks
LONGEST = 255  # characters of a network's name, which is that of a folder

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
    """Networks by names that say in which options they differ: every combination of their values."""

    members: dict[str, Config]
    asked: dict[str, dict[str, Any]]  # the values of these options; of a single network, its seed
    left_out: dict[str, str]  # why some combinations are none of them, by their names


class ListParser(absl_flags.ArgumentParser[Values]):
    """For absl: the values of a flag of this kind, each of which must be `valid`."""

    def __init__(self, name: str, kind: Any, expected: str, valid: Callable[[Any], bool]) -> None:
        self.name, self.kind, self.expected, self.valid = name, kind, expected, valid

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
            values: Sequence[Any]
            if self.kind is int and (ends := re.fullmatch(r"(-?\d+):(-?\d+)", part)):
                first, end = int(ends[1]), int(ends[2])
                if not 1 <= end - first <= MOST:
                    raise GridError(f"--{self.name}: expected 1 to {MOST} values, got {end - first} in {text!r}")
                values = range(first, end)
            else:
                values = [_PARSERS[self.kind](part)]
            if not all(map(self.valid, values)):
                raise ValueError(part)
            return values
        except GridError:
            raise
        except ValueError as error:
            wrong = repr(text) if part == text else f"{part!r} in {text!r}"
            raise GridError(f"--{self.name}: expected {self.expected}, got {wrong}") from error


def grid(values: Mapping[str, Values], config_of: Callable[..., Config] = Config) -> Grid:
    """The networks of these values of what `config_of` takes. Raises GridError, and ConfigError if none can be."""
    count = prod(map(len, values.values()))
    if count > MOST:
        raise GridError(f"expected flags that ask for at most {MOST} networks, got {count}")
    varying = [name for name, of_flag in values.items() if len(of_flag) > 1] or ["seed"]
    members: dict[str, Config] = {}
    asked: dict[str, dict[str, Any]] = {}
    errors: dict[str, ConfigError] = {}
    for chosen in product(*values.values()):
        options = dict(zip(values, chosen, strict=True))
        told = {option: options[option] for option in varying}
        name = _name(told)
        try:
            members[name] = config_of(**options)
            asked[name] = told
        except ConfigError as error:  # each value is right by itself
            errors[name] = error
    if not members:
        raise next(iter(errors.values()))
    return Grid(members, asked, {name: str(error) for name, error in errors.items()})


def _name(options: Mapping[str, Any]) -> str:
    """One that is too long for a folder ends with a hash of what is cut off."""
    name = "-".join(f"{option}={value}" for option, value in options.items())
    if len(name) <= LONGEST:
        return name
    digest = sha256(name.encode()).hexdigest()[:16]
    return f"{name[: LONGEST - len(digest) - 1]}-{digest}"
