"""The commands as processes, as a person types them. The fixture `call` has them in this process."""

import os
import subprocess
import sys
from pathlib import Path

import jaxmlp

# So that the package is found from any folder, installed or not.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(jaxmlp.__file__).parents[1])}


def run(command, *arguments, cwd=None, **more):
    """python -m jaxmlp.<command>, ended: returncode, stdout and stderr. `more` is added to its environment."""
    return subprocess.run(
        [sys.executable, "-m", f"jaxmlp.{command}", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env={**ENVIRONMENT, **more},
    )


def assert_one_line(done, code, line):
    """It ended with this code, and said nothing but one line that begins so."""
    assert done.stderr.startswith(line), done.stderr
    assert done.stderr.count("\n") == 1
    assert (done.returncode, done.stdout) == (code, "")
