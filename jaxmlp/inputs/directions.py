"""Digits as the directions of their strokes' edges, coarse in place and fine in angle, for a network to see.

Where edges.py tells four directions apart, in maps of half the height and width, here are sixteen, in maps of a
quarter: as many numbers again as the image has pixels. A slope s of the ink, by Sobel's operator, counts for a
direction as |s| cos¹⁶ of the angle between them, if that is acute. Of the sum over a neighbourhood the square root
is taken, and the whole is brought to one length: strokes count by where they lead, hardly by how thick they are.

It is done once, and kept as whole numbers up to 255: at every step it would take longer than training.

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
    chunks = [images[start : start + AT_ONCE] for start in range(0, n, AT_ONCE)]
    return np.concatenate([np.asarray(_maps(chunk)) for chunk in chunks])


@jax.jit
def _maps(images: jax.Array) -> jax.Array:
    n, height, width = images.shape
    x = images.astype(jnp.float32) / 255
    smooth_rows, slope_rows, halve_rows = matrices(height, x.dtype)
    smooth_columns, slope_columns, halve_columns = matrices(width, x.dtype)
    right, down = smooth_rows @ x @ slope_columns.T, slope_rows @ x @ smooth_columns.T
    steepness = jnp.hypot(right, down)
    unit = jnp.where(steepness > 0, steepness, 1)
    angles = np.arange(SIDE**2) * (2 * np.pi / SIDE**2)
    strengths = [
        steepness * jax.nn.relu((np.float32(np.cos(a)) * right + np.float32(np.sin(a)) * down) / unit) ** SHARPNESS
        for a in angles
    ]
    _, _, again_rows = matrices(height // 2, x.dtype)
    _, _, again_columns = matrices(width // 2, x.dtype)
    rows, columns = again_rows @ halve_rows, again_columns @ halve_columns
    maps = jnp.sqrt(jnp.einsum("ir,knrc,jc->nkij", rows, jnp.stack(strengths), columns))
    quarter = n, SIDE, SIDE, height // SIDE, width // SIDE
    pictures = maps.reshape(quarter).transpose(0, 1, 3, 2, 4).reshape(n, height, width)
    length = jnp.sqrt(jnp.mean(pictures**2, axis=(1, 2), keepdims=True))
    brought = pictures * (ROOT_MEAN_SQUARE / jnp.where(length > 0, length, 1))
    return jnp.rint(255 * jnp.minimum(brought, 1)).astype(jnp.uint8)


DIRECTIONS = Transform(
    help="give the network maps of sixteen directions of edges in place of pixels, in training and ever after",
    seen="as directions",
    prepare=direction_maps,
    fits=lambda height, width: height % SIDE == 0 and width % SIDE == 0,
    needs=f"a height and width that {SIDE} divides",
    ink="It is sixteen maps of edges, one for each direction. An edge",
)
