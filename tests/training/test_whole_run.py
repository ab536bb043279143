"""A whole run against a loop in NumPy: several epochs, every optimizer and schedule, what is handed to the next.

The loop is written from the equations and from the papers of the optimizers. From jaxmlp it takes the first
parameters and the order of each epoch alone, which test_loop.py pins.
"""

import jax
import numpy as np
import pytest

from compare import assert_close
from jaxmlp.data import datasets
from jaxmlp.training import loop
from jaxmlp.training.config import Config

pytestmark = pytest.mark.slow

COMMON = {"hidden": 7, "phi": "tanh,sigmoid", "epochs": 4, "batch_size": 60, "learning_rate": 0.4}
CONFIGS = {
    "sgd": {},
    "momentum, cosine": {"momentum": 0.9, "schedule": "cosine"},
    "nesterov, decay, warm-up": {"momentum": 0.8, "nesterov": True, "weight_decay": 0.01, "warmup_epochs": 2},
    "momentum in blocks": {"momentum": 0.9, "batches_per_block": 3, "warmup_epochs": 1, "schedule": "cosine"},
    "clipped": {"clip_norm": 0.3, "momentum": 0.5},
    "adam": {"optimizer": "adam", "learning_rate": 0.01},
    "adam, decay, warm-up, cosine": {
        "optimizer": "adam",
        "learning_rate": 0.02,
        "beta1": 0.8,
        "beta2": 0.99,
        "weight_decay": 0.1,
        "warmup_epochs": 1,
        "schedule": "cosine",
    },
}


@pytest.fixture(scope="module")
def dataset(few_digits):
    return datasets.load(few_digits)


def forward(params, x):
    W1, b1, W2, b2 = params
    x1 = np.tanh(x @ W1 + b1)
    return x1, 1 / (1 + np.exp(-(x1 @ W2 + b2)))


def gradients(params, x, y):
    """The gradient of each example, four arrays with a leading axis, and the loss of each."""
    x1, x2 = forward(params, x)
    delta2 = (x2 - y) * x2 * (1 - x2)
    delta1 = delta2 @ params[2].T * (1 - x1**2)
    per_example = (x[:, :, None] * delta1[:, None], delta1, x1[:, :, None] * delta2[:, None], delta2)
    return per_example, np.sum((x2 - y) ** 2, axis=1) / 2


def clipped(per_example, max_norm):
    squares = sum(np.sum(leaf.reshape(len(leaf), -1) ** 2, axis=1) for leaf in per_example)
    factors = np.minimum(1, max_norm / np.sqrt(squares))
    return [leaf * factors.reshape(-1, *[1] * (leaf.ndim - 1)) for leaf in per_example]


def rate(config, step, steps_per_epoch):
    warmup, total = config.warmup_epochs * steps_per_epoch, config.epochs * steps_per_epoch
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    if config.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * (1 + np.cos(np.pi * (step - warmup) / (total - warmup))) / 2


class Sgd:
    def __init__(self, config, params):
        self.config, self.velocity = config, [np.zeros_like(p) for p in params]

    def step(self, g):
        mu = self.config.momentum
        self.velocity = [mu * v + gradient for v, gradient in zip(self.velocity, g, strict=True)]
        if self.config.nesterov:
            return [mu * v + gradient for v, gradient in zip(self.velocity, g, strict=True)]
        return self.velocity

    def leaves(self):
        return self.velocity if self.config.momentum else []


class Adam:
    def __init__(self, config, params):
        self.config, self.t = config, 0
        self.m, self.s = ([np.zeros_like(p) for p in params] for _ in range(2))

    def step(self, g):
        beta1, beta2 = self.config.beta1, self.config.beta2
        self.t += 1
        self.m = [beta1 * m + (1 - beta1) * gradient for m, gradient in zip(self.m, g, strict=True)]
        self.s = [beta2 * s + (1 - beta2) * gradient**2 for s, gradient in zip(self.s, g, strict=True)]
        return [
            m / (1 - beta1**self.t) / (np.sqrt(s / (1 - beta2**self.t)) + self.config.epsilon)
            for m, s in zip(self.m, self.s, strict=True)
        ]

    def leaves(self):
        return [np.asarray(self.t), *self.m, *self.s]


def by_hand(config, params, dataset):
    """(parameters, what the optimizer keeps, training loss, validation loss and errors) after each epoch."""
    x, y = dataset.train.images.reshape(500, -1) / 255, np.eye(10)[dataset.train.labels]
    x_validation = dataset.validation.images.reshape(100, -1) / 255
    y_validation = np.eye(10)[dataset.validation.labels]
    optimizer = {"sgd": Sgd, "adam": Adam}[config.optimizer](config, params)
    B = config.batch_size
    steps = -(-len(x) // B)
    for epoch in range(config.epochs):
        rows, total = loop.order(config.seed, epoch, len(x)), 0.0
        for step in range(steps):
            batch = rows[step * B : (step + 1) * B]
            per_example, losses = gradients(params, x[batch], y[batch])
            total += losses.sum()
            if config.clip_norm:
                per_example = clipped(per_example, config.clip_norm)
            direction = optimizer.step([leaf.mean(axis=0) for leaf in per_example])
            eta = rate(config, epoch * steps + step, steps)
            decay = [config.weight_decay, 0, config.weight_decay, 0]  # of W1 and W2
            params = [p - eta * (d + c * p) for p, d, c in zip(params, direction, decay, strict=True)]
        _, x2 = forward(params, x_validation)
        losses = np.sum((x2 - y_validation) ** 2, axis=1) / 2
        errors = np.sum(x2.argmax(axis=1) != dataset.validation.labels)
        yield params, optimizer.leaves(), total / len(x), losses.mean(), errors


@pytest.mark.parametrize("name", CONFIGS)
def test_a_run_is_the_loop_in_numpy(dataset, name):
    config = Config(**COMMON | CONFIGS[name])
    program = loop.prepare(config, dataset)
    expected = by_hand(config, [np.asarray(leaf) for leaf in program.init().params], dataset)
    train_losses = []
    for (state, metrics), (params, kept, *measured) in zip(loop.fit(program), expected, strict=True):
        assert_close(jax.tree.leaves(tuple(state)), [*params, *kept], 2e-6)  # learning rates are float32
        train_loss, validation_loss, errors = measured
        assert metrics.train_loss == pytest.approx(train_loss, rel=1e-6)
        assert metrics.validation_loss == pytest.approx(validation_loss, rel=1e-6)
        assert metrics.validation_errors == errors
        train_losses.append(metrics.train_loss)
    assert len(train_losses) == 4
    assert train_losses[-1] < train_losses[0]
