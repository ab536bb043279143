"""What a training run is told: one frozen record, each field checked, each field a command-line flag."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any

import numpy as np

from jaxmlp.activations import ACTIVATIONS, Phi, named
from jaxmlp.data.augment import Distortion
from jaxmlp.training.blocked import batches_per_block
from jaxmlp.training.optimizers import Optimizer, adam, sgd

ELASTIC_SIGMA = 5.0


class ConfigError(ValueError):
    """A field (so a flag) has a value that it may not have. `name` is the field's; the text starts with it."""

    def __init__(self, name: str, expected: str, got: object) -> None:
        super().__init__(f"{name}: expected {expected}, got {got}")
        self.name = name


def _option(default: Any, help: str, expected: str, valid: Callable[[Any], bool]) -> Any:
    return field(default=default, metadata={"help": help, "expected": expected, "valid": valid})


def _integer(default: int, help: str, low: int, high: int) -> Any:
    return _option(default, help, f"an integer from {low} to {high}", lambda v: low <= v <= high)


def _choice(default: str, help: str, *choices: str) -> Any:
    return _option(default, help, " or ".join(choices), lambda v: v in choices)


def _switch(help: str) -> Any:
    return _option(False, help, "true or false", lambda v: True)


def _fraction(default: float, help: str) -> Any:
    return _option(default, help, "a number >= 0 and < 1", lambda v: 0 <= v < 1)


def _amount(help: str) -> Any:
    return _option(0.0, help, "a finite number >= 0", lambda v: isfinite(v) and v >= 0)


def _at_most(high: int, help: str) -> Any:
    return _option(0.0, help, f"a number from 0 to {high}", lambda v: 0 <= v <= high)


def _positive(default: float, help: str) -> Any:
    return _option(default, help, "a finite number > 0", lambda v: isfinite(v) and v > 0)


