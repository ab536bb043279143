"""python -m jaxmlp.gradcheck [LOSS GRADIENT --args ARGS]: a gradient checked from the shell."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from jaxmlp import __version__
from jaxmlp.gradcheck.compare import compare
from jaxmlp.gradcheck.own import check_own
from jaxmlp.gradcheck.verdicts import MISMATCH, OK, TOO_SMALL

RIGHT, WRONG, COULD_NOT_TELL = 0, 1, 2
EXIT_CODES = {OK: RIGHT, MISMATCH: WRONG, TOO_SMALL: COULD_NOT_TELL}

DESCRIPTION = """\
Checks a gradient that somebody derived by hand against jax.grad. Functions are named module:name; a module is found
in the folder where the command runs. Without arguments: our own gradient, for every pair of activations and both
dtypes.
"""
EPILOG = """\
exit codes: 0 right; 1 a mismatch, or wrong arguments; 2 could not tell: an entry is too small beside its rounding.
example: python -m jaxmlp.gradcheck model:loss model:gradient --args model:make_args
"""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def parser() -> Parser:
    made = Parser(
        "python -m jaxmlp.gradcheck",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--version", action="version", version=f"jaxmlp {__version__}")
    made.add_argument("loss", nargs="?", help="module:name of loss(params, *data), a scalar")
    made.add_argument("gradient", nargs="?", help="module:name of gradient(params, *data), like params")
    made.add_argument("--args", help="module:name of a function that takes nothing and returns (params, *data)")
    made.add_argument("--vector", help="module:name of one that returns v: GRADIENT(params, v, *data) is Hv")
    made.add_argument("--differences", action="store_true", help="against central differences, not jax.grad")
    made.add_argument("--own_dtype", action="store_true", help="judge the rounding in the dtype of the arguments")
    made.add_argument("--tolerance", type=float, help="relative, for every entry")
    made.add_argument("--entries", type=int, help="take central differences of so many entries")
    made.add_argument("--seed", type=int, default=0, help="of what is drawn at random (0)")
    return made


def main(arguments: Sequence[str]) -> int:
    """Prints a report. Returns the exit code."""
    try:
        options = vars(parser().parse_args(arguments))
        if not arguments:
            return RIGHT if check_own(lambda line: print(line, flush=True)) else WRONG
        return _check(options)
    except ValueError as error:
        print(f"gradcheck: {' '.join(str(error).split())}", file=sys.stderr)
        return WRONG


def _check(options: dict[str, Any]) -> int:
    loss, gradient, args, vector = (options.pop(name) for name in ("loss", "gradient", "args", "vector"))
    if not (loss and gradient and args):
        raise ValueError("expected LOSS GRADIENT --args ARGS, each module:name, or no arguments at all")
    sys.path.insert(0, os.getcwd())
    loss, gradient, make_args = _named("LOSS", loss), _named("GRADIENT", gradient), _named("--args", args)
    given = _made("--args", make_args)
    if not isinstance(given, tuple) or not given:
        raise ValueError(f"--args: expected a tuple (params, *data), got {type(given).__name__}")
    if vector:
        options["vector"] = _made("--vector", _named("--vector", vector))
    report = compare(loss, gradient, *given, **options)
    print(report)
    print(report.verdict)
    return EXIT_CODES[report.code]


def _named(what: str, name: str) -> Any:
    module, _, attribute = name.partition(":")
    if not (module and attribute):
        raise ValueError(f"{what}: expected module:name, got {name}")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # whatever a module does when it is imported
        raise ValueError(f"{what}: expected {name}, got {type(error).__name__}: {error}") from error
    if not callable(found):
        raise ValueError(f"{what}: expected a function, got {name}, which is a {type(found).__name__}")
    return found


def _made(what: str, function: Any) -> Any:
    try:
        return function()
    except (Exception, SystemExit) as error:
        raise ValueError(f"{what}: expected arguments, got {type(error).__name__}: {error}") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
