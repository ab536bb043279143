"""Signals outside training: Ctrl-C while a command is still being imported is one line and exit code 130."""

import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from types import FrameType


class Terminated(BaseException):
    """SIGTERM, inside `sigterm_raises`."""


def leave_quietly(argv: Sequence[str], orig_argv: Sequence[str]) -> None:
    """If this process is a command of ours (python -m jaxmlp..., or jaxmlp), end at once on Ctrl-C from here on.

    Of any other program, one that is started by -m too, Ctrl-C stays its own. The arguments are those of sys.
    """
    program = os.path.basename(argv[0]) if argv else ""
    if program == "-m":  # its package is being imported: the module's name is known to the interpreter alone
        program = orig_argv[-len(argv)].removeprefix("-m")
    if re.fullmatch(r"jaxmlp(\.\w+)*", program):
        signal.signal(signal.SIGINT, _leave)


@contextlib.contextmanager
def sigterm_raises() -> Iterator[None]:
    """SIGTERM raises Terminated here, where it would end the process without a word."""
    before = signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_at_once() -> None:
    """From here on SIGTERM and Ctrl-C end the process without a word."""
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_DFL)


def _raise_terminated(signum: int, frame: FrameType | None) -> None:
    raise Terminated


def _leave(signum: int, frame: FrameType | None) -> None:
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"error: interrupted\n")
    os._exit(128 + signum)
