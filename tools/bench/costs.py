"""What each statistic and curvature costs, forward and backward pass included, ours against autodiff's ways.

Where autodiff is timed in part, its time is multiplied.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxmlp import Params, adversarial, batch, curvature, init, statistics
from jaxmlp.activations import sigmoid
from jaxmlp.data.datasets import Split
from tools.bench import autodiff
from tools.bench.autodiff import BASIS, LENGTH, MAX_NORM, WEIGHTS, N, Quantity
from tools.bench.timing import Timing, interleaved

TOLERANCE = 1e-3  # between the two, of the norm of each leaf
ROUNDS_OF_PAIR = 3  # for each round of the others: the two are close, and quick


class Cost(NamedTuple):
    """Of one jitted function."""

    timing: Timing
    temporaries: int  # bytes at their peak, arguments and results not counted


class Row(NamedTuple):
    name: str
    in_part: bool  # autodiff was timed in part, and its time multiplied
    ours: Cost
    autodiff: Cost
    chunked: Cost | None
    beside_gradient: Timing  # ours again, with nothing beside it but
    gradient: Timing  # one batch.loss_and_gradient of as many examples


class Entry(NamedTuple):
    name: str
    ours: Quantity
    autodiff: Quantity
    chunked: Quantity | None = None
    n: int = N
    in_part: bool = False  # autodiff's function does BASIS of all parameters


class Disagreement(ArithmeticError):
    """Ours and autodiff's differ, so nothing is timed."""


def run(hidden: int, train: Split, rounds: int) -> list[Row]:
    """Raises Disagreement."""
    x = jnp.asarray(train.images[:N].reshape(N, -1), jnp.float32) / 255
    y = jax.nn.one_hot(train.labels[:N], 10)
    params = init(jax.random.key(0), x.shape[1], hidden, 10)
    v = init(jax.random.key(1), x.shape[1], hidden, 10)
    return [_row(entry, (params, x[: entry.n], y[: entry.n], v), rounds) for entry in ENTRIES]


def _row(entry: Entry, arguments: tuple[Any, ...], rounds: int) -> Row:
    programs = compiled(entry, arguments)
    calls = {name: partial(_wait, program, arguments) for name, program in programs.items()}
    pair = {"ours": calls["ours"], "gradient": calls.pop("gradient")}
    timings = interleaved(calls, rounds, at_least=0.05)
    timings["autodiff"] = timings["autodiff"].scaled(_parts(entry, arguments[0]))
    costs = {name: Cost(timings[name], _temporaries(programs[name])) for name in timings}
    paired = interleaved(pair, ROUNDS_OF_PAIR * rounds, at_least=0.05, pause=0)
    return Row(
        entry.name,
        entry.in_part,
        costs["ours"],
        costs["autodiff"],
        costs.get("chunked"),
        paired["ours"],
        paired["gradient"],
    )


def compiled(entry: Entry, arguments: tuple[Any, ...]) -> dict[str, Any]:
    """Ours, autodiff's one or two ways, and a gradient. Raises Disagreement."""
    functions = {"ours": entry.ours, "autodiff": entry.autodiff, "chunked": entry.chunked}
    programs = {name: _compile(f, arguments) for name, f in functions.items() if f}
    ours, *others = (program(*arguments) for program in programs.values())
    if _parts(entry, arguments[0]) == 1:
        if entry.in_part:  # autodiff's is flat
            ours, _ = ravel_pytree(ours)
        for theirs in others:
            _refuse_disagreement(entry, ours, theirs)
    return {**programs, "gradient": _compile(_loss_and_gradient, arguments)}


def _compile(function: Quantity, arguments: tuple[Any, ...]) -> Any:
    return jax.jit(function).lower(*arguments).compile()


def _temporaries(program: Any) -> int:
    return int(program.memory_analysis().temp_size_in_bytes)


def _parts(entry: Entry, params: Params) -> float:
    return sum(leaf.size for leaf in params) / BASIS if entry.in_part else 1


def _refuse_disagreement(entry: Entry, ours: Any, theirs: Any) -> None:
    for left, right in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        error = float(jnp.linalg.norm((left - right).ravel()) / jnp.linalg.norm(right.ravel()))
        if not error <= TOLERANCE:
            raise Disagreement(
                f"{entry.name}: expected what autodiff gives to {TOLERANCE:g}, got {error:.1e}; nothing is timed"
            )


