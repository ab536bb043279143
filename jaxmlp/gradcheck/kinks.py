"""At a kink several gradients are right: those between the gradients nearby, each entry's and all of them together.

Of max(a, b) at a = b these are (s, 1 - s) with s from 0 to 1. Entry by entry (1, 1) would be right too; but the
gradients at random points nearby, (1, 0) and (0, 1), lie on a line that it does not lie on. F. H. Clarke 1975,
Generalized gradients and applications; J. V. Burke, A. S. Lewis, M. L. Overton 2005, A robust gradient sampling
algorithm.
"""

from typing import Any

import numpy as np

from jaxmlp.gradcheck.question import Evidence, Question, float64
from jaxmlp.gradcheck.rounding import Entries

NEAR = 1e-7  # so far apart are the points, relative to each parameter
AT_LEAST, AT_MOST = 32, 1024  # points
LARGEST = 2**24  # numbers, of all gradients nearby
BEND = 1e-6  # relative: by so much gradients differ at a kink
OFF = 1e-3  # relative: so far from all gradients nearby is wrong


def ranges(question: Question) -> list[tuple[Entries, Entries]]:
    """Leaf by leaf, the smallest and the largest value of each entry of the gradient nearby."""
    return [(near.min(0), near.max(0)) for near in _gradients(question, AT_LEAST)]


def are_off_together(question: Question, evidence: list[Evidence], right: list[Any]) -> list[Any]:
    """Masks of excused entries that are right one by one and not together. `right` masks what else is right.

    Nothing is off where the gradients nearby are too many to know them all from a sample.
    """
    nothing = [np.zeros(one.by_hand.shape, bool) for one in evidence]
    excused = [one.is_excused for one in evidence]
    count = max(AT_LEAST, 2 * sum(int(mask.sum()) for mask in excused) + 16)
    if count > AT_MOST or count * sum(mask.size for mask in excused) > LARGEST:
        return nothing
    near = _gradients(question, count)
    usable = [e | (r & np.isfinite(g).all(0)) for e, r, g in zip(excused, right, near, strict=True)]
    hand = np.concatenate([one.by_hand[mask] for one, mask in zip(evidence, usable, strict=True)])
    gradients = np.concatenate([g[:, mask] for g, mask in zip(near, usable, strict=True)], axis=1)
    at_kink = np.concatenate([e[mask] for e, mask in zip(excused, usable, strict=True)])

    size = np.maximum(np.abs(gradients).max(0), np.abs(hand))
    bends = np.ptp(gradients, axis=0) > BEND * size
    if not bends[at_kink].all():  # the sample has missed a side
        return nothing
    hand, gradients, size = hand[bends], gradients[:, bends] / size[bends], size[bends]
    apart = gradients[1:] - gradients[0]
    _, singular, directions = np.linalg.svd(apart, full_matrices=False)
    rank = int(np.sum(singular > 1e-4))
    if rank > count / 2 + 8:
        return nothing
    from_first = hand / size - gradients[0]
    residual = from_first - directions[:rank].T @ (directions[:rank] @ from_first)
    off = np.zeros(at_kink.shape, bool)
    off[bends] = np.abs(residual) > OFF
    off = (off & at_kink) if (off & at_kink).any() or not off.any() else at_kink
    found, start = [], 0
    for mask in usable:
        whole = np.zeros(mask.shape, bool)
        stop = start + int(mask.sum())
        whole[mask] = off[start:stop]
        found.append(whole)
        start = stop
    return found


def _gradients(question: Question, count: int) -> list[Entries]:
    """Leaf by leaf, the gradient by JAX at `count` points nearby, stacked."""
    with float64():
        return question.gradients_near(NEAR, count)
