"""One comparison for all tests of mathematics: every leaf, by its norm and by its worst entry."""

import jax
import numpy as np

TOLERANCE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-12}


def assert_close(got, expected, tolerance=None):
    """Leaf by leaf: the same shape, and ‖d‖/‖g‖ and max|d|/max|g| within the tolerance of the dtype that was got.

    A leaf of zeros must be met exactly. A NaN anywhere fails.
    """
    got_leaves = jax.tree.leaves_with_path(got)
    expected_leaves = jax.tree.leaves(expected)
    assert len(got_leaves) == len(expected_leaves) > 0
    for (path, leaf), reference in zip(got_leaves, expected_leaves, strict=True):
        name = jax.tree_util.keystr(path)
        assert leaf.shape == np.shape(reference), f"{name}: {leaf.shape} against {np.shape(reference)}"
        limit = tolerance or TOLERANCE[leaf.dtype]
        g = np.asarray(reference, np.float64)
        d = np.asarray(leaf, np.float64) - g
        for measure in (np.linalg.norm, lambda array: np.max(np.abs(array))):
            difference, scale = measure(d.ravel()), measure(g.ravel())
            assert difference <= limit * scale < np.inf, (
                f"{name}: off by {difference:.2g} at a scale of {scale:.2g}"
            )
