"""python -m jaxmlp, or jaxmlp: what there is to run, and a way to run it."""

import runpy
import sys

COMMANDS = {
    "train": "train a network, or go on with a run",
    "sweep": "train many networks, which differ in lists of options, side by side",
    "evaluate": "errors, confusion matrix and worst mistakes of a run, or of a committee of runs",
    "predict": "the digit that a photo shows",
    "report": "pictures of a run on one HTML page",
    "explore": "a page on which one draws a digit and watches the backward pass",
    "gradcheck": "a gradient derived by hand against autodiff, yours or ours",
}


def main() -> None:
    name, *rest = sys.argv[1:] or ["--help"]
    if name in COMMANDS:
        sys.argv = [f"jaxmlp {name}", *rest]
        runpy.run_module(f"jaxmlp.{name}", run_name="__main__")
    elif name in ("-h", "--help"):
        print("jaxmlp COMMAND ..., or python -m jaxmlp.COMMAND ..., where COMMAND is one of\n")
        print("\n".join(f"  {command:10} {what}" for command, what in COMMANDS.items()))
        print("\njaxmlp COMMAND --help says more; jaxmlp --version")
    elif name == "--version":
        from jaxmlp import __version__

        print(f"jaxmlp {__version__}")
    else:
        print(f"error: expected one of {', '.join(COMMANDS)}, got {name!r}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
