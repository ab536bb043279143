"""Functions of arrays that JAX has laid out over the devices of a mesh.

On mesh axes of type Auto, XLA finds out how each intermediate array lies, and there is nothing to do. On those of
type Explicit, the default of `jax.make_mesh`, the layout is part of an array's type, and a sum over a sharded axis
is an error unless it is said how its result shall lie. `on_any_mesh` says it once for a whole function: inside, the
mesh is of type Auto; and each axis of the result lies as that of the same name in the arguments.

Where nothing is on an explicit mesh, in a caller's `shard_map` too, the function is called as it is.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import signature
from typing import Any, TypeVar

import jax
from jax.sharding import AbstractMesh, NamedSharding, PartitionSpec

F = TypeVar("F", bound=Callable[..., Any])
Spec: Any = PartitionSpec

# The axes of an array, a letter each: n and m examples, D inputs, K hidden units, C outputs, and - for any other.
# A tree of arrays has a tree of such strings.
Axes = Any

SCALAR = ""
PARAMS = ("DK", "K", "KC", "C")
TRACE = ("D", "K", "K", "C", "C")  # of one example
DELTAS = ("K", "C")


def of_batch(axes: Axes) -> Axes:
    """Those of n examples."""
    return jax.tree.map(lambda of_one: "n" + of_one, axes)


PASSES = (PARAMS, of_batch(TRACE), of_batch(DELTAS), "nC")

ARGUMENTS: dict[str, Axes] = {  # those of one example have no n
    "params": PARAMS,
    "v": PARAMS,
    "trace": of_batch(TRACE),
    "deltas": of_batch(DELTAS),
    "passes": PASSES,
    "other": jax.tree.map(lambda axes: axes.replace("n", "m"), PASSES),
    "x": "nD",
    "x0": "D",
    "x2": "C",
    "y": "nC",
    "e": "nC",
    "weights": "n",
    "mask": "n",
}


def chosen(axes: Axes, rank: int) -> Axes:
    """Those of some examples, chosen by an array of this rank: they lie whole on every device."""
    return jax.tree.map(lambda of_one: of_one.replace("n", "-" * rank), axes)


def on_any_mesh(result: Axes) -> Callable[[F], F]:
    """Decorate a function, before it is jitted, whose arguments are named as in ARGUMENTS: its result's axes."""

    def decorator(function: F) -> F:
        @wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            leaves, structure = jax.tree.flatten((args, kwargs))
            mesh = _explicit_mesh(leaves)
            if mesh is None:
                return function(*args, **kwargs)
            layout = _layout(signature(function).bind(*args, **kwargs).arguments)
            traced = [i for i, leaf in enumerate(leaves) if _is_array(leaf)]
            shape_of_result = None

            def of_arrays(*arrays: Any) -> list[Any]:
                nonlocal shape_of_result
                for i, array in zip(traced, arrays, strict=True):
                    leaves[i] = array
                args, kwargs = jax.tree.unflatten(structure, leaves)
                flat, shape_of_result = jax.tree.flatten(function(*args, **kwargs))
                return flat

            shardings = [NamedSharding(mesh, _spec(axes, layout)) for axes in jax.tree.leaves(result)]
            arrays = [leaves[i] for i in traced]
            flat = jax.sharding.auto_axes(of_arrays, axes=mesh.explicit_axes, out_sharding=shardings)(*arrays)
            return jax.tree.unflatten(shape_of_result, flat)

        return called  # type: ignore[return-value]

    return decorator


def _explicit_mesh(leaves: list[Any]) -> AbstractMesh | None:
    """The mesh with explicit axes on which one of these lies; None if there is none."""
    meshes = (jax.typeof(leaf).sharding.mesh for leaf in leaves if _is_array(leaf))
    return next((mesh for mesh in meshes if mesh.explicit_axes), None)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array)


def _layout(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The mesh axes, one or a tuple of them, over which each axis of these arguments is sharded, by its letter."""
    return {
        letter: over
        for name, argument in arguments.items()
        for axes, array in zip(jax.tree.leaves(ARGUMENTS.get(name)), jax.tree.leaves(argument), strict=False)
        for letter, over in zip(reversed(axes), reversed(jax.typeof(array).sharding.spec), strict=False)
        if over is not None
    }


def _spec(axes: str, layout: Mapping[str, Any]) -> Any:
    """How an array of these axes lies. No two of them can lie along one axis of the mesh: the first does."""
    spec: list[Any] = []
    for letter in axes:
        over = layout.get(letter)
        taken = {name for earlier in spec for name in _names(earlier)}
        spec.append(None if taken & set(_names(over)) else over)
    return Spec(*spec)


def _names(over: Any) -> tuple[str, ...]:
    return () if over is None else (over,) if isinstance(over, str) else tuple(over)
