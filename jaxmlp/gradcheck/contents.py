"""What an object that is no pytree holds, and what a function refers to: whether a call changed any of it.

A gradient may change such data behind the back of the loss, which then is another.
"""

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from numbers import Number
from types import FunctionType, MethodType, ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Print = Any  # of a value, to be compared with a later one

MOST = 10_000  # of what is looked at
LIBRARIES = sys.stdlib_module_names | {"jax", "jaxlib", "numpy", "scipy"}


def is_plain(value: Any) -> bool:
    """It cannot be changed, and holds nothing that could be."""
    return value is None or isinstance(value, Number | str | bytes | type | ModuleType)


def contents(*values: Any, functions: bool = False) -> dict[str, Print]:
    """The path of every array, number and set in the values, and with `functions` in what functions refer to."""
    found: dict[str, Print] = {}
    seen: dict[int, Any] = {}
    waiting = [("", value) for value in values]
    while waiting and len(seen) < MOST:
        path, value = waiting.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if (print_ := _print(value)) is not None:
            found.setdefault(path, print_)
        elif isinstance(value, FunctionType | MethodType | partial) or hasattr(value, "__wrapped__"):
            waiting += _references(path, value) if functions else []
        else:
            waiting += [(path + step, part) for step, part in _parts(value)]
    return found


def changes(before: dict[str, Print], after: dict[str, Print]) -> list[str]:
    """The paths of what is no longer what it was. What is new is no change."""
    return [path for path, was in before.items() if after.get(path) != was]


def _print(value: Any) -> Print | None:
    if isinstance(value, set | bytearray):
        return type(value)(value)
    if isinstance(value, Number) and not isinstance(value, np.generic):
        return repr(value)
    if isinstance(value, jax.core.Tracer | type) or not hasattr(value, "__array__"):
        return None
    try:
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            value = jax.random.key_data(value)
        array: Any = np.ascontiguousarray(value)
        return array.shape, array.dtype, blake2b(array.reshape(-1).view(np.uint8)).digest()
    except Exception:  # somebody's class, or an array of objects
        return None


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((f"[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes | range):
        yield from ((f"[{i}]", part) for i, part in enumerate(value))
    elif not is_plain(value) and _is_of_a_person(type(value)):
        slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        attributes = getattr(value, "__dict__", {}) | {n: getattr(value, n) for n in slots if hasattr(value, n)}
        yield from ((f".{name}", part) for name, part in attributes.items())


def _references(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, MethodType):
        yield from ((path, value.__self__), (path, value.__func__))
    elif isinstance(value, partial):
        yield from ((path, part) for part in (value.func, *value.args))
        yield from value.keywords.items()
    elif isinstance(value, FunctionType) and _is_of_a_person(value):
        yield from ((path, default) for default in value.__defaults__ or ())
        found = inspect.getclosurevars(value)
        yield from {**found.globals, **found.nonlocals}.items()
    if (wrapped := getattr(value, "__wrapped__", None)) is not None:
        yield path, wrapped


def _is_of_a_person(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).partition(".")[0] not in LIBRARIES
