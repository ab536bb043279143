"""Autodiff's ways to the statistics and the curvature, for costs.py: the loss of network.py, differentiated.

Each is the cheapest that we know how to write with jax's transformations on the loss alone, in one function to be
jitted: vmap(grad) and the reduction where there is a gradient for each example; one forward-mode derivative where
the quantity is one; a product with a basis vector for each parameter where only that gives the diagonal, done for
`BASIS` of them. What vmap of the whole batch takes from a gradient or Jacobian for each example at once is there a
second time, "by chunk", `AT_ONCE` examples at a time. (Whoever knows that ∂L/∂b is δ can take the deltas from
autodiff and go on as jaxmlp does: that is no other way.)
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxmlp import Params, network
from jaxmlp.activations import sigmoid

N = 1024  # examples
BASIS = 32  # parameters, spread evenly over all
AT_ONCE = 8  # examples in a chunk; a divisor of every n
MAX_NORM = 0.05
LENGTH = 0.8  # of a move
WEIGHTS = np.linspace(0, 2, N, dtype=np.float32)

Quantity = Callable[[Params, jax.Array, jax.Array, Params], Any]  # (params, x, y, v) -> the quantity


def losses(params: Params, x: jax.Array, y: jax.Array) -> jax.Array:
    return jax.vmap(lambda x0, target: network.loss(params, x0, target, sigmoid))(x, y)


def mean_loss(params: Params, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.mean(losses(params, x, y))


def predictions(params: Params, x: jax.Array) -> jax.Array:
    return jax.vmap(lambda x0: network.forward(params, x0, sigmoid).x2)(x)


def per_example_gradients(params: Params, x: jax.Array, y: jax.Array) -> Params:
    gradients: Params = jax.vmap(jax.grad(network.loss), in_axes=(None, 0, 0))(params, x, y)
    return gradients


def of_gradients(reduce: Callable[[Params], Any]) -> Quantity:
    return lambda params, x, y, v: reduce(per_example_gradients(params, x, y))


def squared_norms(gradients: Params) -> Any:
    return jax.tree.map(lambda g: jnp.sum(g**2, axis=tuple(range(1, g.ndim))), gradients)


def norms(gradients: Params) -> jax.Array:
    return jnp.sqrt(sum(squared_norms(gradients)))


def clipped_sum(gradients: Params) -> Any:
    scale = jnp.minimum(1, MAX_NORM / norms(gradients))
    return jax.tree.map(lambda g: jnp.tensordot(scale, g, 1), gradients)


def sum_of_squares(gradients: Params) -> Any:
    return jax.tree.map(lambda g: jnp.sum(g**2, axis=0), gradients)


def mean_over_n(total: Quantity) -> Quantity:
    return lambda params, x, y, v: jax.tree.map(lambda sums: sums / len(x), total(params, x, y, v))


def noise_scale(squared_norms: Quantity) -> Quantity:
    def quantity(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
        S = jnp.mean(sum(squared_norms(params, x, y, v)))
        g = sum(jnp.sum(leaf**2) for leaf in jax.grad(mean_loss)(params, x, y))
        n = len(x)
        return (S - g) * n / (n - 1), (n * g - S) / (n - 1)

    return quantity


def gram(gradients: Params) -> jax.Array:
    rows = [g.reshape(len(g), -1) for g in gradients]
    return sum((g @ g.T for g in rows), start=jnp.zeros(()))


def in_chunks(*arrays: jax.Array) -> list[jax.Array]:
    return [a.reshape(-1, AT_ONCE, *a.shape[1:]) for a in arrays]


def by_chunk(reduce: Callable[[Params], Any]) -> Quantity:
    """`reduce` of the gradients of each chunk, one entry an example."""

    def quantity(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
        values = jax.lax.map(lambda chunk: reduce(per_example_gradients(params, *chunk)), in_chunks(x, y))
        return jax.tree.map(jnp.ravel, values)

    return quantity


def added_up(total: Callable[..., Any], *arrays: jax.Array) -> Any:
    """The sum over chunks of `total` of each."""
    chunks = in_chunks(*arrays)
    shapes = jax.eval_shape(total, *(a[0] for a in chunks))

    def add(sums: Any, chunk: list[jax.Array]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, sums, total(*chunk)), None

    return jax.lax.scan(add, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes), chunks)[0]


def sum_by_chunk(total: Callable[[Params], Any]) -> Quantity:
    return lambda params, x, y, v: added_up(lambda *chunk: total(per_example_gradients(params, *chunk)), x, y)


def variance_by_chunk(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    n, sums = len(x), sum_by_chunk(sum_of_squares)(params, x, y, v)
    return jax.tree.map(lambda s, g: (s - n * g**2) / (n - 1), sums, jax.grad(mean_loss)(params, x, y))


def gram_by_chunk(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    def rows(chunk: list[jax.Array]) -> Any:
        return jax.vmap(lambda g: directional(params, x, y, g))(per_example_gradients(params, *chunk))

    return jax.lax.map(rows, in_chunks(x, y)).reshape(len(x), len(x))


def gauss_newton_by_chunk(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    def total(chunk: jax.Array) -> Any:
        jacobians = jax.vmap(jax.jacrev(lambda p, x0: predictions(p, x0[None])[0]), in_axes=(None, 0))(
            params, chunk
        )
        return jax.tree.map(lambda J: jnp.sum(J**2, axis=(0, 1)) / len(x), jacobians)

    return added_up(total, x)


def tangent_kernel_by_example(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    def rows(x0: jax.Array) -> Any:
        jacobian = jax.jacrev(lambda p: predictions(p, x0[None])[0])(params)
        return jax.vmap(lambda J_k: jax.jvp(lambda p: predictions(p, x), (params,), (J_k,))[1])(jacobian)

    return jax.lax.map(rows, x)


def weighted(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    return jax.grad(lambda p: WEIGHTS @ losses(p, x, y))(params)


def directional(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    return jax.jvp(lambda p: losses(p, x, y), (params,), (v,))[1]


def hessian_product(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Params:
    product: Params = jax.jvp(jax.grad(lambda p: mean_loss(p, x, y)), (params,), (v,))[1]
    return product


def gauss_newton_product(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    outputs, pull = jax.vjp(lambda p: predictions(p, x), params)
    _, Jv = jax.jvp(lambda p: predictions(p, x), (params,), (v,))
    return pull(Jv / len(x))[0]


def moved_inputs(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    (delta0,) = jax.vjp(lambda x: predictions(params, x), x)[1](y)
    return x + LENGTH * delta0 / jnp.linalg.norm(delta0, axis=1, keepdims=True)


def over_basis(f: Callable[[Params], Any], params: Params) -> Any:
    """f of BASIS of the basis vectors of the parameters, in one vmap."""
    flat, unravel = ravel_pytree(params)
    chosen = jnp.arange(BASIS) * (flat.size // BASIS)
    return jax.vmap(lambda i: f(unravel(jnp.zeros_like(flat).at[i].set(1))))(chosen)


def hessian_entries(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    return over_basis(lambda e: ravel_pytree(hessian_product(params, x, y, e))[0] @ ravel_pytree(e)[0], params)


def hessian_trace_terms(params: Params, x: jax.Array, y: jax.Array, v: Params) -> jax.Array:
    def second_derivatives(e: Params) -> Any:  # of every example's L along e
        return jax.jvp(lambda p: directional(p, x, y, e), (params,), (e,))[1]

    return jnp.sum(over_basis(second_derivatives, params), axis=0)


def shifted(params: Params, x0: jax.Array, shift: tuple[jax.Array, jax.Array]) -> jax.Array:
    """x2 with b1 and b2 moved: what a bias gets, z gets."""
    moved = params._replace(b1=params.b1 + shift[0], b2=params.b2 + shift[1])
    return network.forward(moved, x0, sigmoid).x2


def kronecker(params: Params, x: jax.Array, G: tuple[jax.Array, ...]) -> Any:
    """From the sums G1 and G2 over the examples."""
    x1 = jax.vmap(lambda x0: network.forward(params, x0, sigmoid).x1)(x)
    A1, A2 = (rows.T @ rows for rows in (jnp.pad(a, ((0, 0), (0, 1)), constant_values=1) for a in (x, x1)))
    return jax.tree.map(lambda sums: sums / len(x), (A1, G[0], A2, G[1]))


def squares(derivatives: Sequence[jax.Array]) -> tuple[jax.Array, ...]:
    """Of derivatives with respect to z1 and z2, the sums of row rowᵀ over all their rows."""
    flat = [rows.reshape(-1, rows.shape[-1]) for rows in derivatives]
    return tuple(rows.T @ rows for rows in flat)


def kronecker_exact(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    return kronecker(params, x, squares(z_jacobians(params, x)))


def kronecker_exact_by_chunk(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    return kronecker(params, x, added_up(lambda chunk: squares(z_jacobians(params, chunk)), x))


def z_jacobians(params: Params, x: jax.Array) -> Any:
    """∂x2/∂z1, (n, C, K), and ∂x2/∂z2, (n, C, C)."""
    zero = jnp.zeros_like(params.b1), jnp.zeros_like(params.b2)
    jacobian = jax.jacrev(shifted, argnums=2)
    return jax.vmap(lambda x0: jacobian(params, x0, zero))(x)


def kronecker_empirical(params: Params, x: jax.Array, y: jax.Array, v: Params) -> Any:
    gradients = per_example_gradients(params, x, y)
    return kronecker(params, x, squares((gradients.b1, gradients.b2)))


def tangent_kernel(params: Params, x: jax.Array, y: jax.Array, v: Params) -> jax.Array:
    jacobians = jax.jacrev(lambda p: predictions(p, x))(params)  # leaves (n, C, ...)
    n, C = jacobians.b1.shape[:2]
    rows = [leaf.reshape(n * C, -1) for leaf in jacobians]
    return sum((J @ J.T for J in rows), start=jnp.zeros(())).reshape(n, C, n, C)
