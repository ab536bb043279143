"""A hand-written gradient against `jax.grad`, or against central differences in float64, leaf by leaf.

With g the reference and d the hand-written gradient minus g, both ‖d‖/‖g‖ and max|d|/max|g| must stay within the
tolerance: a norm alone forgives one wrong entry among many.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

TOLERANCES = {"float32": 1e-5, "float64": 1e-12}  # against jax.grad, by the dtype of the leaf
DIFFERENCES_TOLERANCE = 1e-7  # against central differences in float64

# A central difference is off by about h²/6 of the third derivative, plus the rounding of the loss over h: the two
# balance where h is near the cube root of float64's epsilon.
STEP = float(np.finfo(np.float64).eps) ** (1 / 3)

Function = Callable[..., Any]
Entries = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Leaf:
    """One leaf of the gradient, and the entry where it is furthest from the reference."""

    name: str  # its path in the parameters, as `jax.tree_util.keystr` writes it
    norm_ratio: float  # ‖d‖/‖g‖; if g is zero, 0 or (d is not) inf; NaN or inf if an entry of either gradient is
    max_ratio: float  # max|d|/max|g|, likewise
    index: tuple[int, ...]  # of the entry with the largest |d|, or of the first where d is NaN
    by_hand: float  # that entry of the hand-written gradient
    reference: float  # that entry of the reference
    tolerance: float

    @property
    def ok(self) -> bool:
        """Both ratios are within the tolerance. A NaN never is."""
        return self.norm_ratio <= self.tolerance and self.max_ratio <= self.tolerance

    @property
    def verdict(self) -> str:
        return "ok" if self.ok else "MISMATCH"

    @property
    def entry(self) -> str:
        """The index, as written after a name: empty for a scalar."""
        return str(list(self.index)) if self.index else ""


@dataclass(frozen=True)
class Report:
    """A gradient against one reference, by leaf. Printed, it is a table; it is true if every leaf is ok."""

    reference: str  # "jax.grad" or "differences"
    leaves: tuple[Leaf, ...]

    @property
    def ok(self) -> bool:
        return all(leaf.ok for leaf in self.leaves)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def worst(self) -> Leaf:
        """The leaf that is furthest off: a mismatch before any leaf that is ok, a NaN before any number."""
        return max(self.leaves, key=lambda leaf: (not leaf.ok, np.nan_to_num(leaf.max_ratio, nan=np.inf)))

    def __str__(self) -> str:
        head = ("leaf", "‖d‖/‖g‖", "max|d|/max|g|", "tolerance", "worst entry", "by hand", self.reference, "")
        rows: list[tuple[str, ...]] = [head]
        for leaf in self.leaves:
            ratios = (f"{ratio:.1e}" for ratio in (leaf.norm_ratio, leaf.max_ratio, leaf.tolerance))
            values = (f"{value:.9g}" for value in (leaf.by_hand, leaf.reference))
            rows.append((leaf.name, *ratios, leaf.entry, *values, leaf.verdict))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def compare(
    loss: Function,
    gradient: Function,
    params: Any,
    *data: Any,
    differences: bool = False,
    tolerance: float | None = None,
) -> Report:
    """The hand-written `gradient` of `loss` with respect to `params`, against `jax.grad(loss)`, leaf by leaf.

    `loss(params, *data)` is a scalar. `gradient(params, *data)` has the structure, shapes and dtypes of `params`,
    which is any pytree of floating-point arrays or floats. `data` is anything: it is not differentiated.

    With `differences`, the reference is central differences of every entry instead: it judges a rule that
    `jax.grad` itself has wrong, such as a `jax.custom_vjp`. Both functions then get float64 copies of `params` and
    of the floating-point arrays in `data`, and the loss is evaluated twice per entry: for a small model.

    `tolerance` replaces TOLERANCES or DIFFERENCES_TOLERANCE for every leaf. Matrix products run at precision
    "highest", so that formulas are compared and not the rounding of an accelerator.

    Raises ValueError if `params` cannot be differentiated; if `gradient` returns another structure, shape or dtype;
    if `tolerance` is not a finite number >= 0, or missing for leaves that are neither float32 nor float64; and if
    `loss` of float64 copies is not float64.
    """
    if tolerance is not None and not 0 <= tolerance < np.inf:
        raise ValueError(f"tolerance: expected a finite number >= 0, got {tolerance}")
    _check_params(params)
    with jax.default_matmul_precision("highest"):
        if not differences:
            return report_on("jax.grad", gradient(params, *data), jax.grad(loss)(params, *data), tolerance)
        with jax.enable_x64(True):
            params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
            data = jax.tree.map(_in_float64, data)
            return differences_report(loss, gradient(params, *data), params, data, tolerance)


def check(
    loss: Function,
    gradient: Function,
    params: Any,
    *data: Any,
    differences: bool = False,
    tolerance: float | None = None,
) -> None:
    """`compare` for a test suite: raises AssertionError that names the worst leaf and entry, above the table.

    Raises ValueError where `compare` does.
    """
    report = compare(loss, gradient, params, *data, differences=differences, tolerance=tolerance)
    if not report.ok:
        leaf = report.worst
        raise AssertionError(
            f"gradient{leaf.name}{leaf.entry}: {leaf.by_hand!r} by hand, {leaf.reference!r} by {report.reference}; "
            f"‖d‖/‖g‖ = {leaf.norm_ratio:.1e}, max|d|/max|g| = {leaf.max_ratio:.1e}, "
            f"tolerance = {leaf.tolerance:.1e}\n{report}"
        )


def differences_report(
    loss: Function, by_hand: Any, params: Any, data: Any, tolerance: float | None = None
) -> Report:
    allowed = DIFFERENCES_TOLERANCE if tolerance is None else tolerance
    return report_on("differences", by_hand, _central_differences(loss, params, data), allowed)


def report_on(name: str, by_hand: Any, reference: Any, tolerance: float | None = None) -> Report:
    """Two gradients, which must agree in structure, shapes and dtypes."""
    structure: Any
    expected, structure = jax.tree.flatten_with_path(reference)
    got, got_structure = jax.tree.flatten_with_path(by_hand)
    if got_structure != structure:
        paths, got_paths = ({jax.tree_util.keystr(path) for path, _ in leaves} for leaves in (expected, got))
        raise ValueError(
            f"gradient: expected the structure of params, {structure}, got {got_structure}; "
            f"missing {sorted(paths - got_paths)}, surplus {sorted(got_paths - paths)}"
        )
    leaves = []
    for (path, g), (_, hand) in zip(expected, got, strict=True):
        leaf = jax.tree_util.keystr(path)
        if _written(hand) != _written(g):
            raise ValueError(f"gradient{leaf}: expected {_written(g)}, got {_written(hand)}")
        allowed = TOLERANCES.get(str(g.dtype)) if tolerance is None else tolerance
        if allowed is None:
            raise ValueError(f"tolerance: expected a number, because gradient{leaf} is {g.dtype}, got None")
        if g.size:
            leaves.append(leaf_on(leaf, hand, g, allowed))
    return Report(name, tuple(leaves))


def leaf_on(name: str, by_hand: Any, reference: Any, tolerance: float) -> Leaf:
    hand, g = np.asarray(by_hand, np.float64), np.asarray(reference, np.float64)
    with np.errstate(all="ignore"):  # NaN and inf are reported, not warned of
        d = np.abs(hand - g)
        index = tuple(map(int, np.unravel_index(np.argmax(d), d.shape)))  # argmax puts a NaN first
        largest = np.max(np.abs(g))
        if largest == 0:
            norm_ratio = max_ratio = 0.0 if np.all(d == 0) else np.inf
        else:  # divided before it is squared: the square of a large or small number may not exist
            norm_ratio = float(np.linalg.norm(d / largest) / np.linalg.norm(g / largest))
            max_ratio = float(np.max(d) / largest)
    return Leaf(name, norm_ratio, max_ratio, index, float(hand[index]), float(g[index]), tolerance)


def _central_differences(loss: Function, params: Any, data: Any) -> Any:
    """(L(p + h) - L(p - h)) / 2h for every entry p of `params`; to be called with float64 on."""
    structure: Any
    arrays, structure = jax.tree.flatten(params)

    def loss_at(number: int, moved: Entries) -> float:
        leaves = [*arrays[:number], jnp.asarray(moved), *arrays[number + 1 :]]
        value = jnp.asarray(loss(structure.unflatten(leaves), *data))
        if value.dtype != jnp.float64:
            raise ValueError(f"loss: expected float64 for float64 copies of its arguments, got {value.dtype}")
        return float(value)

    slopes = []
    for number, leaf in enumerate(arrays):
        centre = np.asarray(leaf)
        slope = np.empty_like(centre)
        for index in np.ndindex(centre.shape):
            h = STEP * max(1.0, abs(centre[index]))
            above, below = centre.copy(), centre.copy()
            above[index] += h
            below[index] -= h
            run = above[index] - below[index]  # what rounding left of 2h
            slope[index] = (loss_at(number, above) - loss_at(number, below)) / run
        slopes.append(slope)
    return structure.unflatten(slopes)


def _check_params(params: Any) -> None:
    leaves = jax.tree.leaves_with_path(params)
    for path, leaf in leaves:
        if not _is_floating(leaf):
            got = _written(leaf) if hasattr(leaf, "dtype") else type(leaf).__name__
            raise ValueError(
                f"params{jax.tree_util.keystr(path)}: expected a floating-point array or a float, got {got}"
            )
    if not any(np.size(leaf) for _, leaf in leaves):
        raise ValueError(f"params: expected at least one entry, got {params!r}")


def _is_floating(leaf: Any) -> bool:
    return isinstance(leaf, float) or (hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating))


def _in_float64(leaf: Any) -> Any:
    return jnp.asarray(leaf, jnp.float64) if hasattr(leaf, "dtype") and _is_floating(leaf) else leaf


def _written(leaf: Any) -> str:
    array = jnp.asarray(leaf)  # as JAX takes it: a NumPy float64 is a float32 unless float64 is on
    return f"{array.dtype} array of shape {array.shape}"
