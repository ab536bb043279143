"""From evidence to a verdict, entry by entry.

With h by hand, g the reference and f what rounding may move the two apart, an entry is

    MISMATCH             where |h - g| > f + tolerance |g|, or h is not finite;
    too small to tell    else, where |g| < 100 f, so that a wrong h might look the same; or g is not finite;
    ok                   else, and where both are exactly 0.

An entry too small to tell is asked again at other points, each parameter moved by up to 1%, 10% and 100% of itself,
and all of them at a tenth, where what is saturated is so no longer. It is ok if it is right there; or if it stays
within rounding at all of them, by hand and by the reference: then it is zero, as that of a bias before a batch
norm. It stays too small to tell if it is off at one of them.

A mismatch is asked again by central differences: at a kink, every slope between those of its sides is right, if all
entries are right together (`kinks`). Of very many some are left unasked, and too small to tell.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxmlp.gradcheck import arguments as given
from jaxmlp.gradcheck import kinks
from jaxmlp.gradcheck.arguments import Arguments
from jaxmlp.gradcheck.question import Evidence, Question, float64, remark_on

Codes = np.ndarray[Any, np.dtype[np.int8]]
Index = tuple[int, ...]
EvidenceAt = Callable[[Arguments, list[Any]], list[Evidence]]

OK, TOO_SMALL, MISMATCH = range(3)
WORDS = ("ok", "too small to tell", "MISMATCH")

CLEAR = 100.0  # times what rounding may explain: from there on a mistake of 1% is seen
NEARBY = ((1.0, 0.01), (1.0, 0.1), (1.0, 1.0), (0.1, 0.1))  # (factor, then moved by up to this part)
# Mismatches of a leaf that differences are asked about, and how many more where one of these was excused.
FIRST_ASKED, ASKED = 4, 256
TOGETHER = "a kink, where each entry might be right, but not all of them together"


@dataclass
class Judged:
    """One leaf."""

    evidence: Evidence
    codes: Codes
    tolerance: float
    remarks: dict[Index, str] = field(default_factory=dict)
    nearby: tuple[Evidence, Codes] | None = None  # where an entry too small to tell is off
    unasked: set[Index] = field(default_factory=set)  # perhaps at a kink

    def judge(self) -> None:
        self.codes = judged(self.evidence, self.tolerance)
        for index in self.unasked:
            self.codes[index] = TOO_SMALL


def judged(evidence: Evidence, tolerance: float) -> Codes:
    h, g, f = evidence.by_hand, evidence.reference, evidence.floor
    with np.errstate(all="ignore"):
        fits = np.abs(h - g) <= f + tolerance * np.abs(g)
        clear = (np.abs(g) >= CLEAR * f) & ((g != 0) | (h == 0))
        codes = np.where(fits, np.where(clear | ((h == 0) & (g == 0)), OK, TOO_SMALL), MISMATCH)
    codes = np.where(np.isfinite(g), codes, TOO_SMALL)
    codes = np.where(evidence.is_excused, OK, codes)
    return np.where(evidence.looked_at, codes, OK).astype(np.int8)


def ask_differences(question: Question, leaves: list[Judged]) -> None:
    """Excuses what is at a kink, and judges anew what has no finite reference."""
    with float64():
        for number, leaf in enumerate(leaves):
            doubtful = _farthest_first(leaf)
            if any([_ask(question, number, leaf, index) for index in doubtful[:FIRST_ASKED]]):
                if len(doubtful) > FIRST_ASKED:
                    _excuse_by_nearby(question, number, leaf)
                left = [index for index in doubtful[FIRST_ASKED:] if not leaf.evidence.is_excused[index]]
                for index in left[:ASKED]:
                    _ask(question, number, leaf, index)
                leaf.unasked.update(left[ASKED:])
            leaf.judge()


def _farthest_first(leaf: Judged) -> list[Index]:
    evidence = leaf.evidence
    mismatch = (leaf.codes == MISMATCH) | ~np.isfinite(evidence.reference)
    doubtful = np.flatnonzero(mismatch & np.isfinite(evidence.by_hand))
    with np.errstate(all="ignore"):
        distances = np.abs(evidence.by_hand - evidence.reference).ravel()[doubtful]
    farthest = doubtful[np.argsort(-np.nan_to_num(distances, nan=np.inf))]
    return [tuple(map(int, np.unravel_index(i, leaf.codes.shape))) for i in farthest]


def _ask(question: Question, number: int, leaf: Judged, index: Index) -> bool:
    """Whether there is a kink, or no reference but the difference."""
    evidence = leaf.evidence
    slope = question.slopes.entry(number, index)
    if slope.is_kink:
        leaf.remarks[index] = remark_on(evidence, index, slope)
        return True
    if not np.isfinite(evidence.reference[index]):
        leaf.remarks[index] = f"{question.reference} is {evidence.reference[index]}: central differences"
        evidence.reference[index], evidence.reference_floor[index] = slope.value, 2 * slope.error
        return True
    if _sides_with_hand(evidence, index, slope):
        leaf.remarks[index] = (
            "central differences agree with it: does the loss stop a gradient, or hold a rule of its own?"
        )
    return False


def _excuse_by_nearby(question: Question, number: int, leaf: Judged) -> None:
    """Many at a kink at once: what lies between the gradients nearby."""
    low, high = kinks.ranges(question)[number]
    allowance = kinks.BEND * np.maximum(np.abs(low), np.abs(high))
    hand = leaf.evidence.by_hand
    between = (high - low > allowance) & (low - allowance <= hand) & (hand <= high + allowance)
    leaf.evidence.excused = leaf.evidence.is_excused | (between & (leaf.codes == MISMATCH))


def ask_together(question: Question, leaves: list[Judged], by_differences: bool) -> None:
    """Accuses what is excused entry by entry and not right together."""
    right = [(leaf.codes == OK) & leaf.evidence.looked_at for leaf in leaves]
    masks = kinks.are_off_together(question, [leaf.evidence for leaf in leaves], right, by_differences)
    for leaf, off in zip(leaves, masks, strict=True):
        if off.any():
            leaf.evidence.excused = leaf.evidence.is_excused & ~off
            leaf.remarks.update((tuple(index), TOGETHER) for index in np.argwhere(off).tolist())
            leaf.judge()


def _sides_with_hand(evidence: Evidence, index: Index, slope: Any) -> bool:
    error = 2 * slope.error + 1e-7 * abs(slope.value)
    to_hand, to_reference = (abs(side[index] - slope.value) for side in (evidence.by_hand, evidence.reference))
    return bool(to_hand <= error and to_reference > 10 * error)


def ask_nearby(question: Question, leaves: list[Judged], evidence_at: EvidenceAt, zeros: bool) -> None:
    """`evidence_at(arguments, masks)` is the evidence at another point, of the entries in the masks.

    Without `zeros` nothing is taken for zero: what drowns in a difference need not be.
    """
    masks = [(leaf.codes == TOO_SMALL) & np.isfinite(leaf.evidence.by_hand) for leaf in leaves]
    if not any(mask.any() for mask in masks):
        return
    right = [np.zeros(mask.shape, bool) for mask in masks]
    zero = [np.isfinite(leaf.evidence.reference) & _is_rounding(leaf.evidence) for leaf in leaves]
    random = np.random.default_rng(question.seed)
    for factor, size in NEARBY:
        try:
            there = evidence_at(_moved(question.arguments, factor, size, random), masks)
        except ValueError:  # one of the functions does not take such parameters
            continue
        for number, (leaf, evidence) in enumerate(zip(leaves, there, strict=True)):
            codes = np.where(np.isfinite(evidence.by_hand), judged(evidence, leaf.tolerance), TOO_SMALL)
            known = np.isfinite(evidence.reference) & evidence.looked_at
            off = masks[number] & known & (codes == MISMATCH)
            if off.any() and leaf.nearby is None:
                leaf.nearby = evidence, np.where(off, MISMATCH, OK).astype(np.int8)
            right[number] |= masks[number] & known & (codes == OK) & (evidence.reference != 0)
            zero[number] &= ~known | _is_rounding(evidence)
            masks[number] &= ~off
            zero[number] &= ~off
    for number, leaf in enumerate(leaves):
        for settled, remark in (
            (zero[number] & masks[number] & ~right[number] & zeros, "zero, here and nearby"),
            (right[number] & masks[number], "too small to tell here, and right nearby"),
        ):
            leaf.codes[settled] = OK
            leaf.remarks.update((tuple(index), remark) for index in np.argwhere(settled).tolist())


def _is_rounding(evidence: Evidence) -> Any:
    """By hand and by the reference there is nothing that rounding does not explain."""
    h, g = np.abs(evidence.by_hand), np.abs(evidence.reference)
    floor = evidence.floor
    return (h <= floor) & (g <= CLEAR * evidence.reference_floor) | (h == 0) & (g == 0)


def _moved(arguments: Arguments, factor: float, size: float, random: np.random.Generator) -> Arguments:
    """The parameters times `factor`, each then moved by up to `size` of itself."""
    params, *data = arguments
    return (given.moved(params, size, random, factor), *given.copies(tuple(data)))
