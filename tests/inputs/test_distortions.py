"""Distortions against scipy.ndimage on the same fields, and against the amounts that they promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from jaxmlp.inputs import distortions
from jaxmlp.inputs.distortions import Distortion, distort

KEY = jax.random.key(0)
EVERYTHING = Distortion(alpha=38, sigma=5, rotation=12, scale=0.15, shear=0.2, shift=1.5)
SHAPE = (6, 28, 20)

noise = jax.jit(distortions.noise, static_argnums=1)
affine = jax.jit(distortions.affine, static_argnums=(1, 2))
displacement = jax.jit(distortions.displacement, static_argnums=(1, 2))
sample = jax.jit(distortions.sample)


def random_images(shape, dtype=np.float32):
    return jnp.asarray(np.random.default_rng(1).uniform(size=shape), dtype)


def pixels(height, width):
    return np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"))


# --- against SciPy ---


@pytest.mark.parametrize("shape", [(28, 28), (9, 20), (1, 3)])
@pytest.mark.parametrize("sigma", [0.7, 1.3, 5.0, 11.0])  # the last one reaches further than the image
def test_smoothing_is_scipys_gaussian_filter(shape, sigma):
    field = np.random.default_rng(0).uniform(-1, 1, shape)
    theirs = ndimage.gaussian_filter(field, sigma, mode="constant", cval=0)
    np.testing.assert_allclose(distortions.smooth(jnp.asarray(field), sigma), theirs, rtol=0, atol=1e-14)
    ours = distortions.smooth(jnp.asarray(field, jnp.float32), sigma)
    assert ours.dtype == jnp.float32
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [SHAPE, (2, 1, 3)])
@pytest.mark.parametrize("reach", [0.9, 30])  # close by, and far outside
@pytest.mark.parametrize("mode", ["grid-constant", "constant"])
def test_sampling_is_scipys_map_coordinates(shape, reach, mode):
    images = random_images(shape, np.float64)
    if mode == "constant":  # no interpolation between the edge and the outside: on a black edge that makes none
        images = images.at[:, [0, -1], :].set(0).at[:, :, [0, -1]].set(0)
    down, right = np.random.default_rng(2).uniform(-reach, reach, (2, *shape))
    ours = sample(images, (jnp.asarray(down), jnp.asarray(right)))
    for i, image in enumerate(images):
        points = pixels(*shape[1:]) + np.stack([down[i], right[i]])
        theirs = ndimage.map_coordinates(image, points, order=1, mode=mode, cval=0)
        np.testing.assert_allclose(ours[i], theirs, rtol=0, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_distort_filters_and_interpolates_its_noise_as_scipy_does(strength):
    images = random_images(SHAPE)
    elastic_key, affine_key = jax.random.split(KEY)
    random_fields = np.stack(noise(elastic_key, SHAPE))
    affine_fields = np.stack(affine(affine_key, SHAPE, EVERYTHING))
    ours = distort(KEY, images, EVERYTHING, strength)
    for i, image in enumerate(images):
        elastic = [38 * ndimage.gaussian_filter(field, 5, mode="constant") for field in random_fields[:, i]]
        points = pixels(28, 20) + strength * (np.stack(elastic) + affine_fields[:, i])
        theirs = ndimage.map_coordinates(image, points, order=1, mode="grid-constant")
        np.testing.assert_allclose(ours[i], theirs, rtol=0, atol=2e-5)


# --- what is drawn ---


@pytest.mark.slow
@pytest.mark.parametrize("height", [28, 27])
def test_noise_is_uniform_on_the_midpoints_and_independent(height):
    fields = np.stack(noise(KEY, (20, height, 28)))
    assert fields.shape == (2, 20, height, 28)
    assert fields.dtype == np.float32
    assert stats.kstest(fields.ravel(), stats.uniform(-1, 2).cdf).pvalue > 0.01
    cells = (fields.astype(np.float64) + 1) * 2**7 - 0.5
    np.testing.assert_array_equal(cells, np.round(cells))
    assert cells.min() >= 0
    assert cells.max() <= 2**8 - 1

    def largest_correlation(variables):
        return np.abs(np.corrcoef(variables) - np.eye(len(variables))).max()

    bits = cells.astype(int).reshape(2, 1, -1) >> np.arange(8)[:, None] & 1
    assert largest_correlation(bits.reshape(16, -1)) < 0.04  # of a pixel's two displacements
    assert largest_correlation(fields.reshape(2 * 20, -1)) < 0.15  # of two examples
    assert largest_correlation(fields.transpose(0, 2, 1, 3).reshape(2 * height, -1)) < 0.15  # of two rows of either
    assert largest_correlation(fields.transpose(0, 3, 1, 2).reshape(2 * 28, -1)) < 0.15  # of two columns of either


@pytest.mark.slow
def test_elastic_displacements_are_of_the_size_that_alpha_and_sigma_say():
    """Away from the edges: variance α²/3 times the sum of the squared weights, 1/(4πσ²)."""
    fields = np.stack(displacement(KEY, (200, 28, 20), Distortion(alpha=38, sigma=2)))
    assert fields.dtype == np.float32  # both of them, for stacking takes the wider type
    middle = fields[:, :, 8:-8, 8:-8]
    assert np.std(middle) == pytest.approx(38 / np.sqrt(3) / np.sqrt(4 * np.pi) / 2, rel=0.05)


def amounts(fields):
    """What `affine` drew, worked out from its displacement fields; width and height as their excess over 1.

    Pixel p shows the image at q = p + displacement(p), so the image moves by p = M q + t, coordinates from the
    centre, where M = rotation · shear · scale.
    """
    fields = np.asarray(fields, np.float64)
    *_, height, width = fields.shape
    p = pixels(height, width) - (np.array([[[height]], [[width]]]) - 1) / 2
    q = p[:, None] + fields
    p, q = p.reshape(2, -1), q.reshape(*q.shape[:2], -1)
    affine_map = [np.linalg.lstsq(np.vstack([q_n, np.ones_like(p[:1])]).T, p.T)[0].T for q_n in q.swapaxes(0, 1)]
    M, t = np.split(np.stack(affine_map), [2], axis=2)
    np.testing.assert_allclose(M @ q.swapaxes(0, 1) + t, np.broadcast_to(p, (len(M), *p.shape)), atol=1e-4)

    # M = R · [[taller, 0], [k taller, wider]], and R turns (0, 1) into its second column.
    wider = np.hypot(M[:, 0, 1], M[:, 1, 1])
    sin, cos = M[:, 0, 1] / wider, M[:, 1, 1] / wider
    taller = cos * M[:, 0, 0] - sin * M[:, 1, 0]
    return {
        "rotation": np.degrees(np.arctan2(sin, cos)),
        "height": taller - 1,
        "width": wider - 1,
        "shear": (sin * M[:, 0, 0] + cos * M[:, 1, 0]) / taller,
        "down": t[:, 0, 0],
        "right": t[:, 1, 0],
    }


def test_affine_amounts_fill_their_ranges_evenly_and_independently():
    drawn = amounts(affine(KEY, (3000, 5, 8), EVERYTHING))
    ranges = {"rotation": 12, "height": 0.15, "width": 0.15, "shear": 0.2, "down": 1.5, "right": 1.5}
    for name, bound in ranges.items():
        assert np.abs(drawn[name]).max() <= bound * (1 + 1e-4), name
        assert stats.kstest(drawn[name], stats.uniform(-bound, 2 * bound).cdf).pvalue > 0.01, name
    correlation = np.corrcoef(list(drawn.values())) - np.eye(len(drawn))
    assert np.abs(correlation).max() < 0.08


@pytest.mark.parametrize(
    ("distortion", "changed"),
    [
        (Distortion(alpha=0, rotation=30), {"rotation"}),
        (Distortion(alpha=0, scale=0.3), {"height", "width"}),
        (Distortion(alpha=0, shear=0.3), {"shear"}),
        (Distortion(alpha=0, shift=2), {"down", "right"}),
    ],
)
def test_each_affine_range_changes_its_own_amounts_alone(distortion, changed):
    drawn = amounts(displacement(KEY, SHAPE, distortion))
    assert {name for name, values in drawn.items() if np.abs(values).max() > 1e-4} == changed


# --- as a function ---


@pytest.mark.parametrize("shape", [SHAPE, (1, 1, 1)])
def test_no_distortion_returns_the_image_itself(shape):
    images = random_images(shape)
    np.testing.assert_array_equal(distort(KEY, images, Distortion(alpha=0)), images)


@pytest.mark.slow
def test_a_key_fixes_the_distortion_and_every_example_has_its_own():
    images = jnp.repeat(random_images((1, *SHAPE[1:])), 6, axis=0)
    first, again, other = (distort(key, images, EVERYTHING) for key in (KEY, KEY, jax.random.key(1)))
    np.testing.assert_array_equal(first, again)
    results = np.concatenate([first, other])
    apart = np.abs(results[:, None] - results).mean(axis=(2, 3))
    assert apart[~np.eye(12, dtype=bool)].min() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_shape_and_dtype_stay(dtype):
    images = random_images(SHAPE, dtype).at[:3].set(1)
    for key in jax.random.split(KEY, 10):
        out = distort(key, images, EVERYTHING)
        assert (out.dtype, out.shape) == (dtype, SHAPE)
        assert float(out.min()) >= 0
        assert float(out.max()) <= 1 + 1e-6


@pytest.mark.slow
def test_scan_and_vmap_over_keys_are_calls_in_turn():
    images = random_images(SHAPE)
    keys = jax.random.split(KEY, 3)
    in_turn = np.stack([distort(key, images, EVERYTHING) for key in keys])
    scanned = jax.lax.map(lambda key: distort(key, images, EVERYTHING), keys)
    np.testing.assert_allclose(scanned, in_turn, rtol=0, atol=1e-5)
    mapped = jax.vmap(lambda key: distort(key, images, EVERYTHING))(keys)
    np.testing.assert_allclose(mapped, in_turn, rtol=0, atol=1e-5)


# --- bad input ---


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", -1),
        ("alpha", float("nan")),
        ("sigma", 0),
        ("sigma", float("inf")),
        ("rotation", -0.1),
        ("rotation", "12"),
        ("scale", 1),
        ("shear", -1),
        ("shift", None),
    ],
)
def test_a_bad_number_is_named(name, value):
    with pytest.raises(ValueError, match=rf"^{name}: expected a .*number .*, got {value!r}$"):
        Distortion(**{name: value})


@pytest.mark.parametrize(
    ("shape", "dtype"), [((2, 28, 28), np.uint8), ((28, 28), np.float32), ((0, 5, 5), np.float32)]
)
def test_bad_images_are_named(shape, dtype):
    expected = r"^images: expected float32 or float64 array of shape \(n >= 1, H >= 1, W >= 1\), got"
    with pytest.raises(ValueError, match=expected):
        distort(KEY, np.zeros(shape, dtype), EVERYTHING)
