"""Digits as the edges of their strokes, for a network to see in place of pixels.

Sobel's operator gives the slope of the ink at every pixel, to the right and downwards. It is taken apart into the
two of four directions that lie next to it, a row or a column and a diagonal, whether ink begins there or ends. Each
direction has its map of edges, halved in height and width by the weights (1, 3, 3, 1)/8: the four have as many
numbers as the image has pixels.

Source: the gradient features of C.-L. Liu, K. Nakashima, H. Sako, H. Fujisawa, Handwritten digit recognition:
benchmarking of state-of-the-art techniques, Pattern Recognition 2003. Theirs are coarser.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.checks import check_array
from jaxmlp.inputs.transform import Transform


@jax.jit
def edge_maps(images: jax.Array) -> jax.Array:
    """The four maps of each image (n, H, W) in [0, 1], as one picture of its size and dtype, from 0 to about 2.

    Its upper quarters hold the edges that one crosses along a row and along a column, its lower ones along the
    diagonal downwards to the right and along that to the left. Around an image is background, 0. Raises ValueError
    while tracing on images of another shape or dtype, or of an odd height or width.
    """
    _, height, width = check_array("images", images, ("n", "H", "W"))
    if height % 2 or width % 2:
        raise ValueError(f"images: expected an even height and width, got {height}x{width}")
    smooth_rows, slope_rows, halve_rows = matrices(height, images.dtype)
    smooth_columns, slope_columns, halve_columns = matrices(width, images.dtype)
    right = smooth_rows @ images @ slope_columns.T
    down = slope_rows @ images @ smooth_columns.T
    steeper = jnp.abs(right) - jnp.abs(down)
    diagonal = 2**0.5 * jnp.minimum(jnp.abs(right), jnp.abs(down)) * jnp.sign(right * down)

    def halved(edges: jax.Array) -> jax.Array:
        return halve_rows @ jax.nn.relu(edges) @ halve_columns.T

    return jnp.block([[halved(steeper), halved(-steeper)], [halved(diagonal), halved(-diagonal)]])


def matrices(length: int, dtype: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """What smooths a signal of this length by (½, 1, ½), takes its slope by (−1, 0, 1), and halves it: i weighs the
    entries from 2i − 1 to 2i + 2 by (1, 3, 3, 1)/8. Products with them are fast, and outside the signal is 0.
    """
    before, here, after, second = (np.eye(length, k=k) for k in range(-1, 3))
    smooth, slope = before / 2 + here + after / 2, after - before
    halve = ((before + 3 * here + 3 * after + second) / 8)[::2]
    return jnp.asarray(smooth, dtype), jnp.asarray(slope, dtype), jnp.asarray(halve, dtype)


EDGES = Transform(
    help="give the network maps of edges in place of pixels, in training and ever after",
    seen="as edges",
    convert=edge_maps,
    fits=lambda height, width: height % 2 == 0 and width % 2 == 0,
    needs="an even height and width",
    ink="Its quarters are maps of edges: those crossed along a row, a column, and the two diagonals. An edge",
)
