"""A real training process, killed: by kill -9 at random moments, by SIGTERM, by Ctrl-C once and twice.

`python -m pytest tests/test_kill.py --kills=50` is the long form.
"""

import json
import random
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from jaxmlp.runs import checkpoint

pytestmark = pytest.mark.slow

EPOCHS = 100  # whose lines fill a pipe twice: no run is over while its first lines are being read
PIPE = 4096
LATEST = 1.0  # seconds after the first sign of life until which a kill may come


def start(few_digits, run_dir, *arguments):
    command = [sys.executable, "-u", "-m", "jaxmlp.train", f"--data_dir={few_digits}", f"--run_dir={run_dir}"]
    options = ["--hidden=8", f"--epochs={EPOCHS}", "--momentum=0.5", "--learning_rate=0.5", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "pipesize": PIPE}
    return subprocess.Popen([*command, *options], **pipes, text=True)


def finish(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def wait_for(file, process):
    while not file.exists():
        assert process.poll() is None
        time.sleep(0.01)


def epochs_in(text):
    return [int(epoch) for epoch in re.findall(rf"^epoch +(\d+)/{EPOCHS} .*/s$", text, re.MULTILINE)]


def result(run_dir):
    rows = [json.loads(row) for row in (run_dir / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        del row["seconds"], row["examples_per_second"]
    arrays = [checkpoint.load(run_dir / name) for name in (f"checkpoint-{EPOCHS:06d}.npz", "best.npz")]
    for saved in arrays:
        del saved["history"]  # has times in it
    return rows, arrays, (run_dir / "test.json").read_text()


@pytest.fixture(scope="module")
def whole(few_digits, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    code, out, err = finish(start(few_digits, run_dir))
    assert (code, err) == (0, "")
    assert epochs_in(out) == list(range(1, EPOCHS + 1))
    return result(run_dir)


def test_killed_again_and_again_it_loses_no_reported_epoch(few_digits, tmp_path, whole, request):
    moments = random.Random(0)
    run_dir, reported = tmp_path / "run", 0
    for _ in range(request.config.getoption("--kills")):
        process = start(few_digits, run_dir)
        head = process.stdout.readline()
        time.sleep(moments.uniform(0, LATEST))
        process.kill()
        _, rest, err = finish(process)
        out = head + rest
        assert err == ""
        resumed = re.search(r"^going on after epoch (\d+)$", out, re.MULTILINE)
        if resumed:
            assert int(resumed[1]) >= reported
        reported = max([reported, *epochs_in(out)])
    code, out, err = finish(start(few_digits, run_dir))
    assert (code, err) == (0, "")
    np.testing.assert_equal(result(run_dir), whole)
    assert not list(run_dir.glob("*.tmp"))


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("moment", ["compiling", "training"])
def test_asked_to_stop_it_saves_and_says_how_to_go_on(few_digits, tmp_path, whole, signum, code, moment):
    run_dir = tmp_path / "run"
    process = start(few_digits, run_dir)
    if moment == "training":
        while "epoch" not in process.stdout.readline():
            assert process.poll() is None
    else:
        wait_for(run_dir / "config.json", process)
    process.send_signal(signum)
    got, out, err = finish(process)
    assert got == code
    assert "stopping after this epoch" in err
    assert re.search(r"^stopped (before epoch 1|after epoch \d+; --run_dir=.* goes on from there)$", err, re.M)
    assert len(epochs_in(out)) < EPOCHS
    assert finish(start(few_digits, run_dir))[0] == 0
    np.testing.assert_equal(result(run_dir), whole)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_asked_twice_it_leaves_at_once(few_digits, tmp_path, signum, code):
    """An epoch here would take minutes."""
    process = start(few_digits, tmp_path / "run", "--batch_size=1", "--hidden=90000")
    wait_for(tmp_path / "run" / "config.json", process)
    process.send_signal(signum)
    assert "stopping" in process.stderr.readline() + process.stderr.readline()
    started = time.monotonic()
    process.send_signal(signum)
    assert finish(process)[0] == code
    assert time.monotonic() - started < 2
