"""Command lines of tools that start processes, and leave JAX and its devices to them."""

import sys

from absl import flags


def parse(arguments: list[str]) -> list[str]:
    """The arguments that are no flags; a wrong flag ends the program with one line and exit code 1."""
    try:
        rest: list[str] = flags.FLAGS(arguments)
    except flags.Error as error:
        sys.exit(f"error: {error}")
    return rest
