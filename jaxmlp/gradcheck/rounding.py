"""How far rounding moves the results of a computation.

A function that JAX can trace is run as Monte Carlo arithmetic: some times over, and each time every argument,
constant and result of an operation that rounds is multiplied by a random number near 1, off by the epsilon of its
own dtype in the root mean square. How far the results then move from those without is their spread: it holds what
is lost by cancellation anywhere inside, to each result its own. The body of a loop counts as one operation.
D. S. Parker 1997, Monte Carlo Arithmetic: exploiting randomness in floating-point arithmetic.

Another function, in NumPy or with Python's numbers, is run on arguments moved by a last place, while the processor
rounds up, down or towards zero. W. Kahan 2006, How futile are mindless assessments of roundoff.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from jaxmlp.gradcheck.arguments import Arguments, copies, is_array, is_inexact, map_floats
from jaxmlp.gradcheck.directed import rounding

Entries = np.ndarray[Any, np.dtype[np.float64]]
Noise = Callable[[Any], Any]

RUNS = 8
QUICKLY = {"xla_backend_optimization_level": 0}  # what is compiled runs a few times only
LOUDER = 8.0  # the noise is so many times epsilon, or its few values might cancel; what comes out is divided by it

# They move, choose, compare, or change a sign: what comes out went in.
EXACT = frozenset(
    "abs argmax argmin broadcast_in_dim clamp concatenate copy copy_p cummax cummin device_put "  # noqa: SIM905 (forty lines as a list)
    "dynamic_slice dynamic_update_slice expand_dims gather imag iota max min neg optimization_barrier pad "
    "real reduce_max reduce_min reduce_window_max reduce_window_min reshape rev scatter "
    "select_and_gather_add select_n sign slice sort split squeeze stop_gradient top_k transpose".split()
)
CALLS = {
    **dict.fromkeys(("jit", "pjit", "checkpoint"), "jaxpr"),
    **dict.fromkeys(("closed_call", "core_call", "custom_jvp_call", "custom_vjp_call"), "call_jaxpr"),
}


class Spread(NamedTuple):
    """Leaf by leaf."""

    values: list[Entries]  # the results
    moves: list[Entries]  # the largest move of every entry


def epsilon(value: Any) -> float:
    """That of its dtype; of a Python float, float64's."""
    dtype = value.dtype if hasattr(value, "dtype") else np.float64
    return float(jnp.finfo(dtype).eps)  # type: ignore[no-untyped-call]


class Moves(Protocol):
    """(what a function returns, (weight, what it returns when it rounds otherwise) of so many runs)."""

    def __call__(
        self, arguments: Arguments, random: np.random.Generator, runs: int
    ) -> tuple[Any, Iterator[tuple[float, Any]]]: ...


class Rounding:
    """A function, traced and compiled once, for arguments that differ in the values of their floats alone."""

    def __init__(
        self, function: Callable[..., Any], arguments: Arguments, seed: int = 0, *, as_it_is: bool = False
    ) -> None:
        """With `as_it_is` the function is called in any case, which spares compiling it once more."""
        self._seed = seed
        self._moves = (None if as_it_is else _traced(function, arguments)) or _called(function)

    def at(self, arguments: Arguments, runs: int = RUNS) -> Spread:
        still, moved = self._moves(arguments, np.random.default_rng(self._seed), runs)
        values = [np.array(leaf, np.float64) for leaf in jax.tree.leaves(still)]
        widest = [np.zeros(leaf.shape) for leaf in values]
        with np.errstate(all="ignore"):
            for weight, tree in moved:
                for most, leaf, other in zip(widest, values, jax.tree.leaves(tree), strict=True):
                    distance = weight * np.abs(np.asarray(other, np.float64) - leaf)
                    np.fmax(most, np.where(np.isfinite(distance), distance, 0), out=most)
        return Spread(values, widest)


def spread(function: Callable[..., Any], arguments: Arguments, seed: int = 0, runs: int = RUNS) -> list[Entries]:
    """The largest move of every entry of every leaf of `function(*arguments)` in so many runs."""
    return Rounding(function, arguments, seed).at(arguments, runs).moves


