"""tests/four_devices in a process of its own: a CPU's number of devices is settled when JAX starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_on_four_devices():
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        Path(__file__).parent / "four_devices",
    ]
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "4", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
