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

NEAR, NEAR_BY_DIFFERENCES = 1e-7, 1e-6  # so far apart are the points, relative to each parameter
AT_LEAST, AT_MOST = 32, 1024  # points
MOST_BY_DIFFERENCES = 32  # entries
LARGEST = 2**24  # numbers, of all gradients nearby
BEND = 1e-6  # relative: by so much gradients differ at a kink
SEEN = 1e-4  # the same, of directions in which they differ
OFF = 1e-3  # relative: so far from all gradients nearby is wrong


def ranges(question: Question) -> list[tuple[Entries, Entries]]:
    """Leaf by leaf, the smallest and the largest value of each entry of the gradient nearby."""
    with float64():
        return [(near.min(0), near.max(0)) for near in question.gradients_near(NEAR, AT_LEAST)]


def are_off_together(
    question: Question, evidence: list[Evidence], right: list[Any], by_differences: bool
) -> list[Any]:
    """Masks of excused entries that are right one by one and not together. `right` masks what else is right.

    Nothing is off where the gradients nearby are too many to know them all from a sample.
    """
    excused = [one.is_excused for one in evidence]
    at_kinks = sum(int(mask.sum()) for mask in excused)
    count = max(AT_LEAST, 2 * at_kinks + 16)
    too_many = at_kinks > MOST_BY_DIFFERENCES if by_differences else count > AT_MOST
    if not at_kinks or too_many or count * sum(mask.size for mask in excused) > LARGEST:
        return [np.zeros(mask.shape, bool) for mask in excused]
    with float64():
        if by_differences:
            usable, near = excused, question.slopes_near(NEAR_BY_DIFFERENCES, count, excused)
        else:
            near = question.gradients_near(NEAR, count)
            usable = [e | (r & np.isfinite(g).all(0)) for e, r, g in zip(excused, right, near, strict=True)]
    hand = np.concatenate([one.by_hand[mask] for one, mask in zip(evidence, usable, strict=True)])
    gradients = np.concatenate([g[:, mask] for g, mask in zip(near, usable, strict=True)], axis=1)
    is_excused = np.concatenate([e[mask] for e, mask in zip(excused, usable, strict=True)])
    off = iter(_off(hand, gradients, is_excused))
    found = [np.zeros(mask.shape, bool) for mask in usable]
    for whole, mask in zip(found, usable, strict=True):
        whole[mask] = [next(off) for _ in range(int(mask.sum()))]
    return found


def _off(hand: Entries, gradients: Entries, is_excused: Any) -> Any:
    """Which of the excused entries keep `hand` away from every affine combination of the gradients."""
    off = np.zeros(hand.shape, bool)
    size = np.maximum(np.abs(gradients).max(0), np.abs(hand))
    bends = np.ptp(gradients, axis=0) > BEND * size
    if not bends[is_excused].all() or not np.isfinite(gradients).all():  # the sample has missed a side
        return off
    first, *others = gradients[:, bends] / size[bends]
    _, singular, directions = np.linalg.svd(np.array(others) - first, full_matrices=False)
    rank = int(np.sum(singular > SEEN))
    if rank > len(gradients) / 2 + 8:
        return off
    away = hand[bends] / size[bends] - first
    off[bends] = np.abs(away - directions[:rank].T @ (directions[:rank] @ away)) > OFF
    return is_excused & (off if (off & is_excused).any() else off.any())
