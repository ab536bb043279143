"""Somebody's gradient against `jax.grad`, or against central differences: a report, or an assertion."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, wraps
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.gradcheck import arguments as given
from jaxmlp.gradcheck import diagnosis
from jaxmlp.gradcheck.arguments import Arguments
from jaxmlp.gradcheck.diagnosis import Scene
from jaxmlp.gradcheck.differences import compiled
from jaxmlp.gradcheck.misuse import check_form, check_loss
from jaxmlp.gradcheck.question import Direction, Evidence, Question, float64, leaves_of
from jaxmlp.gradcheck.report import Leaf, Mistake, Report
from jaxmlp.gradcheck.rounding import Entries, epsilon
from jaxmlp.gradcheck.verdicts import (
    MISMATCH,
    OK,
    TOO_SMALL,
    Judged,
    ask_differences,
    ask_nearby,
    ask_together,
    judged,
)

Function = Callable[..., Any]

# What an entry may be off, relative to the reference, beside what its rounding explains.
TOLERANCE = 1e-12  # in float64
OWN_TOLERANCE = 100.0  # times the epsilon of the leaf's dtype, where that is judged
DIFFERENCES_TOLERANCE = 1e-7

EVERY_ENTRY = 1000  # up to so many, central differences take all of them by default,
SAMPLE = 64  # and above it so many at random,
DIRECTIONS = 2  # and so many random directions through each leaf


def compare(
    loss: Function,
    gradient: Function,
    params: Any,
    *data: Any,
    vector: Any = None,
    differences: bool = False,
    own_dtype: bool = False,
    tolerance: float | None = None,
    entries: int | None = None,
    seed: int = 0,
) -> Report:
    """The hand-written `gradient` of `loss` with respect to `params`, against `jax.grad(loss)`, entry by entry.

    `loss(params, *data)` is a real scalar. `gradient(params, *data)` has the structure and shapes of `params`,
    which is any pytree of floating-point arrays or floats. `data` is anything: it is not differentiated. With a
    `vector` of the structure of `params`, `gradient(params, vector, *data)` is the product of the Hessian with it
    instead, and the reference is the jvp of jax.grad(loss).

    Both functions get copies of the arguments, of objects that hold arrays too, and in the pytrees every
    floating-point array in float64, so that the formula is judged; an entry may be off by what rounding explains in
    this computation. A gradient that changes its arguments, or what else the loss refers to, is not ok. With
    `own_dtype`, `gradient` gets the arguments as they are, and its rounding is judged: it may be off 100 epsilon of
    its dtype, and what rounding in this dtype explains of jax.grad. Matrix products run at precision "highest".

    With `differences`, the reference is central differences of the loss, which may be in NumPy then: it judges a
    rule that `jax.grad` itself has wrong, such as a `jax.custom_vjp`. `entries` of them are drawn at random with
    `seed`, and random directions through each leaf; by default every entry of up to 1,000.

    `tolerance`, relative and entry by entry, replaces TOLERANCE, OWN_TOLERANCE or DIFFERENCES_TOLERANCE. See
    `verdicts` for what is ok, a MISMATCH or too small to tell, and `diagnosis` for the kinds of mistake named.

    Raises ValueError in one line if `params` cannot be differentiated, `loss` is no finite real scalar, `gradient`
    returns another structure or no floats, one of the functions fails or gives another result when asked again, or
    an option is out of range. A leaf of a wrong shape is a MISMATCH.
    """
    for name, function in (("loss", loss), ("gradient", gradient)):
        if not callable(function):
            raise ValueError(f"{name}: expected a function, got {given.written(function)}")
    if tolerance is not None and not (isinstance(tolerance, Real) and 0 <= tolerance < np.inf):
        raise ValueError(f"tolerance: expected a finite number >= 0, got {tolerance!r}")
    if entries is not None and not (_is_count(entries) and entries > 0 and differences):
        raise ValueError(f"entries: expected 1 or more, together with differences=True, got {entries!r}")
    if not _is_count(seed):
        raise ValueError(f"seed: expected an integer >= 0, got {seed!r}")
    if differences and (own_dtype or vector is not None):
        raise ValueError("differences: expected neither own_dtype nor a vector beside it, got one")
    given.check_params("params", params)
    arguments = (params, *data)
    if vector is not None:
        given.check_params("vector", vector)
        if [np.shape(a) for a in jax.tree.leaves(vector)] != [np.shape(a) for a in jax.tree.leaves(params)]:
            raise ValueError("vector: expected the structure and shapes of params, got others")
        arguments = (params, vector, *data)
    with jax.default_matmul_precision("highest"):
        with float64():
            wide = given.in_float64(arguments)
        judges = arguments if own_dtype else wide
        question = Question(loss, gradient, judges, wide, vector is not None, own_dtype, seed)
        check_loss(question)
        with nullcontext() if own_dtype else float64():
            return _answer(question, differences, tolerance, entries)


def _is_count(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= 0)


def check(
    loss: Function,
    gradient: Function,
    params: Any,
    *data: Any,
    too_small_is_ok: bool = False,
    **options: Any,
) -> None:
    """`compare`, with its options, for a test suite: raises AssertionError that says what is wrong, above the
    table.

    A leaf too small to tell fails too, unless `too_small_is_ok`. Raises ValueError where `compare` does.
    """
    report = compare(loss, gradient, params, *data, **options)
    if not (report.ok or (report.too_small_to_tell and too_small_is_ok)):
        raise AssertionError(f"{_headline(report)}\n{report}")


def _headline(report: Report) -> str:
    leaf = report.worst
    if leaf.ok:
        return report.complaints[0]
    said = f"; {leaf.explanation}" if leaf.explanation else ""
    return (
        f"gradient{leaf.name}{leaf.entry}: {leaf.by_hand!r} by hand, {leaf.reference!r} by {report.reference}: "
        f"{leaf.verdict}{said}"
    )


def _answer(question: Question, differences: bool, tolerance: float | None, entries: int | None) -> Report:
    watched = question.call_watched()
    triples = check_form(question, watched.by_hand)
    misshapen = {i: hand for i, (_, leaf, hand) in enumerate(triples) if np.shape(hand) != np.shape(leaf)}
    if misshapen:
        question = replace(question, gradient=_shaped(question))
    masks = _drawn(question, differences, entries)
    allowed = _tolerances(question, differences, tolerance)

    along: list[Direction] = []
    remarks: list[dict[Any, str]] = [{} for _ in triples]

    def evidence_at(arguments: Arguments, asked: list[Any]) -> list[Evidence]:
        if differences:
            return question.differences(arguments, asked, 0).leaves
        with float64():
            wide = given.in_float64(arguments)
        return question.evidence(arguments, wide)

    if differences:
        directions = 0 if all(mask.all() for mask in masks) else DIRECTIONS
        evidence, along, remarks = question.differences(question.wide, masks, directions)
    else:
        evidence = evidence_at(question.arguments, masks)
    if not (watched.changed or watched.beyond):
        _check_again(question, evidence)
    leaves = [Judged(one, judged(one, t), t, said) for one, t, said in zip(evidence, allowed, remarks, strict=True)]
    if not differences and not question.has_vector:
        ask_differences(question, leaves)
    ask_together(question, leaves, differences)
    ask_nearby(question, leaves, evidence_at, zeros=not differences)

    found = []
    scene = _scene(question, leaves, triples)
    explained = _explained(leaves, scene, set(misshapen))
    for number, ((name, _, hand), one) in enumerate(zip(triples, leaves, strict=True)):
        if number in misshapen:
            found.append(_misshapen(name, np.asarray(hand, np.float64), one))
        elif one.codes.size and one.evidence.looked_at.any():
            found.append(_leaf(name, one, explained.get(number)))
    for direction in along:
        t = allowed[direction.leaf]
        name = f"{triples[direction.leaf][0]} · v{direction.number + 1}"
        slope = Judged(direction.evidence, judged(direction.evidence, t), t)
        found.append(_leaf(name, slope))
    reference = "differences" if differences else question.reference
    sampled = _sampled(masks, along, question.seed)
    return Report(reference, tuple(found), tuple(watched.changed), tuple(watched.beyond), sampled)


def _shaped(question: Question) -> Function:
    """The gradient with zeros for every leaf of a wrong shape, so that the others can be judged."""

    @wraps(question.gradient)
    def shaped(*arguments: Any) -> Any:
        return jax.tree.map(
            lambda p, h: h if np.shape(h) == np.shape(p) else np.zeros(np.shape(p)),
            question.arguments[0],
            question.gradient(*arguments),
        )

    return shaped


def _drawn(question: Question, differences: bool, entries: int | None) -> list[Any]:
    """Which entries of each leaf are judged: all of them, but for differences of a large model."""
    random = np.random.default_rng(question.seed)
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(question.arguments[0])]
    total = sum(int(np.prod(shape)) for shape in shapes)
    wanted = total if not differences else entries or (total if total <= EVERY_ENTRY else SAMPLE)
    masks = [np.zeros(shape, bool) for shape in shapes]
    for done, i in enumerate(
        np.argsort([mask.size for mask in masks])
    ):  # what a small leaf leaves goes to a larger
        share = min(masks[i].size, -(-wanted // (len(masks) - done)))
        masks[i].ravel()[random.permutation(masks[i].size)[:share]] = True
        wanted -= share
    return masks


def _sampled(masks: list[Any], along: list[Direction], seed: int) -> str:
    total, drawn = sum(mask.size for mask in masks), sum(int(mask.sum()) for mask in masks)
    if drawn == total:
        return ""
    return (
        f"judged: {drawn} of {total:,} entries, drawn at random, and {len(along)} random directions v through a "
        f"leaf (seed {seed})"
    )


def _tolerances(question: Question, differences: bool, tolerance: float | None) -> list[float]:
    leaves = jax.tree.leaves(question.arguments[0])
    if tolerance is not None:
        return [tolerance] * len(leaves)
    if differences:
        return [DIFFERENCES_TOLERANCE] * len(leaves)
    if not question.own_dtype:
        return [TOLERANCE] * len(leaves)
    return [OWN_TOLERANCE * epsilon(leaf) for leaf in leaves]


def _check_again(question: Question, evidence: list[Evidence]) -> None:
    """Raises ValueError if the gradient is another when it is asked again."""
    again = jax.tree.leaves(question.call_by_hand(question.arguments))
    for one, leaf in zip(evidence, again, strict=True):
        first, second = one.by_hand, np.asarray(leaf, np.float64)
        with np.errstate(all="ignore"):
            apart = np.abs(first - second) > one.floor + 1e-6 * np.abs(first)
        if apart.any():
            a, b = first[apart][0], second[apart][0]
            raise ValueError(f"gradient: expected the same for the same arguments, got {a!r} and {b!r}")


def _scene(question: Question, leaves: list[Judged], triples: list[Any]) -> Scene:
    data = question.without_vector(question.arguments)[1:]
    names = question.names[len(question.names) - len(data) :]
    arrays = [leaf for leaf in jax.tree.leaves(data) if given.is_array(leaf) and np.ndim(leaf)]
    examples = np.shape(arrays[0])[0] if arrays else 0

    def fewer(i: int) -> Any:
        def shortened(leaf: Any) -> Any:
            if not (given.is_array(leaf) and np.ndim(leaf) and np.shape(leaf)[0] == examples):
                return leaf
            short = np.delete(np.asarray(leaf), i, axis=0)
            return jnp.asarray(short) if isinstance(leaf, jax.Array) else short

        kept = len(question.wide) - len(data)
        return (*question.wide[:kept], *(jax.tree.map(shortened, argument) for argument in question.wide[kept:]))

    @cache
    def reference_of_fewer() -> Function:
        return compiled(question.call_reference, fewer(0))

    @cache
    def without(i: int) -> list[Entries] | None:
        try:
            with float64():
                return leaves_of(reference_of_fewer()(*fewer(i)))
        except Exception:  # the loss is made for that many examples, or cannot be traced
            return None

    references = [(name, leaf.evidence.reference) for (name, *_), leaf in zip(triples, leaves, strict=True)]
    parameters = [np.asarray(leaf, np.float64) for _, leaf, _ in triples]
    return Scene(diagnosis.lengths_of(data, names), references, parameters, without, examples)


def _misshapen(name: str, hand: Entries, leaf: Judged) -> Leaf:
    g = leaf.evidence.reference
    mistake = diagnosis.of_shape(hand, g)
    return Leaf(name, MISMATCH, g.size, g.size, (), np.nan, np.nan, np.nan, mistake)


def _explained(leaves: list[Judged], scene: Scene, misshapen: set[int]) -> dict[int, Mistake]:
    """The mistake that fits, of the leaves that are off: here, or nearby where they are too small to tell."""
    wrong, explanations, singles = [], [], []
    for number, leaf in enumerate(leaves):
        worst = int(leaf.codes.max(initial=OK))
        found = (leaf.evidence, leaf.codes) if worst == MISMATCH else leaf.nearby
        if number in misshapen or worst == OK or found is None:
            continue
        evidence, codes = found
        wrong.append(number)
        explanations.append(diagnosis.of_entries(number, evidence, codes == MISMATCH, leaf.tolerance, scene))
        singles.append(diagnosis.is_single(evidence.reference))
    likeliest = diagnosis.likeliest(explanations, singles)
    return {number: mistake for number, mistake in zip(wrong, likeliest, strict=True) if mistake is not None}


def _leaf(name: str, leaf: Judged, mistake: Mistake | None = None) -> Leaf:
    evidence, codes = leaf.evidence, leaf.codes
    code = int(codes.max())
    with np.errstate(all="ignore"):
        distance = np.where(evidence.looked_at, np.abs(evidence.by_hand - evidence.reference), -1)
        # argmax puts a NaN first
        farthest = np.unravel_index(np.argmax(np.where(codes == code, distance, -1)), codes.shape)
        index = tuple(int(i) for i in farthest)
        allowed = evidence.floor + leaf.tolerance * np.abs(evidence.reference)
    remark = leaf.remarks.get(index, "")
    if leaf.nearby is not None and code == TOO_SMALL and not remark:
        remark = "and nearby it is off"
    if not remark and not np.isfinite(evidence.reference[index]):
        remark = "the reference is not finite" if np.isfinite(evidence.by_hand[index]) else "neither is finite"
    if not remark and leaf.remarks and code == OK:
        remark = next(iter(leaf.remarks.values()))
    hand, reference = float(evidence.by_hand[index]), float(evidence.reference[index])
    entries, off_by = int(evidence.looked_at.sum()), int(np.sum(codes == MISMATCH))
    return Leaf(name, code, entries, off_by, index, hand, reference, float(allowed[index]), mistake, remark)
