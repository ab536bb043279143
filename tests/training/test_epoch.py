"""One epoch against a plain Python loop over its batches through autodiff; evaluation against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import activations, batch, network
from jaxmlp.inputs.distortions import Distortion, distort
from jaxmlp.inputs.edges import edge_maps
from jaxmlp.inputs.mixup import mix
from jaxmlp.training import epoch
from jaxmlp.training.epoch import Settings, State, evaluate, train_epoch
from jaxmlp.training.optimizers import adam, sgd

D, K, C = 12, 5, 4
PHI = (activations.tanh, activations.sigmoid)


def data(n: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(n)
    return random.integers(0, 256, (n, D), dtype=np.uint8), random.integers(0, C, n, dtype=np.uint8)


def params() -> network.Params:
    return network.init(jax.random.key(3), D, K, C)


def order(n: int) -> np.ndarray:
    return np.random.default_rng(n).permutation(n)


KEY, FULL = jax.random.key(9), np.float32(1)


def by_hand(state, images, labels, rates, batch_size, optimizer):
    """The same epoch as a loop: rows in order, gradients by autodiff."""
    x, y, rows = images / 255.0, np.eye(C)[labels], order(len(images))
    total = 0.0
    for step, start in enumerate(range(0, len(x), batch_size)):
        chosen = rows[start : start + batch_size]
        loss, gradient = jax.value_and_grad(batch.loss)(state.params, x[chosen], y[chosen], PHI)
        state = State(*optimizer.update(gradient, state.optimizer, state.params, rates[step]))
        total += float(loss) * len(chosen)
    return state, total / len(x)


@pytest.mark.parametrize(
    ("n", "batch_size", "optimizer"),
    [
        (20, 5, sgd()),
        (23, 5, sgd(momentum=0.9)),  # a last batch of 3
        (23, 1, sgd(0.5, nesterov=True, weight_decay=0.01)),
        (23, 23, adam(weight_decay=0.01)),
        (7, 4, adam()),
    ],
)
def test_an_epoch_is_the_loop_over_its_batches(n, batch_size, optimizer):
    images, labels = data(n)
    rates = np.linspace(0.5, 0.1, -(-n // batch_size))
    start = State(params(), optimizer.init(params()))
    want, want_loss = by_hand(start, images, labels, rates, batch_size, optimizer)
    got, seen = train_epoch(start, images, labels, order(n), rates, KEY, FULL, Settings(batch_size, PHI, optimizer))
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(seen.loss, want_loss, rtol=1e-12)
    assert seen.noise is None


def per_example(state, x, y):
    """The gradients of the batch's examples, as rows, by autodiff."""
    gradients = [jax.grad(network.loss)(state.params, *example, PHI) for example in zip(x, y, strict=True)]
    return np.stack([np.concatenate([np.ravel(leaf) for leaf in g]) for g in gradients])


@pytest.mark.parametrize("clip_norm", [0.0, 0.45])
def test_an_epoch_of_clipped_gradients_and_its_noise_scale(clip_norm):
    images, labels = data(23)
    rates, optimizer = np.linspace(0.5, 0.1, 5), sgd()
    x, y, rows = images / 255.0, np.eye(C)[labels], order(23)
    state = State(params(), ())
    covariance_traces, squared_norms, clipped = [], [], []
    for step in range(5):
        chosen = rows[5 * step : 5 * step + 5]
        gradients = per_example(state, x[chosen], y[chosen])
        if len(chosen) == 5:
            covariance_traces.append(np.var(gradients, axis=0, ddof=1).sum())
            squared_norms.append(np.sum(gradients.mean(axis=0) ** 2) - covariance_traces[-1] / 5)
        if clip_norm:
            norms = np.linalg.norm(gradients, axis=1, keepdims=True)
            clipped.extend(norms > clip_norm)
            gradients = gradients * np.minimum(1, clip_norm / norms)
        leaves = np.split(gradients.mean(axis=0), np.cumsum([p.size for p in state.params])[:-1])
        moved = [p - rates[step] * g.reshape(p.shape) for p, g in zip(state.params, leaves, strict=True)]
        state = State(network.Params(*moved), ())
    got, seen = train_epoch(
        State(params(), ()),
        images,
        labels,
        rows,
        rates,
        KEY,
        FULL,
        Settings(5, PHI, optimizer, clip_norm, log_noise_scale=True),
    )
    for ours, theirs in zip(got.params, state.params, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13)
    assert not clip_norm or 0 < sum(clipped) < 23
    np.testing.assert_allclose(seen.noise.covariance_trace, np.mean(covariance_traces), rtol=1e-11)
    np.testing.assert_allclose(seen.noise.squared_norm, np.mean(squared_norms), rtol=1e-10)


