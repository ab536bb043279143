"""Writes the API page: every public module, its functions and the equations that they compute.

    python -m tools.docs                 into build/api
    python -m tools.docs some/folder     into that folder

`pip install -e '.[docs]'` brings what it needs.
"""

import sys
from pathlib import Path

from tools.docs import page


def main(arguments: list[str]) -> None:
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        sys.exit(f"error: expected at most one folder, got {' '.join(arguments)}")
    print(page.build(Path(*arguments or ["build/api"])))


if __name__ == "__main__":
    main(sys.argv[1:])
