"""The page's JavaScript, run by Node on cases of this process's making."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import jaxmlp.explorer

SOURCES = Path(jaxmlp.explorer.__file__).parent


def run(tmp_path, *cases, sources=SOURCES):
    """What each case gives: a dict of `run`, the name of one of in_node.mjs, and its arguments."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("expected the program node, which runs the page's JavaScript, got none")
    file = tmp_path / "cases.json"
    file.write_text(json.dumps(cases, default=lambda array: np.asarray(array, float).tolist()))
    command = [node, str(Path(__file__).parent / "in_node.mjs"), str(sources), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