def _traced(function: Callable[..., Any], arguments: Arguments) -> Moves | None:
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

        try:
            closed = jax.make_jaxpr(of_inputs)(*(leaves[i] for i in inputs))
        except Exception:  # somebody's function: whatever tracing does to it, it is then called
            continue
        return _monte_carlo(closed, inputs)
    return None


def _monte_carlo(closed: Any, inputs: list[int]) -> Moves:
    # A constant of a lower precision than the arguments is not one that was rounded on the way.
    finest = min((epsilon(value) for value in closed.in_avals if is_rounded(value)), default=0.0)

    @partial(jax.jit, compiler_options=QUICKLY)
    def compiled(consts: list[Any], values: list[Any], draw: Any, loud: Any) -> list[Any]:
        def noise(value: Any) -> Any:
            return noised(value, draw, loud) if is_rounded(value) else value

        consts = [noise(const) if is_rounded(const) and epsilon(const) <= finest else const for const in consts]
        return _run(closed.jaxpr, consts, [noise(value) for value in values], noise)

    def moves(
        arguments: Arguments, random: np.random.Generator, runs: int
    ) -> tuple[Any, Iterator[tuple[float, Any]]]:
        leaves = jax.tree.leaves(arguments)
        values = [leaves[i] for i in inputs]
        still = compiled(closed.consts, values, _draw(random), 0.0)
        weight = float(np.sqrt(3)) / LOUDER
        return still, ((weight, compiled(closed.consts, values, _draw(random), LOUDER)) for _ in range(runs))

    return moves


@jax.jit
def noised(value: Any, draw: Any, loud: Any) -> Any:
    """Times a random number near 1, the same for the same number whatever its sign: what ties goes on to tie.

    `draw` is what `_draw` returns. The hash is the multiply-shift of M. Dietzfelbinger et al. 1997, A reliable
    randomized algorithm for the closest-pair problem.
    """
    size = jnp.abs(value.real) + jnp.abs(value.imag) if jnp.iscomplexobj(value) else jnp.abs(value)
    if size.dtype.itemsize < 4:
        size = size.astype("float32")
    word, factor = ("int64", draw) if size.dtype == np.float64 else ("int32", draw.astype("int32"))
    hashed = (jax.lax.bitcast_convert_type(size, word) * factor).astype(size.dtype)
    uniform = hashed * 2.0 ** (1 - 8 * size.dtype.itemsize)
    return (value * (1 + loud * epsilon(value) * uniform)).astype(value.dtype)


def _draw(random: np.random.Generator) -> Any:
    """A random odd number, in the dtype of integers that is on."""
    dtype = jax.dtypes.canonicalize_dtype(np.int64)
    return (random.integers(2**63, size=1) * 2 + 1).astype(dtype)[0]


def is_rounded(value: Any) -> bool:
    return bool(jnp.issubdtype(value.dtype, jnp.inexact))


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


def _called(function: Callable[..., Any]) -> Moves:
    def moves(
        arguments: Arguments, random: np.random.Generator, runs: int
    ) -> tuple[Any, Iterator[tuple[float, Any]]]:
        def others() -> Iterator[tuple[float, Any]]:
            for number in range(runs):
                moved = copies(map_floats(partial(_by_a_last_place, draw=_draw(random)), arguments))
                try:
                    with rounding(number):
                        result = function(*moved)
                except Exception:  # it is somebody's function, and may take nothing but the very arguments
                    continue
                yield 1.0, result

        return function(*copies(arguments)), others()

    return moves


def _by_a_last_place(value: Any, draw: Any) -> Any:
    with jax.enable_x64(True):  # NumPy's float64 is one in any case
        moved = np.asarray(noised(jnp.asarray(value), jnp.asarray(draw), 1.0))
    if isinstance(value, float):
        return float(moved)
    return jnp.asarray(moved) if isinstance(value, jax.Array) else moved
