"""Options as fields of a dataclass: each says what it is, what it expects, and whether a value will do.

A command makes a flag of each, and `training.config.Config` checks them all.
"""

from collections.abc import Callable
from dataclasses import field
from math import isfinite
from typing import Any


def option(default: Any, help: str, expected: str, valid: Callable[[Any], bool], **more: Any) -> Any:
    """A field with this default. `help` and `expected` are for people; a value is right if `valid` says so."""
    return field(default=default, metadata={"help": help, "expected": expected, "valid": valid, **more})


def integer(default: int, help: str, low: int, high: int) -> Any:
    return option(default, help, f"an integer from {low} to {high}", lambda v: low <= v <= high)


def choice(default: str, help: str, *choices: str) -> Any:
    return option(default, help, " or ".join(choices), lambda v: v in choices)


def switch(help: str, **more: Any) -> Any:
    return option(False, help, "true or false", lambda v: True, **more)


def fraction(default: float, help: str) -> Any:
    return option(default, help, "a number >= 0 and < 1", lambda v: 0 <= v < 1)


def amount(help: str) -> Any:
    return option(0.0, help, "a finite number >= 0", lambda v: isfinite(v) and v >= 0)


def at_most(high: int, help: str, default: float = 0.0) -> Any:
    return option(default, help, f"a number from 0 to {high}", lambda v: 0 <= v <= high)


def positive(default: float, help: str) -> Any:
    return option(default, help, "a finite number > 0", lambda v: isfinite(v) and v > 0)