def _wait(program: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    jax.tree.map(lambda leaf: leaf.block_until_ready(), program(*arguments))


def _loss_and_gradient(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    return batch.loss_and_gradient(params, x, y, sigmoid)


# Ours: one forward and one backward pass, and the quantity of what they leave behind.


def _of_passes(f: Callable[..., Any], *hyperparameters: Any, **options: Any) -> Quantity:
    return lambda params, x, y, v: f(batch.passes(params, x, y, sigmoid), *hyperparameters, **options)


def _along_v(f: Callable[..., Any]) -> Quantity:
    return lambda params, x, y, v: f(batch.passes(params, x, y, sigmoid), v)


ENTRIES = [
    Entry(
        "loss_and_gradient", _loss_and_gradient, lambda p, x, y, v: jax.value_and_grad(autodiff.mean_loss)(p, x, y)
    ),
    Entry(
        "per_example_gradients", _of_passes(statistics.per_example_gradients), autodiff.of_gradients(lambda g: g)
    ),
    Entry(
        "squared_norms",
        _of_passes(statistics.squared_norms),
        autodiff.of_gradients(autodiff.squared_norms),
        autodiff.by_chunk(autodiff.squared_norms),
    ),
    Entry(
        "gradient_norms",
        _of_passes(statistics.gradient_norms),
        autodiff.of_gradients(autodiff.norms),
        autodiff.by_chunk(autodiff.norms),
    ),
    Entry("weighted_gradient", _of_passes(statistics.weighted_gradient, WEIGHTS), autodiff.weighted),
    Entry(
        "clipped_gradient",
        _of_passes(statistics.clipped_gradient, MAX_NORM),
        autodiff.mean_over_n(autodiff.of_gradients(autodiff.clipped_sum)),
        autodiff.mean_over_n(autodiff.sum_by_chunk(autodiff.clipped_sum)),
    ),
    Entry(
        "second_moment",
        _of_passes(statistics.second_moment),
        autodiff.mean_over_n(autodiff.of_gradients(autodiff.sum_of_squares)),
        autodiff.mean_over_n(autodiff.sum_by_chunk(autodiff.sum_of_squares)),
    ),
    Entry(
        "variance",
        _of_passes(statistics.variance),
        autodiff.of_gradients(lambda gradients: jax.tree.map(lambda g: jnp.var(g, axis=0, ddof=1), gradients)),
        autodiff.variance_by_chunk,
    ),
    Entry(
        "gram, n = 256",
        _of_passes(statistics.gram),
        autodiff.of_gradients(autodiff.gram),
        autodiff.gram_by_chunk,
        n=256,
    ),
    Entry("directional", _along_v(statistics.directional), autodiff.directional),
    Entry(
        "noise_scale",
        _of_passes(statistics.noise_scale),
        autodiff.noise_scale(autodiff.of_gradients(autodiff.squared_norms)),
        autodiff.noise_scale(autodiff.by_chunk(autodiff.squared_norms)),
    ),
    Entry("hessian_diagonal", _of_passes(curvature.hessian_diagonal), autodiff.hessian_entries, in_part=True),
    Entry("hessian_traces", _of_passes(curvature.hessian_traces), autodiff.hessian_trace_terms, in_part=True),
    Entry("gauss_newton_diagonal", _of_passes(curvature.gauss_newton_diagonal), autodiff.gauss_newton_by_chunk),
    Entry(
        "kronecker_factors, exact",
        _of_passes(curvature.kronecker_factors),
        autodiff.kronecker_exact,
        autodiff.kronecker_exact_by_chunk,
    ),
    Entry(
        "kronecker_factors, empirical",
        _of_passes(curvature.kronecker_factors, kind="empirical"),
        autodiff.kronecker_empirical,
    ),
    Entry("hessian_vector_product", _along_v(curvature.hessian_vector_product), autodiff.hessian_product),
    Entry(
        "gauss_newton_vector_product",
        _along_v(curvature.gauss_newton_vector_product),
        autodiff.gauss_newton_product,
    ),
    Entry(
        "tangent_kernel, n = 32",
        _of_passes(curvature.tangent_kernel),
        autodiff.tangent_kernel,
        autodiff.tangent_kernel_by_example,
        n=32,
    ),
    Entry(
        "moved_inputs",
        lambda params, x, y, v: adversarial.moved_inputs(batch.passes(params, x, y, sigmoid), y, LENGTH),
        autodiff.moved_inputs,
    ),
]
