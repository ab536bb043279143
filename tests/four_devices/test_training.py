"""A run whose hidden units are divided among four devices: the same numbers as on one, and little sent a step."""

import re
from dataclasses import replace

import jax
import numpy as np
import pytest
from collectives import collectives

from jaxmlp.data import datasets
from jaxmlp.runs import run_directory, trainer
from jaxmlp.runs.run_directory import RunWarning
from jaxmlp.runs.stopping import StopRequest
from jaxmlp.training import blocked, devices, loop
from jaxmlp.training.config import Config, ConfigError
from jaxmlp.training.epoch import EpochInput, State, Tuning, train_epoch
from jaxmlp.training.optimizers import optimizer_of

B, LAST = 10, 3
D, K, C = 784, 8, 10
PLAIN = Config(hidden=K, batch_size=B, epochs=2, learning_rate=0.5, phi="tanh,sigmoid")

OPTIONS = {
    "plain": {},
    "momentum": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "adam": {"optimizer": "adam", "learning_rate": 0.01},
    "distortions": {"elastic": 8.0, "rotation": 10.0, "distortion_end": 0.5, "deskew": True, "edges": True},
    "mixup, dropout, clipping, noise scale": {
        "mixup": 0.3,
        "input_dropout": 0.2,
        "clip_norm": 0.1,
        "log_noise_scale": True,
        "batch_size": 12,  # which four devices divide
    },
    "learned grid": {"shift": 2.0, "momentum": 0.9, "learned_grid": True},
    "virtual adversarial": {"virtual_adversarial": 0.5, "mixup": 0.1},
    "blocks": {"batches_per_block": 4, "momentum": 0.9, "clip_norm": 0.1},
    "private": {"noise_multiplier": 1.0, "clip_norm": 0.1, "delta": 1e-3},
}


@pytest.fixture(scope="module")
def dataset(few_digits):
    """203 of its training digits: a last batch of 3; and a grid as if it had been learned."""
    whole = datasets.load(few_digits, False)
    few = type(whole.train)(whole.train.images[:203], whole.train.labels[:203])
    return whole._replace(train=few, grid=tuple(np.random.default_rng(0).permutation(784).tolist()))


def trained(config, dataset, count):
    program = loop.prepare(config, dataset, devices.mesh_of(count, config), secret=bytes(32))
    *_, (state, metrics) = ((jax.tree.map(np.asarray, s), m) for s, m in loop.fit(program))
    return state, metrics, int(program.test(state.params).errors)


@pytest.mark.parametrize("option", OPTIONS)
def test_four_devices_train_the_same_network(option, dataset):
    config = replace(PLAIN, **OPTIONS[option])
    one, on_one, errors = trained(config, dataset, 1)
    four, on_four, errors_of_four = trained(config, dataset, 4)
    tolerance = 3e-12 if config.optimizer == "adam" else 1e-12
    if (
        config.elastic or config.shift
    ):  # fields are float32, and a product of 3 of them need not round as that of 12
        tolerance = 1e-7
    for a, b in zip(jax.tree.leaves(four), jax.tree.leaves(one), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)
    assert errors_of_four == errors
    assert on_four.train_loss == pytest.approx(on_one.train_loss, rel=1e-7)
    assert on_four.validation_loss == pytest.approx(on_one.validation_loss, rel=1e-7)
    if config.log_noise_scale:
        assert on_four.noise_scale == pytest.approx(on_one.noise_scale, rel=1e-7)
    assert on_four.validation_errors == on_one.validation_errors


