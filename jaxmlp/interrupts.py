"""Ctrl-C while a command is still being imported: one line and exit code 130, no traceback."""

import os
import re
import signal
import sys
from collections.abc import Sequence
from types import FrameType


def leave_quietly(argv: Sequence[str], orig_argv: Sequence[str]) -> None:
    """If this process is a command of ours (python -m jaxmlp..., or jaxmlp), end at once on Ctrl-C from here on.

    Of any other program, one that is started by -m too, Ctrl-C stays its own. The arguments are those of sys.
    """
    program = os.path.basename(argv[0]) if argv else ""
    if program == "-m":  # its package is being imported: the module's name is known to the interpreter alone
        program = orig_argv[-len(argv)].removeprefix("-m")
    if re.fullmatch(r"jaxmlp(\.\w+)*", program):
        signal.signal(signal.SIGINT, _leave)


def _leave(signum: int, frame: FrameType | None) -> None:
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"error: interrupted\n")
    os._exit(128 + signum)
