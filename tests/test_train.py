"""The command as a person types it: what it prints, and how it ends."""

import re
import subprocess
import sys

import pytest


def train(*arguments):
    command = [sys.executable, "-m", "jaxmlp.train", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_run_prints_where_it_runs_its_epochs_and_the_test_errors_once(few_digits):
    done = train(
        f"--data_dir={few_digits}", "--epochs=2", "--hidden=12", "--phi=relu,sigmoid", "--learning_rate=0.5"
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert re.fullmatch(
        r"jax \S+ on \w+: .+\n"
        r"data: 500 training, 100 validation and 200 test images of 28x28\n"
        r"network: 784-12-10, relu,sigmoid, seed 0\n"
        r"compiled in [\d.]+ s\n"
        r"(epoch [12]/2  train loss 0\.\d{5}  validation loss 0\.\d{5}  validation accuracy \d\d\.\d\d%"
        r" +[\d,]+ examples/s\n){2}"
        r"test errors: \d+ of 200 \(\d\d\.\d\d% accuracy\)\n",
        done.stdout,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["--hiden=5"], 1, "error: Unknown command line flag 'hiden'. Did you mean: hidden ?"),
        (["--epochs=ten"], 1, "error: flag --epochs=ten: invalid literal for int() with base 10: 'ten'"),
        (["--hidden=0"], 1, "error: --hidden: expected an integer from 1 to 100000, got 0"),
        (["--learning_rate=nan"], 1, "error: --learning_rate: expected a finite number > 0, got nan"),
        (["epochs=3"], 1, "error: expected flags (--name=value) only, got 'epochs=3'"),
        (["--flagfile=none.flags"], 1, "error: ERROR:: Unable to open flagfile: "),
        (["--data_dir=/nowhere"], 2, "error: /nowhere: expected a folder of four IDX files, got No such file"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(arguments, code, line):
    done = train(*arguments)
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_a_run_that_diverges_names_the_epoch(few_digits):
    done = train(f"--data_dir={few_digits}", "--phi=identity", "--learning_rate=1e6", "--hidden=8")
    assert done.returncode == 3
    assert done.stderr == "error: diverged in epoch 1: the loss is not finite; lower the learning rate\n"
    assert "test errors" not in done.stdout


def test_a_batch_larger_than_the_data(few_digits):
    done = train(f"--data_dir={few_digits}", "--batch_size=501")
    assert done.returncode == 1
    assert done.stderr == "error: --batch_size: expected at most the 500 training examples, got 501\n"