def compiled_epoch(config, dataset):
    mesh = devices.mesh_of(4, config)
    params = devices.place(loop.first_params(0, D, K, C), mesh)
    state = devices.place(State(params, optimizer_of(config).init(params)), mesh)
    images, labels = dataset.train
    rates = np.ones(-(-203 // config.batch_size), np.float32)
    rows, key = np.arange(203, dtype=np.int32), loop.noise_key(0, 0)
    arrays = images.reshape(203, D), labels, rows, rates, key, np.float32(1)
    inputs = EpochInput(*devices.place(arrays, mesh))
    tuning = Tuning(mesh, blocked.batches_per_block(config, "cpu"))
    grid = dataset.grid if config.learned_grid else None
    return train_epoch.lower(state, inputs, config=config, tuning=tuning, size=(28, 28), grid=grid).compile()


SUMS = [("all-reduce", (C, B)), ("all-reduce", (LAST, C))]


@pytest.mark.parametrize("option", ["plain", "momentum", "adam"])
def test_a_step_sends_one_sum(option, dataset):
    """Of C numbers an example; the last batch is smaller."""
    assert collectives(compiled_epoch(replace(PLAIN, **OPTIONS[option]), dataset)) == sorted(SUMS)


def test_clipping_sends_three_numbers_an_example_more(dataset):
    norms = [("all-reduce", (n,)) for n in (B, LAST) for _ in range(3)]
    assert collectives(compiled_epoch(replace(PLAIN, clip_norm=0.1), dataset)) == sorted([*SUMS, *norms])


def test_a_block_sends_one_sum_a_batch(dataset):
    sent = collectives(compiled_epoch(replace(PLAIN, batches_per_block=4, momentum=0.9), dataset))
    assert set(sent) == set(SUMS)


def test_each_device_distorts_its_share_of_the_images(dataset):
    """12 images are 3 a device, of which it draws, smooths and samples the fields; then each gets all images."""
    compiled = compiled_epoch(replace(PLAIN, batch_size=12, elastic=8.0), dataset)
    fields = set(re.findall(r"f32\[(\d+),28,28\]", compiled.as_text()))
    assert fields == {"3"}
    assert {shape for kind, shape in collectives(compiled) if kind == "all-gather"} == {(12, 28, 28)}


def test_W1_is_laid_on_a_grid_where_it_lies(dataset):
    distorted = replace(PLAIN, batch_size=12, shift=1.0, momentum=0.9)
    sent = collectives(compiled_epoch(distorted, dataset))
    assert collectives(compiled_epoch(replace(distorted, learned_grid=True), dataset)) == sent


def test_the_units_are_divided(dataset):
    config = replace(PLAIN, momentum=0.9)
    program = loop.prepare(config, dataset, devices.mesh_of(4, config))
    state, _ = next(iter(loop.fit(program)))
    for params in (state.params, state.optimizer):
        shapes = [leaf.addressable_shards[0].data.shape for leaf in params]
        assert shapes == [(D, K // 4), (K // 4,), (K // 4, C), (C,)]


@pytest.mark.parametrize(
    ("count", "hidden", "message"),
    [
        (5, 10, "devices: expected at most 4, which is all there are, got 5"),
        (4, 30, "devices: expected a divisor of hidden, which is 30, got 4"),
    ],
)
def test_a_number_of_devices_that_cannot_be(count, hidden, message):
    with pytest.raises(ConfigError) as raised:
        devices.mesh_of(count, Config(hidden=hidden))
    assert str(raised.value) == message


@pytest.mark.parametrize(("hidden", "processes", "count"), [(128, 1, 4), (129, 1, 3), (127, 1, 1), (12, 2, 3)])
def test_as_many_devices_as_divide_the_units_but_one_on_a_cpu(hidden, processes, count):
    config = Config(hidden=hidden, batch_size=128)
    assert devices.mesh_of(0, config).size == 1
    assert devices._fastest("gpu", 4, processes, config) == count


def test_a_run_goes_on_on_another_number_of_devices(few_digits, tmp_path, capsys):
    config = replace(PLAIN, batch_size=50, epochs=2)
    stop = StopRequest()
    trainer.train(replace(config, epochs=4), few_digits, tmp_path / "at once", "", stop, device_count=4)
    assert "on cpu: cpu, cpu, cpu, cpu\n" in capsys.readouterr().out
    trainer.train(config, few_digits, tmp_path / "run", "", stop, device_count=4)
    with pytest.warns(
        RunWarning, match=r"devices was \['cpu', 'cpu', 'cpu', 'cpu'\], is \['cpu', 'cpu'\]: the bits"
    ):
        trainer.train(replace(config, epochs=4), few_digits, tmp_path / "run", "", stop, device_count=2)
    (_, at_once), (_, on_two) = (run_directory.newest(tmp_path / name) for name in ("at once", "run"))
    for name in at_once:
        if name.startswith("params."):
            np.testing.assert_allclose(on_two[name], at_once[name], rtol=0, atol=1e-12)


def test_a_run_that_goes_on_has_the_same_bits(few_digits, tmp_path):
    config, stop = replace(PLAIN, batch_size=50, epochs=3, momentum=0.9), StopRequest()
    trainer.train(config, few_digits, tmp_path / "at once", "", stop, device_count=4)
    trainer.train(replace(config, epochs=1), few_digits, tmp_path / "run", "", stop, device_count=4)
    trainer.train(config, few_digits, tmp_path / "run", "", stop, device_count=4)
    (_, at_once), (_, resumed) = (run_directory.newest(tmp_path / name) for name in ("at once", "run"))
    for name in at_once:
        if name != "history":  # it has times
            np.testing.assert_array_equal(resumed[name], at_once[name])


def test_every_optimizer_has_its_place():
    """A state is nothing but Params, which are divided, and scalars."""
    config = replace(PLAIN, optimizer="adam")
    mesh = devices.mesh_of(4, config)
    params = devices.place(loop.first_params(0, 6, K, 3), mesh)
    state = devices.place(optimizer_of(config).init(params), mesh)
    assert state.mean.W1.sharding == params.W1.sharding
    assert state.updates.sharding.is_fully_replicated
