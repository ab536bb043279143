"""Strict numbers for the whole suite: float64, rank promotion an error, full matmul precision; and few digits.

What one test has compiled, another takes from .pytest_cache, today or tomorrow; `pytest --cache-clear` empties it.
"""

import gzip
import importlib
import platform
import signal
import warnings
from subprocess import CompletedProcess

import jax
import pytest
from hypothesis import settings

from jaxmlp import commands
from jaxmlp.data.datasets import MNIST
from jaxmlp.runs import environment, trainer
from jaxmlp.runs.stopping import StopRequest
from jaxmlp.training.config import Config

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "highest")

settings.register_profile("jaxmlp", deadline=None, derandomize=True)  # first calls compile
settings.load_profile("jaxmlp")


def pytest_configure(config):
    """Every process of pytest-xdist comes here too."""
    if hasattr(config, "cache") and not jax.config.jax_compilation_cache_dir:
        environment.keep_compiled(config.cache.mkdir(f"compiled-{platform.node()}"))


@pytest.fixture(scope="session")
def few_digits(tmp_path_factory):
    """A folder in MNIST's form with its first 600 training and 200 test digits."""
    folder = tmp_path_factory.mktemp("few_digits")
    for name, header, rows, size in (
        ("train-images-idx3-ubyte", 16, 600, 28 * 28),
        ("train-labels-idx1-ubyte", 8, 600, 1),
        ("t10k-images-idx3-ubyte", 16, 200, 28 * 28),
        ("t10k-labels-idx1-ubyte", 8, 200, 1),
    ):
        with gzip.open(MNIST / f"{name}.gz") as file:
            head, body = file.read(header), file.read(rows * size)
        (folder / name).write_bytes(head[:4] + rows.to_bytes(4, "big") + head[8:] + body)
    return folder


def small_run(few_digits, run_dir, **more):
    options = {"hidden": 12, "phi": "relu,sigmoid", "learning_rate": 0.5, "epochs": 8, **more}
    flags = "".join(f"--{name}={value}\n" for name, value in {"data_dir": few_digits, **options}.items())
    trainer.train(Config(**options), few_digits, run_dir, flags, StopRequest())
    return run_dir


@pytest.fixture(scope="session")
def trained_run(few_digits, tmp_path_factory):
    """The directory of a small finished run on few_digits. Not to be changed."""
    return small_run(few_digits, tmp_path_factory.mktemp("trained") / "small")


@pytest.fixture(scope="session")
def edges_run(few_digits, tmp_path_factory):
    """The same with the edges of upright digits. Not to be changed."""
    return small_run(few_digits, tmp_path_factory.mktemp("trained") / "edges", deskew=True, edges=True)


@pytest.fixture
def call(monkeypatch, capsys):
    """A command in this process, as `shell.run` has it in its own: call("train", "--epochs=1", cwd=folder)."""

    def call(command, *arguments, cwd=None):
        module = importlib.import_module(f"jaxmlp.{command}")
        if cwd:
            monkeypatch.chdir(cwd)
        interrupt = signal.getsignal(signal.SIGINT)
        capsys.readouterr()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("default")
                commands.start(module.main, module.FLAGS, [str(argument) for argument in arguments])
        except SystemExit as end:
            return CompletedProcess(command, end.code, *capsys.readouterr())
        finally:
            signal.signal(signal.SIGINT, interrupt)

    return call


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=3, help="how often tests/test_kill.py kills its run")
    parser.addoption("--picture", help="the file to which tests/explorer/test_browser.py draws README's picture")
