"""What kind of mistake fits a wrong leaf: what the person wants to know next.

Every explanation is a gradient that the mistake would give; the first that gives the one by hand, within rounding,
is named. KINDS are the words for them.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, permutations, product
from typing import Any

import jax
import numpy as np

from jaxmlp.gradcheck.arguments import is_array
from jaxmlp.gradcheck.question import Evidence
from jaxmlp.gradcheck.report import Mistake
from jaxmlp.gradcheck.rounding import Entries

KINDS = (
    "not finite",
    "zero",  # all of the leaf
    "sign",
    "factor",
    "sum for mean",
    "mean for sum",
    "transposed",
    "order",  # the right entries elsewhere: flipped, shifted
    "not summed",  # over the examples: one axis too many
    "shape",
    "row",
    "column",
    "slice",  # a row of more than two axes
    "entries",
    "penalty",  # a multiple of the parameters is missing, or too much
    "example left out",
    "another leaf",
    "added twice",
)

LEFT_OUT = 24  # examples tried at most: the first ones and the last


@dataclass(frozen=True)
class Scene:
    """What an explanation may refer to beside the leaf itself."""

    lengths: dict[int, str]  # the length of an axis of the data -> which one
    leaves: list[tuple[str, Entries]]  # (name, reference) of all leaves
    parameters: list[Entries]
    without: Callable[[int], list[Entries] | None]  # the reference without example i
    examples: int  # 0 if the data has none


def lengths_of(data: Any, names: list[str]) -> dict[int, str]:
    found: dict[int, str] = {}
    for name, argument in zip(names, data, strict=True):
        for path, leaf in jax.tree.leaves_with_path(argument):
            for axis, length in enumerate(np.shape(leaf) if is_array(leaf) else ()):
                if length > 1:
                    found.setdefault(length, f"axis {axis} of {name}{jax.tree_util.keystr(path)}")
    return found


def of_shape(hand: Entries, g: Entries) -> Mistake:
    """Of a leaf whose shape is wrong."""
    shapes = f"of shape {hand.shape} for {g.shape}"
    tolerance = 1e-5 * np.max(np.abs(g), initial=0)
    for order in permutations(range(hand.ndim)):
        if np.transpose(hand, order).shape == g.shape and _near(np.transpose(hand, order), g, tolerance):
            return Mistake("transposed", f"transposed, {shapes}")
    for axis in range(hand.ndim):
        for word, reduced in (("sum", hand.sum(axis)), ("mean", hand.mean(axis))):
            if reduced.shape == g.shape and _near(reduced, g, tolerance):
                return Mistake("not summed", f"the {word} over its axis {axis} is missing, {shapes}")
    if hand.size == g.size and _near(hand.reshape(g.shape), g, tolerance):
        return Mistake("shape", f"the right entries, but {shapes}")
    return Mistake("shape", shapes)


def _near(a: Entries, b: Entries, tolerance: Any) -> bool:
    with np.errstate(all="ignore"):
        return bool(np.all(np.abs(a - b) <= tolerance))


@dataclass(frozen=True)
class Sides:
    """Some entries, and how closely two of their values are compared."""

    hand: Entries
    g: Entries
    floor: Entries  # what rounding may explain
    tolerance: float  # relative

    def at(self, mask: Any) -> "Sides":
        return Sides(self.hand[mask], self.g[mask], self.floor[mask], self.tolerance)

    def is_by_hand(self, other: Entries, scale: Any = None) -> bool:
        size = np.abs(other if scale is None else scale)
        return _near(self.hand, other, 10 * (self.floor + self.tolerance * size))

    @property
    def factor(self) -> float | None:
        return _factor(self.hand, self.g, self.floor, self.tolerance)


def is_single(g: Entries) -> bool:
    """Any factor fits it."""
    return int(np.count_nonzero(g)) < 2


def likeliest(explanations: Sequence[Iterator[Mistake]], singles: Sequence[bool]) -> list[Mistake | None]:
    """One for each wrong leaf: its first, or for one of a single entry the one that explains the most leaves."""
    candidates = [list(islice(each, 1)) for each in explanations]
    if len(candidates) > 1:
        for found, each, single in zip(candidates, explanations, singles, strict=True):
            if single:
                found += each
    counts = Counter(mistake.text for found in candidates for mistake in found)
    return [max(found, key=lambda mistake: counts[mistake.text], default=None) for found in candidates]


def of_entries(number: int, evidence: Evidence, off: Any, tolerance: float, scene: Scene) -> Iterator[Mistake]:
    """What explains leaf `number`, of the right shape, whose entries `off` are off: the likeliest first."""
    hand = evidence.by_hand
    if not np.all(np.isfinite(hand[off])):
        yield Mistake("not finite", f"not finite in {int(np.sum(~np.isfinite(hand)))} of {hand.size}")
        return
    whole = Sides(hand, evidence.reference, evidence.floor, tolerance)
    seen = evidence.looked_at & np.isfinite(evidence.reference)
    sides = whole.at(seen)
    if (c := sides.factor) is not None:
        yield from _of_factor(c, scene, is_single(sides.g))
    if seen.all():
        yield from (Mistake(kind, text) for kind, text, other in _orders(whole.g) if whole.is_by_hand(other))
    yield from _penalty(sides, scene.parameters[number][seen])
    if seen.all():
        for explain in (_left_out, _another_leaf, _added):
            yield from explain(number, whole, scene)
        yield from _slices(whole, off, scene)
    yield from _some(whole, off, seen, scene)


def _factor(h: Entries, g: Entries, floor: Entries, tolerance: float) -> float | None:
    """c where h = c g, taken from the entry that is known best; None if there is no such c."""
    if not np.any(g):
        return None
    with np.errstate(all="ignore"):
        known = np.abs(g) / (floor + tolerance * np.abs(g) + np.finfo(float).tiny)
        best = int(np.argmax(known))
        if abs(g.flat[best]) <= 10 * floor.flat[best]:
            return None
        c = float(h.flat[best] / g.flat[best])
        allowed = 10 * (floor * max(1.0, abs(c)) + tolerance * np.abs(c * g))
    return c if np.isfinite(c) and _near(h, c * g, allowed) else None


def _of_factor(c: float, scene: Scene, by_chance: bool) -> Iterator[Mistake]:
    """`by_chance` a factor fits in any case, as where there is one entry: only a telling one is named then."""
    if c == 0:
        yield Mistake("zero", "zero")
        return
    size, sign = abs(c), "" if c > 0 else "the sign is wrong, and "
    if c < 0 and _is(size, 1.0):
        yield Mistake("sign", "the sign is wrong: -1 times the right one")
        return
    if (named := _named_factor(size, scene)) is not None:
        yield Mistake(named.kind, sign + named.text)
        return
    if by_chance:
        return
    if _is(size, 1.0):
        yield Mistake("factor", f"{c:.12g} times the right one: a constant rounded to float32?")
        return
    fractions = [(top, bottom) for top, bottom in product(range(1, 13), repeat=2) if _is(size, top / bottom)]
    text = f"{fractions[0][0]}/{fractions[0][1]}".removesuffix("/1") if fractions else f"{size:.6g}"
    yield Mistake("factor", f"{sign}{text} times the right one")


def _named_factor(size: float, scene: Scene) -> Mistake | None:
    for n, where in sorted(scene.lengths.items(), key=lambda item: item[1]):
        which = f"n = {n}, {where}"
        for value, kind, text in (
            (n, "sum for mean", f"n times the right one ({which}): a sum where a mean belongs"),
            (1 / n, "mean for sum", f"1/n of the right one ({which}): a mean where a sum belongs"),
        ):
            if _is(size, value):
                plain = {2.0: "twice the right one, or ", 0.5: "half the right one, or "}.get(value, "")
                return Mistake("factor" if plain else kind, plain + text)
    for value, text in ((2.0, "twice"), (0.5, "half")):
        if _is(size, value):
            return Mistake("factor", f"{text} the right one")
    for n, where in scene.lengths.items():
        for value, text in (
            (2 * n, "2n"),
            (2 / n, "2/n"),
            (n / 2, "n/2"),
            (1 / (2 * n), "1/(2n)"),
            (n * n, "n²"),
            (1 / n**2, "1/n²"),
            (n / (n - 1), "n/(n - 1)"),
            ((n - 1) / n, "(n - 1)/n"),
            (n**0.5, "√n"),
            (n**-0.5, "1/√n"),
        ):
            if _is(size, value):
                return Mistake("factor", f"{text} times the right one (n = {n}, {where})")
    return None


def _is(value: float, other: float) -> bool:
    return abs(value - other) <= 1e-5 * other


def _orders(g: Entries) -> Iterator[tuple[str, str, Entries]]:
    axes = range(g.ndim)
    for order in permutations(axes):
        turned = np.transpose(g, order)
        if order != tuple(axes) and turned.shape == g.shape:
            yield "transposed", "transposed" if g.ndim == 2 else f"transposed, axes {order}", turned
    for axis in axes:
        yield "order", f"flipped along axis {axis}", np.flip(g, axis)
    for pair in ((a, b) for a in axes for b in axes if a < b):
        yield "order", f"flipped along axes {pair[0]} and {pair[1]}", np.flip(g, pair)
    for axis in axes:
        for shift in (1, -1):
            yield "order", f"shifted by one along axis {axis}", np.roll(g, shift, axis)


def _penalty(sides: Sides, p: Entries) -> Iterator[Mistake]:
    """h = g - c p, where the penalty ½c‖p‖² was forgotten."""
    d = sides.hand - sides.g
    c = _factor(d, p, sides.floor + sides.tolerance * np.abs(sides.g), 1e-6)
    if c is None or c == 0 or np.sum(np.abs(d) > sides.floor) < 2:
        return
    text = "is missing" if c < 0 else "is too much"
    yield Mistake("penalty", f"{abs(c):.3g} times the parameter {text}: the gradient of a penalty?")


def _left_out(number: int, sides: Sides, scene: Scene) -> Iterator[Mistake]:
    n = scene.examples
    from_both_ends = [i for pair in zip(range(n), reversed(range(n)), strict=True) for i in pair]
    for i in list(dict.fromkeys(from_both_ends))[:LEFT_OUT] if n > 1 else []:
        leaves = scene.without(i)
        if leaves is None or leaves[number].shape != sides.hand.shape:
            return
        if any(sides.is_by_hand(c * leaves[number], sides.g) for c in (1.0, (n - 1) / n, n / (n - 1))):
            yield Mistake("example left out", f"example {i} of {n} is left out")
            return


def _another_leaf(number: int, sides: Sides, scene: Scene) -> Iterator[Mistake]:
    for other, (name, leaf) in enumerate(scene.leaves):
        if other != number and leaf.size == sides.hand.size and sides.is_by_hand(leaf.reshape(sides.hand.shape)):
            yield Mistake("another leaf", f"it is the gradient of {name}")
            return


def _added(number: int, sides: Sides, scene: Scene) -> Iterator[Mistake]:
    for other, (name, leaf) in enumerate(scene.leaves):
        if other == number or leaf.shape != sides.hand.shape or not np.any(leaf):
            continue
        if sides.is_by_hand(sides.g + leaf, np.abs(sides.g) + np.abs(leaf)):
            yield Mistake("added twice", f"the gradient of {name} is added to it")
            return


def _slices(sides: Sides, off: Any, scene: Scene) -> Iterator[Mistake]:
    """A few rows or columns are off, and nothing else."""
    found = []
    for axis in range(off.ndim) if off.ndim > 1 else []:
        bad = np.any(off, axis=tuple(a for a in range(off.ndim) if a != axis))
        if bad.sum() < len(bad):
            found.append((int(bad.sum()) * (off.size // len(bad)), axis, np.flatnonzero(bad)))
    if not found:
        return
    size, axis, rows = min(found, key=lambda item: item[0])
    if 2 * off.sum() <= size:  # a row with little of it off
        return
    one = "slice" if off.ndim > 2 else ("row", "column")[axis]
    which = f"{one}{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows[:8]))}{', ...' if len(rows) > 8 else ''}"
    which += f" of axis {axis}" if one == "slice" else ""
    yield Mistake(one, f"{which}: {_how(sides.at(off), scene)}")


def _some(sides: Sides, off: Any, seen: Any, scene: Scene) -> Iterator[Mistake]:
    """Some entries are off, but for others that are right."""
    count = int(off.sum())
    if 2 * count > int(seen.sum()):
        return
    where = ", ".join(str(index) for index in np.argwhere(off).tolist()[:4])
    yield Mistake("entries", f"only {where}{', ...' if count > 4 else ''}: {_how(sides.at(off), scene)}")


def _how(sides: Sides, scene: Scene) -> str:
    c = sides.factor
    mistake = None if c is None else next(_of_factor(c, scene, is_single(sides.g)), None)
    return "off" if mistake is None else mistake.text
