"""Shapes and dtypes of what the mathematics is given, checked while tracing: free at run time.

Every check raises ValueError in one line that names the argument, what was expected and what came.
"""

from typing import Any

import jax
import jax.numpy as jnp

Axes = tuple[int | str, ...]  # a string is a free axis, of any length >= 1

# Half precision is refused: the squares of a loss overflow in float16, and a count above 65,504 is infinite there.
DTYPES = (jnp.float32, jnp.float64)

ONE_EXAMPLE: Axes = ()
BATCH: Axes = ("n",)


def check_array(name: str, array: Any, shape: Axes, dtype: Any = None) -> tuple[int, ...]:
    """The shape of `array`, which must match `shape` and `dtype` (None: float32 or float64)."""
    expected = f"{dtype or 'float32 or float64'} array of shape {_written(shape)}"
    if not (hasattr(array, "shape") and hasattr(array, "dtype")):
        raise ValueError(f"{name}: expected {expected}, got {type(array).__name__}")
    got = _dtype(array)
    right_shape = len(array.shape) == len(shape) and all(
        length == axis or (isinstance(axis, str) and length >= 1)
        for length, axis in zip(array.shape, shape, strict=True)
    )
    right_dtype = got in DTYPES if dtype is None else got == dtype
    if not (right_shape and right_dtype):
        raise ValueError(f"{name}: expected {expected}, got {got} array of shape {_written(array.shape)}")
    return tuple(array.shape)


def check_sizes(**sizes: int) -> None:
    """Numbers of units."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name}: expected 1 or more, got {size}")


def check_params(params: Any) -> tuple[int, int, int, Any]:
    """(D, K, C, dtype) of the parameters, whose leaves must agree on them."""
    if getattr(params, "_fields", None) != ("W1", "b1", "W2", "b2"):
        raise ValueError(f"params: expected Params(W1, b1, W2, b2), got {type(params).__name__}")
    D, K = check_array("params.W1", params.W1, ("D", "K"))
    dtype = _dtype(params.W1)
    check_array("params.b1", params.b1, (K,), dtype)
    _, C = check_array("params.W2", params.W2, (K, "C"), dtype)
    check_array("params.b2", params.b2, (C,), dtype)
    return D, K, C, dtype


def check_inputs(params: Any, x: Any, lead: Axes = ONE_EXAMPLE, name: str = "x0") -> Axes:
    """The lengths of the axes `lead` of the inputs x (called `name`), which come before their own axis."""
    D, _, _, dtype = check_params(params)
    return check_array(name, x, (*lead, D), dtype)[:-1]


def check_trace(params: Any, trace: Any, y: Any, lead: Axes = ONE_EXAMPLE, name: str = "y (one-hot)") -> None:
    """A trace of these parameters, and its targets (called `name`)."""
    D, K, C, dtype = check_params(params)
    lengths = {"x0": D, "z1": K, "x1": K, "z2": C, "x2": C}
    for part, length in lengths.items():
        lead = check_array(f"trace.{part}", getattr(trace, part, None), (*lead, length), dtype)[:-1]
    check_array(name, y, (*lead, C), dtype)


def check_targets(x2: Any, y: Any, lead: Axes = ONE_EXAMPLE) -> None:
    """Outputs x2 and their targets y."""
    shape = check_array("x2", x2, (*lead, "C"))
    check_array("y (one-hot)", y, shape, _dtype(x2))


def check_deltas(trace: Any, deltas: Any, lead: Axes = ONE_EXAMPLE) -> None:
    """A trace and the deltas of the same examples."""
    x0, x1, x2 = (getattr(trace, name, None) for name in ("x0", "x1", "x2"))
    lead = check_array("trace.x0", x0, (*lead, "D"))[:-1]
    dtype = _dtype(trace.x0)
    *_, K = check_array("trace.x1", x1, (*lead, "K"), dtype)
    *_, C = check_array("trace.x2", x2, (*lead, "C"), dtype)
    check_array("deltas.delta1", getattr(deltas, "delta1", None), (*lead, K), dtype)
    check_array("deltas.delta2", getattr(deltas, "delta2", None), (*lead, C), dtype)


def check_passes(passes: Any, name: str = "passes") -> None:
    """The Passes of a batch, which must agree on its n and on the parameters' sizes and dtype."""
    if not all(hasattr(passes, part) for part in ("params", "trace", "deltas", "y", "phi")):
        raise ValueError(f"{name}: expected the Passes of batch.passes, got {type(passes).__name__}")
    check_trace(passes.params, passes.trace, passes.y, lead=BATCH)
    check_deltas(passes.trace, passes.deltas, lead=BATCH)


def check_direction(v: Any, params: Any) -> None:
    """A vector v in the space of the parameters, which are already checked."""
    for name, leaf in params._asdict().items():
        check_array(f"v.{name}", getattr(v, name, None), leaf.shape, _dtype(leaf))


def check_other(other: Any, passes: Any) -> None:
    """The passes of a second batch, through a network of the same sizes and dtype; `passes` is already checked."""
    check_passes(other, "other")
    for name, leaf in passes.params._asdict().items():
        check_array(f"other.params.{name}", getattr(other.params, name), leaf.shape, _dtype(leaf))


def _dtype(array: Any) -> Any:
    # A NumPy float64 becomes float32 unless x64 is on; a key keeps its extended dtype, for the message.
    return jax.dtypes.canonicalize_dtype(array.dtype, allow_extended_dtype=True)


def _written(shape: Axes) -> str:
    axes = [f"{axis} >= 1" if isinstance(axis, str) else str(axis) for axis in shape]
    return f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"
