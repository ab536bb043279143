"""The package as a whole: what importing it needs and changes."""

import subprocess
import sys

import pytest


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_it_sets_no_option_of_jax():
    done = python(
        "import jax; before = dict(jax.config.values); import jaxmlp; after = dict(jax.config.values);"
        "print({name for name in before if before[name] != after[name]})"
    )
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_it_is_imported_where_there_are_no_file_locks():
    """fcntl is a part of Python on Unix alone. Nor is matplotlib asked for."""
    done = python(
        "import sys; sys.modules |= {'fcntl': None, 'matplotlib': None, 'PIL': None};"
        "import jaxmlp; print(jaxmlp.save.__name__)"
    )
    assert (done.stdout, done.stderr) == ("save\n", "")
