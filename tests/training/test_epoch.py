"""One epoch against a plain Python loop over its batches through autodiff."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from compare import assert_close
from jaxmlp import activations, batch, network
from jaxmlp.training import blocked
from jaxmlp.training.augmentation import augmented
from jaxmlp.training.config import Config
from jaxmlp.training.epoch import PLAIN, EpochInput, Private, State, Tuning, train_epoch
from jaxmlp.training.optimizers import optimizer_of
from jaxmlp.training.privacy import noise

D, K, C = 12, 5, 4
PHI = (activations.tanh, activations.sigmoid)
KEY, FULL = jax.random.key(9), np.float32(1)
NOISE = {"elastic": 3.0, "elastic_sigma": 1.0, "rotation": 20.0, "shift": 1.0, "mixup": 0.5, "input_dropout": 0.2}


def config_of(batch_size, **more):
    return Config(batch_size=batch_size, phi="tanh,sigmoid", **more)


def data(n, shape=(D,)):
    random = np.random.default_rng(n)
    return random.integers(0, 256, (n, *shape), dtype=np.uint8), random.integers(0, C, n, dtype=np.uint8)


def order(n):
    return np.random.default_rng(n).permutation(n)


def rates_of(config, n):
    """A learning rate for each step, falling."""
    return np.linspace(0.5, 0.1, -(-n // config.batch_size))


def start(config, dtype="float64"):
    params = jax.tree.map(lambda a: jnp.asarray(a, dtype), network.init(jax.random.key(3), D, K, C))
    return State(params, optimizer_of(config).init(params))


def trained(config, images, labels, tuning=PLAIN, state=None, key=KEY, strength=FULL, grid=None):
    """What train_epoch makes of these examples, met in their `order`."""
    n = len(images)
    inputs = EpochInput(images, labels, order(n), rates_of(config, n), key, strength)
    return train_epoch(state or start(config), inputs, config, tuning, grid=grid)


autodiff = jax.jit(jax.value_and_grad(batch.loss), static_argnames="phi")


def by_hand(config, batches):
    """The same as a loop over the batches (x, y), the gradient of each by autodiff: (state, mean loss)."""
    state, total, n = start(config), 0.0, sum(len(y) for _, y in batches)
    for (x, y), rate in zip(batches, rates_of(config, n), strict=True):
        loss, gradient = autodiff(state.params, x, y, PHI)
        state = State(*optimizer_of(config).update(gradient, state.optimizer, state.params, rate))
        total += float(loss) * len(y)
    return state, total / n


def batches_of(config, images, labels):
    """(x, y) of each batch, its images in [0, 1]."""
    rows, B = order(len(images)), config.batch_size
    return [(images[r] / 255, np.eye(C)[labels[r]]) for r in np.split(rows, range(B, len(rows), B))]


@pytest.mark.parametrize(
    ("n", "batch_size", "options"),
    [
        (20, 5, {}),
        (23, 5, {"momentum": 0.9}),  # a last batch of 3
        (23, 1, {"momentum": 0.5, "nesterov": True, "weight_decay": 0.01}),
        (23, 23, {"optimizer": "adam", "weight_decay": 0.01}),
        (7, 4, {"optimizer": "adam"}),
    ],
)
def test_an_epoch_is_the_loop_over_its_batches(n, batch_size, options):
    config, examples = config_of(batch_size, **options), data(n)
    state, seen = trained(config, *examples)
    assert_close((state, seen.loss), by_hand(config, batches_of(config, *examples)), 1e-11)
    assert seen.noise is None


@pytest.mark.parametrize("options", [{"momentum": 0.9}, {"optimizer": "adam"}])
def test_a_virtual_adversarial_step(options):
    """Its loss by autodiff: ½ ‖x2(x0 + r) − x2(x0)‖² more, r along the gradient of e · x2, e normal."""
    config, (images, labels) = config_of(5, virtual_adversarial=0.6, **options), data(5)
    state, seen = trained(config, images, labels)
    first = start(config)
    [(x, y)] = batches_of(config, images, labels)
    predict = lambda params, x: batch.forward(params, x, PHI).x2  # noqa: E731
    x2, back = jax.vjp(lambda x: predict(first.params, x), x)
    e = jax.random.normal(jax.random.split(jax.random.split(KEY, 1)[0], 4)[3], (5, C))
    (delta0,) = back(e)
    r = 0.6 * delta0 / jnp.linalg.norm(delta0, axis=1, keepdims=True)

    def loss(params):
        return (jnp.sum((predict(params, x) - y) ** 2) + jnp.sum((predict(params, x + r) - x2) ** 2)) / 2 / 5

    gradient = jax.grad(loss)(first.params)
    expected = State(*optimizer_of(config).update(gradient, first.optimizer, first.params, rates_of(config, 5)[0]))
    assert_close(state, expected, 1e-11)
    assert_close(seen.loss, batch.loss(first.params, x, y, PHI), 1e-12)


@jax.jit
def per_example(params, x, y):
    """The gradients of the batch's examples, as rows, by autodiff."""
    gradient = jax.grad(lambda params, x0, target: network.loss(params, x0, target, PHI))
    return jax.vmap(lambda *example: ravel_pytree(gradient(params, *example))[0])(x, y)


