"""What the page shows its network against what the program does: drawings, upright digits, edge maps."""

from dataclasses import asdict, fields

import node
import numpy as np
import pytest

from drawn_digits import coverage
from jaxmlp.data import datasets, photos
from jaxmlp.inputs.view import View

PEN = 20  # the width of the page's, in a square of 256
DRAWN = {
    "large": {"at": (12, 12), "scale": 232},
    "turned": {"at": (40, 40), "scale": 170, "turn": 20},
    "small, in a corner": {"at": (20, 150), "scale": 84},
}


@pytest.fixture(scope="module")
def images():
    odd = np.zeros((3, 28, 28), np.uint8)
    odd[1, 4] = 255  # one row of ink, which has no slope
    odd[2, :, 3:5] = 200
    return np.concatenate([datasets.load().test.images[:100], odd])


def shown(tmp_path, images, **options):
    _, height, width = images.shape
    given = {"run": "inputs", "height": height, "width": width, "view": asdict(View(**options))}
    results = node.run(tmp_path, *({**given, "pixels": image.ravel()} for image in images))
    return np.array(results).reshape(images.shape)


def program(images, **options):
    return np.asarray(View(**options).x0(images, np.float64)).reshape(images.shape)


def test_pixels(tmp_path, images):
    np.testing.assert_allclose(shown(tmp_path, images), program(images), rtol=1e-15)


def test_upright_digits(tmp_path, images):
    """To the bit, but where float32 rounds a half to the other side."""
    for some in (images, images[:, :20, 3:]):
        apart = 255 * np.abs(shown(tmp_path, some, deskew=True) - program(some, deskew=True))
        assert apart.max() < 1.001
        assert np.mean(apart > 0.001) < 1e-4


def test_edge_maps(tmp_path, images):
    for some in (images, images[:, :20, 4:]):
        np.testing.assert_allclose(shown(tmp_path, some, edges=True), program(some, edges=True), atol=1e-12)


@pytest.mark.slow
def test_directions(tmp_path, images):
    """To the bit, but where float32 rounds a half to the other side."""
    for some in (images, images[:, :20, 4:]):
        apart = 255 * np.abs(shown(tmp_path, some, directions=True) - program(some, directions=True))
        assert apart.max() < 1.001
        assert np.mean(apart > 0.001) < 1e-3


def test_every_transform_of_the_program_is_on_the_page():
    assert {f.name for f in fields(View)} == {"deskew", "directions", "edges"}


@pytest.mark.slow
@pytest.mark.parametrize("how", DRAWN)
def test_drawings(tmp_path, how):
    """Every pixel as predict's of the same picture to 1 in 255: one counts in float32, one in float64."""
    pil = pytest.importorskip("PIL.Image")
    inks = [coverage(digit, size=256, pen=PEN, **DRAWN[how]) for digit in range(10)]
    inks[1][5:9, 240:244] = 1  # a crumb
    given = [np.rint(255 * ink) for ink in inks]
    results = node.run(
        tmp_path, *({"run": "drawing", "ink": ink.ravel() / 255, "height": 256, "width": 256} for ink in given)
    )
    for ink, pixels in zip(given, results, strict=True):
        pil.fromarray((255 - ink).astype(np.uint8)).save(tmp_path / "drawing.png")
        apart = np.abs(np.reshape(pixels, (28, 28)) - photos.read(tmp_path / "drawing.png").astype(int))
        assert apart.max() <= 1


def test_a_drawing_without_ink_is_a_black_image(tmp_path):
    (pixels,) = node.run(tmp_path, {"run": "drawing", "ink": np.zeros(64), "height": 8, "width": 8})
    assert pixels == [0] * 784
