"""Networks side by side: each ends with the numbers that it has alone. Here on one device, four in four_devices."""

from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jaxmlp.data import datasets
from jaxmlp.training import devices, loop, members
from jaxmlp.training.augmentation import prepared
from jaxmlp.training.config import Config
from jaxmlp.training.members import Member

BASE = Config(hidden=5, epochs=3, batch_size=7, phi="tanh,sigmoid", learning_rate=0.5, momentum=0.5)
FREE = {
    "seed": 4,
    "learning_rate": 0.1,
    "schedule": "cosine",
    "warmup_epochs": 1,
    "epochs": 2,
    "patience": 1,
    "distortion_end": 0.5,
}


@pytest.fixture(scope="module")
def dataset(few_digits):
    return datasets.load(few_digits)


def group_of(configs, dataset):
    mesh = devices.members_mesh(0, len(configs))
    return members.prepare(configs[0], prepared(dataset, configs[0]), mesh, len(configs))


def trained(group, configs):
    """The last step of each, by config; and the order in which all steps came."""
    waiting = (Member(config, group.first(config), ()) for config in configs)
    steps = list(members.fit(group, waiting))
    return {step.member.config: step for step in steps}, steps


def timeless(history):
    return [[v for v in (*m[:5], m.noise_scale) if v is not None] for m in history]


def assert_as_alone(step, config, dataset, tolerance=1e-12):
    program = loop.prepare(config, dataset)
    history = []
    for state, metrics in loop.fit(program):
        history.append(metrics)
        alone = jax.tree.map(np.array, state)
    assert step.test_errors == int(program.test(alone.params).errors)
    for ours, theirs in zip(jax.tree.leaves(step.member.state), jax.tree.leaves(alone), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)
    for a, b in zip(timeless(step.member.history), timeless(history), strict=True):
        assert a == pytest.approx(b, rel=1e-7)


@pytest.fixture(scope="module")
def group(dataset):
    return group_of([BASE], dataset)


@pytest.fixture(scope="module")
def three(group):
    configs = [replace(BASE, seed=seed, learning_rate=rate) for seed, rate in ((0, 0.5), (1, 0.5), (0, 0.1))]
    return configs, *trained(group, configs)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_member_is_what_it_is_alone(three, dataset, which):
    configs, ends, _ = three
    assert_as_alone(ends[configs[which]], configs[which], dataset)


def test_one_slot_trains_them_one_after_another_and_tests_each_at_its_end(three):
    configs, _, steps = three
    assert [(step.member.config, len(step.member.history)) for step in steps] == [
        (config, epoch) for config in configs for epoch in (1, 2, 3)
    ]
    assert [step.ended for step in steps] == [False, False, True] * 3
    assert [step.test_errors is not None for step in steps] == [False, False, True] * 3


def test_the_test_set_is_read_once_for_each(group):
    read = []
    recording = replace(group, test=lambda states: [read.append(state) or 0 for state in states])
    configs = [replace(BASE, seed=seed) for seed in (0, 1)]
    ends, _ = trained(recording, configs)
    assert len(read) == 2
    assert all(state is ends[config].member.state for state, config in zip(read, configs, strict=True))


def test_members_may_differ_in_what_only_the_host_reads(group, dataset):
    """In all of it at once, but for the strength of distortions, which needs them."""
    config = replace(BASE, **{name: value for name, value in FREE.items() if name != "distortion_end"})
    assert members.compiled(config) == members.compiled(BASE)
    ends, _ = trained(group, [config])
    assert_as_alone(ends[config], config, dataset)


def test_what_is_free_is_all_that_is_left_out_of_what_is_compiled():
    assert set(FREE) == set(members.FREE)
    distorted = replace(BASE, shift=1.0)
    assert members.compiled(replace(distorted, **FREE)) == members.compiled(distorted)
    for other in ({"hidden": 6}, {"batch_size": 8}, {"momentum": 0.4}, {"train_on_all": True}, {"mixup": 0.2}):
        assert members.compiled(replace(BASE, **other)) != members.compiled(BASE)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"shift": 2.0, "rotation": 5.0, "distortion_end": 0.5, "deskew": True, "edges": True, "epochs": 2},
        {
            "optimizer": "adam",
            "momentum": 0.0,
            "learning_rate": 0.01,
            "mixup": 0.3,
            "clip_norm": 0.2,
            "log_noise_scale": True,
            "epochs": 1,
        },
        {"batches_per_block": 4},
        {"shift": 2.0, "learned_grid": True, "epochs": 1},
    ],
    ids=str,
)
def test_every_option_is_as_alone(dataset, options):
    config = replace(BASE, **options)
    ends, _ = trained(group_of([config], dataset), [config])
    assert_as_alone(ends[config], config, dataset, 1e-10)


def test_one_that_diverges_stops_no_other(dataset):
    configs = [Config(hidden=5, epochs=2, phi="identity", learning_rate=rate) for rate in (0.01, 1e6, 0.02)]
    ends, _ = trained(group_of(configs, dataset), configs)
    first, diverged, last = (ends[config] for config in configs)
    assert str(diverged.diverged).startswith("diverged in epoch 1: ")
    assert (diverged.test_errors, diverged.member.history) == (None, ())
    assert first.done
    assert last.done


def test_when_it_is_told_to_stop_what_is_done_is_yielded_and_nothing_more_is_begun(group):
    begun = []

    def waiting():
        for seed in range(3):
            begun.append(seed)
            config = replace(BASE, seed=seed)
            yield Member(config, group.first(config), ())

    left = iter([True, True, True, True, False])
    steps = list(members.fit(group, waiting(), lambda: next(left)))
    assert [len(step.member.history) for step in steps] == [1, 2, 3, 1]
    assert begun == [0, 1]


def test_who_leaves_early_waits_for_the_devices(group):
    waited = []
    working = SimpleNamespace(loss=SimpleNamespace(block_until_ready=lambda: waited.append(True)))
    epochs = iter([group.train, lambda state, epochs: (state, working)])
    busy = replace(group, train=lambda *arguments: next(epochs)(*arguments))
    steps = members.fit(busy, iter([Member(BASE, group.first(BASE), ())]))
    next(steps)
    assert not waited
    steps.close()
    assert waited


def test_a_member_goes_on_from_what_was_saved_with_the_same_bits(group, three):
    configs, ends, steps = three
    _, second, *_ = steps
    (last,) = members.fit(group, iter([second.member]))
    expected = ends[configs[0]].member
    assert last.member.config == expected.config
    for ours, theirs in zip(jax.tree.leaves(last.member.state), jax.tree.leaves(expected.state), strict=True):
        np.testing.assert_array_equal(ours, theirs)
