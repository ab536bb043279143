"""Digits made upright: each is sheared until its ink leans neither way, before a network sees it.

With the ink's centre of mass (r̄, c̄), a row r is moved by k (r − r̄) pixels, where k = Σ ink (r − r̄)(c − c̄) /
Σ ink (r − r̄)² is the slope of the least-squares line through the ink.

Source: the deslanting of Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-Based Learning Applied to Document
Recognition, Proceedings of the IEEE 1998, section III.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from jaxmlp.data.augment import sample
from jaxmlp.data.datasets import Dataset

AT_ONCE = 1000  # images in a chunk, which bounds the memory


def deskewed(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The images (n, H, W) of 0 to 255, each upright. Without ink, or with ink in one row alone, it stays."""
    return np.asarray(_deskewed(images))


def deskewed_dataset(dataset: Dataset) -> Dataset:
    """The data set with all its images upright."""
    train, validation, test = (
        split._replace(images=deskewed(split.images)) for split in (dataset.train, dataset.validation, dataset.test)
    )
    return dataset._replace(train=train, validation=validation, test=test)


@jax.jit
def _deskewed(images: jax.Array) -> jax.Array:
    upright = jax.lax.map(_upright, images.astype(jnp.float32), batch_size=AT_ONCE)
    return jnp.rint(upright).astype(jnp.uint8)


def _upright(image: jax.Array) -> jax.Array:
    """One image (H, W), moved row by row."""
    height, width = image.shape
    row, column = jnp.arange(height, dtype=image.dtype)[:, None], jnp.arange(width, dtype=image.dtype)[None]
    ink = image / jnp.maximum(image.sum(), 1)
    row, column = row - jnp.sum(ink * row), column - jnp.sum(ink * column)
    covariance, variance = jnp.sum(ink * row * column), jnp.sum(ink * row**2)
    k = jnp.where(variance > 0, covariance / variance, 0)
    right = jnp.broadcast_to(k * row, image.shape)
    return sample(image[None], (jnp.zeros_like(right)[None], right[None]))[0]