@dataclass(frozen=True)
class Config:
    """The hyperparameters of a run. Raises ConfigError on a value out of range."""

    hidden: int = _integer(30, "K, the number of hidden units", 1, 100_000)
    phi: str = _option(
        "sigmoid",
        "the activation of both layers, or two of them: hidden,output",
        f"one or two (hidden,output) of {', '.join(ACTIVATIONS)}",
        lambda v: len(v.split(",")) <= 2 and all(name in ACTIVATIONS for name in v.split(",")),
    )
    batch_size: int = _integer(10, "examples in a batch", 1, 1_000_000)
    epochs: int = _integer(30, "passes over the training data", 0, 1_000_000)
    learning_rate: float = _positive(3.0, "the learning rate, at its peak if a schedule changes it")
    schedule: str = _choice("constant", "of the learning rate after warm-up", "constant", "cosine")
    warmup_epochs: int = _integer(0, "epochs in which the learning rate rises linearly to its peak", 0, 1_000_000)
    optimizer: str = _choice("sgd", "how a gradient becomes a step", "sgd", "adam")
    momentum: float = _fraction(0.0, "momentum of sgd")
    nesterov: bool = _switch("Nesterov's momentum, for sgd")
    beta1: float = _fraction(0.9, "adam's decay of the mean of gradients")
    beta2: float = _fraction(0.999, "adam's decay of the mean of squared gradients")
    epsilon: float = _positive(1e-8, "adam's addition to the root of that mean")
    weight_decay: float = _amount(
        "decoupled weight decay: each step shrinks W1 and W2 by 1 - learning_rate * weight_decay"
    )
    clip_norm: float = _amount("scale each example's gradient down to this norm if it is longer; 0 clips nothing")
    deskew: bool = _switch("shear every digit upright before the network sees it, in training and ever after")
    edges: bool = _switch("give the network maps of edges in place of pixels, in training and ever after")
    elastic: float = _at_most(
        1000, "distort each image: move its pixels by so many pixels times smoothed noise from (-1, 1)"
    )
    elastic_sigma: float = _option(
        ELASTIC_SIGMA,
        "with elastic: the width in pixels of the Gaussian that smooths the noise",
        "a number from 0.1 to 1000",
        lambda v: 0.1 <= v <= 1000,
    )
    rotation: float = _at_most(180, "distort each image: turn it by up to so many degrees, either way")
    scale: float = _fraction(
        0.0, "distort each image: multiply its height, and its width, by 1 - scale to 1 + scale"
    )
    shear: float = _at_most(
        10, "distort each image: move a row by up to so many pixels for each row from the middle"
    )
    shift: float = _at_most(
        1000, "distort each image: move it by up to so many pixels, vertically and horizontally"
    )
    distortion_end: float = _option(
        1.0,
        "the part of the distortions' strength that is left in the last epoch, to which it falls linearly",
        "a number from 0 to 1",
        lambda v: 0 <= v <= 1,
    )
    mixup: float = _option(
        0.0,
        "train on mixtures of two examples, in parts drawn from Beta(mixup, mixup); 0 mixes none",
        "0, or a number from 0.001 to 1000",
        lambda v: v == 0 or 0.001 <= v <= 1000,
    )
    input_dropout: float = _fraction(0.0, "the probability with which a step leaves out a pixel")
    batches_per_block: int = _integer(
        0, "sgd's batches that share their large products (1: each alone; 0: what is fastest)", 0, 10_000
    )
    log_noise_scale: bool = _switch("add the gradient noise scale to each epoch's record")
    seed: int = _integer(
        0, "decides the first weights, the order of the examples, distortions, mixtures and dropout", 0, 2**32 - 1
    )
    train_on_all: bool = _switch("train on the whole training file, validation examples included")

    def __post_init__(self) -> None:
        for f in fields(self):
            value: Any = getattr(self, f.name)
            types: Any = (float, int) if f.type is float else f.type
            if not (isinstance(value, types) and f.metadata["valid"](value)):
                raise ConfigError(f.name, f.metadata["expected"], repr(value))
        if self.warmup_epochs > self.epochs:
            raise ConfigError("warmup_epochs", f"at most epochs, which is {self.epochs}", self.warmup_epochs)
        for name in ("momentum", "nesterov"):
            if self.optimizer == "adam" and getattr(self, name):
                raise ConfigError(name, f"{getattr(Config, name)} with the optimizer adam", getattr(self, name))
        for name in ("beta1", "beta2", "epsilon"):
            if self.optimizer == "sgd" and getattr(self, name) != (default := getattr(Config, name)):
                raise ConfigError(name, f"{default} with the optimizer sgd", getattr(self, name))
        if self.log_noise_scale and self.batch_size == 1:
            raise ConfigError("log_noise_scale", "a batch_size of 2 or more with it", "batch_size 1")
        if self.batches_per_block > 1 and not self._blockable:
            raise ConfigError(
                "batches_per_block",
                "0 or 1, or sgd without log_noise_scale, distortions, edges, mixup and dropout",
                self.batches_per_block,
            )
        if self.elastic_sigma != ELASTIC_SIGMA and not self.elastic:
            raise ConfigError("elastic_sigma", f"{ELASTIC_SIGMA} without elastic", self.elastic_sigma)
        if self.mixup and self.batch_size == 1:
            raise ConfigError("mixup", "a batch_size of 2 or more with it", "batch_size 1")
        if self.distortion_end != 1 and self.distortion() is None:
            raise ConfigError("distortion_end", "1 without a distortion", self.distortion_end)
        if self.nesterov and not self.momentum:
            raise ConfigError("nesterov", "a momentum > 0 with it", "momentum 0")

    def check_data(self, shape: tuple[int, ...]) -> None:
        """Raise ConfigError if training images of this shape are too few for a batch, or have no edge maps."""
        examples, *size = shape
        if self.batch_size > examples:
            raise ConfigError("batch_size", f"at most the {examples} training examples", self.batch_size)
        if self.edges and (len(size) != 2 or any(length % 2 for length in size)):
            got = f"True, for {'x'.join(map(str, size))}"
            raise ConfigError("edges", "False unless height and width are even", got)

    @property
    def _blockable(self) -> bool:
        made_in_the_step = self.edges or self.mixup or self.input_dropout or self.distortion() is not None
        return self.optimizer == "sgd" and not (self.log_noise_scale or made_in_the_step)

    def block_size(self, backend: str) -> int:
        """The number of batches in a block of blocked.py; 1 for none. The choice was measured on CPUs alone."""
        if self.batches_per_block or not self._blockable or backend != "cpu":
            return self.batches_per_block or 1
        return batches_per_block(self.hidden, self.batch_size, self.momentum > 0)

    def halves(self, backend: str, cores: int) -> bool:
        """Whether a step computes its batch as two halves: where it was faster on 2 cores; not measured on more.

        The noise scale needs the whole batch.
        """
        B, K = self.batch_size, self.hidden
        large = B >= 64 and K <= 2 * B
        return large and B % 2 == 0 and not self.log_noise_scale and backend == "cpu" and cores > 1

    def distortion(self) -> Distortion | None:
        """The distortion of every training image; None if all its amounts are 0."""
        affine = self.rotation, self.scale, self.shear, self.shift
        return Distortion(self.elastic, self.elastic_sigma, *affine) if self.elastic or any(affine) else None

    def distortion_strength(self, epoch: int) -> np.float32:
        """Falls linearly from 1 in epoch 0 to distortion_end in the last; 1 if there is only one."""
        return np.float32(1 - (1 - self.distortion_end) * epoch / max(self.epochs - 1, 1))

    @property
    def scheduled(self) -> bool:
        """Whether what an epoch does depends on how many there are."""
        return self.schedule != "constant" or self.distortion_end != 1

    def activation(self) -> Phi:
        return named(self.phi)

    def make_optimizer(self) -> Optimizer:
        if self.optimizer == "sgd":
            return sgd(self.momentum, self.nesterov, self.weight_decay)
        return adam(self.beta1, self.beta2, self.epsilon, self.weight_decay)
