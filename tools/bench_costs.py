"""What each statistic and curvature costs, forward and backward pass included, ours against autodiff.

Autodiff's way is the cheapest that we know how to write with jax's transformations on the loss alone, each in one
jitted function: vmap(grad) and the reduction where there is a gradient for each example; one forward-mode
derivative where the quantity is one; a product with a basis vector for each parameter where only that gives the
diagonal, timed on `BASIS` of them and multiplied. Where vmap of the whole batch holds a gradient or Jacobian for
each example at once, a second way, `chunked`, takes `AT_ONCE` examples at a time. (Whoever knows that ∂L/∂b is δ
can take the deltas from autodiff and go on as jaxmlp does: that is no other way.)
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxmlp import Deltas, Params, Trace, batch, curvature, init, network, statistics
from jaxmlp.activations import sigmoid
from jaxmlp.data.datasets import Split
from timing import Timing, interleaved

N = 1024
BASIS = 32  # parameters, spread evenly over all
AT_ONCE = 8  # examples in a chunk; a divisor of every n
TOLERANCE = 1e-3  # between the two, of the norm of each leaf
MAX_NORM = 0.05

Quantity = Callable[[Params, jax.Array, jax.Array, Params], Any]  # (params, x, y, v) -> the quantity


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
    gradient: Timing  # one batch.loss_and_gradient of as many examples, timed beside them


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
    timings = interleaved(calls, rounds, at_least=0.05)
    timings["autodiff"] = timings["autodiff"].scaled(_parts(entry, arguments[0]))
    costs = {name: Cost(timings[name], _temporaries(program)) for name, program in programs.items()}
    return Row(
        entry.name, entry.in_part, costs["ours"], costs["autodiff"], costs.get("chunked"), timings["gradient"]
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


# Ours: one forward and one backward pass, and the statistic of what they leave behind.


def _statistic(f: Callable[..., Any], *hyperparameters: Any) -> Quantity:
    def quantity(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
        return f(*_passes(params, x, y), *hyperparameters)

    return quantity


def _curvature(f: Callable[..., Any], **options: Any) -> Quantity:
    def quantity(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
        return f(params, *_passes(params, x, y), y, sigmoid, **options)

    return quantity


def _curvature_product(f: Callable[..., Any]) -> Quantity:
    return lambda params, x, y, v: f(params, *_passes(params, x, y), y, sigmoid, v)


def _passes(params: Params, x: jax.Array, y: jax.Array) -> tuple[Trace, Deltas]:
    trace = batch.forward(params, x, sigmoid)
    return trace, batch.backward(params, trace, y, sigmoid)


# Autodiff: the loss of network.py, differentiated.


def _losses(params: Params, x: jax.Array, y: jax.Array) -> jax.Array:
    return jax.vmap(lambda x0, target: network.loss(params, x0, target, sigmoid))(x, y)


def _mean_loss(params: Params, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.mean(_losses(params, x, y))


def _outputs(params: Params, x: jax.Array) -> jax.Array:
    return jax.vmap(lambda x0: network.forward(params, x0, sigmoid).x2)(x)


def _gradients(params: Params, x: jax.Array, y: jax.Array) -> Params:
    gradients: Params = jax.vmap(jax.grad(network.loss), in_axes=(None, 0, 0))(params, x, y)
    return gradients


def _of_gradients(reduce: Callable[[Params], Any]) -> Quantity:
    return lambda params, x, y, v: reduce(_gradients(params, x, y))


def _squared_norms(gradients: Params) -> Any:
    return jax.tree.map(lambda g: jnp.sum(g**2, axis=tuple(range(1, g.ndim))), gradients)


def _norms(gradients: Params) -> jax.Array:
    return jnp.sqrt(sum(_squared_norms(gradients)))


def _clipped_sum(gradients: Params) -> Any:
    scale = jnp.minimum(1, MAX_NORM / _norms(gradients))
    return jax.tree.map(lambda g: jnp.tensordot(scale, g, 1), gradients)


def _sum_of_squares(gradients: Params) -> Any:
    return jax.tree.map(lambda g: jnp.sum(g**2, axis=0), gradients)


def _mean_over_n(total: Quantity) -> Quantity:
    return lambda params, x, y, v: jax.tree.map(lambda sums: sums / len(x), total(params, x, y, v))


def _noise_scale(squared_norms: Quantity) -> Quantity:
    def quantity(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
        S = jnp.mean(sum(squared_norms(params, x, y, v)))
        g = sum(jnp.sum(leaf**2) for leaf in jax.grad(_mean_loss)(params, x, y))
        n = len(x)
        covariance_trace, squared_norm = (S - g) * n / (n - 1), (n * g - S) / (n - 1)
        return covariance_trace, squared_norm, covariance_trace / squared_norm

    return quantity


def _gram(gradients: Params) -> jax.Array:
    rows = [g.reshape(len(g), -1) for g in gradients]
    return sum((g @ g.T for g in rows), start=jnp.zeros(()))


def _chunks(*arrays: jax.Array) -> list[jax.Array]:
    return [a.reshape(-1, AT_ONCE, *a.shape[1:]) for a in arrays]


def _by_chunk(reduce: Callable[[Params], Any]) -> Quantity:
    """`reduce` of the gradients of each chunk, one entry an example."""

    def quantity(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
        values = jax.lax.map(lambda chunk: reduce(_gradients(params, *chunk)), _chunks(x, y))
        return jax.tree.map(jnp.ravel, values)

    return quantity


def _added_up(total: Callable[..., Any], *arrays: jax.Array) -> Any:
    """The sum over chunks of `total` of each."""
    chunks = _chunks(*arrays)
    shapes = jax.eval_shape(total, *(a[0] for a in chunks))

    def add(sums: Any, chunk: list[jax.Array]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, sums, total(*chunk)), None

    return jax.lax.scan(add, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes), chunks)[0]


def _sum_by_chunk(total: Callable[[Params], Any]) -> Quantity:
    return lambda params, x, y, v: _added_up(lambda *chunk: total(_gradients(params, *chunk)), x, y)


def _variance_by_chunk(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    n, sums = len(x), _sum_by_chunk(_sum_of_squares)(params, x, y, v)
    return jax.tree.map(lambda s, g: (s - n * g**2) / (n - 1), sums, jax.grad(_mean_loss)(params, x, y))


def _gram_by_chunk(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    def rows(chunk: list[jax.Array]) -> Any:
        return jax.vmap(lambda g: _directional(params, x, y, g))(_gradients(params, *chunk))

    return jax.lax.map(rows, _chunks(x, y)).reshape(len(x), len(x))


def _gauss_newton_by_chunk(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    def total(chunk: jax.Array) -> Any:
        jacobians = jax.vmap(jax.jacrev(lambda p, x0: _outputs(p, x0[None])[0]), in_axes=(None, 0))(params, chunk)
        return jax.tree.map(lambda J: jnp.sum(J**2, axis=(0, 1)) / len(x), jacobians)

    return _added_up(total, x)


def _tangent_kernel_by_example(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    def rows(x0: jax.Array) -> Any:
        jacobian = jax.jacrev(lambda p: _outputs(p, x0[None])[0])(params)
        return jax.vmap(lambda J_k: jax.jvp(lambda p: _outputs(p, x), (params,), (J_k,))[1])(jacobian)

    return jax.lax.map(rows, x)


def _weighted(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    return jax.grad(lambda p: WEIGHTS @ _losses(p, x, y))(params)


def _directional(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    return jax.jvp(lambda p: _losses(p, x, y), (params,), (v,))[1]


def _hessian_product(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Params:
    product: Params = jax.jvp(jax.grad(lambda p: _mean_loss(p, x, y)), (params,), (v,))[1]
    return product


def _gauss_newton_product(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    outputs, pull = jax.vjp(lambda p: _outputs(p, x), params)
    _, Jv = jax.jvp(lambda p: _outputs(p, x), (params,), (v,))
    return pull(Jv / len(x))[0]


def _over_basis(f: Callable[[Params], Any], params: Params) -> Any:
    """f of BASIS of the basis vectors of the parameters, in one vmap."""
    flat, unravel = ravel_pytree(params)
    chosen = jnp.arange(BASIS) * (flat.size // BASIS)
    return jax.vmap(lambda i: f(unravel(jnp.zeros_like(flat).at[i].set(1))))(chosen)


def _hessian_entries(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    return _over_basis(lambda e: ravel_pytree(_hessian_product(params, x, y, e))[0] @ ravel_pytree(e)[0], params)


def _hessian_trace_terms(params: Params, x: jax.Array, y: jax.Array, v: Params) -> jax.Array:
    def second_derivatives(e: Params) -> Any:  # of every example's L along e
        return jax.jvp(lambda p: _directional(p, x, y, e), (params,), (e,))[1]

    return jnp.sum(_over_basis(second_derivatives, params), axis=0)


def _shifted(params: Params, x0: jax.Array, shift: tuple[jax.Array, jax.Array]) -> jax.Array:
    """x2 with b1 and b2 moved: what a bias gets, z gets."""
    moved = params._replace(b1=params.b1 + shift[0], b2=params.b2 + shift[1])
    return network.forward(moved, x0, sigmoid).x2


def _kronecker(params: Params, x: jax.Array, G: tuple[jax.Array, ...]) -> Any:
    """From the sums G1 and G2 over the examples."""
    x1 = jax.vmap(lambda x0: network.forward(params, x0, sigmoid).x1)(x)
    A1, A2 = (rows.T @ rows for rows in (jnp.pad(a, ((0, 0), (0, 1)), constant_values=1) for a in (x, x1)))
    return jax.tree.map(lambda sums: sums / len(x), (A1, G[0], A2, G[1]))


def _squares(derivatives: Sequence[jax.Array]) -> tuple[jax.Array, ...]:
    """Of derivatives with respect to z1 and z2, the sums of row rowᵀ over all their rows."""
    flat = [rows.reshape(-1, rows.shape[-1]) for rows in derivatives]
    return tuple(rows.T @ rows for rows in flat)


def _kronecker_exact(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    return _kronecker(params, x, _squares(_jacobians(params, x)))


def _kronecker_exact_by_chunk(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    return _kronecker(params, x, _added_up(lambda chunk: _squares(_jacobians(params, chunk)), x))


def _jacobians(params: Params, x: jax.Array) -> Any:
    """∂x2/∂z1, (n, C, K), and ∂x2/∂z2, (n, C, C)."""
    zero = jnp.zeros_like(params.b1), jnp.zeros_like(params.b2)
    jacobian = jax.jacrev(_shifted, argnums=2)
    return jax.vmap(lambda x0: jacobian(params, x0, zero))(x)


def _kronecker_empirical(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    gradients = _gradients(params, x, y)
    return _kronecker(params, x, _squares((gradients.b1, gradients.b2)))


def _tangent_kernel(params: Params, x: jax.Array, y: jax.Array, v: Params) -> jax.Array:
    jacobians = jax.jacrev(lambda p: _outputs(p, x))(params)  # leaves (n, C, ...)
    n, C = jacobians.b1.shape[:2]
    rows = [leaf.reshape(n * C, -1) for leaf in jacobians]
    return sum((J @ J.T for J in rows), start=jnp.zeros(())).reshape(n, C, n, C)


WEIGHTS = np.linspace(0, 2, N, dtype=np.float32)

ENTRIES = [
    Entry("loss_and_gradient", _loss_and_gradient, lambda p, x, y, v: jax.value_and_grad(_mean_loss)(p, x, y)),
    Entry("per_example_gradients", _statistic(statistics.per_example_gradients), _of_gradients(lambda g: g)),
    Entry(
        "squared_norms",
        _statistic(statistics.squared_norms),
        _of_gradients(_squared_norms),
        _by_chunk(_squared_norms),
    ),
    Entry("gradient_norms", _statistic(statistics.gradient_norms), _of_gradients(_norms), _by_chunk(_norms)),
    Entry("weighted_gradient", _statistic(statistics.weighted_gradient, WEIGHTS), _weighted),
    Entry(
        "clipped_gradient",
        _statistic(statistics.clipped_gradient, MAX_NORM),
        _mean_over_n(_of_gradients(_clipped_sum)),
        _mean_over_n(_sum_by_chunk(_clipped_sum)),
    ),
    Entry(
        "second_moment",
        _statistic(statistics.second_moment),
        _mean_over_n(_of_gradients(_sum_of_squares)),
        _mean_over_n(_sum_by_chunk(_sum_of_squares)),
    ),
    Entry(
        "variance",
        _statistic(statistics.variance),
        _of_gradients(lambda gradients: jax.tree.map(lambda g: jnp.var(g, axis=0, ddof=1), gradients)),
        _variance_by_chunk,
    ),
    Entry("gram, n = 256", _statistic(statistics.gram), _of_gradients(_gram), _gram_by_chunk, n=256),
    Entry("directional", lambda p, x, y, v: statistics.directional(*_passes(p, x, y), v), _directional),
    Entry(
        "noise_scale",
        _statistic(statistics.noise_scale),
        _noise_scale(_of_gradients(_squared_norms)),
        _noise_scale(_by_chunk(_squared_norms)),
    ),
    Entry("hessian_diagonal", _curvature(curvature.hessian_diagonal), _hessian_entries, in_part=True),
    Entry("hessian_traces", _curvature(curvature.hessian_traces), _hessian_trace_terms, in_part=True),
    Entry("gauss_newton_diagonal", _curvature(curvature.gauss_newton_diagonal), _gauss_newton_by_chunk),
    Entry(
        "kronecker_factors, exact",
        _curvature(curvature.kronecker_factors),
        _kronecker_exact,
        _kronecker_exact_by_chunk,
    ),
    Entry(
        "kronecker_factors, empirical",
        _curvature(curvature.kronecker_factors, kind="empirical"),
        _kronecker_empirical,
    ),
    Entry("hessian_vector_product", _curvature_product(curvature.hessian_vector_product), _hessian_product),
    Entry(
        "gauss_newton_vector_product",
        _curvature_product(curvature.gauss_newton_vector_product),
        _gauss_newton_product,
    ),
    Entry(
        "tangent_kernel, n = 32",
        lambda params, x, y, v: curvature.tangent_kernel(params, batch.forward(params, x, sigmoid), sigmoid),
        _tangent_kernel,
        _tangent_kernel_by_example,
        n=32,
    ),
]
