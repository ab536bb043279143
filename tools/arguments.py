"""How the tools begin: a wrong flag is one line, and so is Ctrl-C. Neither JAX nor a device is touched."""

import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags, logging


def start(main: Callable[[list[str]], int | None]) -> NoReturn:
    """Parse the command line, call `main` with the arguments that are no flags, and exit with its code, 0 for None.

    Exit code 1 on a wrong flag, 130 on Ctrl-C.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # imports are over: see jaxmlp/interrupts.py

    def interruptible(argv: list[str]) -> int | None:
        try:
            return main(argv[1:])
        except KeyboardInterrupt:
            print("error: interrupted", file=sys.stderr)
            return 130

    logging.set_verbosity(logging.WARNING)  # JAX says at INFO which backends it did not find
    app.run(interruptible, flags_parser=_parse)
    raise AssertionError("app.run exits")


def _parse(arguments: list[str]) -> list[str]:
    try:
        rest: list[str] = flags.FLAGS(arguments)
    except flags.Error as error:
        sys.exit(f"error: {error}")
    return rest
