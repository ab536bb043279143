"""Digits as the directions of their strokes' edges, coarse in place and fine in angle, for a network to see.

Where edges.py tells four directions apart, in maps of half the height and width, here are sixteen, in maps of a
quarter: as many numbers again as the image has pixels. A slope s of the ink, by Sobel's operator, counts for a
direction as |s| cos¹⁶ of the angle between them, if that is acute. Of the sum over a neighbourhood the square root
is taken, and the whole is brought to one length: strokes count by where they lead, hardly by how thick they are.

Where images are distorted it is done after that, at every step, else once. Either way its numbers are whole ones of
0 to 255, over 255.

Sources: the gradient features of C.-L. Liu, K. Nakashima, H. Sako, H. Fujisawa, Handwritten digit recognition:
benchmarking of state-of-the-art techniques, Pattern Recognition 2003, and their square root; the one length is from
N. Dalal, B. Triggs, Histograms of oriented gradients for human detection, CVPR 2005.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from jaxmlp.checks import check_array
from jaxmlp.inputs.edges import matrices
from jaxmlp.inputs.pixels import scaled
from jaxmlp.inputs.transform import Transform

SIDE = 4  # sixteen maps, four in a row
SHARPNESS = 16
ROOT_MEAN_SQUARE = 0.2  # of all pictures; few entries are above 1, and are cut to it
AT_ONCE = 1000  # images in a chunk, which bounds the memory


def direction_maps(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The sixteen maps of each image (n, H, W) of 0 to 255, as one picture of its size, of 0 to 255 too.

    Four maps lie in a row, each a quarter of the image high and wide. The first is of ink that grows to the right,
    each of the next is turned by 22.5°, at first downwards. An image without ink stays. Around an image it is 0.
    Raises ValueError on images of another shape or dtype, or of a height or width that 4 does not divide.
    """
    n, height, width = check_array("images", images, ("n", "H", "W"), np.dtype(np.uint8))
    if height % SIDE or width % SIDE:
        raise ValueError(f"images: expected a height and width that {SIDE} divides, got {height}x{width}")
    chunks = [scaled(jnp.asarray(images[start : start + AT_ONCE]), jnp.float32) for start in range(0, n, AT_ONCE)]
    return np.concatenate([np.rint(255 * np.asarray(_maps(chunk))).astype(np.uint8) for chunk in chunks])


@jax.jit
def _maps(x: jax.Array) -> jax.Array:
    """As `direction_maps`, of images in [0, 1], and in [0, 1]."""
    n, height, width = x.shape
    smooth_rows, slope_rows, halve_rows = matrices(height, x.dtype)
    smooth_columns, slope_columns, halve_columns = matrices(width, x.dtype)
    right, down = smooth_rows @ x @ slope_columns.T, slope_rows @ x @ smooth_columns.T
    steepness = jnp.sqrt(right**2 + down**2)
    unit = jnp.where(steepness > 0, steepness, 1)
    to_right, to_below = right / unit, down / unit

    def strength(angle: float) -> jax.Array:
        along = float(np.cos(angle)) * to_right + float(np.sin(angle)) * to_below
        return steepness * jax.nn.relu(along) ** SHARPNESS

    strengths = [strength(number * 2 * np.pi / SIDE**2) for number in range(SIDE**2)]
    _, _, again_rows = matrices(height // 2, x.dtype)
    _, _, again_columns = matrices(width // 2, x.dtype)
    rows, columns = again_rows @ halve_rows, again_columns @ halve_columns
    maps = jnp.sqrt(jnp.einsum("ir,knrc,jc->nkij", rows, jnp.stack(strengths), columns))
    quarter = n, SIDE, SIDE, height // SIDE, width // SIDE
    pictures = maps.reshape(quarter).transpose(0, 1, 3, 2, 4).reshape(n, height, width)
    length = jnp.sqrt(jnp.mean(pictures**2, axis=(1, 2), keepdims=True))
    brought = pictures * (ROOT_MEAN_SQUARE / jnp.where(length > 0, length, 1))
    return jnp.rint(255 * jnp.minimum(brought, 1)) / 255


DIRECTIONS = Transform(
    help="give the network maps of sixteen directions of edges in place of pixels, in training and ever after",
    seen="as directions",
    prepare=direction_maps,
    of_distorted=_maps,
    fits=lambda height, width: height % SIDE == 0 and width % SIDE == 0,
    needs=f"a height and width that {SIDE} divides",
    ink="It is sixteen maps of edges, one for each direction. An edge",
)