DISTORTION, STRENGTH = Distortion(alpha=3, sigma=1, rotation=20, shift=1), np.float32(0.8)


def noisy_epoch(images, labels, settings, key=KEY):
    state = State(params(), settings.optimizer.init(params()))
    return train_epoch(state, images, labels, order(len(labels)), np.linspace(0.5, 0.1, 5), key, STRENGTH, settings)


@pytest.mark.parametrize(
    "noise",
    [
        {"distortion": DISTORTION},
        {"mixup": 0.5},
        {"input_dropout": 0.3},
        {"edges": True},
        {"distortion": DISTORTION, "edges": True, "mixup": 0.5, "input_dropout": 0.2},
    ],
    ids=lambda noise: ",".join(noise),
)
def test_an_epoch_of_distorted_and_mixed_examples_or_edges_without_some_inputs(noise):
    """Every batch with draws of its own, gradients by autodiff of a network written out here."""
    images, labels = data(23)
    images = images.reshape(23, 2, 6)
    keys = jax.random.split(KEY, 5)
    want, total = params(), 0.0
    for step, rate in enumerate(np.linspace(0.5, 0.1, 5)):
        chosen = order(23)[5 * step : 5 * step + 5]
        distortion_key, mixup_key, dropout_key = jax.random.split(keys[step], 3)
        x, y = jnp.asarray(images[chosen] / 255.0), np.eye(C)[labels[chosen]]
        if "distortion" in noise:
            x = distort(distortion_key, x, DISTORTION, STRENGTH)
        if "edges" in noise:
            x = edge_maps(x)
        x = x.reshape(len(chosen), D)
        if "mixup" in noise:
            x, y = mix(mixup_key, x, y, 0.5)
        rate_out = noise.get("input_dropout", 0.0)
        out = np.asarray(jax.random.bernoulli(dropout_key, rate_out, x.shape))
        x = np.where(out, 0, np.asarray(x) / (1 - rate_out))

        def loss(p, x=x, y=y):
            x2 = jax.nn.sigmoid(jnp.tanh(x @ p.W1 + p.b1[None]) @ p.W2 + p.b2[None])
            return jnp.mean(jnp.sum((x2 - y) ** 2, axis=1)) / 2

        value, gradient = jax.value_and_grad(loss)(want)
        want = jax.tree.map(lambda p, g, rate=rate: p - rate * g, want, gradient)
        total += float(value) * len(chosen)
    got, seen = noisy_epoch(images, labels, Settings(5, PHI, sgd(), **noise))
    rounding = 1e-6 if "distortion" in noise else 1e-11  # displacements are float32
    for ours, theirs in zip(got.params, want, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=rounding, atol=rounding / 100)
    np.testing.assert_allclose(seen.loss, total / 23, rtol=rounding)


def test_another_key_is_another_noise():
    images, labels = data(23)
    for noise in ({"distortion": DISTORTION}, {"mixup": 0.5}, {"input_dropout": 0.3}):
        settings = Settings(5, PHI, sgd(), **noise)
        one, other = (
            noisy_epoch(images.reshape(23, 3, 4), labels, settings, jax.random.key(seed)) for seed in (0, 1)
        )
        assert not np.allclose(one[0].params.W1, other[0].params.W1, rtol=1e-6)


