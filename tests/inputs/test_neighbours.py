"""The learned grid against the grid that the images had before their pixels were shuffled."""

import numpy as np
import pytest
from scipy import ndimage, stats

from jaxmlp.data import datasets
from jaxmlp.inputs import neighbours
from jaxmlp.inputs.neighbours import NoGrid, beside, exchanged, filled, laid_flat, learned, linked, placed

IMAGES = datasets.load().train.images


def shuffled(images, seed):
    """(the images with their pixels in another order, that order)."""
    n, height, width = images.shape
    order = np.random.default_rng(seed).permutation(height * width)
    return images.reshape(n, -1)[:, order].reshape(images.shape), order


def grid_of_shuffled(images, seed):
    """The grid learned from them, of pixels as they were numbered before."""
    given, order = shuffled(images, seed)
    return order[np.array(learned(given))].reshape(images.shape[1:])


def assert_neighbours(grid, which):
    """On the grid, each pixel of these and what is beside it were beside each other on the grid of the images."""
    rows, columns = np.divmod(grid, grid.shape[1])
    away = [np.abs(np.diff(rows, axis=axis)) + np.abs(np.diff(columns, axis=axis)) for axis in (0, 1)]
    both = which[grid[1:]] & which[grid[:-1]], which[grid[:, 1:]] & which[grid[:, :-1]]
    assert all(pairs.sum() > 500 for pairs in both)
    np.testing.assert_array_equal(np.concatenate([a[pairs] for a, pairs in zip(away, both, strict=True)]), 1)


@pytest.fixture(scope="module")
def grids():
    """Of two orders of MNIST's training images."""
    return grid_of_shuffled(IMAGES, 1), grid_of_shuffled(IMAGES, 2)


VARIES = IMAGES.reshape(len(IMAGES), -1).std(axis=0) > 2.55  # 1/100 of white: 624 of 784 pixels


def test_digits_in_any_order_show_their_grid(grids):
    for grid in grids:
        assert_neighbours(grid, VARIES)
        assert sorted(grid.flatten()) == list(range(784))


def test_it_lies_the_same_way_whatever_the_order(grids):
    one, other = grids
    np.testing.assert_array_equal(one[VARIES[one]], other[VARIES[one]])


@pytest.mark.parametrize(("rows", "columns"), [(slice(2, 26), slice(5, 23)), (slice(5, 23), slice(2, 26))])
def test_images_that_are_no_squares(rows, columns):
    images = IMAGES[:20_000, rows, columns]
    rows, columns = np.divmod(grid_of_shuffled(images, 3), images.shape[2])
    for numbers, axis in ((rows, 0), (columns, 1)):  # mirrored at most
        assert np.all(np.diff(numbers, axis=axis) == np.sign(numbers[-1, -1] - numbers[0, 0]))
        assert not np.diff(numbers, axis=1 - axis).any()


def test_a_thousand_digits_show_nearly_all_of_it():
    grid = grid_of_shuffled(IMAGES[:1000], 4)
    varies = VARIES & (IMAGES[:1000].reshape(1000, -1).std(axis=0) > 25)
    rows, columns = np.divmod(grid, 28)
    one = (np.abs(np.diff(rows, axis=1)) + np.abs(np.diff(columns, axis=1)))[
        varies[grid[:, 1:]] & varies[grid[:, :-1]]
    ]
    assert np.mean(one == 1) > 0.97


def test_covariance(monkeypatch):
    monkeypatch.setattr(neighbours, "AT_ONCE", 400)  # twice, and 200 at the end
    pixels = IMAGES[:1000, 8:13, 9:15].reshape(1000, -1)
    np.testing.assert_allclose(
        neighbours.covariance_of(pixels), np.cov(pixels, rowvar=False), rtol=1e-11, atol=1e-8
    )


def test_partial_correlations_are_those_of_what_the_other_pixels_do_not_explain():
    x = np.random.default_rng(0).normal(size=(500, 6)) @ np.random.default_rng(1).normal(size=(6, 6))
    got = neighbours.partial_correlations(np.cov(x, rowvar=False), ridge=0.0)
    for i in range(6):
        for j in range(i):
            others = np.column_stack([np.delete(x, [i, j], axis=1), np.ones(500)])
            rest = [y - others @ np.linalg.lstsq(others, y)[0] for y in (x[:, i], x[:, j])]
            assert got[i, j] == got[j, i] == pytest.approx(np.corrcoef(rest)[0, 1], abs=1e-9)
    assert not np.diag(got).any()


def test_a_ridge_is_noise_of_so_many_mean_variances():
    x = np.random.default_rng(0).normal(size=(500, 6)) * [1, 2, 3, 4, 5, 0.01]
    covariance = np.cov(x, rowvar=False)
    noisy = covariance + 0.1 * np.trace(covariance) / 6 * np.eye(6)
    want = neighbours.partial_correlations(noisy, ridge=0.0)
    want[5] = want[:, 5] = 0  # it hardly varies
    np.testing.assert_allclose(neighbours.partial_correlations(covariance, ridge=0.1), want, atol=1e-12)


