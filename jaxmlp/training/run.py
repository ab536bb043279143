"""One whole run: load, compile, train, print, and at the end read the test set, once."""

import sys
from collections.abc import Callable
from pathlib import Path

import jax
from tqdm import tqdm

from jaxmlp.data import datasets
from jaxmlp.data.datasets import Dataset
from jaxmlp.training import loop
from jaxmlp.training.config import Config
from jaxmlp.training.loop import Metrics


def train(config: Config, data_dir: Path | None = None) -> None:
    """Train as `config` says on the packaged MNIST, or on the four IDX files of `data_dir`.

    Prints to standard output: lines in a pipe, and on a terminal also a progress bar with the time left.
    Raises what datasets.load, loop.prepare and loop.fit raise: DataError, ConfigError, Diverged.
    """
    dataset = datasets.load(data_dir, config.train_on_all)
    program = loop.prepare(config, dataset)
    print(_header(config, dataset, program.compile_seconds), flush=True)
    state = program.init()
    with tqdm(total=config.epochs, unit="epoch", leave=False, disable=not sys.stdout.isatty()) as bar:
        for state, metrics in loop.fit(program):  # noqa: B007 (the last state is tested below)
            _writer(bar)(_epoch_line(metrics, config.epochs))
            bar.update()
    _, errors = program.test(state.params)
    examples = len(dataset.test.labels)
    print(f"test errors: {errors} of {examples:,} ({1 - int(errors) / examples:.2%} accuracy)")


def _header(config: Config, dataset: Dataset, compile_seconds: float) -> str:
    devices = jax.devices()
    height, width = dataset.train.images.shape[1:]
    sizes = [len(split.labels) for split in (dataset.train, dataset.validation, dataset.test)]
    return "\n".join(
        [
            f"jax {jax.__version__} on {devices[0].platform}: {', '.join(d.device_kind for d in devices)}",
            "data: {:,} training, {:,} validation and {:,} test images".format(*sizes)
            + f" of {height}x{width}"
            + (", the validation images trained on too" if config.train_on_all else ""),
            f"network: {height * width}-{config.hidden}-{dataset.classes}, {config.phi}, seed {config.seed}",
            f"compiled in {compile_seconds:.1f} s",
        ]
    )


def _epoch_line(metrics: Metrics, epochs: int) -> str:
    return (
        f"epoch {metrics.epoch:>{len(str(epochs))}}/{epochs}"
        f"  train loss {metrics.train_loss:.5f}"
        f"  validation loss {metrics.validation_loss:.5f}"
        f"  validation accuracy {metrics.validation_accuracy:.2%}"
        + (f"  noise scale {metrics.noise_scale:.1f}" if metrics.noise_scale is not None else "")
        + f"  {metrics.examples_per_second:>9,.0f} examples/s"
    )


def _writer(bar: "tqdm[object]") -> Callable[[str], None]:
    """How to print a line without tearing the bar."""
    return lambda line: bar.write(line) if not bar.disable else print(line, flush=True)
