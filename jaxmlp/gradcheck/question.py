"""What is asked: is `gradient` that of `loss`? Both are called here, and what they return is looked at.

At a point, i.e. for given arguments, the answer is Evidence: the two gradients entry by entry, and how far rounding
alone may put them apart.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.gradcheck import arguments as given
from jaxmlp.gradcheck.arguments import Arguments
from jaxmlp.gradcheck.contents import changes, contents
from jaxmlp.gradcheck.differences import Slope, Slopes, compiled
from jaxmlp.gradcheck.rounding import Entries, Rounding, epsilon

Function = Callable[..., Any]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

# The spread of both gradients, times this, is what rounding may explain: the arithmetic behind the spread rounds
# about 3 times as much as the real one, and this makes it 15 standard deviations.
SPREADS = 4.0
OF_COPIES = " for float64 copies of its arguments"
RETURNED = 8.0  # times the epsilon of a lower dtype in which a gradient is returned
SAME_LOSS = 1e-6  # relative: what is closer is the same, rounded otherwise
UNRELIABLE = 0.01  # a central difference that may be off by this part of itself


@dataclass
class Evidence:
    """Of one leaf at one point. An entry that was not looked at is NaN in the reference and not in `looked_at`."""

    by_hand: Entries
    reference: Entries
    hand_floor: Entries  # how far rounding may move an entry by hand
    reference_floor: Entries
    looked_at: Mask
    excused: Mask | None = None  # right by convention, whatever the reference: at a kink

    @property
    def is_excused(self) -> Mask:
        return np.zeros(self.by_hand.shape, bool) if self.excused is None else self.excused

    @property
    def floor(self) -> Entries:
        total: Entries = self.hand_floor + self.reference_floor
        return total


class Watched(NamedTuple):
    """A call of the gradient."""

    by_hand: Any
    changed: list[str]  # of its arguments
    beyond: list[str]  # what else that the loss depends on


class Direction(NamedTuple):
    """The slope along a random direction through one leaf."""

    leaf: int
    number: int
    evidence: Evidence  # of a single entry


class Differences(NamedTuple):
    leaves: list[Evidence]
    along: list[Direction]
    remarks: list[dict[tuple[int, ...], str]]  # of entries: that there is a kink, that no difference is reliable


@dataclass(frozen=True)
class Question:
    """A gradient, or a Hessian-vector product if there is a `vector`, of a loss.

    `arguments` are (params, *data), or (params, vector, *data), in the dtype in which `gradient` is judged.
    `wide` are the same in float64.
    """

    loss: Function
    gradient: Function
    arguments: Arguments
    wide: Arguments
    has_vector: bool
    own_dtype: bool
    seed: int

    @property
    def names(self) -> list[str]:
        """Those of the arguments: the gradient's own where it says them."""
        names = ["params", "vector"][: 1 + self.has_vector]
        names += [f"data[{i}]" for i in range(len(self.arguments) - len(names))]
        try:
            said = [
                parameter.name
                for parameter in inspect.signature(self.gradient).parameters.values()
                if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
            ]
        except (TypeError, ValueError):
            said = []
        return [*said[: len(names)], *names[len(said) :]]

    @property
    def reference(self) -> str:
        return "jvp of jax.grad" if self.has_vector else "jax.grad"

    def without_vector(self, arguments: Arguments) -> Arguments:
        return (arguments[0], *arguments[2:]) if self.has_vector else arguments

    def call_by_hand(self, arguments: Arguments) -> Any:
        return self._call_by_hand(given.copies(arguments))

    def _call_by_hand(self, copies: Arguments) -> Any:
        with named("gradient", "" if self.own_dtype else OF_COPIES):
            return self.gradient(*copies)

    def call_watched(self) -> Watched:
        """What `gradient` returns, and what it changed on the way."""
        value = self._loss_at(self.wide)
        before = contents(self.loss, self.gradient, functions=True)
        copies = given.copies(self.arguments)
        by_hand = self._call_by_hand(copies)
        changed = given.changed(self.arguments, copies, self.names)
        objects = given.changed_objects(self.arguments, copies, self.names)
        if objects and not changed and self._is_another(value, given.with_objects(self.wide, copies)):
            changed += objects
        beyond = changes(before, contents(self.loss, self.gradient, functions=True))
        with jax.disable_jit(bool(beyond)):  # what is compiled keeps the data that it was compiled with
            if not self._is_another(value, self.wide):
                beyond = []
            elif not beyond:
                beyond = ["something"]
        return Watched(by_hand, changed, beyond)

    def _loss_at(self, wide: Arguments) -> float:
        with float64():
            return float(self.loss(*given.copies(self.without_vector(wide))))

    def _is_another(self, value: float, wide: Arguments) -> bool:
        try:
            return not np.isclose(self._loss_at(wide), value, rtol=SAME_LOSS, atol=0, equal_nan=True)
        except Exception:  # somebody's loss can do no more with what became of the data
            return True

    def call_reference(self, *arguments: Any) -> Any:
        """By autodiff. Fit to be traced."""
        if not self.has_vector:
            return jax.grad(self.loss)(*given.copies(arguments))
        params, vector, *data = given.copies(arguments)
        params, vector = jax.tree.map(jnp.asarray, (params, vector))
        return jax.jvp(lambda at: jax.grad(self.loss)(at, *data), (params,), (vector,))[1]

    def evidence(self, arguments: Arguments, wide: Arguments) -> list[Evidence]:
        """Against autodiff, leaf by leaf."""
        returned = self.call_by_hand(arguments)
        by_hand = leaves_of(returned)
        with named("loss", OF_COPIES, "; differences=True judges one that JAX cannot trace"):
            reference, reference_spread = self._reference_rounding.at(arguments)
            if self.own_dtype:
                with float64():
                    reference = leaves_of(self.call_reference(*wide))
        hand_floor = self.hand_floor(arguments, returned)
        every = [np.ones(leaf.shape, bool) for leaf in by_hand]
        found = zip(by_hand, reference, hand_floor, reference_spread, every, strict=True)
        return [Evidence(h, g, f, SPREADS * moved, looked_at) for h, g, f, moved, looked_at in found]

    def hand_floor(self, arguments: Arguments, by_hand: Any) -> list[Entries]:
        if self.own_dtype:  # its own rounding is what is judged
            return [np.zeros(np.shape(leaf)) for leaf in jax.tree.leaves(by_hand)]
        floors = []
        moves = self._hand_rounding.at(arguments).moves
        for leaf, moved in zip(jax.tree.leaves(by_hand), moves, strict=True):
            floor = SPREADS * moved
            if epsilon(leaf) > epsilon(1.0):  # it was rounded to its dtype on return, or computed in it
                floor += RETURNED * epsilon(leaf) * np.nan_to_num(np.abs(np.asarray(leaf, np.float64)))
            floors.append(floor)
        return floors

    @cached_property
    def _hand_rounding(self) -> Rounding:
        return Rounding(self.gradient, self.arguments, self.seed)

    @cached_property
    def _reference_rounding(self) -> Rounding:
        return Rounding(self.call_reference, self.arguments, self.seed)

    @cached_property
    def slopes(self) -> Slopes:
        return self._slopes_at(self.wide)

    def _slopes_at(self, wide: Arguments) -> Slopes:
        plain = self.without_vector(wide)
        (value,), (moved,) = self._loss_rounding.at(plain, runs=2)
        noise = max(float(np.nan_to_num(moved)), float(np.finfo(np.float64).eps * np.abs(value)))
        return Slopes(self._loss, plain, noise)

    @cached_property
    def _loss(self) -> Function:
        return compiled(self.loss, self.without_vector(self.wide))

    @cached_property
    def _loss_rounding(self) -> Rounding:
        return Rounding(self.loss, self.without_vector(self.wide), self.seed)

    def gradients_near(self, distance: float, count: int) -> list[Entries]:
        """Leaf by leaf, those of jax.grad at random points around, one `distance` away relative to each parameter.

        With `count` in front of the leaf's axes. To be called with float64 on.
        """
        params, *data = self.without_vector(self.wide)
        gradient = self._gradient
        random = np.random.default_rng(self.seed)
        points = ((given.moved(params, distance, random), *data) for _ in range(count))
        gradients = [leaves_of(gradient(*point)) for point in points]
        return [np.stack(leaf) for leaf in zip(*gradients, strict=True)]

    def slopes_near(self, distance: float, count: int, masks: list[Mask]) -> list[Entries]:
        """The same of the entries in the masks, by central differences of steps far below the distance; else 0."""
        params, *data = self.without_vector(self.wide)
        random = np.random.default_rng(self.seed)
        found = [np.zeros((count, *mask.shape)) for mask in masks]
        for i in range(count):
            slopes = Slopes(self._loss, (given.moved(params, distance, random), *data), 0.0)
            for number, mask in enumerate(masks):
                for index in map(tuple, np.argwhere(mask).tolist()):
                    found[number][(i, *index)] = slopes.at_step(number, index, 1e-4 * distance)
        return found

    @cached_property
    def _gradient(self) -> Function:
        return compiled(jax.grad(self.loss), self.without_vector(self.wide))

    def differences(self, wide: Arguments, chosen: list[Any], directions: int) -> Differences:
        """Against central differences of the chosen entries, and along some random directions through each leaf."""
        returned = self.call_by_hand(wide)
        by_hand = leaves_of(returned)
        hand_floors = self.hand_floor(wide, returned)
        slopes = self.slopes if wide is self.wide else self._slopes_at(wide)
        random = np.random.default_rng(self.seed)
        leaves, along, remarks = [], [], []
        for number, (hand, floor, mask) in enumerate(zip(by_hand, hand_floors, chosen, strict=True)):
            evidence = Evidence(hand, np.full(hand.shape, np.nan), floor, np.zeros(hand.shape), mask)
            said = {}
            for index in map(tuple, np.argwhere(mask).tolist()):
                slope = slopes.entry(number, index)
                evidence.reference[index] = slope.value
                evidence.reference_floor[index] = 2 * slope.error
                if remark := remark_on(evidence, index, slope):
                    said[index] = remark
            leaves.append(evidence)
            remarks.append(said)
            for i in range(directions if hand.size else 0):
                v = random.choice((-1.0, 1.0), hand.shape)
                slope = slopes.along(number, v)
                error = np.full((), 2 * slope.error)
                noise = np.asarray(np.sum(evidence.hand_floor))
                one = Evidence(
                    np.asarray(np.sum(hand * v)), np.asarray(slope.value), noise, error, np.ones((), bool)
                )
                remark_on(one, (), slope)
                along.append(Direction(number, i, one))
        return Differences(leaves, along, remarks)


