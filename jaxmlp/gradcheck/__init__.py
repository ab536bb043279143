"""A gradient that somebody derived by hand, checked: any loss, any model.

    print(gradcheck.compare(loss, gradient, params, x, y))  # a table, leaf by leaf
    gradcheck.check(loss, gradient, params, x, y)  # in a test: AssertionError on a mismatch

`python -m jaxmlp.gradcheck` checks our own gradient for every pair of activations. Re-exports only.
"""

from jaxmlp.gradcheck.compare import DIFFERENCES_TOLERANCE, TOLERANCE, check, compare
from jaxmlp.gradcheck.report import Leaf, Mistake, Report

__all__ = ["DIFFERENCES_TOLERANCE", "TOLERANCE", "Leaf", "Mistake", "Report", "check", "compare"]
