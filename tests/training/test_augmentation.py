"""What a step makes of its images: each part written out here, each with draws of its own."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from compare import assert_close
from jaxmlp.inputs.distortions import Distortion, distort
from jaxmlp.inputs.edges import edge_maps
from jaxmlp.inputs.mixup import mix
from jaxmlp.inputs.view import View
from jaxmlp.training.augmentation import augmented, distortion_of, distortion_strength
from jaxmlp.training.config import Config

N, KEY, STRENGTH = 23, jax.random.key(9), np.float32(0.8)
DISTORTED = {"elastic": 3.0, "elastic_sigma": 1.0, "rotation": 20.0, "shift": 1.0}
augmented = partial(jax.jit(augmented, static_argnames="config"), strength=STRENGTH)


def examples():
    random = np.random.default_rng(N)
    return jnp.asarray(random.random((N, 4, 8))), jnp.eye(4)[random.integers(0, 4, N)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        DISTORTED,
        {"mixup": 0.5},
        {"input_dropout": 0.3},
        {"edges": True},
        {**DISTORTED, "directions": True},
        pytest.param({**DISTORTED, "edges": True, "mixup": 0.5, "input_dropout": 0.2}, marks=pytest.mark.slow),
    ],
    ids=",".join,
)
def test_each_part_where_it_is_asked_for(options):
    images, y = examples()
    distortion_key, mixup_key, dropout_key = jax.random.split(KEY, 3)
    want = images
    if "elastic" in options:
        want = distort(distortion_key, want, Distortion(alpha=3, sigma=1, rotation=20, shift=1), STRENGTH)
    if "edges" in options:
        want = edge_maps(want)
    if "directions" in options:
        want = View(directions=True).convert(want, distorted=True)
    want, want_y = want.reshape(N, 32), y
    if "mixup" in options:
        want, want_y = mix(mixup_key, want, y, 0.5)
    if "input_dropout" in options:
        rate = options["input_dropout"]
        out = np.asarray(jax.random.bernoulli(dropout_key, rate, want.shape))
        assert 0 < out.sum() < out.size
        want = np.where(out, 0, np.asarray(want) / (1 - rate))
    got = augmented(KEY, images, y, config=Config(**options))
    assert_close(got, (want, want_y), 1e-6 if "elastic" in options else None)  # displacements are float32


@pytest.mark.parametrize("options", [DISTORTED, {"mixup": 0.5}, {"input_dropout": 0.3}], ids=",".join)
def test_another_key_is_another_noise(options):
    images, y = examples()
    one, other = (augmented(jax.random.key(seed), images, y, config=Config(**options))[0] for seed in (0, 1))
    assert not np.allclose(one, other, rtol=1e-6)


def test_an_image_is_distorted_as_the_flags_say():
    assert distortion_of(Config()) is None
    amounts = {"rotation": 10.0, "scale": 0.1, "shear": 0.2, "shift": 1.5}
    assert distortion_of(Config(elastic=30.0, elastic_sigma=4.0, **amounts)) == Distortion(30.0, 4.0, **amounts)
    assert distortion_of(Config(shift=1.0)) == Distortion(alpha=0.0, shift=1.0)


def test_distortions_weaken_linearly_to_their_end():
    config = Config(epochs=5, shift=1.0, distortion_end=0.2)
    strengths = np.array([distortion_strength(config, epoch) for epoch in range(5)])
    assert_close(strengths, np.array([1, 0.8, 0.6, 0.4, 0.2]), 1e-6)
    assert distortion_strength(Config(epochs=1, shift=1.0, distortion_end=0.2), 0) == 1
    assert {distortion_strength(Config(epochs=3), e) for e in range(3)} == {1}