@pytest.mark.parametrize("clip_norm", [0.0, 0.45])
def test_an_epoch_of_clipped_gradients_and_its_noise_scale(clip_norm):
    config, (images, labels) = config_of(5, clip_norm=clip_norm, log_noise_scale=True), data(23)
    params = start(config).params
    covariance_traces, squared_norms, clipped = [], [], []
    for (x, y), rate in zip(batches_of(config, images, labels), rates_of(config, 23), strict=True):
        gradients = np.asarray(per_example(params, x, y))
        if len(y) == 5:
            covariance_traces.append(np.var(gradients, axis=0, ddof=1).sum())
            squared_norms.append(np.sum(gradients.mean(axis=0) ** 2) - covariance_traces[-1] / 5)
        if clip_norm:
            norms = np.linalg.norm(gradients, axis=1, keepdims=True)
            clipped.extend(norms > clip_norm)
            gradients = gradients * np.minimum(1, clip_norm / norms)
        theta, unravel = ravel_pytree(params)
        params = unravel(theta - rate * gradients.mean(axis=0))
    assert not clip_norm or 0 < sum(clipped) < 23
    state, seen = trained(config, images, labels)
    assert_close(state.params, params, 1e-11)
    assert_close(seen.noise, (np.mean(covariance_traces), np.mean(squared_norms)), 1e-10)


@pytest.mark.parametrize(
    "options",
    [{"edges": True}, pytest.param({"edges": True, **NOISE}, marks=pytest.mark.slow)],
    ids=["edges", "edges and noise"],
)
def test_what_a_step_makes_of_its_images_is_what_is_learned(options):
    """Every batch with a key of its own, and its part of the distortions' strength."""
    config, (images, labels), strength = config_of(5, **options), data(23, (2, 6)), np.float32(0.8)
    batches = batches_of(config, images, labels)
    keys = jax.random.split(KEY, len(batches))
    seen_batches = [augmented(key, x, y, strength, config) for key, (x, y) in zip(keys, batches, strict=True)]
    state, seen = trained(config, images, labels, strength=strength)
    rounding = 1e-6 if "elastic" in options else 1e-11  # displacements are float32
    assert_close((state, seen.loss), by_hand(config, seen_batches), rounding)


@pytest.mark.parametrize("options", [{"momentum": 0.9}, {"optimizer": "adam"}])
def test_images_on_a_learned_grid_are_distorted_there_and_learned_as_they_come(options):
    config, (images, labels) = config_of(5, shift=1.0, learned_grid=True, **options), data(23, (2, 6))
    grid = tuple(np.random.default_rng(2).permutation(12).tolist())
    batches = batches_of(config, images, labels)
    keys = jax.random.split(KEY, len(batches))
    distorted = [augmented(key, x, y, FULL, config) for key, (x, y) in zip(keys, batches, strict=True)]
    as_they_come = [(x[:, np.argsort(grid)], y) for x, y in distorted]
    state, seen = trained(config, images, labels, grid=grid)
    assert_close((state, seen.loss), by_hand(config, as_they_come), 1e-6)  # displacements are float32


PRIVATE = {"clip_norm": 0.45, "noise_multiplier": 0.3, "delta": 1e-2}
STEPS, PADDED = 4, 6
MASK = np.arange(PADDED) < np.array([5, 0, 6, 3])[:, None]  # batches of these sizes: one is empty
NOISE_KEYS = noise.keys(bytes(32), 0, STEPS)


def trained_privately(config, images, labels, padding=0, state=None):
    rows = np.where(MASK, np.random.default_rng(1).integers(0, len(images), MASK.shape), padding)
    rates = np.linspace(0.5, 0.1, STEPS)
    inputs = EpochInput(images, labels, rows, rates, KEY, FULL, Private(MASK, NOISE_KEYS))
    return rows, rates, *train_epoch(state or start(config), inputs, config)


