"""What the functions are given: copies of their own, in float64 or as they came, and what became of them.

`arguments` is the tuple (params, *data), or (params, vector, *data).
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.gradcheck.contents import changes, contents, is_plain

Arguments = tuple[Any, ...]
Change = Callable[[Any], Any]


def is_array(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray | np.generic | jax.Array)


def is_inexact(leaf: Any) -> bool:
    """A floating-point or complex array."""
    return is_array(leaf) and bool(jnp.issubdtype(leaf.dtype, jnp.inexact))


def copies(arguments: Arguments) -> Arguments:
    """New containers, new arrays, NumPy's writable, and new objects that hold any: whatever is done to them, the
    originals stay.
    """
    return tuple(jax.tree.map(_copy, arguments))


def _copy(leaf: Any) -> Any:
    if is_array(leaf):
        return leaf.copy()
    if is_plain(leaf) or not contents(leaf):  # such as a function or a marker, known by its identity
        return leaf
    try:
        with jax.ensure_compile_time_eval():  # the copy is none of what is traced
            return deepcopy(leaf)
    except Exception:  # what holds a file or a lock
        return leaf


def in_float64(arguments: Arguments) -> Arguments:
    """The same with every floating-point array in float64 (complex: complex128); NumPy's and JAX's stay what they
    are.

    A Python number stays one: it may be a static argument. To be called with float64 on.
    """

    def widened(leaf: Any) -> Any:
        if not is_inexact(leaf):
            return leaf
        dtype = np.complex128 if jnp.issubdtype(leaf.dtype, jnp.complexfloating) else np.float64
        wide: Any = leaf.astype(dtype)
        return wide

    return tuple(jax.tree.map(widened, arguments))


def map_floats(change: Change, arguments: Arguments) -> Arguments:
    """`change` of every floating-point array, and of the floats among the parameters; the rest as it is."""
    params, *data = arguments
    changed = jax.tree.map(
        lambda leaf: change(leaf) if is_inexact(leaf) or isinstance(leaf, float) else leaf, params
    )
    return (changed, *jax.tree.map(lambda leaf: change(leaf) if is_inexact(leaf) else leaf, data))


def moved(params: Any, size: float, random: np.random.Generator, factor: float = 1.0) -> Any:
    """The parameters times `factor`, each then moved by up to `size` of itself, or if it is 0, of its leaf."""

    def move(leaf: Any) -> Any:
        centre = factor * np.asarray(leaf, np.float64)
        if not centre.size:
            return leaf
        scale = np.where(centre == 0, np.max(np.abs(centre)) or 1.0, np.abs(centre))
        there = centre + size * random.uniform(-1, 1, centre.shape) * scale
        if isinstance(leaf, float):
            return float(there)
        dtype = leaf.dtype
        return jnp.asarray(there, dtype) if isinstance(leaf, jax.Array) else there.astype(dtype)

    return jax.tree.map(move, params)


def check_params(name: str, params: Any) -> None:
    """Raises ValueError unless every leaf is a floating-point array or a float, and there is an entry."""
    leaves = jax.tree.leaves_with_path(params)
    for path, leaf in leaves:
        is_float = isinstance(leaf, float) or (is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.floating))
        if not is_float:
            raise ValueError(
                f"{name}{jax.tree_util.keystr(path)}: expected a floating-point array or a float, "
                f"got {written(leaf)}; what is not differentiated belongs into the data"
            )
    if not any(np.size(leaf) for _, leaf in leaves):
        raise ValueError(f"{name}: expected at least one entry, got {params!r}")


def changed(before: Arguments, after: Arguments, names: list[str]) -> list[str]:
    """The names of those that are no longer what they were. Objects are left to `changed_objects`."""
    found = []
    for name, old, new in zip(names, before, after, strict=True):
        structure: Any = jax.tree.structure(old)
        if jax.tree.structure(new) != structure:
            found.append(name)
            continue
        for (path, was), now in zip(jax.tree.leaves_with_path(old), jax.tree.leaves(new), strict=True):
            if not _same(was, now):
                found.append(f"{name}{jax.tree_util.keystr(path)}")
    return found


def changed_objects(before: Arguments, after: Arguments, names: list[str]) -> list[str]:
    """The paths of what objects held and hold no more. An object may keep what it computes: that is no mistake."""
    found = []
    for name, old, new in zip(names, before, after, strict=True):
        for (path, was), now in zip(jax.tree.leaves_with_path(old), jax.tree.leaves(new), strict=False):
            if _is_object(was):
                here = f"{name}{jax.tree_util.keystr(path)}"
                found += [here + inside for inside in changes(contents(was), contents(now))]
    return found


def with_objects(arguments: Arguments, others: Arguments) -> Arguments:
    """The arguments with the objects of others of the same structure."""
    return tuple(
        jax.tree.map(lambda leaf, other: other if _is_object(leaf) else leaf, old, new)
        for old, new in zip(arguments, others, strict=True)
    )


def _same(was: Any, now: Any) -> bool:
    if was is now or (isinstance(now, jax.Array) and now.is_deleted()):  # by jit, to which it was donated
        return True
    if not (is_array(was) and is_array(now)):
        return type(was) is type(now) and (_is_object(was) or bool(was == now))
    if was.dtype != now.dtype or was.shape != now.shape:
        return False
    if jnp.issubdtype(was.dtype, jax.dtypes.prng_key):
        was, now = jax.random.key_data(was), jax.random.key_data(now)
    return bool(np.array_equal(was, now, equal_nan=is_inexact(was)))


def _is_object(leaf: Any) -> bool:
    return not (is_array(leaf) or is_plain(leaf) or isinstance(leaf, set | bytearray))


def written(leaf: Any) -> str:
    """How a leaf is named in an error."""
    return f"{leaf.dtype} array of shape {leaf.shape}" if hasattr(leaf, "dtype") else type(leaf).__name__
