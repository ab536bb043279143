"""A config holds only values that a run can have."""

from dataclasses import FrozenInstanceError, fields

import pytest

from jaxmlp import activations
from jaxmlp.inputs.view import View
from jaxmlp.training.config import Config, ConfigError


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "hidden": (0, -1, 10**9, 1.5, "30"),
        "phi": ("", "Sigmoid", "relu,", "relu,relu,relu", "sigmoid # best"),
        "batch_size": (0, -10),
        "epochs": (-1, 2.0),
        "patience": (-1, 1.5),
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
        "noise_multiplier": (-1.0, 0.01, float("nan"), float("inf")),
        "delta": (-1e-5, 1.0, float("nan"), 1e-5),  # 1e-5 needs noise
        "elastic": (-38.0, float("nan"), 1e9),
        "elastic_sigma": (0.0, -5.0, 1e12, 4.0),  # 4 needs elastic
        "rotation": (-1.0, 181.0),
        "scale": (-0.1, 1.0),
        "shear": (-0.1, float("inf")),
        "shift": (-1.0, "1"),
        "distortion_end": (-0.1, 1.1, float("nan"), 0.5),  # 0.5 needs a distortion
        "mixup": (-0.1, 1e-40, float("inf")),
        "input_dropout": (-0.1, 1.0),
        "virtual_adversarial": (-0.1, float("inf"), float("nan")),
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
        {"virtual_adversarial": 0.8},
        {"noise_multiplier": 1.0, "clip_norm": 1.0, "delta": 1e-5},
    ],
)
def test_only_plain_sgd_goes_in_blocks(option):
    with pytest.raises(ConfigError, match=r"^batches_per_block: expected 0 or 1, or sgd without .*, got 2"):
        Config(batches_per_block=2, **option)
    assert not Config(**option).blockable
    assert Config(clip_norm=0.1).blockable


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"clip_norm": 1.0}, "clip_norm: expected 0.0 with virtual_adversarial, got 1.0"),
        ({"noise_multiplier": 1.0}, "noise_multiplier: expected 0.0 with virtual_adversarial, got 1.0"),
        ({"log_noise_scale": True}, "log_noise_scale: expected False with virtual_adversarial, got True"),
    ],
)
def test_what_does_not_go_with_virtual_adversarial_training(option, message):
    with pytest.raises(ConfigError) as caught:
        Config(virtual_adversarial=0.8, **option)
    assert str(caught.value) == message


PRIVATE = {"noise_multiplier": 1.0, "clip_norm": 1.0, "delta": 1e-5}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"clip_norm": 0.0}, "clip_norm: expected a number > 0 with noise_multiplier, got 0.0"),
        ({"delta": 0.0}, "delta: expected a number > 0 and < 1 with noise_multiplier, got 0.0"),
        ({"mixup": 0.2}, "mixup: expected 0.0 with noise_multiplier, got 0.2"),
        ({"learned_grid": True, "shift": 1.0}, "learned_grid: expected False with noise_multiplier, got True"),
        ({"log_noise_scale": True}, "log_noise_scale: expected False with noise_multiplier, got True"),
    ],
)
def test_what_does_not_go_with_private_training(option, message):
    with pytest.raises(ConfigError) as caught:
        Config(**PRIVATE | option)
    assert str(caught.value) == message


def test_what_is_done_to_one_example_alone_goes_with_private_training():
    options = {"rotation": 5.0, "elastic": 30.0, "input_dropout": 0.1, "deskew": True, "edges": True}
    assert Config(**PRIVATE, **options, optimizer="adam").private
    assert not Config(clip_norm=1.0).private


def test_one_example_has_no_noise_scale():
    with pytest.raises(ConfigError, match=r"^log_noise_scale: expected a batch_size of 2 or more"):
        Config(log_noise_scale=True, batch_size=1)


def test_every_field_says_what_it_is_and_what_it_may_be():
    for f in fields(Config):
        assert set(f.metadata) - {"transform", "group"} == {"help", "expected", "valid"}
        assert f.metadata["help"]


def test_edges_do_not_go_with_directions():
    with pytest.raises(ConfigError, match=r"^edges: expected False with directions, got True$"):
        Config(directions=True, edges=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "learned_grid: expected False without a distortion, got True"),
        ({"shift": 1.0, "deskew": True}, "learned_grid: expected False with deskew, got True"),
        ({"shift": 1.0, "edges": True}, "learned_grid: expected False with edges, got True"),
        ({"elastic": 9.0, "directions": True}, "learned_grid: expected False with directions, got True"),
    ],
)
def test_what_does_not_go_with_a_learned_grid(options, message):
    with pytest.raises(ConfigError) as caught:
        Config(learned_grid=True, **options)
    assert str(caught.value) == message


def test_its_view_is_what_the_network_is_shown():
    assert Config().view == View()
    assert Config(hidden=5, deskew=True).view == View(deskew=True)
    assert Config(deskew=True, edges=True).view == View(deskew=True, edges=True)


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        (
            PRIVATE | {"delta": 0.002},
            (500, 28, 28),
            "delta: expected less than 1 in 500, the training examples, got 0.002",
        ),
        ({"batch_size": 501}, (500, 28, 28), "batch_size: expected at most the 500 training examples, got 501"),
        (
            {"edges": True},
            (500, 5, 9),
            "edges: expected False for images without an even height and width, got True, for 5x9",
        ),
    ],
)
def test_data_that_it_does_not_fit(options, shape, message):
    with pytest.raises(ConfigError) as caught:
        Config(**options).check_data(shape)
    assert str(caught.value) == message
    Config().check_data(shape)


def test_a_config_is_frozen():
    with pytest.raises(FrozenInstanceError):
        Config().hidden = 5


def test_phi_is_one_activation_or_hidden_and_output():
    assert Config(phi="tanh").activation == (activations.tanh, activations.tanh)
    assert Config(phi="relu,sigmoid").activation == (activations.relu, activations.sigmoid)


def test_a_batch_of_one_has_nothing_to_mix():
    with pytest.raises(ConfigError, match=r"^mixup: expected a batch_size of 2 or more with it, got batch_size 1"):
        Config(mixup=0.2, batch_size=1)
