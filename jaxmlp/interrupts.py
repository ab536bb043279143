"""Ctrl-C while a command is still being imported: one line and exit code 130, no traceback."""

import os
import signal
import sys
from types import FrameType


def leave_quietly(argv0: str) -> None:
    """If this process is a command of ours (python -m jaxmlp..., or jaxmlp), end at once on Ctrl-C from here on."""
    if argv0 == "-m" or os.path.basename(argv0) == "jaxmlp":
        signal.signal(signal.SIGINT, _leave)


def _leave(signum: int, frame: FrameType | None) -> None:
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"error: interrupted\n")
    os._exit(128 + signum)
