"""One sweep of several processes, here on one machine, each with one CPU device."""

import shutil
import signal
import time

import numpy as np
import pytest

from jaxmlp.commands import BAD_DATA
from jaxmlp.runs import checkpoint, run_writer
from shell import run
from test_machines import Processes

pytestmark = pytest.mark.slow

OPTIONS = "--hidden=6", "--learning_rate=0.3", "--momentum=0.5", "--seed=0:5", "--batch_size=7", "--devices=1"
NAMES = [f"seed={seed}" for seed in range(5)]
EPOCHS = 15


class Sweeps(Processes):
    command = "sweep"


def left_by(folder):
    """(the last parameters, the text of its test) of each network."""
    left = {}
    for name in NAMES:
        arrays = checkpoint.load(folder / name / f"checkpoint-{EPOCHS:06d}.npz")
        left[name] = {leaf: array for leaf, array in arrays.items() if leaf.startswith("params.")}
        left[name]["test"] = (folder / name / "test.json").read_text()
    return left


@pytest.fixture(scope="module")
def one(few_digits, tmp_path_factory):
    """The sweep of one process."""
    folder = tmp_path_factory.mktemp("one") / "run"
    done = run("sweep", f"--data_dir={few_digits}", f"--run_dir={folder}", f"--epochs={EPOCHS}", *OPTIONS)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def assert_as_one(folder, one):
    ours, theirs = left_by(folder), left_by(one)
    for name in NAMES:
        assert ours[name].pop("test") == theirs[name].pop("test")
        for leaf, array in theirs[name].items():
            np.testing.assert_allclose(ours[name][leaf], array, rtol=0, atol=1e-4)


def test_stopped_by_a_signal_to_one_they_go_on_to_what_one_process_makes(few_digits, tmp_path, one):
    arguments = f"--data_dir={few_digits}", "--run_dir=run", f"--epochs={EPOCHS}", *OPTIONS
    folder = tmp_path / "process0" / "run"
    with Sweeps(tmp_path, 2, *arguments) as two:
        while not (folder / NAMES[0] / "best.npz").exists():
            assert all(process.poll() is None for process in two.running)
            time.sleep(0.01)
        two.running[1].send_signal(signal.SIGTERM)
        for code, _, err in (ended := two.finish()):
            assert code == 128 + signal.SIGTERM
            assert err.endswith("stopped; --run_dir=run goes on from the last epochs that were saved\n")
    assert not (folder / NAMES[-1] / "test.json").exists()
    with Sweeps(tmp_path, 2, "--run_dir=run") as two:
        for code, _, err in (ended := two.finish()):
            assert (code, err) == (0, "")
        assert "on cpu: cpu, cpu, of 2 processes\n5 networks, which differ in seed" in ended[0][1]
        assert "784-6-10, sigmoid, 2 at once; compiled in" in ended[0][1]
        assert ended[1][1] == ""
    assert sorted(path.name for path in (tmp_path / "process1").iterdir()) == ["err", "out"]
    assert_as_one(folder, one)


def test_a_network_that_is_held_is_told_of_in_all_and_the_others_are_trained(few_digits, tmp_path, one):
    folder = shutil.copytree(one, tmp_path / "process0" / "run")
    for name in NAMES[:2]:
        (folder / name / "test.json").unlink()
        (folder / name / f"checkpoint-{EPOCHS:06d}.npz").unlink()
    with run_writer.opened(folder / NAMES[1]), Sweeps(tmp_path, 2, "--run_dir=run") as two:
        ended = two.finish()
    line = f"error: run: expected to train every network, got 1 of 5 that could not be: run/{NAMES[1]}: "
    for code, _, err in ended:
        assert code == BAD_DATA
        assert err.startswith(line)
    assert (folder / NAMES[0] / "test.json").read_text() == (one / NAMES[0] / "test.json").read_text()
    assert run("sweep", "--run_dir=run", cwd=folder.parent).returncode == 0
    assert_as_one(folder, one)
