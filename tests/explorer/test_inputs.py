"""What the page shows its network against what the program does: drawings, upright digits, edge maps."""

import numpy as np
import pytest

import node
from drawn_digits import coverage
from jaxmlp.data import datasets, photos
from jaxmlp.data.deskewing import deskewed
from jaxmlp.data.edges import edge_maps

PEN = 20  # the width of the page's, in a square of 256
DRAWN = {
    "large": {"at": (12, 12), "scale": 232},
    "turned": {"at": (40, 40), "scale": 170, "turn": 20},
    "small, in a corner": {"at": (20, 150), "scale": 80},
}


@pytest.fixture(scope="module")
def images():
    odd = np.zeros((3, 28, 28), np.uint8)
    odd[1, 4] = 255  # one row of ink, which has no slope
    odd[2, :, 3:5] = 200
    return np.concatenate([datasets.load().test.images[:100], odd])


def shown(tmp_path, images, **options):
    _, height, width = images.shape
    cases = ({"run": "inputs", "pixels": image.ravel(), "height": height, "width": width} for image in images)
    options = {"deskew": False, "edges": False, **options}
    return np.array(node.run(tmp_path, *({**case, **options} for case in cases))).reshape(images.shape)


def test_pixels(tmp_path, images):
    np.testing.assert_array_equal(shown(tmp_path, images), images / 255)


def test_upright_digits(tmp_path, images):
    """To the bit, but where float32 rounds a half to the other side."""
    for some in (images, images[:, :20, 3:]):
        apart = np.abs(255 * shown(tmp_path, some, deskew=True) - deskewed(some))
        assert apart.max() < 1.001
        assert np.mean(apart > 0.001) < 1e-4


def test_edge_maps(tmp_path, images):
    for some in (images, images[:, :20, 4:]):
        np.testing.assert_allclose(shown(tmp_path, some, edges=True), edge_maps(some / 255), atol=1e-12)


@pytest.mark.parametrize("how", DRAWN)
def test_drawings(tmp_path, how):
    """Every pixel as predict's of the same picture to 2 in 255: Pillow rounds between its blurs."""
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
        assert apart.max() <= 2


def test_a_drawing_without_ink_is_a_black_image(tmp_path):
    (pixels,) = node.run(tmp_path, {"run": "drawing", "ink": np.zeros(64), "height": 8, "width": 8})
    assert pixels == [0] * 784
