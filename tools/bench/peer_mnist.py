"""The packaged MNIST without importing jaxmlp, and with it JAX, into another library's process."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FOLDER = Path(__file__).resolve().parents[2] / "jaxmlp/data/mnist"
TARGET = 0.97  # of the validation images

Arrays = tuple[npt.NDArray[np.float32], npt.NDArray[Any]]


def load() -> tuple[Arrays, Arrays, Arrays]:
    """Training, validation and test set: images (n, 784) in [0, 1], and labels."""
    (x, y), test = _read("train"), _read("t10k")
    return (x[:50_000], y[:50_000]), (x[50_000:], y[50_000:]), test


def report(correct: npt.NDArray[np.bool_]) -> None:
    """As jaxmlp.train ends."""
    print(f"test errors: {int((~correct).sum())} of {len(correct):,} ({correct.mean():.2%} accuracy)")


def _read(name: str) -> Arrays:
    images = np.frombuffer(
        gzip.decompress((FOLDER / f"{name}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16
    )
    labels = np.frombuffer(
        gzip.decompress((FOLDER / f"{name}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8
    )
    return images.reshape(-1, 784).astype(np.float32) / np.float32(255), labels.astype(np.int64)
