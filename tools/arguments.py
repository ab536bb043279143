"""How the tools begin and end: what was expected to go wrong is one line. Neither JAX nor a device is touched."""

import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags, logging


def start(main: Callable[[list[str]], int | None]) -> NoReturn:
    """Parse the command line, call `main` with the arguments that are no flags, and exit with its code, 0 for None.

    Exit code 0 for --help, 1 on a wrong flag, 2 if standard output cannot be written, 130 on Ctrl-C, 141 if the
    reader of standard output has gone.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # imports are over: see jaxmlp/interrupts.py

    logging.set_verbosity(logging.WARNING)  # JAX says at INFO which backends it did not find
    try:
        try:
            app.run(lambda argv: main(argv[1:]), flags_parser=_parse)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again at exit
        if isinstance(error, BrokenPipeError):
            sys.exit(141)
        print(f"error: {error.filename or 'standard output'}: {error.strerror}", file=sys.stderr)
        sys.exit(2)
    raise AssertionError("app.run exits")


def _parse(arguments: list[str]) -> list[str]:
    if "--help" in arguments:
        app.usage(writeto_stdout=True, exitcode=0)
    try:
        rest: list[str] = flags.FLAGS(arguments)
    except flags.Error as error:
        sys.exit(f"error: {error}")
    return rest
