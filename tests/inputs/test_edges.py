"""Edge maps against SciPy, with the slope taken apart by its angle; and on figures whose edges are plain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxmlp.data import datasets
from jaxmlp.inputs.edges import edge_maps

DIAGONAL = np.sqrt(0.5)
# Of unit length, (right, down): a row, a column, a diagonal down to the right, one down to the left.
DIRECTIONS = np.array([[1, 0], [0, 1], [DIAGONAL, DIAGONAL], [-DIAGONAL, DIAGONAL]])


def by_hand(image):
    """The four maps, (4, H/2, W/2): each slope is a sum of the two directions that are nearest to it."""
    slopes = np.stack([ndimage.sobel(image, axis=axis, mode="constant") / 2 for axis in (1, 0)], axis=-1)
    maps = np.zeros((4, *image.shape))
    for place in np.ndindex(image.shape):
        along = np.abs(DIRECTIONS @ slopes[place])
        axis, diagonal = np.argmax(along[:2]), 2 + np.argmax(along[2:])
        parts = np.linalg.solve(DIRECTIONS[[axis, diagonal]].T, slopes[place])
        maps[axis][place], maps[diagonal][place] = np.abs(parts)
    for axis in (1, 2):  # at 2i, SciPy weighs 2i − 2 to 2i + 1
        maps = ndimage.correlate1d(maps, [1 / 8, 3 / 8, 3 / 8, 1 / 8], axis, mode="constant", origin=-1)
    return maps[:, ::2, ::2]


def quarters(pictures):
    """The four maps of each picture, (n, 4, H/2, W/2)."""
    above, below = np.split(np.asarray(pictures), 2, axis=1)
    return np.stack([*np.split(above, 2, axis=2), *np.split(below, 2, axis=2)], axis=1)


@pytest.mark.parametrize("shape", [(3, 28, 28), (2, 4, 10), (1, 2, 2)])
def test_against_scipy(shape):
    images = np.random.default_rng(0).random(shape)
    got = edge_maps(images)
    assert got.shape == shape
    assert got.dtype == np.float64
    want = [by_hand(image) for image in images]
    np.testing.assert_allclose(quarters(got), want, rtol=1e-12, atol=1e-14)


def test_digits_against_scipy_in_float32():
    digits = (datasets.load().test.images[:5] / 255).astype(np.float32)
    got = edge_maps(digits)
    assert got.dtype == np.float32
    np.testing.assert_allclose(quarters(got), [by_hand(digit) for digit in digits], rtol=0, atol=1e-6)
    assert np.all(got >= 0)
    assert 1 < np.max(got) < 2


def test_every_direction_has_its_map():
    i = np.arange(12)
    across, down = np.broadcast_to(i, (12, 12)), np.broadcast_to(i[:, None], (12, 12))
    figures = [across >= 6, across < 6, down >= 6, down < 6, across + down >= 12, across - down >= 1]
    maps = quarters(edge_maps(np.array(figures, float)))[:, :, 1:-1, 1:-1]  # the border has edges of its own
    assert np.argmax(maps.sum(axis=(2, 3)), axis=1).tolist() == [0, 0, 1, 1, 2, 3]
    for own, figure in zip([0, 0, 1, 1, 2, 3], maps, strict=True):
        assert np.delete(figure, own, axis=0).sum() < 1e-12


def test_under_vmap_and_jit():
    images = np.random.default_rng(1).random((3, 6, 4))
    one_by_one = jax.jit(jax.vmap(lambda image: edge_maps(image[None])[0]))(images)
    np.testing.assert_allclose(one_by_one, edge_maps(images), rtol=1e-14)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (np.zeros((2, 5, 4)), "an even height and width, got 5x4"),
        (np.zeros((2, 4, 5)), "an even height and width, got 4x5"),
        (np.zeros((4, 4)), "shape"),
        (np.zeros((0, 4, 4)), "shape"),
        (np.zeros((2, 4, 4), np.uint8), "float32 or float64"),
        (jnp.zeros((2, 16)), "shape"),
    ],
)
def test_what_is_no_image_is_refused(images, expected):
    with pytest.raises(ValueError, match=f"^images: expected .*{expected}"):
        edge_maps(images)
