"""Digits made upright: each is sheared until its ink leans neither way, before a network sees it.

With the ink's centre of mass (r̄, c̄), a row r is moved by k (r − r̄) pixels, where k = Σ ink (r − r̄)(c − c̄) /
Σ ink (r − r̄)² is the slope of the least-squares line through the ink.

Source: the deslanting of Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-Based Learning Applied to Document
Recognition, Proceedings of the IEEE 1998, section III.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from jaxmlp.checks import check_array
from jaxmlp.inputs.distortions import sample
from jaxmlp.inputs.transform import Transform

AT_ONCE = 1_000_000  # pixels in a chunk, which bounds the memory


def deskewed(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The images (n, H, W) of 0 to 255, each upright. Without ink, or with ink in one row alone, it stays.

    What a shear moves over the edge is lost: little of a digit, more of a shape that is wide and low. Raises
    ValueError on images of another shape or dtype.
    """
    n, height, width = check_array("images", images, ("n", "H", "W"), np.dtype(np.uint8))
    at_once = max(1, AT_ONCE // (height * width))
    chunks = [images[start : start + at_once] for start in range(0, n, at_once)]
    return np.concatenate([np.asarray(_moved(chunk, _moves(chunk))) for chunk in chunks])


def _moves(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """By how many pixels to the right each row looks up its own, (n, H, 1).

    On the host: jax 0.12.0.1 returns silently wrong sums of ink times column on a CPU, at some image sizes.
    """
    total = partial(np.sum, axis=(1, 2), keepdims=True)
    _, height, width = images.shape
    row, column = np.arange(height, dtype=float)[None, :, None], np.arange(width, dtype=float)[None, None]
    ink = images / np.maximum(total(images, dtype=float), 1)
    row, column = row - total(ink * row), column - total(ink * column)
    covariance, variance = total(ink * row * column), total(ink * row**2)
    k = np.divide(covariance, variance, out=np.zeros_like(variance), where=variance > 0)
    moves: npt.NDArray[np.float32] = (k * row).astype(np.float32)
    return moves


@jax.jit
def _moved(images: jax.Array, right: jax.Array) -> jax.Array:
    right = jnp.broadcast_to(right, images.shape)
    return jnp.rint(sample(images.astype(jnp.float32), (jnp.zeros_like(right), right))).astype(jnp.uint8)


DESKEW = Transform(
    help="shear every digit upright before the network sees it, in training and ever after",
    seen="upright",
    prepare=deskewed,
)
