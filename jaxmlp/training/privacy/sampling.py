"""Poisson sampling: each of n examples is in a batch with probability q = B/n, on its own.

The account holds for this sampling and no other: batches of a shuffled epoch tell more than it says. A batch is
drawn as its size, from Binomial(n, q), and then a subset of that size, each as likely as any other, which is the
same. All are padded to the size of the largest one of the whole run, so that none is cut.
"""

from typing import NamedTuple

import numpy as np

from jaxmlp.training.config import Config
from jaxmlp.training.privacy.secret import derived


class Batches(NamedTuple):
    """The batches of an epoch."""

    rows: np.ndarray  # (steps, padded), int32: the examples of each batch, and then padding, which is row 0
    mask: np.ndarray  # (steps, padded), bool: False for padding


class Sampling(NamedTuple):
    """How the batches of a run are drawn: a function of the secret."""

    secret: bytes
    examples: int  # n
    batch_size: int  # B, the expected size of a batch
    epochs: int

    @classmethod
    def of(cls, config: Config, examples: int, secret: bytes) -> "Sampling":
        return cls(secret, examples, config.batch_size, config.epochs)

    @property
    def steps(self) -> int:
        """Batches in an epoch: n/B, rounded."""
        return steps_per_epoch(self.examples, self.batch_size)

    def sizes(self) -> np.ndarray:
        """The size of every batch of the run, (epochs, steps)."""
        random = _generator(derived(self.secret, "batch sizes"))
        return random.binomial(self.examples, self.batch_size / self.examples, (self.epochs, self.steps))

    def batches(self, epoch: int, padded: int | None = None) -> Batches:
        """Those of this epoch; padded to the largest size of the run, unless another length is given."""
        sizes = self.sizes()
        padded = padded or int(sizes.max(initial=1))
        rows = np.zeros((self.steps, padded), np.int32)
        mask = np.arange(padded) < sizes[epoch][:, None]
        random = _generator(derived(self.secret, "batches", epoch))
        for row, size in zip(rows, sizes[epoch], strict=True):
            row[:size] = random.choice(self.examples, size, replace=False, shuffle=False)
        return Batches(rows, mask)


def steps_per_epoch(examples: int, batch_size: int) -> int:
    return round(examples / batch_size)


def _generator(key: bytes) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
