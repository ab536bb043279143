"""What runs print of themselves, a line each."""

import sys
from typing import Any

import jax

from jaxmlp.data.datasets import Dataset
from jaxmlp.training.config import Config
from jaxmlp.training.privacy.account import account_of, epsilon_text


def on_devices(mesh: Any) -> str:
    used = mesh.devices.flatten()
    processes = f", of {jax.process_count()} processes" if jax.process_count() > 1 else ""
    return f"jax {jax.__version__} on {used[0].platform}: {', '.join(d.device_kind for d in used)}{processes}"


def data(dataset: Dataset, config: Config) -> str:
    height, width = dataset.train.images.shape[1:]
    sizes = [len(split.labels) for split in (dataset.train, dataset.validation, dataset.test)]
    return (
        "data: {:,} training, {:,} validation and {:,} test images".format(*sizes)
        + f" of {height}x{width}"
        + (", split at random" if dataset.shuffled else "")
        + "".join(f", seen {words}" for words in config.seen)
        + (", distorted on the grid that they show" if config.learned_grid else "")
        + (", the validation images trained on too" if config.train_on_all else "")
    )


def privacy(config: Config, examples: int) -> str:
    """What a private run on so many examples ends with. Raises MissingExtra."""
    account = account_of(config, examples)
    return (
        f"privacy: {epsilon_text(account.epsilon(config.epochs))} in the end, δ {config.delta:g}, "
        f"noise multiplier {config.noise_multiplier:g}, clip norm {config.clip_norm:g}, "
        f"sampling rate {account.sampling_rate:.4g}"
    )


def counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def loss(value: float) -> str:
    """In five decimals, or as a power of ten if it is a number that no network should have."""
    return f"{value:.5f}" if abs(value) < 1000 else f"{value:.3e}"


def write(bar: Any, line: str) -> None:
    """A line on standard output that does not tear the bar of tqdm."""
    with bar.external_write_mode(file=sys.stdout):
        print(line, flush=True)
