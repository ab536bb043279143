"""The processor's rounding, turned up, down or towards zero, to see what rounding does to a result."""

import ctypes
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

NEAREST = 0
# Up, down, towards zero: Python has no names for these constants of C's fenv.h.
X86, ARM = (0x800, 0x400, 0xC00), (0x400000, 0x800000, 0xC00000)
DIRECTIONS = {"x86_64": X86, "AMD64": X86, "aarch64": ARM, "arm64": ARM}


@contextmanager
def rounding(number: int) -> Iterator[None]:
    """Python and NumPy round in the direction `number`, counted on from up, in this thread.

    To the nearest as ever where the C library or the processor is another.
    """
    directions = DIRECTIONS.get(platform.machine(), (NEAREST,))
    turn = _fesetround()
    turn(directions[number % len(directions)])
    try:
        yield
    finally:
        turn(NEAREST)


def _fesetround() -> Callable[[int], Any]:
    try:
        found: Callable[[int], Any] = ctypes.CDLL(None).fesetround
    except (AttributeError, OSError, TypeError):
        return lambda mode: None
    return found
