"""What each statistic and curvature costs, forward and backward pass included, ours against autodiff.

Autodiff's way is the cheapest that we know how to write with jax's transformations on the loss alone, each in one
jitted function: vmap(grad) with the reduction fused where there is a gradient for each example; one forward-mode
derivative where the quantity is one; a product with a basis vector for each parameter where only that gives the
diagonal, timed on `BASIS` of them and multiplied. (Whoever knows that ∂L/∂b is δ can take the deltas from autodiff
and go on as jaxmlp does: that is no other way.)
"""

from collections.abc import Callable
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
    gradient: Timing  # one batch.loss_and_gradient of as many examples, timed beside them


class Entry(NamedTuple):
    name: str
    ours: Quantity
    autodiff: Quantity
    n: int = N
    parts: int | None = None  # autodiff's function does one of so many parts; None: BASIS parameters of all


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
    functions = {"ours": entry.ours, "autodiff": entry.autodiff, "gradient": _loss_and_gradient}
    compiled = {name: jax.jit(f).lower(*arguments).compile() for name, f in functions.items()}
    _refuse_disagreement(entry, compiled["ours"](*arguments), compiled["autodiff"](*arguments))
    calls = {name: partial(_wait, program, arguments) for name, program in compiled.items()}
    timings = interleaved(calls, rounds, at_least=0.05)
    timings["autodiff"] = timings["autodiff"].scaled(_parts(entry, arguments[0]))
    costs = {name: Cost(timings[name], _temporaries(program)) for name, program in compiled.items()}
    return Row(entry.name, entry.parts != 1, costs["ours"], costs["autodiff"], timings["gradient"])


def _temporaries(program: Any) -> int:
    return int(program.memory_analysis().temp_size_in_bytes)


def _parts(entry: Entry, params: Params) -> float:
    return entry.parts or sum(leaf.size for leaf in params) / BASIS


def _refuse_disagreement(entry: Entry, ours: Any, autodiff: Any) -> None:
    if entry.parts != 1:
        return  # autodiff computes a part; the tests compare the whole
    for left, right in zip(jax.tree.leaves(ours), jax.tree.leaves(autodiff), strict=True):
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


def _clipped(gradients: Params) -> Any:
    scale = jnp.minimum(1, MAX_NORM / _norms(gradients))
    return jax.tree.map(lambda g: jnp.mean(scale.reshape(-1, *[1] * (g.ndim - 1)) * g, axis=0), gradients)


def _noise_scale(params: Params, x: jax.Array, y: jax.Array, v: Params) -> tuple[jax.Array, jax.Array, jax.Array]:
    S = jnp.mean(sum(_squared_norms(_gradients(params, x, y))))
    g = sum(jnp.sum(leaf**2) for leaf in jax.grad(_mean_loss)(params, x, y))
    n = len(x)
    covariance_trace, squared_norm = (S - g) * n / (n - 1), (n * g - S) / (n - 1)
    return covariance_trace, squared_norm, covariance_trace / squared_norm


def _gram(gradients: Params) -> jax.Array:
    rows = [g.reshape(len(g), -1) for g in gradients]
    return sum((g @ g.T for g in rows), start=jnp.zeros(()))


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