def test_a_private_epoch_is_clipped_sums_with_noise_over_the_batch_size_asked_for():
    config, (images, labels) = config_of(4, momentum=0.9, **PRIVATE), data(23)
    rows, rates, state, seen = trained_privately(config, images, labels)
    expected, losses, norms = start(config), [], []
    for r, mask, rate, key in zip(rows, MASK, rates, NOISE_KEYS, strict=True):
        x, y = images[r[mask]] / 255, np.eye(C)[labels[r[mask]]]
        theta, unravel = ravel_pytree(expected.params)
        total = np.zeros(theta.shape)
        for g in np.asarray(per_example(expected.params, x, y)) if len(x) else ():
            norms.append(np.linalg.norm(g))
            total += g * min(1, 0.45 / norms[-1])
        losses += [float(network.loss(expected.params, x0, target, PHI)) for x0, target in zip(x, y, strict=True)]
        zeros = jax.tree.map(np.zeros_like, unravel(theta))
        added = noise.added(key, zeros._replace(W1=zeros.W1.T), 0.3 * 0.45)
        gradient = jax.tree.map(lambda g, n: (g + n) / 4, unravel(total), added._replace(W1=added.W1.T))
        update = optimizer_of(config).update(gradient, expected.optimizer, expected.params, rate)
        expected = State(*update)
    assert min(norms) < 0.45 < max(norms)
    assert_close(state, expected, 1e-6)  # noise is float32
    assert float(seen.loss) == pytest.approx(np.mean(losses), rel=1e-6)


def test_padding_has_no_part_in_a_private_epoch():
    config, examples = config_of(4, **PRIVATE), data(23)
    one, other = (trained_privately(config, *examples, padding)[2:] for padding in (0, 7))
    assert jax.tree.all(jax.tree.map(np.array_equal, one, other))


def test_without_noise_and_clipping_a_private_epoch_is_one_of_sums(monkeypatch):
    monkeypatch.setattr(noise, "added", lambda keys, sums, deviation: sums)
    config, (images, labels) = config_of(4, clip_norm=1e3, noise_multiplier=0.1, delta=1e-2), data(23)
    rows, rates, state, _ = trained_privately(config, images, labels)
    params = start(config).params
    for r, mask, rate in zip(rows, MASK, rates, strict=True):
        if size := mask.sum():
            _, mean = autodiff(params, images[r[mask]] / 255, np.eye(C)[labels[r[mask]]], PHI)
            params = jax.tree.map(lambda p, g, by=rate * size / 4: p - by * g, params, mean)
    assert_close(state.params, params, 1e-11)


def test_a_private_epoch_without_its_mask_and_noise_does_not_run():
    with pytest.raises(AttributeError):
        trained(config_of(4, **PRIVATE), *data(23))


def test_another_key_is_another_epoch():
    config, examples = config_of(5, input_dropout=0.3), data(23)
    one, other = (trained(config, *examples, key=jax.random.key(seed))[0].params.W1 for seed in (0, 1))
    assert not np.allclose(one, other, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}])
@pytest.mark.parametrize(
    ("n", "S", "clip_norm"), [(24, 3, 0.0), (31, 3, 0.0), (31, 3, 0.45), (50, 8, 0.0), (10, 8, 0.0)]
)
def test_an_epoch_in_blocks_is_the_same_epoch(n, S, clip_norm, options):
    """Also where batches remain after the last block, examples after the last batch, or there is no whole block."""
    config, examples = config_of(4, clip_norm=clip_norm, **options), data(n)
    plain, blocked = (trained(config, *examples, Tuning(batches_per_block=size)) for size in (1, S))
    assert_close(blocked, plain, 1e-10)


def test_blocks_are_chosen_on_a_cpu_and_only_there():
    def batches_per_block(backend, **options):
        return blocked.batches_per_block(Config(**options), backend)

    assert batches_per_block("cpu", hidden=100) == 8
    assert batches_per_block("gpu", hidden=100) == 1
    assert batches_per_block("cpu", hidden=30) == 1
    assert batches_per_block("gpu", hidden=30, batches_per_block=5) == 5


def test_the_state_is_donated():
    config = config_of(4)
    state = start(config)
    trained(config, *data(8), state=state)
    assert state.params.W1.is_deleted()


def test_float32_parameters_stay_float32():
    config, (images, labels) = config_of(3), data(10)
    inputs = EpochInput(images, labels, order(10), np.ones(4, np.float32), KEY, FULL)
    state, seen = train_epoch(start(config, "float32"), inputs, config)
    assert {leaf.dtype for leaf in jax.tree.leaves((state, seen))} == {np.dtype("float32")}
