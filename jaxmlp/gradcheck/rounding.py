"""How far rounding moves the results of a computation: Monte Carlo arithmetic.

A function is run some times, and each time every argument, constant and result of an operation that rounds is
multiplied by a random number near 1, off by the epsilon of its own dtype in the root mean square. How far the
results then move from those without is their spread: it holds what is lost by cancellation anywhere inside, to each
result its own. D. S. Parker 1997, Monte Carlo Arithmetic: exploiting randomness in floating-point arithmetic.

A function that JAX can trace is run as a jaxpr, equation by equation; the body of a loop counts as one operation.
Another is run on NumPy arrays whose ufuncs do the same, and one that takes these for no arrays on arguments so
moved.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from jaxmlp.gradcheck.arguments import Arguments, copies, is_array, is_inexact, map_floats

Entries = np.ndarray[Any, np.dtype[np.float64]]
Noise = Callable[[Any], Any]

RUNS = 8
LOUDER = 8.0  # the noise is so many times epsilon, or its few values might cancel; what comes out is divided by it

# They move, choose, compare, or change a sign: what comes out went in.
EXACT = frozenset(
    "abs argmax argmin broadcast_in_dim clamp concatenate copy copy_p cummax cummin device_put "  # noqa: SIM905 (forty lines as a list)
    "dynamic_slice dynamic_update_slice expand_dims gather imag iota max min neg optimization_barrier pad "
    "real reduce_max reduce_min reduce_window_max reduce_window_min reshape rev scatter "
    "select_and_gather_add select_n sign slice sort split squeeze stop_gradient top_k transpose".split()
)
EXACT_UFUNCS = frozenset((np.absolute, np.negative, np.positive, np.maximum, np.minimum, np.sign, np.copysign))
CALLS = {
    **dict.fromkeys(("jit", "pjit", "checkpoint"), "jaxpr"),
    **dict.fromkeys(("closed_call", "core_call", "custom_jvp_call", "custom_vjp_call"), "call_jaxpr"),
}


def epsilon(value: Any) -> float:
    """That of its dtype; of a Python float, float64's."""
    dtype = value.dtype if hasattr(value, "dtype") else np.float64
    return float(jnp.finfo(dtype).eps)  # type: ignore[no-untyped-call]


def spread(function: Callable[..., Any], arguments: Arguments, seed: int = 0, runs: int = RUNS) -> list[Entries]:
    """The largest move of every entry of every leaf of `function(*arguments)` in so many runs."""
    random = np.random.default_rng(seed)

    def noise(value: Any) -> Any:
        if not _is_rounded(value):
            return value
        if isinstance(value, float):
            return value * (1 + LOUDER * epsilon(value) * random.uniform(-1, 1))
        loud = 1 + LOUDER * epsilon(value) * random.uniform(-1, 1, value.shape)
        return (np.asarray(value) * loud).astype(value.dtype)

    run = _traced(function, arguments) or _called(function, arguments)
    still = _leaves(run(lambda value: value))
    widest = [np.zeros(leaf.shape) for leaf in still]
    for _ in range(runs):
        try:
            moved = _leaves(run(noise))
        except Exception:  # it is somebody's function, and may take nothing but the very arguments
            continue
        with np.errstate(all="ignore"):
            for most, leaf, other in zip(widest, still, moved, strict=True):
                np.fmax(most, np.where(np.isfinite(other), np.abs(other - leaf), 0), out=most)
    return [most * np.sqrt(3) / LOUDER for most in widest]


def _is_rounded(value: Any) -> bool:
    return isinstance(value, float) or is_inexact(value)


def _leaves(tree: Any) -> list[Entries]:
    return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(tree)]