@pytest.mark.parametrize("optimizer", [sgd(), sgd(0.9, nesterov=True, weight_decay=0.01)])
@pytest.mark.parametrize(
    ("n", "S", "clip_norm"), [(24, 3, 0.0), (31, 3, 0.0), (31, 3, 0.45), (50, 8, 0.0), (10, 8, 0.0)]
)
def test_an_epoch_in_blocks_is_the_same_epoch(n, S, clip_norm, optimizer):
    """Also where batches remain after the last block, examples after the last batch, or there is no whole block."""
    images, labels = data(n)
    rates = np.linspace(0.5, 0.1, -(-n // 4))
    epochs = [
        train_epoch(
            State(params(), optimizer.init(params())),
            images,
            labels,
            order(n),
            rates,
            KEY,
            FULL,
            Settings(4, PHI, optimizer, clip_norm, batches_per_block=size),
        )
        for size in (1, S)
    ]
    for plain, blocked in zip(*map(jax.tree.leaves, epochs), strict=True):
        np.testing.assert_allclose(blocked, plain, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("option", [{}, {"clip_norm": 0.45}, {"input_dropout": 0.2}])
def test_an_epoch_in_halves_is_the_same_epoch(option):
    """Also where an odd number of examples remains after the last batch."""
    images, labels = data(31)
    optimizer = sgd(0.9)
    epochs = [
        train_epoch(
            State(params(), optimizer.init(params())),
            images,
            labels,
            order(31),
            np.linspace(0.5, 0.1, 8),
            KEY,
            FULL,
            Settings(4, PHI, optimizer, **option, halves=halves),
        )
        for halves in (False, True)
    ]
    for plain, halved in zip(*map(jax.tree.leaves, epochs), strict=True):
        np.testing.assert_allclose(halved, plain, rtol=1e-10, atol=1e-12)


def test_halves_are_what_is_computed(monkeypatch):
    rows, real = [], epoch._flipped_gradient
    monkeypatch.setattr(epoch, "_flipped_gradient", lambda p, x, y, s: rows.append(len(x)) or real(p, x, y, s))
    images, labels = data(17)
    settings = Settings(6, PHI, sgd(), halves=True)
    train_epoch(State(params(), ()), images, labels, order(17), np.ones(3), KEY, FULL, settings)
    assert set(rows) == {3, 5}  # and the 5 that remain, whole


def test_the_state_is_donated():
    images, labels = data(8)
    start = State(params(), ())
    train_epoch(start, images, labels, order(8), np.ones(2), KEY, FULL, Settings(4, PHI, sgd()))
    assert start.params.W1.is_deleted()


@pytest.mark.parametrize("n", [1, 999, 1000, 2345])
def test_evaluation_counts_every_example_once(n):
    images, labels = data(n)
    W1, b1, W2, b2 = map(np.asarray, params())
    x2 = 1 / (1 + np.exp(-(np.tanh(images / 255.0 @ W1 + b1) @ W2 + b2)))
    score = evaluate(params(), images, labels, PHI)
    assert score.errors == np.sum(x2.argmax(axis=1) != labels)
    np.testing.assert_allclose(score.loss, np.sum((x2 - np.eye(C)[labels]) ** 2) / 2 / n, rtol=1e-12)


def test_float32_parameters_stay_float32():
    images, labels = data(10)
    start = State(jax.tree.map(jnp.float32, params()), ())
    rates = np.ones(4, np.float32)
    state, seen = train_epoch(start, images, labels, order(10), rates, KEY, FULL, Settings(3, PHI, sgd()))
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {np.dtype("float32")}
    assert seen.loss.dtype == np.float32
