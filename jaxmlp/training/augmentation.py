"""What a training step makes of its images before the network sees them: what `config` asks for, at random."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxmlp.data.datasets import Dataset
from jaxmlp.inputs.distortions import Distortion, distort
from jaxmlp.inputs.mixup import mix
from jaxmlp.inputs.pixel_grid import Grid, laid
from jaxmlp.training import devices
from jaxmlp.training.config import Config, ConfigError


def augmented(
    key: jax.Array,
    images: jax.Array,
    y: jax.Array,
    strength: jax.Array,
    config: Config,
    mesh: Mesh | None = None,
) -> tuple[jax.Array, jax.Array]:
    """(x, y): distorted by `strength`, shown as edges or the like, mixed, and with pixels left out.

    Images in [0, 1] are (n, D), or (n, H, W), which distortions and edges need; x is (n, D), y is (n, C). Each
    device of the mesh does its share of the images, and in the end has all.
    """
    if not config.augments:
        return images.reshape(len(images), -1), y
    images = devices.divided(images, mesh)
    distortion_key, mixup_key, dropout_key = jax.random.split(key, 3)
    distortion = distortion_of(config)
    if distortion is not None:
        images = distort(distortion_key, images, distortion, strength)
    x = config.convert(images, distorted=config.distorts)
    if config.mixup:
        x, y = mix(mixup_key, x, y, config.mixup)
    if config.input_dropout:
        x = jnp.where(jax.random.bernoulli(dropout_key, config.input_dropout, x.shape), 0, x)
        x /= 1 - config.input_dropout  # so that z1 keeps its mean
    x, y = devices.keep_placed((x, y), mesh)
    return x, y


def grid_of(dataset: Dataset) -> Grid:
    """The grid that the training images show, learned unless it is known. Raises ConfigError if they show none."""
    from jaxmlp.inputs import neighbours  # its parts of SciPy take 0.3 s to import

    try:
        return dataset.grid or neighbours.learned(dataset.train.images)
    except neighbours.NoGrid as error:
        raise ConfigError("learned_grid", f"False for images {error}", True) from error


def prepared(dataset: Dataset, config: Config) -> Dataset:
    """The data as the view has it, and the training images no further than a step may distort them.

    If the config learns a grid, they lie on it; else there is none. Raises ConfigError if they show none.
    """
    shown = dataset.map_images(config.prepare, of_training=partial(config.prepare, distorted=config.distorts))
    if not config.learned_grid:
        return shown._replace(grid=None)
    grid = grid_of(dataset)
    return shown._replace(train=shown.train._replace(images=laid(shown.train.images, grid)), grid=grid)


def distortion_of(config: Config) -> Distortion | None:
    """The distortion of every training image; None if there is none."""
    affine = config.rotation, config.scale, config.shear, config.shift
    return Distortion(config.elastic, config.elastic_sigma, *affine) if config.distorts else None


def distortion_strength(config: Config, epoch: int) -> np.float32:
    """Falls linearly from 1 in epoch 0 to distortion_end in the last; 1 if there is only one."""
    return np.float32(1 - (1 - config.distortion_end) * epoch / max(config.epochs - 1, 1))
