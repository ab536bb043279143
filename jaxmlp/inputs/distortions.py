"""Random distortions of a batch of images: elastic and affine ones.

A distortion is a displacement field: pixel p of the result shows the image at p + displacement(p), interpolated
bilinearly, with background 0 around the image. The elastic and the affine displacement are added first, so that the
image is sampled once. Every example of a batch gets its own distortion, and another key gives others.

Images are floating-point arrays (n, H, W) of any height and width. A displacement is two float32 arrays (n, H, W):
pixels downwards and pixels to the right.

Source: P. Y. Simard, D. Steinkraus, J. C. Platt, Best Practices for Convolutional Neural Networks Applied to Visual
Document Analysis, ICDAR 2003, section 2.
"""

from dataclasses import dataclass
from functools import partial
from math import ceil, isfinite, radians

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates

from jaxmlp.checks import check_array

# Two arrays, not one: on a CPU, stacking them takes as long as smoothing them.
Displacement = tuple[jax.Array, jax.Array]

TRUNCATE = 4.0  # the Gaussian ends at this many σ, as in SciPy


@dataclass(frozen=True)
class Distortion:
    """How strongly to distort. Hashable: static under jit.

    The affine amounts are drawn for each example, uniformly from their ranges. alpha=0 leaves out the elastic part;
    Distortion(alpha=0) leaves an image as it is. Raises ValueError on a number that is not finite and >= 0, on
    sigma 0 and on scale >= 1.
    """

    alpha: float = 38.0  # the elastic displacement is alpha pixels times smoothed noise from (−1, 1)
    sigma: float = 5.0  # standard deviation in pixels of the Gaussian that smooths it, > 0
    rotation: float = 0.0  # about the centre, by an angle in ±rotation degrees
    scale: float = 0.0  # height and width, each by its own factor in 1 ± scale, scale < 1
    shear: float = 0.0  # what lies r pixels below the centre moves k r pixels to the right, k in ±shear
    shift: float = 0.0  # downwards and to the right, each by its own amount in ±shift pixels

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (isinstance(value, int | float) and isfinite(value) and value >= 0):
                raise ValueError(f"{name}: expected a finite number >= 0, got {value!r}")
        if self.sigma == 0:
            raise ValueError(f"sigma: expected a number > 0, got {self.sigma!r}")
        if self.scale >= 1:
            raise ValueError(f"scale: expected a number < 1, got {self.scale!r}")


@partial(jax.jit, static_argnames="distortion")
def distort(
    key: jax.Array, images: jax.Array, distortion: Distortion, strength: float | jax.Array = 1.0
) -> jax.Array:
    """The images (n, H, W), each distorted at random; their shape and dtype stay.

    `strength` multiplies every displacement: training may weaken its distortions as it goes on.

    A result is a weighted mean of pixels and background: images in [0, 1] stay there, up to rounding. Raises
    ValueError while tracing on images of another shape or dtype.
    """
    check_array("images", images, ("n", "H", "W"))
    down, right = displacement(key, images.shape, distortion)
    return sample(images, (strength * down, strength * right))


def displacement(key: jax.Array, shape: tuple[int, ...], distortion: Distortion) -> Displacement:
    """The sum of the elastic and the affine displacement, for images of `shape` (n, H, W)."""
    elastic_key, affine_key = jax.random.split(key)
    down, right = affine(affine_key, shape, distortion)
    if distortion.alpha == 0:
        return down, right
    noise_down, noise_right = noise(elastic_key, shape)
    return (
        down + distortion.alpha * smooth(noise_down, distortion.sigma),
        right + distortion.alpha * smooth(noise_right, distortion.sigma),
    )


def noise(key: jax.Array, shape: tuple[int, ...]) -> Displacement:
    """Two independent fields (n, H, W), uniform on (−1, 1): on the midpoints of its 2⁸ equal cells.

    Four cells share 32 random bits, which are the dearest part of a distortion on a CPU.
    """
    n, height, width = shape
    bits = jax.random.bits(key, (n, ceil(height / 2), width), jnp.uint32)

    def midpoints(low: int) -> jax.Array:
        """From 8 bits for the upper half of a field, and the next 8 for the lower."""
        cell = jnp.concatenate([bits >> low, bits >> low + 8], axis=1) & 0xFF
        return (cell[:, :height].astype(jnp.float32) + 0.5) / 2**7 - 1

    return midpoints(0), midpoints(16)


def smooth(field: jax.Array, sigma: float) -> jax.Array:
    """Gaussian smoothing of the last two axes (H, W), with zeros outside, as two small matrix products."""
    *_, height, width = field.shape
    columns = jnp.asarray(smoothing_matrix(height, sigma), field.dtype)
    rows = jnp.asarray(smoothing_matrix(width, sigma), field.dtype)
    return columns @ field @ rows


def smoothing_matrix(length: int, sigma: float) -> np.ndarray:
    """The symmetric (length, length) matrix that smooths a signal with a Gaussian of sum 1, cut off at TRUNCATE σ.

    Outside the signal is 0, so noise fades towards the edges: SciPy's gaussian_filter1d with mode="constant".
    """
    radius = int(TRUNCATE * sigma + 0.5)

    def weight(distance: np.ndarray) -> np.ndarray:
        return np.where(np.abs(distance) <= radius, np.exp(-0.5 * (distance / sigma) ** 2), 0)

    i = np.arange(length)
    matrix: np.ndarray = weight(i[:, None] - i) / weight(np.arange(-radius, radius + 1)).sum()
    return matrix


def affine(key: jax.Array, shape: tuple[int, ...], distortion: Distortion) -> Displacement:
    """The displacement, of `shape` (n, H, W), that scales about the centre, then shears, rotates and shifts."""
    n, height, width = shape
    u = jax.random.uniform(key, (6, n, 1, 1), jnp.float32, -1, 1)
    angle = radians(distortion.rotation) * u[0]
    taller, wider = 1 + distortion.scale * u[1], 1 + distortion.scale * u[2]
    k = distortion.shear * u[3]
    down, right = distortion.shift * u[4], distortion.shift * u[5]

    # A pixel of the result looks up where it came from: what was done last is undone first.
    row, column = _pixels(height, width)
    row, column = row - (height - 1) / 2, column - (width - 1) / 2
    r, c = row - down, column - right
    r, c = jnp.cos(angle) * r + jnp.sin(angle) * c, jnp.cos(angle) * c - jnp.sin(angle) * r
    c = c - k * r
    r, c = r / taller, c / wider
    return r - row, c - column


def sample(images: jax.Array, displacement: Displacement) -> jax.Array:
    """The images (n, H, W) at p + displacement(p) for every pixel p: bilinear, 0 outside."""
    _, height, width = images.shape
    row, column = _pixels(height, width)
    down, right = displacement

    interpolate = partial(map_coordinates, order=1, mode="constant", cval=0)
    sampled: jax.Array = jax.vmap(interpolate)(images, [row + down, column + right])
    return sampled


def _pixels(height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """The row and the column of every pixel, to broadcast against (n, H, W)."""
    return jnp.arange(height, dtype=jnp.float32)[None, :, None], jnp.arange(width, dtype=jnp.float32)[None, None, :]
