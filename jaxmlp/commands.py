"""What the commands share: flags made from a config, errors in one line, exit codes.

0 done; 1 wrong flags; 2 bad data, checkpoint or run directory; 3 training diverged; 130 Ctrl-C; 143 SIGTERM.
"""

import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from absl import app, flags, logging

from jaxmlp.data.idx import DataError
from jaxmlp.training.config import Config, ConfigError
from jaxmlp.training.loop import Diverged

flags.disclaim_key_flags()  # what is defined here belongs to the command, and shows in its --help

WRONG_FLAGS, BAD_DATA, DIVERGED, INTERRUPTED = 1, 2, 3, 130


def define_config_flags() -> None:
    """A flag for every field of Config, with its default; Config itself checks the range."""
    define: dict[Any, Callable[..., Any]] = {
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_bool,
        str: flags.DEFINE_string,
    }
    for f in fields(Config):
        define[f.type](f.name, f.default, f"{f.metadata['help']} ({f.metadata['expected']})")


def config_from_flags() -> Config:
    values: dict[str, Any] = {f.name: flags.FLAGS[f.name].value for f in fields(Config)}
    return Config(**values)


def run(main: Callable[[], None]) -> None:
    """Parse the flags, call `main`, and exit: an expected error is one line on stderr and its exit code."""
    app.run(lambda _: sys.exit(_exit_code(main)), flags_parser=_parse)


def _parse(arguments: list[str]) -> list[str]:
    try:
        rest = flags.FLAGS(arguments)
    except flags.Error as error:
        _fail(" ".join(str(error).split()), WRONG_FLAGS)
    if rest[1:]:
        _fail(f"expected flags (--name=value) only, got {rest[1]!r}", WRONG_FLAGS)
    return rest


def _exit_code(main: Callable[[], None]) -> int:
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # JAX says at INFO which backends it did not find
    try:
        main()
    except ConfigError as error:
        _fail(f"--{error}", WRONG_FLAGS)
    except DataError as error:
        _fail(str(error), BAD_DATA)
    except Diverged as error:
        _fail(str(error), DIVERGED)
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED)
    return 0


def _fail(message: str, code: int) -> Any:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