def remark_on(evidence: Evidence, index: tuple[int, ...], slope: Slope) -> str:
    """What is to be said of a difference. At a kink every slope between those of its sides is right: excuses it."""
    if slope.is_kink:
        allowance = 2 * slope.error + 1e-6 * max(abs(slope.low), abs(slope.high))
        if slope.low - allowance <= evidence.by_hand[index] <= slope.high + allowance:
            evidence.excused = evidence.is_excused
            evidence.excused[index] = True
        return f"a kink, where any slope from {slope.low:.6g} to {slope.high:.6g} is right"
    if np.isnan(slope.value):
        return "no finite difference here"
    if slope.error > UNRELIABLE * abs(slope.value) > 0:
        return f"an unreliable difference, off by up to {slope.error:.1e}"
    return ""


def float64() -> Any:
    return jax.enable_x64(True)


@contextmanager
def named(name: str, of: str, hint: str = "") -> Iterator[None]:
    """An exception of somebody's function, in one line that says which function it was."""
    try:
        yield
    except Exception as error:
        first = (str(error).strip() or "no message").splitlines()[0]
        raise ValueError(f"{name}: expected a result{of}, got {type(error).__name__}: {first}{hint}") from error


def leaves_of(tree: Any) -> list[Entries]:
    """New arrays in float64, whatever is on."""
    return [np.array(leaf, np.float64) for leaf in jax.tree.leaves(tree)]
