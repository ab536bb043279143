"""The command as a person types it: what it prints, and how it ends."""

import json
import re
import struct
import subprocess
import sys
from functools import partial

import jax
import numpy as np
import pytest

from jaxmlp.commands.start import guarded
from jaxmlp.runs import machines
from jaxmlp.training.privacy import account
from shell import ENVIRONMENT, assert_one_line, run

train = partial(run, "train")


def test_a_run_prints_where_it_runs_its_epochs_and_the_test_errors_once(few_digits, tmp_path):
    flags = ["--epochs=2", "--hidden=12", "--phi=relu,sigmoid", "--learning_rate=0.5"]
    done = train(f"--data_dir={few_digits}", *flags, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    assert re.fullmatch(
        r"jax \S+ on \w+: .+\n"
        r"data: 500 training, 100 validation and 200 test images of 28x28\n"
        r"network: 784-12-10, relu,sigmoid, seed 0\n"
        r"run directory: runs/\d{8}-\d{6}-train\n"
        r"compiled in [\d.]+ s\n"
        r"(epoch [12]/2  train loss 0\.\d{5}  validation loss 0\.\d{5}  validation accuracy \d\d\.\d\d%"
        r" +[\d,]+ examples/s\n){2}"
        r"test errors: \d+ of 200 \(\d\d\.\d\d% accuracy\)\n",
        done.stdout,
    )


PRIVATELY = ["--clip_norm=0.5", "--delta=0.001", "--batch_size=50", "--hidden=12", "--epochs=2"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("noise", "sigma", "epsilon"),
    [("--noise_multiplier=2", "2", "0.636"), ("--target_epsilon=2", r"1.03\d*", "2.000")],
)
def test_a_private_run_says_what_it_tells_before_it_begins_and_after_every_epoch(
    call, few_digits, tmp_path, noise, sigma, epsilon
):
    done = call("train", f"--data_dir={few_digits}", *PRIVATELY, noise, "--run_dir=run", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    header = re.search(
        rf"^privacy: ε (\S+) in the end, δ 0.001, noise multiplier ({sigma}), clip norm 0.5, sampling rate 0.1$",
        done.stdout,
        re.MULTILINE,
    )
    assert header[1] == epsilon
    assert done.stdout.index("privacy: ") < done.stdout.index("epoch 1/2")
    lines = re.findall(r"^epoch [12]/2 .* examples/s  ε (\S+)$", done.stdout, re.MULTILINE)
    assert lines[1] == epsilon
    assert float(lines[0]) < float(epsilon)
    rows = [json.loads(line)["epsilon"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[1] == pytest.approx(float(epsilon), abs=0.001)
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert (config["noise_multiplier"], config["delta"]) == (float(header[2]), 0.001)
    assert f"--noise_multiplier={config['noise_multiplier']}\n" in (tmp_path / "run" / "flags.txt").read_text()
    again = call("train", noise, "--run_dir=run", cwd=tmp_path)  # the same line goes on
    assert (again.returncode, again.stderr) == (0, "")
    assert "all 2 epochs are done" in again.stdout


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (
            ["--noise_multiplier=1", "--delta=1e-5"],
            "--clip_norm: expected a number > 0 with noise_multiplier, got 0.0",
        ),
        (["--noise_multiplier=-1"], "--noise_multiplier: expected 0, or a finite number >= 0.1, got -1.0"),
        (
            ["--target_epsilon=3", "--noise_multiplier=1"],
            "--target_epsilon: expected it or --noise_multiplier, got both",
        ),
        (["--target_epsilon=nan"], "--target_epsilon: expected a finite number > 0, got nan"),
        (
            ["--target_epsilon=3", "--clip_norm=1", "--delta=1"],
            "--delta: expected a number >= 0 and < 1, got 1.0",
        ),
        (
            ["--target_epsilon=3", "--clip_norm=1", "--delta=1e-4"],
            "--delta: expected less than 1 in 50000, the training examples, got 0.0001",
        ),
    ],
)
def test_a_mistake_about_privacy_is_one_line_and_leaves_nothing(call, tmp_path, flags, line):
    assert_one_line(call("train", *flags, cwd=tmp_path), 1, f"error: {line}")
    assert not list(tmp_path.iterdir())


def test_private_training_without_its_extra_is_one_line_and_leaves_nothing(call, few_digits, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "dp_accounting.pld", None)
    account._of_one_step.cache_clear()
    done = call("train", f"--data_dir={few_digits}", *PRIVATELY, "--noise_multiplier=2", cwd=tmp_path)
    assert_one_line(done, 1, "error: private training needs the extra [privacy]: pip install 'jaxmlp[privacy]'")
    assert not list(tmp_path.iterdir())


FLAGFILES = {
    "itself.flags": "--flagfile=itself.flags\n",
    "undashed.flags": "# a recipe\nepochs=3\n",
    "comment.flags": "--epochs=3  # enough\n",
    "binary.flags": b"\xff\xfe--epochs=3",
}


@pytest.mark.parametrize(
    ("argument", "code", "line"),
    [
        ("--epoch=5", 1, "Unknown command line flag 'epoch'. Did you mean: epochs ?"),
        ("--epochs=ten", 1, "--epochs: expected an integer from 0 to 1000000, got 'ten'"),
        ("--epochs=-1", 1, "--epochs: expected an integer from 0 to 1000000, got -1"),
        ("--hidden=0", 1, "--hidden: expected an integer from 1 to 100000, got 0"),
        ("--hidden=1000000000", 1, "--hidden: expected an integer from 1 to 100000, got 1000000000"),
        ("--batch_size=0", 1, "--batch_size: expected an integer from 1 to 1000000, got 0"),
        ("--batch_size=50001", 1, "--batch_size: expected at most the 50000 training examples, got 50001"),
        (
            "--seed=18446744073709551616",
            1,
            "--seed: expected an integer from 0 to 4294967295, got 18446744073709551616",
        ),
        ("--learning_rate=0", 1, "--learning_rate: expected a finite number > 0, got 0.0"),
        ("--learning_rate=-1", 1, "--learning_rate: expected a finite number > 0, got -1.0"),
        ("--learning_rate=nan", 1, "--learning_rate: expected a finite number > 0, got nan"),
        ("--learning_rate=inf", 1, "--learning_rate: expected a finite number > 0, got inf"),
        ("--beta1=0.5", 1, "--beta1: expected 0.9 with the optimizer sgd, got 0.5"),
        ("epochs=3", 1, "expected flags (--name=value) only, got 'epochs=3'"),
        ("--flagfile=none.flags", 1, "--flagfile: expected a readable file, got none.flags: "),
        (
            "--flagfile=itself.flags",
            1,
            "Warning: Hit circular flagfile dependency. Ignoring flagfile: itself.flags",
        ),
        ("--flagfile=undashed.flags", 1, "expected flags (--name=value) only, got 'epochs=3', in undashed.flags"),
        (
            "--flagfile=comment.flags",
            1,
            "--epochs: expected an integer from 0 to 1000000, got '3 # enough'",
        ),
        (
            "--flagfile=binary.flags",
            1,
            "--flagfile: expected text in UTF-8, got binary.flags: 'utf-8' codec can't decode byte 0xff",
        ),
        ("--data_dir=", 1, "--data_dir: expected a path, got nothing"),
        (
            "--data_dir=nowhere",
            2,
            "{here}/nowhere: expected a folder of four IDX files, got No such file or directory",
        ),
        ("--run_dir=itself.flags", 2, "itself.flags: expected a folder to write in, got File exists"),
        ("--run_dir=.", 2, ".: expected a run directory or an empty one, got a folder with "),
        (f"--run_dir={'a' * 300}", 2, f"{'a' * 300}: expected a folder to write in, got File name too long"),
        ("--run_dir=/proc/run", 2, "/proc/run: expected a folder to write in, got No such file or directory"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code_and_leaves_nothing(call, tmp_path, argument, code, line):
    for name, content in FLAGFILES.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert_one_line(call("train", argument, cwd=tmp_path), code, f"error: {line.format(here=tmp_path)}")
    assert {path.name for path in tmp_path.iterdir()} == set(FLAGFILES)


def test_a_mistake_is_the_same_in_a_process_of_its_own(tmp_path):
    assert_one_line(
        train("--hidden=0", cwd=tmp_path), 1, "error: --hidden: expected an integer from 1 to 100000, got 0"
    )
    assert not list(tmp_path.iterdir())


def test_a_run_that_diverges_names_the_epoch(call, few_digits, tmp_path):
    flags = ["--phi=identity", "--learning_rate=1e6", "--hidden=8"]
    done = call("train", f"--data_dir={few_digits}", *flags, cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr == "error: diverged in epoch 1: the loss is not finite; begin anew at a lower rate\n"
    assert "test errors" not in done.stdout


def test_a_run_goes_on_from_its_directory_with_no_other_flag(call, few_digits, tmp_path):
    first = call("train", f"--data_dir={few_digits}", "--hidden=9", "--epochs=1", "--run_dir=run", cwd=tmp_path)
    assert first.returncode == 0
    again = call("train", "--run_dir=run", "--epochs=2", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")
    assert "network: 784-9-10" in again.stdout
    assert "going on after epoch 1\nepoch 2/2 " in again.stdout
    other = call("train", "--run_dir=run", "--hidden=10", cwd=tmp_path)
    assert other.stderr == "error: --hidden: expected 9, with which run was begun, got 10\n"
    assert other.returncode == 1


@pytest.mark.slow
def test_its_flags_repeat_a_run(call, few_digits, tmp_path):
    told = [f"--data_dir={few_digits}", "--hidden=9", "--epochs=2", "--seed=5"]
    first = call("train", *told, "--run_dir=run", cwd=tmp_path)
    again = call("train", "--flagfile=run/flags.txt", "--run_dir=again", cwd=tmp_path)
    without_speed = [
        re.sub(r" +[\d,]+ examples/s", "", done.stdout.split("compiled in")[1]) for done in (first, again)
    ]
    assert without_speed[0].splitlines()[1:] == without_speed[1].splitlines()[1:]
    config = [(tmp_path / name / "config.json").read_text() for name in ("run", "again")]
    assert config[0] == config[1]


@pytest.mark.slow
def test_a_set_of_other_images_and_classes_from_training_to_evaluation(call, tmp_path):
    """60 and 20 images of 5x9 in 4 classes, with options that look at an image as one."""
    rng = np.random.default_rng(0)
    for part, n in (("train", 60), ("t10k", 20)):
        images, labels = rng.integers(0, 256, (n, 5, 9), np.uint8), np.arange(n, dtype=np.uint8) % 4
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (tmp_path / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())
    options = ["--data_dir=.", "--run_dir=run", "--batch_size=5", "--epochs=2"]
    done = call("train", *options, "--edges", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr
        == "error: --edges: expected False for images without an even height and width, got True, for 5x9\n"
    )
    assert not (tmp_path / "run").exists()
    done = call("train", *options, "--shift=1", "--learned_grid", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    unlinked = "whose pixels do not go together"
    assert done.stderr == f"error: --learned_grid: expected False for images {unlinked}, got True\n"
    assert not (tmp_path / "run").exists()
    done = call("train", *options, "--deskew", "--elastic=5", "--rotation=5", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "data: 50 training, 10 validation and 20 test images of 5x9, seen upright\nnetwork: 45-30-4" in done.stdout
    )
    done = call("evaluate", "--run_dir=run", "--split=test", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["errors"] == json.loads((tmp_path / "run" / "test.json").read_text())["errors"]
    assert np.sum(said["confusion_matrix"], axis=1).tolist() == [5, 5, 5, 5]


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_traceback(few_digits, tmp_path):
    done = through_bash(f"--data_dir={few_digits} --hidden=8 --epochs=30", "| head -1", tmp_path)
    assert (done.returncode, done.stderr) == (141, "")
    assert done.stdout.startswith("jax ")
    done = through_bash("--help", "| true", tmp_path)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.slow
def test_output_that_cannot_be_written_is_one_line(few_digits, tmp_path):
    done = through_bash(f"--data_dir={few_digits} --hidden=8 --epochs=1", "> /dev/full", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: standard output: expected a file that works, got No space left on device\n"


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_stream_that_the_shell_has_closed(few_digits, tmp_path, closed):
    done = through_bash(f"--data_dir={few_digits} --hidden=8 --epochs=1 --run_dir=run", closed, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "run" / "test.json").exists()


def through_bash(arguments, redirection, cwd):
    """With the command's own exit code, and Python's buffer, as a user has them."""
    command = f"{sys.executable} -m jaxmlp.train {arguments} {redirection}; exit ${{PIPESTATUS[0]}}"
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=120, cwd=cwd, env=environment
    )


@pytest.mark.slow
def test_a_platform_that_is_not_there_is_one_line_and_leaves_nothing(tmp_path):
    done = train("--run_dir=run", cwd=tmp_path, JAX_PLATFORMS="abacus")
    assert_one_line(done, 1, "error: JAX_PLATFORMS: expected a platform with a device, got abacus")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("error", [MemoryError(), jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")])
def test_a_network_that_does_not_fit_is_one_line(error, capsys):
    def work():
        raise error

    with pytest.raises(SystemExit, match="1"):
        guarded(work)
    expected = r"error: expected a network and a batch that fit, got .*out of memory\n"
    assert re.fullmatch(expected, capsys.readouterr().err, re.IGNORECASE)


BROKEN = "UNKNOWN: Gloo AllGather failed: Connection reset by peer"


@pytest.mark.parametrize("error", [ValueError(BROKEN), jax.errors.JaxRuntimeError(BROKEN)], ids=repr)
def test_a_process_that_is_lost_is_one_line_whichever_error_jax_makes_of_it(error, capsys, monkeypatch):
    def work():
        raise error

    with pytest.raises(type(error)):  # of one process it is a fault of the program
        guarded(work)
    monkeypatch.setattr(machines, "joined", lambda: True)
    monkeypatch.setattr(machines, "LEAVING", 0)
    with pytest.raises(SystemExit, match="4"):
        guarded(work)
    assert capsys.readouterr().err == f"error: expected all processes to go on, got {BROKEN}\n"
    error.args = ("batch_size: a fault of the program",)
    if isinstance(error, ValueError):
        with pytest.raises(ValueError, match="a fault of the program"):
            guarded(work)


@pytest.mark.slow
def test_a_second_run_takes_what_the_first_compiled(few_digits, tmp_path):
    command = f"--data_dir={few_digits}", "--hidden=9", "--epochs=2", "--compilation_cache_dir=cache"
    first, again = (train(*command, f"--run_dir={name}", cwd=tmp_path) for name in ("first", "again"))
    assert (first.returncode, again.returncode) == (0, 0)
    kept = {path.name for path in (tmp_path / "cache").iterdir() if path.name.endswith("-cache")}
    assert any("train_epoch" in name for name in kept)
    results = [(tmp_path / name / "test.json").read_text() for name in ("first", "again")]
    assert results[0] == results[1]
