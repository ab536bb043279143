"""Images whose pixels come in any order, laid on a grid that neighbours.py has learned."""

import numpy as np
import numpy.typing as npt

Grid = tuple[int, ...]  # (H W,), by rows: which pixel lies in each cell. Hashable: static under jit


def laid(images: npt.NDArray[np.uint8], grid: Grid) -> npt.NDArray[np.uint8]:
    """The images (n, H, W) with their pixels on the grid."""
    return images.reshape(len(images), -1)[:, grid].reshape(images.shape)