def test_a_link_is_a_side_of_a_square():
    sides = beside(5, 6)
    correlations = np.where(sides, 0.2, -0.3)
    correlations[0, 29] = correlations[29, 0] = 0.9  # across: no square
    correlations[7, 14] = correlations[14, 7] = 0.1  # the fifth of each
    np.testing.assert_array_equal(linked(correlations), sides)


def test_links_of_a_grid_are_laid_on_its_cells():
    order = np.random.default_rng(5).permutation(48)
    layout = laid_flat(np.where(beside(6, 8), 0.2, 0)[np.ix_(order, order)])
    assert sorted(layout.pixels) == list(range(48))
    assert layout.depth < 0.1
    grid = order[placed(layout, np.ones(48), 6, 8)].reshape(6, 8)
    assert any(
        np.array_equal(grid[::down, ::right], np.arange(48).reshape(6, 8)) for down in (1, -1) for right in (1, -1)
    )


def test_exchanges_bring_together_what_goes_together():
    np.random.seed(0)  # noqa: NPY002  (SciPy would warn then, had it no other generator)
    grid = np.arange(48)
    grid[[9, 10, 30, 20]] = grid[[10, 9, 20, 30]]
    layout = laid_flat(np.where(beside(6, 8), 0.2, 0))
    np.testing.assert_array_equal(exchanged(grid, layout, beside(6, 8)), np.arange(48))


def test_pixels_without_links_go_together_with_each_other_too():
    """Those of a corner of six cells, two of which have no other neighbours."""
    grid = np.random.default_rng(9).permutation(64)
    cells = np.argsort(grid)
    corner = grid[[0, 1, 2, 8, 9, 10]]
    layout = laid_flat(np.where(beside(8, 8), 0.2, 0)[np.ix_(cells, cells)])
    layout = layout._replace(pixels=np.setdiff1d(grid, corner))
    np.testing.assert_array_equal(filled(grid, layout, beside(8, 8)), grid)


def test_pixels_without_links_go_where_they_go_together_best():
    grid, correlations = np.arange(48), np.where(beside(6, 8), 0.2, 0)
    correlations[[0, 5, 47]] *= 0.5
    layout = laid_flat(correlations)._replace(pixels=np.setdiff1d(grid, [0, 5, 47]))
    grid[[0, 5, 47]] = [47, 0, 5]
    np.testing.assert_array_equal(filled(grid, layout, beside(6, 8)), np.arange(48))


@pytest.mark.parametrize("shape", [(7, 7), (6, 8), (8, 6)])
def test_however_they_lie_they_are_placed_the_same_way(shape):
    height, width = shape
    ink = np.random.default_rng(6).random(height * width)
    layout = laid_flat(np.where(beside(height, width), 0.2, 0))
    turns = [
        turn * place for turn in (1, 1j, -1, -1j, np.exp(0.7j)) for place in (layout.place, layout.place.conj())
    ]
    got = [ink[placed(layout._replace(place=3 * place + 2), ink, height, width)] for place in turns]
    np.testing.assert_array_equal(got, [got[0]] * len(got))
    for axis in (0, 1):
        along = got[0].reshape(shape).sum(axis=1 - axis)
        assert stats.skew(np.repeat(np.arange(len(along)), np.rint(1000 * along).astype(int))) > 0


NOISE = np.random.default_rng(7).integers(0, 256, (2000, 12, 12), np.uint8)
COARSE = IMAGES[:20_000, 1:26, 1:26].reshape(-1, 5, 5, 5, 5).mean(axis=(2, 4)).astype(np.uint8)
WRAPPED = 128 + 200 * ndimage.gaussian_filter(
    np.random.default_rng(8).normal(size=(3000, 12, 12)), (0, 0.8, 0.8), mode="wrap"
)


@pytest.mark.parametrize(
    ("images", "what"),
    [
        (NOISE, "whose pixels do not go together"),
        (IMAGES[:20], "whose pixels do not go together"),
        (COARSE, "whose pixels do not go together as those of a grid do"),
        (WRAPPED.clip(0, 255).astype(np.uint8), "whose pixels do not go together as those of a grid do"),
        (np.full((9, 28, 28), 3, np.uint8), "that are all the same"),
        (IMAGES[:1], "that are all the same"),
        (np.zeros((2, 40, 41), np.uint8), "of more than 1,600 pixels"),
    ],
    ids=["noise", "few", "coarse", "torus", "same", "one", "large"],
)
def test_images_that_show_no_grid(images, what):
    with pytest.raises(NoGrid, match=f"^{what}$"):
        learned(images)


@pytest.mark.parametrize("images", [IMAGES[:5] / 255, IMAGES[:5].reshape(5, 784)], ids=["dtype", "shape"])
def test_what_are_no_images(images):
    with pytest.raises(ValueError, match=r"^images: expected "):
        learned(images)
