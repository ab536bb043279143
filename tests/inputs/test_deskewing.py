"""Digits made upright: against SciPy, with a slope that NumPy fits, and by the moments that remain."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from jaxmlp.data import datasets
from jaxmlp.inputs import deskewing
from jaxmlp.inputs.deskewing import deskewed

IMAGES = datasets.load().test.images[:40]


def slope(image):
    """Of the line column(row) that fits the ink best."""
    rows, columns = np.nonzero(image)
    return np.polyfit(rows, columns, 1, w=np.sqrt(image[rows, columns].astype(float)))[0]


def by_hand(image):
    row, column = np.indices(image.shape)
    middle = np.average(row, weights=image)
    return map_coordinates(
        image.astype(float), [row, column + slope(image) * (row - middle)], order=1, mode="grid-constant"
    )


def test_against_scipy_with_a_slope_from_numpy():
    given = IMAGES.copy()
    ours = deskewed(IMAGES)
    assert ours.dtype == np.uint8
    assert np.abs(ours - np.array([by_hand(image) for image in IMAGES])).max() < 0.501
    np.testing.assert_array_equal(IMAGES, given)


def test_more_than_one_chunk(monkeypatch):
    want = deskewed(IMAGES)
    monkeypatch.setattr(deskewing, "AT_ONCE", 7 * 28 * 28)  # seven images, and five at the end
    np.testing.assert_array_equal(deskewed(IMAGES), want)


def test_no_digit_leans_afterwards():
    before, after = ([slope(image) for image in images] for images in (IMAGES, deskewed(IMAGES)))
    assert np.max(np.abs(before)) > 0.5
    assert np.max(np.abs(after)) < 0.01


def test_any_size_and_number():
    images = np.random.default_rng(0).integers(0, 256, (1003, 5, 9), np.uint8)
    np.testing.assert_allclose(deskewed(images), [by_hand(image) for image in images], rtol=0, atol=0.501)


def test_nothing_to_shear_is_left_as_it_is():
    images = np.zeros((4, 8, 8), np.uint8)
    images[1, 3] = 255  # a row
    images[2, :, 5] = 9  # a column
    images[3, 7, 7] = 1  # a point
    np.testing.assert_array_equal(deskewed(images), images)
    np.testing.assert_array_equal(deskewed(np.full((1, 1, 1), 7, np.uint8)), [[[7]]])


def test_one_row_of_ink_stays_though_its_mean_is_rounded():
    rng = np.random.default_rng(0)
    images = np.zeros((200, 9, 9), np.uint8)
    images[np.arange(200), rng.integers(9, size=200)] = rng.integers(0, 256, (200, 9))
    np.testing.assert_array_equal(deskewed(images), images)


@pytest.mark.parametrize(
    "images",
    [np.zeros((2, 4, 4)), np.zeros((2, 16), np.uint8), np.zeros((0, 4, 4), np.uint8)],
    ids=["floats", "rows", "none"],
)
def test_other_arrays_are_refused(images):
    with pytest.raises(
        ValueError, match=r"^images: expected uint8 array of shape \(n >= 1, H >= 1, W >= 1\), got "
    ):
        deskewed(images)


def test_an_image_larger_than_a_chunk(monkeypatch):
    want = deskewed(IMAGES)
    monkeypatch.setattr(deskewing, "AT_ONCE", 100)  # less than one image
    np.testing.assert_array_equal(deskewed(IMAGES), want)
