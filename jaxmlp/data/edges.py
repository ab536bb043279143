"""Digits as the edges of their strokes, for a network to see in place of pixels.

Sobel's operator gives the slope of the ink at every pixel, to the right and downwards. It is taken apart into the
two of four directions that lie next to it, a row or a column and a diagonal, whether ink begins there or ends. Each
direction has its map of edges, halved in height and width by the weights (1, 3, 3, 1)/8: the four have as many
numbers as the image has pixels.

Source: the gradient features of C.-L. Liu, K. Nakashima, H. Sako, H. Fujisawa, Handwritten digit recognition:
benchmarking of state-of-the-art techniques, Pattern Recognition 2003. Theirs are coarser.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.checks import check_array


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
    right, down = slope(images), slope(images.mT).mT
    steeper = jnp.abs(right) - jnp.abs(down)
    diagonal = 2**0.5 * jnp.minimum(jnp.abs(right), jnp.abs(down)) * jnp.sign(right * down)
    rows, columns = (jnp.asarray(halving_matrix(length), images.dtype) for length in (height, width))

    def halved(edges: jax.Array) -> jax.Array:
        return rows @ jax.nn.relu(edges) @ columns.T

    return jnp.block([[halved(steeper), halved(-steeper)], [halved(diagonal), halved(-diagonal)]])


def slope(images: jax.Array) -> jax.Array:
    """Half of Sobel's operator: what lies to the right of a pixel, less what lies to its left; (n, H, W)."""
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1)))
    rows = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 2
    return rows[:, :, 2:] - rows[:, :, :-2]


def halving_matrix(length: int) -> np.ndarray:
    """The (length/2, length) matrix that halves a signal: row i holds the weights of entries 2i − 1 to 2i + 2."""
    first, second, third, fourth = (np.eye(length, k=k)[::2] for k in range(-1, 3))
    matrix: np.ndarray = (first + 3 * second + 3 * third + fourth) / 8
    return matrix
