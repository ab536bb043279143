"""Images laid on a grid, pixel by pixel."""

import numpy as np

from jaxmlp.inputs.pixel_grid import laid


def test_each_cell_has_its_pixel():
    images = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    got = laid(images, (5, 4, 3, 0, 1, 2))
    np.testing.assert_array_equal(got, [[[5, 4, 3], [0, 1, 2]], [[11, 10, 9], [6, 7, 8]]])
    assert got.dtype == np.uint8
