"""What a training run is told: one frozen record, each field checked, each field a command-line flag."""

from dataclasses import dataclass, fields
from math import isfinite

from jaxmlp.activations import ACTIVATIONS, Phi, named
from jaxmlp.inputs.view import View
from jaxmlp.options import amount, at_most, choice, fraction, integer, option, plain, positive, switch

ELASTIC_SIGMA = 5.0


class ConfigError(ValueError):
    """A field (so a flag) has a value that it may not have. `name` is the field's; the text starts with it."""

    def __init__(self, name: str, expected: str, got: object) -> None:
        super().__init__(f"{name}: expected {expected}, got {got}")
        self.name = name


def _is_phi(text: str) -> bool:
    try:
        named(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Config(View):
    """The hyperparameters of a run; what the network is shown, a View, is among them. Hashable: static under jit.

    Raises ConfigError on a value out of range, and on two that do not go together.
    """

    hidden: int = integer(30, "K, the number of hidden units", 1, 100_000, group="network")
    phi: str = option(
        "sigmoid",
        "the activation of both layers, or two of them: hidden,output",
        f"one or two (hidden,output) of {', '.join(ACTIVATIONS)}",
        _is_phi,
    )
    batch_size: int = integer(10, "examples in a batch", 1, 1_000_000, group="training")
    epochs: int = integer(30, "passes over the training data", 0, 1_000_000)
    patience: int = integer(
        0, "stop once the best validation loss is so many epochs old; 0 never does", 0, 1_000_000
    )
    learning_rate: float = positive(3.0, "the learning rate, at its peak if scheduled", group="optimizer")
    schedule: str = choice("constant", "of the learning rate after warm-up", "constant", "cosine")
    warmup_epochs: int = integer(0, "epochs in which the learning rate rises linearly to its peak", 0, 1_000_000)
    optimizer: str = choice("sgd", "how a gradient becomes a step", "sgd", "adam")
    momentum: float = fraction(0.0, "momentum of sgd")
    nesterov: bool = switch("Nesterov's momentum, for sgd")
    beta1: float = fraction(0.9, "adam's decay of the mean of gradients")
    beta2: float = fraction(0.999, "adam's decay of the mean of squared gradients")
    epsilon: float = positive(1e-8, "adam's addition to the root of that mean")
    weight_decay: float = amount(
        "decoupled weight decay: each step shrinks W1 and W2 by 1 - learning_rate * weight_decay"
    )
    clip_norm: float = amount("scale each example's gradient down to this norm if it is longer; 0 clips nothing")
    noise_multiplier: float = option(
        0.0,
        "train privately (DP-SGD): add noise of so many times clip_norm to each sum of clipped gradients",
        "0, or a finite number >= 0.1",  # below it ε is in the thousands
        lambda v: v == 0 or (isfinite(v) and v >= 0.1),
        group="privacy",
    )
    delta: float = fraction(0.0, "the δ of the (ε, δ)-differential privacy that noise_multiplier gives")
    elastic: float = at_most(
        1000,
        "distort each image: move its pixels by so many pixels times smoothed noise from (-1, 1)",
        group="inputs",
    )
    elastic_sigma: float = option(
        ELASTIC_SIGMA,
        "with elastic: the width in pixels of the Gaussian that smooths the noise",
        "a number from 0.1 to 1000",
        lambda v: 0.1 <= v <= 1000,
    )
    rotation: float = at_most(180, "distort each image: turn it by up to so many degrees, either way")
    scale: float = fraction(
        0.0, "distort each image: multiply its height, and its width, by 1 - scale to 1 + scale"
    )
    shear: float = at_most(
        10, "distort each image: move a row by up to so many pixels for each row from the middle"
    )
    shift: float = at_most(1000, "distort each image: move it by up to so many pixels, vertically and horizontally")
    distortion_end: float = at_most(
        1,
        "the part of the distortions' strength that is left in the last epoch, to which it falls linearly",
        default=1.0,
    )
    learned_grid: bool = switch(
        "distort each image on a grid learned from the training images, whose pixels may come in any order"
    )
    mixup: float = option(
        0.0,
        "train on mixtures of two examples, in parts drawn from Beta(mixup, mixup); 0 mixes none",
        "0, or a number from 0.001 to 1000",
        lambda v: v == 0 or 0.001 <= v <= 1000,
    )
    input_dropout: float = fraction(0.0, "the probability with which a step leaves out a pixel")
    virtual_adversarial: float = amount(
        "learn to predict the same of each image moved by this length, the way that changes a random part of the "
        "prediction fastest; 0 moves none"
    )
    batches_per_block: int = integer(
        0,
        "sgd's batches that share their large products (1: each alone; 0: what is fastest)",
        0,
        10_000,
        group="training",
    )
    log_noise_scale: bool = switch("add the gradient noise scale to each epoch's record")
    seed: int = integer(
        0,
        "decides the first weights, the order of the examples and all that a step does at random; of a private run "
        "the first weights alone",
        0,
        2**32 - 1,
    )
    train_on_all: bool = switch("train on the whole training file, validation examples included")

    def __post_init__(self) -> None:
        for f in fields(self):
            given, kind = getattr(self, f.name), f.type
            value = plain(kind, given)  # type: ignore[arg-type]  # a type, annotations being evaluated here
            if value is None or not f.metadata["valid"](value):
                raise ConfigError(f.name, f.metadata["expected"], repr(given))
            object.__setattr__(self, f.name, value)
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
        if self.batches_per_block > 1 and not self.blockable:
            raise ConfigError(
                "batches_per_block",
                "0 or 1, or sgd without log_noise_scale, distortions, edges, mixup, dropout, virtual_adversarial "
                "and noise_multiplier",
                self.batches_per_block,
            )
        for name in ("noise_multiplier", "clip_norm", "log_noise_scale"):  # they look at one example's gradient
            if self.virtual_adversarial and getattr(self, name):
                raise ConfigError(name, f"{getattr(Config, name)} with virtual_adversarial", getattr(self, name))
        if self.directions and self.edges:
            raise ConfigError("edges", "False with directions", self.edges)
        if self.elastic_sigma != ELASTIC_SIGMA and not self.elastic:
            raise ConfigError("elastic_sigma", f"{ELASTIC_SIGMA} without elastic", self.elastic_sigma)
        if self.mixup and self.batch_size == 1:
            raise ConfigError("mixup", "a batch_size of 2 or more with it", "batch_size 1")
        if self.distortion_end != 1 and not self.distorts:
            raise ConfigError("distortion_end", "1 without a distortion", self.distortion_end)
        if self.learned_grid and not self.distorts:
            raise ConfigError("learned_grid", "False without a distortion", True)
        for f in fields(View):  # which know their pixels' neighbours
            if self.learned_grid and getattr(self, f.name):
                raise ConfigError("learned_grid", f"False with {f.name}", True)
        if self.nesterov and not self.momentum:
            raise ConfigError("nesterov", "a momentum > 0 with it", "momentum 0")
        self._check_privacy()

    def _check_privacy(self) -> None:
        if not self.private:
            if self.delta:
                raise ConfigError("delta", "0 without noise_multiplier", self.delta)
            return
        if not self.clip_norm:
            raise ConfigError("clip_norm", "a number > 0 with noise_multiplier", self.clip_norm)
        if not self.delta:
            raise ConfigError("delta", "a number > 0 and < 1 with noise_multiplier", self.delta)
        for name in ("mixup", "learned_grid", "log_noise_scale"):  # which look at more than one example
            if getattr(self, name):
                raise ConfigError(name, f"{getattr(Config, name)} with noise_multiplier", getattr(self, name))

    def check_data(self, shape: tuple[int, ...]) -> None:
        """Raise ConfigError if training images of this shape are too few for a batch, or cannot be shown so."""
        examples, *size = shape
        if self.batch_size > examples:
            raise ConfigError("batch_size", f"at most the {examples} training examples", self.batch_size)
        if self.delta >= 1 / examples:  # which a mechanism meets that publishes one of the examples
            raise ConfigError("delta", f"less than 1 in {examples}, the training examples", self.delta)
        if misfit := self.misfit(tuple(size)):
            name, needs = misfit
            raise ConfigError(name, f"False for images without {needs}", f"True, for {'x'.join(map(str, size))}")

    @property
    def view(self) -> View:
        """What the network is shown, alone."""
        return View(**{f.name: getattr(self, f.name) for f in fields(View)})

    @property
    def flags(self) -> list[str]:
        """The flags that are not defaults, as one writes them."""
        changed = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}
        return [f"--{name}" if value is True else f"--{name}={value}" for name, value in changed.items()]

    @property
    def activation(self) -> Phi:
        """φ, of the name in `phi`."""
        return named(self.phi)

    @property
    def distorts(self) -> bool:
        """Whether training images are distorted."""
        return any((self.elastic, self.rotation, self.scale, self.shear, self.shift))

    @property
    def augments(self) -> bool:
        """Whether a step makes its inputs, and does not only read them."""
        return bool(self.converts or self.mixup or self.input_dropout or self.distorts)

    @property
    def private(self) -> bool:
        """Whether its training is differentially private."""
        return self.noise_multiplier > 0

    @property
    def blockable(self) -> bool:
        """Whether its batches may go in blocks: the optimizer is linear, and a step only reads its inputs."""
        reads_only = not (self.augments or self.virtual_adversarial)
        return self.optimizer == "sgd" and reads_only and not (self.log_noise_scale or self.private)

    @property
    def scheduled(self) -> bool:
        """Whether what an epoch does depends on how many there are."""
        return self.schedule != "constant" or self.distortion_end != 1 or self.private
