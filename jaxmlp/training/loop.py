"""The training loop on the host: what to compile, then one record an epoch.

    program = loop.prepare(config, dataset)
    for state, metrics in loop.fit(program):
        ...
    program.test(state.params)

Epochs count from 0 in arguments and from 1 in Metrics, which people read.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from jaxmlp import network
from jaxmlp.data.datasets import Dataset, Split
from jaxmlp.network import Params
from jaxmlp.training import blocked, devices
from jaxmlp.training.augmentation import distortion_strength, prepared
from jaxmlp.training.config import Config
from jaxmlp.training.epoch import EpochInput, Private, Seen, State, Tuning, train_epoch
from jaxmlp.training.optimizers import optimizer_of, schedule_of
from jaxmlp.training.privacy import noise
from jaxmlp.training.privacy.account import Account, account_of
from jaxmlp.training.privacy.sampling import Sampling
from jaxmlp.training.privacy.secret import derived, fresh
from jaxmlp.training.validation import Score, evaluate


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
    # tr Σ / ‖G‖², each the mean over the epoch's whole batches, if asked for; none where ‖G‖² is 0 or not a number
    noise_scale: float | None = None
    epsilon: float | None = None  # of the parameters so far, at the config's δ, if training is private


@dataclass(frozen=True)
class Program:
    """A run, compiled for its data, which lie on its devices. Made by `prepare`."""

    config: Config
    mesh: Mesh
    init: Callable[[], State]  # the state before the first epoch, a fresh one each time
    train: Callable[[State, int], tuple[State, Seen]]  # (state, epoch from 0) -> (state, what it saw)
    validate: Callable[[Params], Score]
    test: Callable[[Params], Score]
    examples: int  # trained on in an epoch
    validation_examples: int
    compile_seconds: float
    account: Account | None  # of a private run


def prepare(config: Config, dataset: Dataset, mesh: Mesh | None = None, secret: bytes | None = None) -> Program:
    """Put the data, prepared as `config` says, on the mesh and compile the epoch and the evaluations.

    Without a mesh (of devices.mesh_of) they go to JAX's first device. `secret` (of privacy/secret.py) is for a
    private run, which without one takes a fresh one, and cannot be repeated. Raises ConfigError if the training
    images are too few for a batch, or cannot be shown as it says.
    """
    config.check_data(dataset.train.images.shape)
    mesh = mesh or devices.mesh_of(1, config)
    dataset = prepared(dataset, config)
    examples, *size = dataset.train.images.shape
    inputs = size[0] * size[1]
    optimizer = optimizer_of(config)
    sampling = Sampling.of(config, examples, secret or fresh()) if config.private else None

    def init() -> State:
        params = devices.place(first_params(config.seed, inputs, config.hidden, dataset.classes), mesh)
        state: State = devices.place(State(params, optimizer.init(params)), mesh)
        return state

    started = time.perf_counter()
    images, labels = placed(dataset.train, mesh)

    def epoch_input(epoch: int) -> EpochInput:
        return EpochInput(images, labels, *devices.place(of_epoch(config, epoch, examples, sampling), mesh))

    first = init()
    tuning = Tuning(mesh, blocked.batches_per_block(config, mesh.devices.flat[0].platform))
    compiled = train_epoch.lower(
        first, epoch_input(0), config=config, tuning=tuning, size=tuple(size), grid=dataset.grid
    ).compile()
    validate, test = (_scorer(split, config, mesh) for split in (dataset.validation, dataset.test))
    validate(first.params)  # compiles it, and the test's too where the sizes are equal
    compile_seconds = time.perf_counter() - started

    def train(state: State, epoch: int) -> tuple[State, Seen]:
        result: tuple[State, Seen] = compiled(state, epoch_input(epoch))
        return result

    return Program(
        config,
        mesh,
        init,
        train,
        validate,
        test,
        examples,
        len(dataset.validation.labels),
        compile_seconds,
        account_of(config, examples) if config.private else None,
    )


def fit(
    program: Program, state: State | None = None, history: Sequence[Metrics] = ()
) -> Iterator[tuple[State, Metrics]]:
    """Train for the epochs that the config still asks for, yielding (state, metrics) after each.

    `history` is the record of every epoch before. A yielded state is donated to the next epoch: copy what you keep.
    Raises Diverged when a loss is not finite.
    """
    state = program.init() if state is None else devices.place(state, program.mesh)
    history = tuple(history)
    while not ended(program.config, history):
        started = time.perf_counter()
        state, seen = program.train(state, len(history))
        seen.loss.block_until_ready()
        seconds = time.perf_counter() - started
        score = program.validate(state.params)
        metrics = measured(len(history), seen, score, seconds, program.examples, program.validation_examples)
        if program.account:
            metrics = metrics._replace(epsilon=program.account.epsilon(metrics.epoch))
        history = (*history, metrics)
        yield state, metrics


def ended(config: Config, history: Sequence[Metrics]) -> bool:
    """Whether a run with the record `history` trains no more: its epochs are done, or its patience is at an end."""
    return len(history) >= config.epochs or out_of_patience(config, history)


def out_of_patience(config: Config, history: Sequence[Metrics]) -> bool:
    """Whether the best validation loss, the first of equal ones, is `config.patience` epochs old."""
    if not (config.patience and history):
        return False
    best = min(history, key=lambda metrics: metrics.validation_loss)
    return history[-1].epoch - best.epoch >= config.patience


def measured(
    epoch: int, seen: Seen, score: Score, seconds: float, examples: int, validation_examples: int
) -> Metrics:
    """The record of epoch number `epoch`, of what it saw and how it scored. Raises Diverged."""
    errors = int(score.errors)
    metrics = Metrics(
        epoch=epoch + 1,
        train_loss=float(seen.loss),
        validation_loss=float(score.loss),
        validation_errors=errors,
        validation_accuracy=1 - errors / validation_examples,
        examples_per_second=examples / seconds,
        seconds=seconds,
        noise_scale=_noise_scale(seen),
    )
    if not (isfinite(metrics.train_loss) and isfinite(metrics.validation_loss)):
        raise Diverged(f"diverged in epoch {metrics.epoch}: the loss is not finite; begin anew at a lower rate")
    return metrics


def _noise_scale(seen: Seen) -> float | None:
    ratio = float("nan") if seen.noise is None else float(seen.noise.ratio)
    return ratio if isfinite(ratio) else None


def of_epoch(
    config: Config, epoch: int, examples: int, sampling: Sampling | None = None
) -> tuple[np.ndarray, np.ndarray, jax.Array, np.float32, Private | None]:
    """What an EpochInput says beside the data: rows (n,), learning rates (steps,), key and strength, scalars.

    With a `sampling`, of a private run, rows are (steps, padded), and there is a Private.
    """
    steps = sampling.steps if sampling else -(-examples // config.batch_size)
    rows, key, private = drawn_privately(sampling, epoch) if sampling else drawn(config.seed, epoch, examples)
    return (
        rows,
        schedule_of(config, steps).learning_rates(np.arange(epoch * steps, (epoch + 1) * steps)),
        key,
        distortion_strength(config, epoch),
        private,
    )


# What is random is a function of the seed and the epoch alone; in private training of the secret and the epoch, the
# first parameters apart. These and the orders are drawn on the host: XLA takes longer to compile its generator than
# NumPy to draw them, and it shuffles by sorting.


def first_params(seed: int, inputs: int, hidden: int, outputs: int) -> Params:
    """The first parameters, distributed as those of `network.init`."""
    normal = np.random.default_rng([seed, 0]).standard_normal
    return network.scaled(normal((inputs, hidden)), normal((hidden, outputs)))


Drawn = tuple[np.ndarray, jax.Array, Private | None]  # rows, key and private of an EpochInput


def drawn(seed: int, epoch: int, examples: int) -> Drawn:
    """What is random in an epoch: the order, (n,), of its n examples and the key, a scalar, of its distortions."""
    return order(seed, epoch, examples), noise_key(seed, epoch), None


def drawn_privately(sampling: Sampling, epoch: int) -> Drawn:
    """What is random in a private epoch: its batches, (steps, padded), the key, a scalar, of its distortions, and
    the keys of its noise, (steps, leaves, words).
    """
    secret = sampling.secret
    rows, mask = sampling.batches(epoch)
    key = np.frombuffer(derived(secret, "augmentation", epoch, size=8), np.uint32)
    return rows, _threefry(key), Private(mask, noise.keys(secret, epoch, sampling.steps))


def order(seed: int, epoch: int, n: int) -> np.ndarray:
    """The order, (n,), in which epoch number `epoch` sees its n examples."""
    return np.random.default_rng([seed, 1 + epoch]).permutation(n).astype(np.int32)


def noise_key(seed: int, epoch: int) -> jax.Array:
    """The key, a scalar, of all that is random in the epoch's steps."""
    return _threefry(np.array([seed, epoch], np.uint32))


def _threefry(words: np.ndarray) -> jax.Array:
    key: jax.Array = jax.random.wrap_key_data(jax.device_put(words), impl="threefry2x32")
    return key


def _scorer(split: Split, config: Config, mesh: Mesh) -> Callable[[Params], Score]:
    images, labels = placed(split, mesh)
    size = split.images.shape[1:]
    return lambda params: evaluate(params, images, labels, phi=config.activation, view=config.view, size=size)


def placed(split: Split, mesh: Mesh) -> tuple[jax.Array, jax.Array]:
    """Its images, (n, D), and its labels, (n,), on the mesh."""
    images, labels = devices.place((split.images.reshape(len(split.labels), -1), split.labels), mesh)
    return images, labels
