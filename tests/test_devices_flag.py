"""--devices of the command that trains, in processes: a CPU's number of devices is settled when JAX starts."""

import os
import subprocess
import sys

import pytest

from jaxmlp.training import devices

pytestmark = pytest.mark.slow

MOST = max(64, devices.cpu_count())
TWO = {"JAX_NUM_CPU_DEVICES": "2"}


def train(*arguments, **environment):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    return subprocess.run(
        [sys.executable, "-m", "jaxmlp.train", *arguments],
        env={**inherited, "JAX_PLATFORMS": "cpu", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_a_run_on_three_devices_goes_on_on_as_many_and_on_one(few_digits, tmp_path):
    run = f"--run_dir={tmp_path / 'run'}"
    options = f"--data_dir={few_digits}", "--hidden=12", "--batch_size=50", run
    begun = train(*options, "--epochs=1", "--devices=3")
    assert (begun.returncode, begun.stderr) == (0, "")
    assert " on cpu: cpu, cpu, cpu\n" in begun.stdout
    resumed = train(run, "--epochs=2")  # flags.txt says how many
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert " on cpu: cpu, cpu, cpu\n" in resumed.stdout
    on_one = train(run, "--epochs=3", "--devices=1")
    assert on_one.returncode == 0
    assert on_one.stderr == (
        f"warning: {tmp_path / 'run'}: devices was ['cpu', 'cpu', 'cpu'], is ['cpu']: "
        "the bits of the result may differ\n"
    )
    assert "going on after epoch 2\n" in on_one.stdout
    done = train(run, "--epochs=3", "--devices=3")  # nothing is left to do, whose bits might differ
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (("--devices=4", "--hidden=30"), {}, "--devices: expected a divisor of hidden, which is 30, got 4"),
        (("--devices=-1",), {}, "--devices: expected an integer from 0 to 100000, got '-1'"),
        (
            ("--devices=100000", "--hidden=100000"),
            {},
            f"--devices: expected at most {MOST}, which is all there are, got 100000",
        ),
        (("--devices=3",), TWO, "--devices: expected at most 2, which is all there are, got 3"),
    ],
)
def test_a_number_of_devices_that_cannot_be_is_one_line(arguments, environment, message, tmp_path):
    done = train(*arguments, f"--run_dir={tmp_path / 'run'}", **environment)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"error: {message}\n")
    assert not (tmp_path / "run").exists()