def _traced(function: Callable[..., Any], arguments: Arguments) -> Callable[[Noise], Any] | None:
    """The function as a jaxpr of all arrays, or of fewer where these must be known; None if it cannot be traced."""
    structure: Any
    leaves, structure = jax.tree.flatten(arguments)
    of_params = list(range(len(jax.tree.leaves(arguments[0]))))
    floats = [i for i, leaf in enumerate(leaves) if i in of_params or is_inexact(leaf)]
    arrays = [i for i, leaf in enumerate(leaves) if i in of_params or is_array(leaf)]
    for inputs in (arrays, floats, of_params):

        def of_inputs(*values: Any, inputs: list[int] = inputs) -> Any:
            given = list(leaves)
            for i, value in zip(inputs, values, strict=True):
                given[i] = value
            return function(*copies(structure.unflatten(given)))

        values = [leaves[i] for i in inputs]
        try:
            closed = jax.make_jaxpr(of_inputs)(*values)
        except Exception:  # somebody's function: whatever tracing does to it, it is then run as it is
            continue
        return _interpreted(closed, values)
    return None


def _interpreted(closed: Any, values: list[Any]) -> Callable[[Noise], Any]:
    # A constant of a lower precision than the arguments is not one that was rounded on the way.
    finest = min((epsilon(value) for value in values if _is_rounded(value)), default=0.0)

    def run(noise: Noise) -> list[Any]:
        consts = [
            noise(const) if is_inexact(const) and epsilon(const) <= finest else const for const in closed.consts
        ]
        return _run(closed.jaxpr, consts, [noise(value) for value in values], noise)

    return run


def _run(jaxpr: Any, consts: list[Any], values: list[Any], noise: Noise) -> list[Any]:
    env: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *values), strict=True))

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, core.Literal) else env[variable]

    for equation in jaxpr.eqns:
        primitive, inputs = equation.primitive, [read(variable) for variable in equation.invars]
        if primitive.name in CALLS:
            inner = equation.params[CALLS[primitive.name]]
            closed = inner if isinstance(inner, core.ClosedJaxpr) else core.ClosedJaxpr(inner, ())
            outputs = _run(closed.jaxpr, closed.consts, inputs, noise)
        else:
            variables = [v for v in equation.invars if not isinstance(v, core.Literal)]
            alone = jaxpr.replace(
                constvars=(), invars=list(dict.fromkeys(variables)), outvars=equation.outvars, eqns=[equation]
            )
            outputs = core.jaxpr_as_fun(core.ClosedJaxpr(alone, ()))(*map(read, alone.invars))
            if _rounds(equation):
                outputs = [noise(output) for output in outputs]
        env.update(zip(equation.outvars, outputs, strict=True))
    return [read(variable) for variable in jaxpr.outvars]


def _rounds(equation: Any) -> bool:
    if equation.primitive.name == "convert_element_type":  # of integers it is exact
        return bool(jnp.issubdtype(equation.invars[0].aval.dtype, jnp.inexact))
    return equation.primitive.name not in EXACT


def _called(function: Callable[..., Any], arguments: Arguments) -> Callable[[Noise], Any]:
    def run(noise: Noise) -> Any:
        moved = map_floats(noise, arguments)
        moved = jax.tree.map(
            lambda was, now: jnp.asarray(now) if isinstance(was, jax.Array) else now, arguments, moved
        )
        kind = _noisy(noise)
        try:
            return function(*jax.tree.map(lambda leaf: leaf.view(kind) if _is_real(leaf) else leaf, copies(moved)))
        except Exception:  # such as that of a library that wants plain arrays
            return function(*copies(moved))

    return run


def _is_real(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and is_inexact(leaf)


def _noisy(noise: Noise) -> Any:
    """A class of arrays whose ufuncs round more than they must."""

    class Noisy(np.ndarray):
        def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = (), **options: Any) -> Any:
            inputs = tuple(_plain(value) for value in inputs)
            if out:
                options["out"] = tuple(_plain(value) for value in out)
            results = getattr(ufunc, method)(*inputs, **options)
            if results is None:  # that of ufunc.at
                return None
            several = results if isinstance(results, tuple) else (results,)
            if ufunc not in EXACT_UFUNCS:
                several = tuple(noise(np.asarray(result)) for result in several)
            if out:
                for target, result in zip(options["out"], several, strict=True):
                    target[...] = result
                several = out
            else:
                several = tuple(np.asarray(result).view(Noisy) for result in several)
            return several if isinstance(results, tuple) else several[0]

    def _plain(value: Any) -> Any:
        return value.view(np.ndarray) if isinstance(value, Noisy) else value

    return Noisy
