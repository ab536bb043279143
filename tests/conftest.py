"""Strict numbers for the whole suite: float64, rank promotion an error, full matmul precision; and few digits."""

import gzip

import jax
import pytest
from hypothesis import settings

from jaxmlp.data.datasets import MNIST

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "highest")

settings.register_profile("jaxmlp", deadline=None, derandomize=True)  # first calls compile
settings.load_profile("jaxmlp")


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
