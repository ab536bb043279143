"""Direction maps against SciPy, pixel by pixel and angle by angle, and on figures whose edges are plain."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxmlp.data import datasets
from jaxmlp.inputs.directions import direction_maps
from jaxmlp.inputs.view import View


def halved(maps, axis):
    """At 2i, SciPy weighs 2i − 2 to 2i + 1."""
    maps = ndimage.correlate1d(maps, [1 / 8, 3 / 8, 3 / 8, 1 / 8], axis, mode="constant", origin=-1)
    return maps.take(range(0, maps.shape[axis], 2), axis)


def by_hand(image):
    """The sixteen maps, (16, H/4, W/4), before they are rounded, of one in [0, 1]."""
    right, down = (ndimage.sobel(image, axis=axis, mode="constant") / 2 for axis in (1, 0))
    angle, steepness = np.arctan2(down, right), np.hypot(right, down)
    maps = [steepness * np.maximum(np.cos(angle - k * np.pi / 8), 0) ** 16 for k in range(16)]
    for axis in (1, 1, 2, 2):
        maps = halved(np.array(maps), axis)
    maps = np.sqrt(maps)
    return np.minimum(255, 255 * 0.2 * maps / np.sqrt(np.mean(maps**2)))


def maps_of(picture):
    """(16, H/4, W/4) of one picture."""
    return np.array([part for row in np.vsplit(picture, 4) for part in np.hsplit(row, 4)])


@pytest.mark.parametrize("shape", [(12, 28), (8, 4)])
def test_against_scipy(shape):
    images = np.random.default_rng(0).integers(0, 256, (3, *shape), np.uint8)
    got = direction_maps(images)
    assert (got.shape, got.dtype) == (images.shape, np.uint8)
    for picture, image in zip(got, images, strict=True):
        np.testing.assert_allclose(maps_of(picture), by_hand(image / 255), atol=0.51)


def test_digits_against_scipy():
    digits = datasets.load().test.images[:5]
    for picture, digit in zip(direction_maps(digits), digits, strict=True):
        np.testing.assert_allclose(maps_of(picture), by_hand(digit / 255), atol=0.51)


def test_distorted_images_are_taken_as_they_are_and_come_out_in_the_same_steps():
    images = np.random.default_rng(0).random((3, 12, 28))
    for dtype in (np.float64, np.float32):
        x0 = 255 * np.asarray(View(directions=True).convert(jnp.asarray(images, dtype), distorted=True))
        np.testing.assert_allclose(x0, np.rint(x0), atol=1e-4)
        for picture, image in zip(x0.reshape(images.shape), images, strict=True):
            np.testing.assert_allclose(maps_of(picture), by_hand(image), atol=0.51)


def test_every_direction_has_its_map():
    row, column = np.indices((32, 32)) - 15.5
    for k in range(16):
        ramp = np.cos(k * np.pi / 8) * column + np.sin(k * np.pi / 8) * row  # of ink that grows in this direction
        image = np.uint8(np.clip(128 + 5 * ramp, 0, 255))
        inner = maps_of(direction_maps(image[None])[0])[:, 2:-2, 2:-2].astype(int)
        assert inner.sum(axis=(1, 2)).argmax() == k
        opposite = [(k + turned) % 16 for turned in range(4, 13)]
        assert not inner[opposite].any()


def test_every_picture_has_one_length_whatever_its_ink():
    digits = datasets.load().test.images[:20]
    maps = direction_maps(digits) / 255
    np.testing.assert_allclose(np.sqrt(np.mean(maps**2, axis=(1, 2))), 0.2, rtol=0.02)  # few entries are cut
    faint = direction_maps(digits // 2)
    assert np.abs(faint.astype(int) - direction_maps(digits // 2 * 2)).max() <= 1
    assert not direction_maps(np.zeros((1, 28, 28), np.uint8)).any()


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (np.zeros((2, 6, 4), np.uint8), "a height and width that 4 divides, got 6x4"),
        (np.zeros((2, 4, 6), np.uint8), "a height and width that 4 divides, got 4x6"),
        (np.zeros((4, 4), np.uint8), "shape"),
        (np.zeros((2, 4, 4)), "uint8"),
    ],
)
def test_what_is_no_image_is_refused(images, expected):
    with pytest.raises(ValueError, match=f"^images: expected .*{expected}"):
        direction_maps(images)
