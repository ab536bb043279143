"""Blocked updates against a plain loop of batch.loss_and_gradient, in float64: the same epoch, to rounding."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from compare import assert_close
from jaxmlp import activations, batch, network
from jaxmlp.training import blocked, optimizers
from jaxmlp.training.config import Config

D, C = 12, 3
OPTIMIZERS = {
    "sgd": optimizers.sgd(),
    "weight decay": optimizers.sgd(weight_decay=0.1),
    "momentum": optimizers.sgd(momentum=0.9),
    "nesterov, weight decay": optimizers.sgd(momentum=0.8, nesterov=True, weight_decay=0.1),
}


def problem(K, B, steps, optimizer, seed=0):
    """A state in mid-training (its velocity is not zero), batches, and learning rates that change at every step."""
    keys = jax.random.split(jax.random.key(seed), 8)
    params = network.init(keys[0], D, K, C)
    params = params._replace(b1=jax.random.normal(keys[1], (K,)), b2=jax.random.normal(keys[2], (C,)))
    optimizer_state = jax.tree.map(lambda a: 0.1 * jax.random.normal(keys[3], a.shape), optimizer.init(params))
    x = jax.random.uniform(keys[4], (steps, B, D))
    y = jax.nn.one_hot(jax.random.randint(keys[5], (steps, B), 0, C), C, dtype=x.dtype)
    return (params, optimizer_state), x, y, jnp.linspace(0.5, 2.0, steps)


@partial(jax.jit, static_argnames=("phi", "optimizer"))
def plain_epoch(state, x, y, learning_rates, phi, optimizer):
    def step(state, batch_of):
        params, optimizer_state = state
        x, y, learning_rate = batch_of
        loss, gradient = batch.loss_and_gradient(params, x, y, phi)
        return optimizer.update(gradient, optimizer_state, params, learning_rate), loss

    return jax.lax.scan(step, state, (x, y, learning_rates))


@partial(jax.jit, static_argnames=("S", "phi", "optimizer"))
def blocked_epoch(state, x, y, learning_rates, S, phi, optimizer):
    def block(state, block_of):
        x, y, plan = block_of
        return blocked.update(state, x, y, plan, phi, optimizer)

    in_blocks = [a.reshape(-1, S, *a.shape[1:]) for a in (x, y, learning_rates)]
    plans = blocked.plan(state, in_blocks[2], optimizer)
    state, losses = jax.lax.scan(block, state, (*in_blocks[:2], plans))
    return state, losses.reshape(-1)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize(
    ("K", "B", "S"), [(5, 4, 3), *(pytest.param(*KBS, marks=pytest.mark.slow) for KBS in ((7, 1, 6), (4, 10, 2)))]
)
def test_an_epoch_of_blocks_is_an_epoch_of_batches(optimizer, K, B, S):
    state, x, y, learning_rates = problem(K, B, 4 * S, optimizer)
    expected = plain_epoch(state, x, y, learning_rates, activations.sigmoid, optimizer)
    actual = blocked_epoch(state, x, y, learning_rates, S, activations.sigmoid, optimizer)
    assert_close(actual, expected, 1e-10)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), expected[0][0], state[0])
    assert min(moved) > 1e-2  # the comparison is between parameters that went somewhere


@pytest.mark.slow
def test_clipped_gradients():
    """Each by autodiff, and shortened by itself."""
    optimizer, phi, clip_norm = OPTIMIZERS["nesterov, weight decay"], activations.sigmoid, 0.3
    state, x, y, learning_rates = problem(5, 4, 3, optimizer)
    of_one = jax.grad(lambda params, x0, y0: network.loss(params, x0, y0, phi))
    gradients_of = jax.jit(jax.vmap(of_one, in_axes=(None, 0, 0)))
    expected, norms = state, []
    for x0s, ys, learning_rate in zip(x, y, learning_rates, strict=True):
        gradients = gradients_of(expected[0], x0s, ys)
        norms += [np.sqrt(sum(np.sum(leaf[i] ** 2) for leaf in gradients)) for i in range(4)]
        scales = np.minimum(1, clip_norm / np.array(norms[-4:]))
        gradient = jax.tree.map(lambda g, c=scales: np.tensordot(c, g, axes=1) / 4, gradients)
        expected = optimizer.update(gradient, expected[1], expected[0], learning_rate)
    assert min(norms) < clip_norm < max(norms)
    plan = jax.tree.map(lambda a: a[0], blocked.plan(state, learning_rates[None], optimizer))
    actual, _ = blocked.update(state, x, y, plan, phi, optimizer, clip_norm)
    assert_close(actual, expected, 1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("phi", [(activations.tanh, activations.identity), (activations.relu, activations.sigmoid)])
def test_any_activation(phi):
    optimizer = OPTIMIZERS["sgd"]
    state, x, y, learning_rates = problem(5, 4, 12, optimizer)
    learning_rates = learning_rates / 20
    expected = plain_epoch(state, x, y, learning_rates, phi, optimizer)
    assert_close(blocked_epoch(state, x, y, learning_rates, 3, phi, optimizer), expected, 1e-10)


@pytest.mark.slow
def test_float32_stays_float32_and_agrees_to_its_rounding():
    optimizer = OPTIMIZERS["nesterov, weight decay"]
    single = jax.tree.map(lambda a: a.astype(jnp.float32), problem(5, 4, 12, optimizer))
    actual = blocked_epoch(*single, 3, activations.sigmoid, optimizer)
    expected = plain_epoch(*single, activations.sigmoid, optimizer)
    assert {leaf.dtype for leaf in jax.tree.leaves(actual)} == {np.dtype("float32")}
    assert_close(actual, expected)


def test_an_optimizer_that_is_not_linear_is_refused():
    optimizer = optimizers.adam()
    state, _, _, learning_rates = problem(5, 4, 12, optimizers.sgd())
    with pytest.raises(ValueError, match=r"optimizer state: expected nothing but Params .* got AdamState"):
        blocked.plan((state[0], optimizer.init(state[0])), learning_rates.reshape(4, 3), optimizer)


@pytest.mark.parametrize(
    ("hidden", "batch_size", "momentum", "S"),
    [
        (100, 10, 0.0, 8),
        (100, 10, 0.9, 1),
        (100, 1, 0.0, 1),
        (300, 1, 0.0, 80),
        (300, 10, 0.9, 8),
        (800, 128, 0.0, 1),
        (30, 10, 0.0, 1),
    ],
)
def test_blocks_where_they_were_measured_to_win(hidden, batch_size, momentum, S):
    config = Config(hidden=hidden, batch_size=batch_size, momentum=momentum)
    assert blocked.batches_per_block(config, "cpu") == S
    assert blocked.batches_per_block(config, "gpu") == 1


def test_blocks_that_are_asked_for():
    assert blocked.batches_per_block(Config(hidden=30, batches_per_block=5), "gpu") == 5
    assert blocked.batches_per_block(Config(hidden=100, batches_per_block=1), "cpu") == 1


@pytest.mark.parametrize(
    "option", [{"optimizer": "adam"}, {"log_noise_scale": True}, {"edges": True}, {"mixup": 0.3}], ids=str
)
def test_no_blocks_for_what_cannot_go_in_them(option):
    assert blocked.batches_per_block(Config(hidden=100, **option), "cpu") == 1
    assert blocked.batches_per_block(Config(hidden=100, clip_norm=0.1), "cpu") == 8
