"""Networks side by side on four devices: each ends with the numbers that it has alone, and nothing is sent."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from collectives import collectives

from jaxmlp.data import datasets
from jaxmlp.runs import run_directory, sweeper, trainer
from jaxmlp.runs.stopping import StopRequest
from jaxmlp.training import devices, loop, members
from jaxmlp.training.config import Config, ConfigError
from jaxmlp.training.members import Member

BASE = Config(hidden=5, epochs=2, batch_size=50, learning_rate=0.5, momentum=0.5)
SIX = [replace(BASE, seed=seed, epochs=epochs) for seed, epochs in enumerate((2, 3, 1, 0, 2, 2, 4)) if epochs]


@pytest.fixture(scope="module")
def dataset(few_digits):
    return datasets.load(few_digits)


def trained(dataset, configs, device_count=0):
    group = members.prepare(BASE, dataset, devices.members_mesh(device_count, len(configs)), len(configs))
    steps = list(members.fit(group, (Member(config, group.first(config), ()) for config in configs)))
    return group, steps, {step.member.config: step for step in steps}


@pytest.fixture(scope="module")
def alone(dataset):
    """(state, test errors) of each network by itself."""
    ends = {}
    for config in SIX:
        program = loop.prepare(config, dataset)
        *_, (state, _) = loop.fit(program)
        ends[config] = jax.tree.map(np.asarray, state), int(program.test(state.params).errors)
    return ends


def assert_as_alone(ends, alone):
    assert ends.keys() == alone.keys()
    for config, (state, errors) in alone.items():
        assert ends[config].test_errors == errors
        for ours, theirs in zip(jax.tree.leaves(ends[config].member.state), jax.tree.leaves(state), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("device_count", "slots"), [(0, 4), (3, 3), (1, 1)])
def test_on_any_number_of_devices_they_are_what_they_are_alone(dataset, alone, device_count, slots):
    group, steps, ends = trained(dataset, SIX, device_count)
    assert group.slots == slots
    assert_as_alone(ends, alone)
    assert len(steps) == sum(config.epochs for config in SIX)


def test_one_that_ends_makes_place_for_the_next_at_once(dataset):
    """With epochs 2, 3, 1, 2 | 2, 4: the fifth begins beside the second epoch of the first, the sixth after it."""
    _, steps, _ = trained(dataset, SIX)
    assert [(step.member.config.seed, len(step.member.history)) for step in steps[:12]] == [
        *((0, 1), (1, 1), (2, 1), (4, 1)),
        *((0, 2), (1, 2), (5, 1), (4, 2)),
        *((6, 1), (1, 3), (5, 2)),
        (6, 2),
    ]


def test_several_on_a_device_as_on_a_gpu(dataset, alone, monkeypatch):
    monkeypatch.setattr(members, "_on_each", lambda platform, wanted: wanted)
    group, _, ends = trained(dataset, SIX, 2)
    assert group.slots == 6
    assert_as_alone(ends, alone)


def test_a_gpu_has_as_many_as_are_wanted_within_its_memory():
    assert [members._on_each("gpu", wanted) for wanted in (1, 7, 1000)] == [1, 7, members.MOST_ON_A_DEVICE]
    assert members._on_each("cpu", 7) == 1


def test_nothing_is_sent(dataset):
    group, *_ = trained(dataset, SIX)
    assert collectives(group.program) == []


def test_more_devices_than_there_are_and_fewer_networks_than_devices():
    with pytest.raises(ConfigError, match=r"^devices: expected at most 4, which is all there are, got 5$"):
        devices.members_mesh(5, 9)
    assert devices.members_mesh(0, 3).size == 3
    assert devices.members_mesh(2, 3).size == 2


def test_a_sweep_that_goes_on_has_the_same_bits(few_digits, tmp_path):
    def sweep(folder, epochs):
        configs = {f"seed={seed}": replace(BASE, seed=seed, epochs=epochs) for seed in range(5)}
        asked = {name: {"seed": config.seed} for name, config in configs.items()}
        told = sweeper.Told(configs, asked, few_digits, "", lambda config: "")
        sweeper.sweep(told, tmp_path / folder, StopRequest())

    sweep("at once", 3)
    sweep("run", 1)
    sweep("run", 3)
    for seed in range(5):
        _, at_once = run_directory.newest(tmp_path / "at once" / f"seed={seed}")
        _, resumed = run_directory.newest(tmp_path / "run" / f"seed={seed}")
        for name in at_once.keys() - {"history"}:  # it has times
            np.testing.assert_array_equal(resumed[name], at_once[name])
    config = replace(BASE, seed=4, epochs=3)
    trainer.train(config, few_digits, tmp_path / "alone", "", StopRequest())
    _, by_itself = run_directory.newest(tmp_path / "alone")
    np.testing.assert_allclose(resumed["params.W1"], by_itself["params.W1"], rtol=0, atol=1e-12)
