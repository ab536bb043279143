"""Options as fields of a dataclass: each says what it is, what it expects, and whether a value will do.

A command makes a flag of each, and `training.config.Config` checks them all.
"""

from collections.abc import Callable
from dataclasses import field
from math import isfinite
from numbers import Integral, Real
from typing import Any

import numpy as np


def option(default: Any, help: str, expected: str, valid: Callable[[Any], bool], **more: Any) -> Any:
    """A field with this default. `help` and `expected` are for people; a value is right if `valid` says so.

    `more` may name the `group` in which the field and those after it are shown.
    """
    return field(default=default, metadata={"help": help, "expected": expected, "valid": valid, **more})


def integer(default: int, help: str, low: int, high: int, **more: Any) -> Any:
    return option(default, help, f"an integer from {low} to {high}", lambda v: low <= v <= high, **more)


def choice(default: str, help: str, *choices: str, **more: Any) -> Any:
    return option(default, help, " or ".join(choices), lambda v: v in choices, **more)


def switch(help: str, **more: Any) -> Any:
    return option(False, help, "true or false", lambda v: True, **more)


def fraction(default: float, help: str, **more: Any) -> Any:
    return option(default, help, "a number >= 0 and < 1", lambda v: 0 <= v < 1, **more)


def amount(help: str, **more: Any) -> Any:
    return option(0.0, help, "a finite number >= 0", lambda v: isfinite(v) and v >= 0, **more)


def at_most(high: int, help: str, default: float = 0.0, **more: Any) -> Any:
    return option(default, help, f"a number from 0 to {high}", lambda v: 0 <= v <= high, **more)


def positive(default: float, help: str, **more: Any) -> Any:
    return option(default, help, "a finite number > 0", lambda v: isfinite(v) and v > 0, **more)


def plain(kind: type, value: Any) -> Any:
    """The value as Python's own bool, int, float or str, if it is one of this kind (NumPy's are); else None."""
    if kind is bool or isinstance(value, bool | np.bool_):
        return bool(value) if kind is bool and isinstance(value, bool | np.bool_) else None
    kinds: dict[type, Any] = {int: Integral, float: Real, str: str}
    return kind(value) if isinstance(value, kinds[kind]) else None