def _gauss_newton_of_one_output(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    def output(params: Params, x0: jax.Array) -> jax.Array:
        return network.forward(params, x0, sigmoid).x2[0]

    gradients = jax.vmap(jax.grad(output), in_axes=(None, 0))(params, x)
    return jax.tree.map(lambda g: jnp.mean(g**2, axis=0), gradients)


def _shifted(params: Params, x0: jax.Array, shift: tuple[jax.Array, jax.Array]) -> jax.Array:
    """x2 with b1 and b2 moved: what a bias gets, z gets."""
    moved = params._replace(b1=params.b1 + shift[0], b2=params.b2 + shift[1])
    return network.forward(moved, x0, sigmoid).x2


def _kronecker(params: Params, x: jax.Array, derivatives: tuple[jax.Array, jax.Array]) -> Any:
    """From derivatives with respect to z1 and z2 of every example: rows of the losses', or Jacobians of x2."""
    x1 = jax.vmap(lambda x0: network.forward(params, x0, sigmoid).x1)(x)
    A = [rows.T @ rows / len(x) for rows in (jnp.pad(a, ((0, 0), (0, 1)), constant_values=1) for a in (x, x1))]
    G = [rows.reshape(-1, rows.shape[-1]) for rows in derivatives]
    G1, G2 = (rows.T @ rows / len(x) for rows in G)
    return A[0], G1, A[1], G2


def _kronecker_exact(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    zero = jnp.zeros_like(params.b1), jnp.zeros_like(params.b2)
    jacobian = jax.jacrev(_shifted, argnums=2)
    return _kronecker(params, x, jax.vmap(lambda x0: jacobian(params, x0, zero))(x))


def _kronecker_empirical(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    gradients = _gradients(params, x, y)
    return _kronecker(params, x, (gradients.b1, gradients.b2))


def _tangent_kernel(params: Params, x: jax.Array, y: jax.Array, v: Params) -> jax.Array:
    jacobians = jax.jacrev(lambda p: _outputs(p, x))(params)  # leaves (n, C, ...)
    n, C = jacobians.b1.shape[:2]
    rows = [leaf.reshape(n * C, -1) for leaf in jacobians]
    return sum((J @ J.T for J in rows), start=jnp.zeros(())).reshape(n, C, n, C)


WEIGHTS = np.linspace(0, 2, N, dtype=np.float32)

ENTRIES = [
    Entry(
        "loss_and_gradient", _loss_and_gradient, lambda p, x, y, v: jax.value_and_grad(_mean_loss)(p, x, y), parts=1
    ),
    Entry(
        "per_example_gradients", _statistic(statistics.per_example_gradients), _of_gradients(lambda g: g), parts=1
    ),
    Entry("squared_norms", _statistic(statistics.squared_norms), _of_gradients(_squared_norms), parts=1),
    Entry("gradient_norms", _statistic(statistics.gradient_norms), _of_gradients(_norms), parts=1),
    Entry("weighted_gradient", _statistic(statistics.weighted_gradient, WEIGHTS), _weighted, parts=1),
    Entry("clipped_gradient", _statistic(statistics.clipped_gradient, MAX_NORM), _of_gradients(_clipped), parts=1),
    Entry(
        "second_moment",
        _statistic(statistics.second_moment),
        _of_gradients(lambda gradients: jax.tree.map(lambda g: jnp.mean(g**2, axis=0), gradients)),
        parts=1,
    ),
    Entry(
        "variance",
        _statistic(statistics.variance),
        _of_gradients(lambda gradients: jax.tree.map(lambda g: jnp.var(g, axis=0, ddof=1), gradients)),
        parts=1,
    ),
    Entry("gram, n = 256", _statistic(statistics.gram), _of_gradients(_gram), n=256, parts=1),
    Entry("directional", lambda p, x, y, v: statistics.directional(*_passes(p, x, y), v), _directional, parts=1),
    Entry("noise_scale", _statistic(statistics.noise_scale), _noise_scale, parts=1),
    Entry("hessian_diagonal", _curvature(curvature.hessian_diagonal), _hessian_entries),
    Entry("hessian_traces", _curvature(curvature.hessian_traces), _hessian_trace_terms),
    Entry(
        "gauss_newton_diagonal", _curvature(curvature.gauss_newton_diagonal), _gauss_newton_of_one_output, parts=10
    ),
    Entry("kronecker_factors, exact", _curvature(curvature.kronecker_factors), _kronecker_exact, parts=1),
    Entry(
        "kronecker_factors, empirical",
        _curvature(curvature.kronecker_factors, kind="empirical"),
        _kronecker_empirical,
        parts=1,
    ),
    Entry(
        "hessian_vector_product", _curvature_product(curvature.hessian_vector_product), _hessian_product, parts=1
    ),
    Entry(
        "gauss_newton_vector_product",
        _curvature_product(curvature.gauss_newton_vector_product),
        _gauss_newton_product,
        parts=1,
    ),
    Entry(
        "tangent_kernel, n = 32",
        lambda params, x, y, v: curvature.tangent_kernel(params, batch.forward(params, x, sigmoid), sigmoid),
        _tangent_kernel,
        n=32,
        parts=1,
    ),
]
