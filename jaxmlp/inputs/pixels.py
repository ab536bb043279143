"""Bytes to floats: images of 0 to 255 and their labels, as the mathematics takes them."""

from typing import Any

import jax

from jaxmlp.network import Params


def scaled(pixels: jax.Array, dtype: Any) -> jax.Array:
    """Pixels of 0 to 255 brought to [0, 1], in this dtype."""
    return pixels.astype(dtype) / 255


def examples(params: Params, pixels: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(images in [0, 1], one-hot y), in the dtype of the parameters; with any leading axes."""
    dtype, classes = params.b2.dtype, params.b2.shape[0]
    pair = scaled(pixels, dtype), jax.nn.one_hot(labels, classes, dtype=dtype)
    # Without the barrier XLA converts a pixel anew for every hidden unit.
    images, y = jax.lax.optimization_barrier(pair)  # type: ignore[no-untyped-call]
    return images, y
