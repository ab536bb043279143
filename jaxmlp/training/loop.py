"""The training loop on the host: what to compile, then one record an epoch.

    program = loop.prepare(config, dataset)
    for state, metrics in loop.fit(program):
        ...
    program.test(state.params)

Epochs count from 0 in arguments and from 1 in Metrics, which people read.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmlp.data.datasets import Dataset, Split
from jaxmlp.data.deskewing import deskewed_dataset
from jaxmlp.network import Params
from jaxmlp.training import environment
from jaxmlp.training.config import Config
from jaxmlp.training.epoch import Score, Seen, Settings, State, evaluate, train_epoch
from jaxmlp.training.optimizers import Schedule


class Diverged(ArithmeticError):
    """A loss is no longer finite. The text names the epoch."""


class Metrics(NamedTuple):
    """One epoch. Losses are means over examples; the training loss is that of each batch before its update."""

    epoch: int  # from 1
    train_loss: float
    validation_loss: float
    validation_errors: int
    validation_accuracy: float  # of 1
    examples_per_second: float  # training only
    seconds: float  # training only
    noise_scale: float | None = None  # tr Σ / ‖G‖², each the mean over the epoch's whole batches, if asked for


@dataclass(frozen=True)
class Program:
    """A run, compiled for its data, which lie on the device. Made by `prepare`."""

    config: Config
    init: Callable[[], State]  # the state before the first epoch, a fresh one each time
    train: Callable[[State, int], tuple[State, Seen]]  # (state, epoch from 0) -> (state, what it saw)
    validate: Callable[[Params], Score]
    test: Callable[[Params], Score]
    examples: int  # trained on in an epoch
    validation_examples: int
    compile_seconds: float


def prepare(config: Config, dataset: Dataset) -> Program:
    """Put the data, upright if `config` says so, on the default device and compile the epoch and the evaluations.

    Raises ConfigError if the training images are too few for a batch, or of a size without edge maps.
    """
    examples = len(dataset.train.labels)
    config.check_data(dataset.train.images.shape)
    if config.deskew:
        dataset = deskewed_dataset(dataset)
    phi, optimizer = config.activation(), config.make_optimizer()
    inputs = dataset.train.images[0].size

    def init() -> State:
        params = first_params(config.seed, inputs, config.hidden, dataset.classes)
        return State(params, optimizer.init(params))

    steps = -(-examples // config.batch_size)
    schedule = Schedule(
        config.learning_rate, config.epochs * steps, config.warmup_epochs * steps, config.schedule == "cosine"
    )

    def rates(epoch: int) -> np.ndarray:
        return schedule.learning_rates(np.arange(epoch * steps, (epoch + 1) * steps))

    settings = Settings(
        batch_size=config.batch_size,
        phi=phi,
        optimizer=optimizer,
        clip_norm=config.clip_norm,
        log_noise_scale=config.log_noise_scale,
        distortion=config.distortion(),
        edges=config.edges,
        mixup=config.mixup,
        input_dropout=config.input_dropout,
        batches_per_block=config.block_size(jax.default_backend()),
        halves=config.halves(jax.default_backend(), environment.cpu_count()),
    )

    started = time.perf_counter()
    state = jax.eval_shape(init)
    images, labels = jax.device_put(dataset.train.images), jax.device_put(dataset.train.labels)

    def arguments(epoch: int) -> tuple[Any, ...]:
        rows, key = order(config.seed, epoch, examples), noise_key(config.seed, epoch)
        return images, labels, rows, rates(epoch), key, config.distortion_strength(epoch)

    compiled = train_epoch.lower(state, *arguments(0), settings=settings).compile()
    validate, test = (_scorer(split, config) for split in (dataset.validation, dataset.test))
    validate(init().params)  # compiles it, and the test's too where the sizes are equal
    compile_seconds = time.perf_counter() - started

    def train(state: State, epoch: int) -> tuple[State, Seen]:
        result: tuple[State, Seen] = compiled(state, *arguments(epoch))
        return result

    return Program(config, init, train, validate, test, examples, len(dataset.validation.labels), compile_seconds)


def fit(program: Program, state: State | None = None, first_epoch: int = 0) -> Iterator[tuple[State, Metrics]]:
    """Train for the epochs that the config still asks for, yielding (state, metrics) after each.

    A yielded state is donated to the next epoch: copy what you keep. Raises Diverged when a loss is not finite.
    """
    state = program.init() if state is None else state
    for epoch in range(first_epoch, program.config.epochs):
        started = time.perf_counter()
        state, seen = program.train(state, epoch)
        train_loss = float(seen.loss)  # waits for the device
        seconds = time.perf_counter() - started
        score = program.validate(state.params)
        errors = int(score.errors)
        metrics = Metrics(
            epoch=epoch + 1,
            train_loss=train_loss,
            validation_loss=float(score.loss),
            validation_errors=errors,
            validation_accuracy=1 - errors / program.validation_examples,
            examples_per_second=program.examples / seconds,
            seconds=seconds,
            noise_scale=None
            if seen.noise is None
            else float(seen.noise.covariance_trace / seen.noise.squared_norm),
        )
        if not (isfinite(metrics.train_loss) and isfinite(metrics.validation_loss)):
            raise Diverged(f"diverged in epoch {metrics.epoch}: the loss is not finite; begin anew at a lower rate")
        yield state, metrics


# What is random is a function of the seed and the epoch alone. The first parameters and the orders are drawn on the
# host: XLA takes longer to compile its generator than NumPy to draw them, and it shuffles by sorting.


def first_params(seed: int, inputs: int, hidden: int, outputs: int) -> Params:
    """The first parameters, distributed as those of `network.init`."""
    normal = np.random.default_rng([seed, 0]).standard_normal
    W1 = normal((inputs, hidden)) / np.sqrt(inputs)
    W2 = normal((hidden, outputs)) / np.sqrt(hidden)
    return Params(*jax.device_put((W1, np.zeros(hidden), W2, np.zeros(outputs))))


def order(seed: int, epoch: int, n: int) -> np.ndarray:
    """The order in which epoch number `epoch` sees its n examples."""
    return np.random.default_rng([seed, 1 + epoch]).permutation(n).astype(np.int32)


def noise_key(seed: int, epoch: int) -> jax.Array:
    """The key of the epoch's distortions, mixtures and dropout."""
    key: jax.Array = jax.random.wrap_key_data(
        jax.device_put(np.array([seed, epoch], np.uint32)), impl="threefry2x32"
    )
    return key


def _scorer(split: Split, config: Config) -> Callable[[Params], Score]:
    images, labels = jax.device_put(split.images), jax.device_put(split.labels)
    return lambda params: evaluate(params, images, labels, phi=config.activation(), edges=config.edges)
