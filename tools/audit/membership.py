"""A membership attack on private training: what it finds out is a lower bound of ε, by experiment.

Many runs of train_epoch, each with a secret of its own, in two worlds: with a canary among the examples, and
without. The attack knows all but the secret. It looks at how far the parameters have moved against the canary's
gradient, in entries that no other example moves, and guesses from some threshold on that it was there. If training
is (ε, δ)-private, P(right) <= e^ε P(wrong) + δ, with P(right) the probability of that guess in the world with the
canary, P(wrong) in the other (Nasr et al. 2021, arXiv:2101.04535). Both are bounded by Clopper and Pearson 1934.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from jaxmlp import batch, statistics
from jaxmlp.training import loop
from jaxmlp.training.config import Config
from jaxmlp.training.epoch import EpochInput, Private, State, train_epoch
from jaxmlp.training.optimizers import optimizer_of
from jaxmlp.training.privacy import noise
from jaxmlp.training.privacy.account import account_of
from jaxmlp.training.privacy.sampling import Sampling
from jaxmlp.training.privacy.secret import derived

PIXELS, CLASSES, EXAMPLES = 256, 2, 20
CANARY = EXAMPLES - 1
CONFIDENCE = 0.95  # that neither of two one-sided bounds fails
EPOCHS = 8  # of two steps each
# At so small a rate the gradients are those of the first parameters, whatever happens.
CONFIG = Config(
    hidden=4,
    phi="identity",
    batch_size=10,
    epochs=EPOCHS,
    learning_rate=1e-3,
    clip_norm=1e-3,
    noise_multiplier=2.4,
    delta=0.045,
)


class Audit(NamedTuple):
    claimed: float  # the account's ε
    found: float  # ε is at least that, with a confidence of 95%


def audit(runs: int, noise_factor: float = 1.0) -> Audit:
    """Of so many runs in each world, with `noise_factor` times the noise that the account is told of."""
    config = replace(CONFIG, noise_multiplier=noise_factor * CONFIG.noise_multiplier)
    with_it, without = (scores(config, runs, present) for present in (True, False))
    claimed = account_of(CONFIG, EXAMPLES).epsilon(CONFIG.epochs)
    return Audit(claimed, lower_bound(with_it, without, CONFIG.delta))


def scores(config: Config, runs: int, present: bool) -> np.ndarray:
    """How far each run has moved against the canary's gradient, (runs,)."""
    images, labels = map(jnp.asarray, examples())
    params = jax.tree.map(jnp.float32, loop.first_params(config.seed, PIXELS, config.hidden, CLASSES))
    first = State(params, optimizer_of(config).init(params))
    x, y = images[CANARY:].astype(jnp.float32) / 255, jax.nn.one_hot(labels[CANARY:], CLASSES, dtype=jnp.float32)
    direction = statistics.clipped_gradient(batch.passes(params, x, y, config.activation), config.clip_norm).W1
    rates = np.full(Sampling.of(config, EXAMPLES, b"").steps, config.learning_rate, np.float32)

    def score(drawn: tuple[Any, Private]) -> jax.Array:
        def epoch(state: State, of_epoch: tuple[Any, Private]) -> tuple[State, None]:
            rows, private = of_epoch
            inputs = EpochInput(images, labels, rows, rates, jax.random.key(0), np.float32(1), private)
            return train_epoch(state, inputs, config)[0], None

        last, _ = jax.lax.scan(epoch, first, drawn)
        moved: jax.Array = jnp.sum(direction * (params.W1 - last.params.W1))
        return moved

    drawn = [drawn_by(derived(bytes([present]), "audit", run, size=32), config, present) for run in range(runs)]
    return np.asarray(
        jax.jit(lambda inputs: jax.lax.map(score, inputs))(jax.tree.map(lambda *a: np.stack(a), *drawn))
    )


def drawn_by(secret: bytes, config: Config, present: bool) -> tuple[np.ndarray, Private]:
    """The rows of every epoch, (epochs, steps, examples), with their Private; without the canary unless present."""
    sampling, of_epochs = Sampling.of(config, EXAMPLES, secret), []
    for epoch in range(config.epochs):
        rows, mask = sampling.batches(epoch, padded=EXAMPLES)
        keys = noise.keys(secret, epoch, sampling.steps)
        of_epochs.append((rows, Private(mask & (present | (rows != CANARY)), keys)))
    stacked: tuple[np.ndarray, Private] = jax.tree.map(lambda *a: np.stack(a), *of_epochs)
    return stacked


def examples() -> tuple[np.ndarray, np.ndarray]:
    """(images, labels): the canary is white on the left, where all the others are black."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (EXAMPLES, PIXELS), dtype=np.uint8)
    images[:, : PIXELS // 2] = 0
    images[CANARY] = np.arange(PIXELS) < PIXELS // 2
    images[CANARY] *= 255
    return images, random.integers(0, CLASSES, EXAMPLES, dtype=np.uint8)


def lower_bound(with_it: np.ndarray, without: np.ndarray, delta: float) -> float:
    """ε is at least that, with a confidence of CONFIDENCE.

    The threshold is the one that is best on the first half of the runs; the bound is from the second half.
    """
    half = len(without) // 2
    thresholds = np.concatenate([with_it[:half], without[:half]])
    best = thresholds[np.argmax(_bounds(with_it[:half], without[:half], thresholds, delta))]
    return float(_bounds(with_it[half:], without[half:], best[None], delta)[0])


def _bounds(with_it: np.ndarray, without: np.ndarray, thresholds: np.ndarray, delta: float) -> np.ndarray:
    """log((P(right) − δ) / P(wrong)) of the guess from each threshold on: of P(right) its lowest, of P(wrong) its
    highest value that the counts allow.
    """
    error = (1 - CONFIDENCE) / 2
    right, wrong = (len(w) - np.searchsorted(np.sort(w), thresholds) for w in (with_it, without))
    lowest = np.nan_to_num(stats.beta.ppf(error, right, len(with_it) - right + 1))  # NaN for none
    highest = np.nan_to_num(stats.beta.isf(error, wrong + 1, len(without) - wrong), nan=1)  # NaN for all
    bounds: np.ndarray = np.log(np.maximum(lowest - delta, 1e-9) / highest)
    return bounds
