"""A config holds only values that a run can have."""

from dataclasses import FrozenInstanceError, fields

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import activations
from jaxmlp.inputs.distortions import Distortion
from jaxmlp.training.config import Config, ConfigError


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "hidden": (0, -1, 10**9, 1.5, "30"),
        "phi": ("", "Sigmoid", "relu,", "relu,relu,relu", "sigmoid # best"),
        "batch_size": (0, -10),
        "epochs": (-1, 2.0),
        "learning_rate": (0.0, -3.0, float("nan"), float("inf"), "3"),
        "schedule": ("", "linear"),
        "warmup_epochs": (-1, 31),
        "optimizer": ("adamw",),
        "momentum": (-0.1, 1.0, float("nan")),
        "nesterov": (1, True),  # True needs a momentum
        "beta1": (1.0,),
        "beta2": (-0.5,),
        "epsilon": (0.0, float("inf")),
        "weight_decay": (-1e-4, float("nan"), float("inf")),
        "batches_per_block": (-1, 1.5),
        "clip_norm": (-1.0, float("nan"), float("inf")),
        "elastic": (-38.0, float("nan"), 1e9),
        "elastic_sigma": (0.0, -5.0, 1e12, 4.0),  # 4 needs elastic
        "rotation": (-1.0, 181.0),
        "scale": (-0.1, 1.0),
        "shear": (-0.1, float("inf")),
        "shift": (-1.0, "1"),
        "distortion_end": (-0.1, 1.1, float("nan"), 0.5),  # 0.5 needs a distortion
        "mixup": (-0.1, 1e-40, float("inf")),
        "input_dropout": (-0.1, 1.0),
        "seed": (-1, 2**64, 2**32),
        "train_on_all": ("yes",),
    }.items(),
)
def test_a_value_out_of_range_is_named(name, values):
    for value in values:
        with pytest.raises(ConfigError, match=f"^{name}: expected .*, got ") as caught:
            Config(**{name: value})
        assert caught.value.name == name


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"momentum": 0.9}, r"^momentum: expected 0\.0 with the optimizer adam, got 0\.9$"),
        ({"nesterov": True}, "^nesterov: expected False with the optimizer adam, got True$"),
    ],
)
def test_adam_takes_no_momentum(option, message):
    with pytest.raises(ConfigError, match=message):
        Config(optimizer="adam", **option)


@pytest.mark.parametrize(
    "option",
    [
        {"optimizer": "adam"},
        {"log_noise_scale": True},
        {"edges": True},
        {"rotation": 10.0},
        {"elastic": 38.0},
        {"mixup": 0.3},
        {"input_dropout": 0.2},
    ],
)
def test_only_plain_sgd_goes_in_blocks(option):
    with pytest.raises(ConfigError, match=r"^batches_per_block: expected 0 or 1, or sgd without .*, got 2"):
        Config(batches_per_block=2, **option)
    assert Config(hidden=100, **option).block_size("cpu") == 1
    assert Config(hidden=100, clip_norm=0.1).block_size("cpu") == Config(hidden=100).block_size("cpu") > 1


def test_blocks_are_chosen_on_a_cpu_and_only_there():
    assert Config(hidden=100).block_size("cpu") == 8
    assert Config(hidden=100).block_size("gpu") == 1
    assert Config(hidden=30).block_size("cpu") == 1
    assert Config(hidden=30, batches_per_block=5).block_size("gpu") == 5


def test_halves_are_chosen_for_large_batches_on_a_cpu_of_several_cores():
    assert Config(hidden=128, batch_size=64).halves("cpu", 2)
    for option in ({"batch_size": 62}, {"batch_size": 65}, {"hidden": 129}, {"log_noise_scale": True}):
        assert not Config(**{"hidden": 128, "batch_size": 64, **option}).halves("cpu", 2)
    assert not Config(hidden=128, batch_size=64).halves("cpu", 1)
    assert not Config(hidden=128, batch_size=64).halves("gpu", 2)


def test_one_example_has_no_noise_scale():
    with pytest.raises(ConfigError, match=r"^log_noise_scale: expected a batch_size of 2 or more"):
        Config(log_noise_scale=True, batch_size=1)


def test_every_field_says_what_it_is_and_what_it_may_be():
    for f in fields(Config):
        assert set(f.metadata) == {"help", "expected", "valid"}
        assert f.metadata["help"]


def test_a_config_is_frozen():
    with pytest.raises(FrozenInstanceError):
        Config().hidden = 5


def test_phi_is_one_activation_or_hidden_and_output():
    assert Config(phi="tanh").activation() == (activations.tanh, activations.tanh)
    assert Config(phi="relu,sigmoid").activation() == (activations.relu, activations.sigmoid)


@pytest.mark.parametrize(
    ("options", "step"),
    [
        ({}, -2.0),
        ({"momentum": 0.5, "nesterov": True}, -3.0),
        ({"weight_decay": 0.25}, -2.25),
        ({"optimizer": "adam", "epsilon": 1.0}, -2.0 / 3.0),
    ],
)
def test_the_optimizer_is_the_one_of_the_options(options, step):
    """The first step from 1 along a gradient of 2, at learning rate 1."""
    optimizer = Config(**options).make_optimizer()
    weight = jnp.ones((1, 1))
    after, _ = optimizer.update(2 * weight, optimizer.init(weight), weight, jnp.asarray(1.0))
    assert after[0, 0] - 1 == pytest.approx(step)


def test_an_image_is_distorted_as_the_flags_say():
    assert Config().distortion() is None
    amounts = {"rotation": 10.0, "scale": 0.1, "shear": 0.2, "shift": 1.5}
    assert Config(elastic=30.0, elastic_sigma=4.0, **amounts).distortion() == Distortion(30.0, 4.0, **amounts)
    assert Config(shift=1.0).distortion() == Distortion(alpha=0.0, shift=1.0)


def test_distortions_weaken_linearly_to_their_end():
    config = Config(epochs=5, shift=1.0, distortion_end=0.2)
    np.testing.assert_allclose(
        [config.distortion_strength(e) for e in range(5)], [1, 0.8, 0.6, 0.4, 0.2], rtol=1e-6
    )
    assert Config(epochs=1, shift=1.0, distortion_end=0.2).distortion_strength(0) == 1
    assert {Config(epochs=3).distortion_strength(e) for e in range(3)} == {1}


def test_a_batch_of_one_has_nothing_to_mix():
    with pytest.raises(ConfigError, match=r"^mixup: expected a batch_size of 2 or more with it, got batch_size 1"):
        Config(mixup=0.2, batch_size=1)
