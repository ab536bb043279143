"""Curvature of a batch's loss, exact for the two layers, from its trace and deltas: second_order.py under vmap.

Every function takes the `passes` of a batch of n examples first (batch.passes) and returns the *mean* over them,
unless it says otherwise. It is pure and jitted, with `kind` static, keeps float32 or float64, and raises ValueError
while tracing on a wrong shape or dtype. Costs count multiply-adds; a whole gradient, forward pass included, takes
2nDK.
"""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxmlp import batch, second_order
from jaxmlp.activations import as_pair
from jaxmlp.batch import Passes
from jaxmlp.checks import check_direction, check_other, check_passes
from jaxmlp.network import Deltas, Params, Trace
from jaxmlp.sharding import PARAMS, on_any_mesh


class KroneckerFactors(NamedTuple):
    """A_l ⊗ G_l approximates layer l's block of the curvature, [W; b] flattened row by row."""

    A1: jax.Array  # (D + 1, D + 1)
    G1: jax.Array  # (K, K)
    A2: jax.Array  # (K + 1, K + 1)
    G2: jax.Array  # (C, C)


@jax.jit
@on_any_mesh(PARAMS)
def hessian_diagonal(passes: Passes) -> Params:
    """The diagonal of the Hessian of the mean loss, as Params: (X0²)ᵀH1/n, ... Cost nDK, as the gradient."""
    check_passes(passes)
    return _mean_diagonal(passes.trace, _hessian_h(passes))


@jax.jit
@on_any_mesh("n")
def hessian_traces(passes: Passes) -> jax.Array:
    """The trace of the Hessian of each example's L, (n,), no mean. Cost n(D + 2KC).

    The diagonal summed: (‖x0‖² + 1) Σ_j h1_j + (‖x1‖² + 1) Σ_k h2_k.
    """
    check_passes(passes)
    h1, h2 = _hessian_h(passes)
    trace = passes.trace
    x0, x1, h1, h2 = (batch.row_sums(a) for a in (trace.x0**2, trace.x1**2, h1, h2))
    return (x0 + 1) * h1 + (x1 + 1) * h2


@jax.jit
@on_any_mesh(PARAMS)
def gauss_newton_diagonal(passes: Passes) -> Params:
    """The diagonal of the mean of JᵀJ, as Params; its entries are >= 0. Cost nDK, as the gradient."""
    check_passes(passes)
    h = jax.vmap(lambda t: second_order.gauss_newton_h(passes.params, t, passes.phi))(passes.trace)
    return _mean_diagonal(passes.trace, h)


@partial(jax.jit, static_argnames="kind")
@on_any_mesh(("--", "K-", "--", "--"))
def kronecker_factors(passes: Passes, kind: Literal["exact", "empirical"] = "exact") -> KroneckerFactors:
    """Means over the batch whose Kronecker product stands for each layer's block (Martens & Grosse 2015, Optimizing
    neural networks with Kronecker-factored approximate curvature, arXiv:1503.05671).

    A_l is the mean of [x; 1][x; 1]ᵀ for x = x0, x1. G_l depends on `kind`:
    "exact": G1 the mean of SᵀS and G2 of diag(φ′(z2)²), exact in that no target is sampled. For n = 1, A_l ⊗ G_l is
    the block of JᵀJ itself.
    "empirical": the means of δ1δ1ᵀ and δ2δ2ᵀ. For n = 1, A_l ⊗ G_l is the block of g gᵀ itself.
    Cost nD² for A1, nK² for A2, and nCK² ("exact") or nK² for G1.
    """
    check_passes(passes)
    if kind not in ("exact", "empirical"):
        raise ValueError(f"kind: expected 'exact' or 'empirical', got {kind!r}")
    params, trace, n = passes.params, passes.trace, passes.y.shape[0]
    A1, A2 = (_mean_square(jnp.pad(x, ((0, 0), (0, 1)), constant_values=1)) for x in (trace.x0, trace.x1))
    if kind == "empirical":
        G1, G2 = (_mean_square(delta) for delta in passes.deltas)
        return KroneckerFactors(A1, G1, A2, G2)
    prime1, prime2 = _primes(passes)

    def add_output(G1: jax.Array, k: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        W2_k, prime2_k = k
        S_k = prime2_k[:, None] * W2_k[None] * prime1  # row k of every example's S, (n, K): never all of (n, C, K)
        return G1 + S_k.T @ S_k / n, None

    G1, _ = jax.lax.scan(add_output, jnp.zeros_like(A2[:-1, :-1]), (params.W2.T, prime2.T))
    return KroneckerFactors(A1, G1, A2, G2=jnp.diag(jnp.mean(prime2**2, axis=0)))


@jax.jit
@on_any_mesh(PARAMS)
def hessian_vector_product(passes: Passes, v: Params) -> Params:
    """Hv for H the Hessian of the mean loss, and v and Hv in the shape of Params. Cost 2nDK, as the gradient's.

    The R-operator of Pearlmutter 1994, written out; against differentiating a gradient it reuses both passes.
    """
    check_passes(passes)
    check_direction(v, passes.params)
    params, trace, deltas, y, phi = passes.params, passes.trace, passes.deltas, passes.y, passes.phi
    Rx1, Rdeltas = jax.vmap(lambda t, d, target: second_order.r_gradient(params, t, d, target, v, phi))(
        trace, deltas, y
    )
    Rgradient: Params = batch.gradient(trace, Rdeltas)  # R{G2}, R{G3}, R{G4} and half of R{G1}, x1 R{δ2}ᵀ
    return Rgradient._replace(W2=Rgradient.W2 + (deltas.delta2.T @ Rx1 / y.shape[0]).T)  # R{x1} δ2ᵀ


@jax.jit
@on_any_mesh(PARAMS)
def gauss_newton_vector_product(passes: Passes, v: Params) -> Params:
    """The mean of JᵀJv: forward along v to Jv = R{x2}, and backward from there. Cost 2nDK, as the gradient's.

    Schraudolph 2002, Fast curvature matrix-vector products for second-order gradient descent.
    """
    check_passes(passes)
    check_direction(v, passes.params)
    Rdeltas = jax.vmap(lambda t: second_order.r_gauss_newton(passes.params, t, v, passes.phi))(passes.trace)
    product: Params = batch.gradient(passes.trace, Rdeltas)
    return product


@jax.jit
@on_any_mesh("nCmC")
def tangent_kernel(passes: Passes, other: Passes | None = None) -> jax.Array:
    """The neural tangent kernel of the predictions x2, (n, C, m, C): ⟨∂x2_k/∂θ, ∂x2′_l/∂θ⟩ for all pairs of
    examples, of this batch and of `other`, passes of the same params and phi (or its own). No mean. Jacot et al.
    2018, arXiv:1806.07572. The targets play no part.

    (x0·x0′ + 1) (S S′ᵀ)_kl + [k = l] φ′(z2_k) φ′(z2′_k) (x1·x1′ + 1). No Jacobian by parameter is built: beyond the
    result, memory goes to S, (n, C, K). Cost nm(D + C²K).
    Where the result is too large for memory, take it by blocks of rows and keep what you need of each, here Θu:

        block = lambda rows: jnp.einsum("nkml,ml->nk", tangent_kernel(passes[rows], passes), u)
        jax.lax.map(block, jnp.arange(n).reshape(-1, 100)).reshape(u.shape)
    """
    check_passes(passes)
    if other is None:
        other = passes
    check_other(other, passes)
    trace, their_trace = passes.trace, other.trace
    (_, prime2), (_, their_prime2) = _primes(passes), _primes(other)
    S, their_S = _output_jacobians(passes), _output_jacobians(other)
    layer1 = (trace.x0 @ their_trace.x0.T + 1)[:, None, :, None] * jnp.einsum("nkj,mlj->nkml", S, their_S)
    layer2 = (trace.x1 @ their_trace.x1.T + 1)[:, None, :] * prime2[:, :, None] * their_prime2.T[None]  # (n, C, m)
    return layer1 + layer2[..., None] * jnp.eye(prime2.shape[1], dtype=S.dtype)[None, :, None, :]


def _output_jacobians(passes: Passes) -> jax.Array:
    """S of every example, (n, C, K)."""
    return jax.vmap(lambda t: second_order.output_jacobian(passes.params, t, passes.phi))(passes.trace)


def _hessian_h(passes: Passes) -> Deltas:
    """H2 and H1 of every example."""
    params, phi = passes.params, passes.phi
    trace, deltas, y = passes.trace, passes.deltas, passes.y
    return jax.vmap(lambda t, d, target: second_order.hessian_h(params, t, d, target, phi))(trace, deltas, y)


def _mean_diagonal(trace: Trace, h: Deltas) -> Params:
    """G1 to G4 with h for δ and squares for x, meaned: (X0²)ᵀH1/n, ΣH1/n, (X1²)ᵀH2/n, ΣH2/n."""
    diagonal: Params = batch.gradient(jax.tree.map(jnp.square, trace), h)
    return diagonal


def _mean_square(rows: jax.Array) -> jax.Array:
    """The mean of row rowᵀ."""
    return rows.T @ rows / rows.shape[0]


def _primes(passes: Passes) -> tuple[jax.Array, jax.Array]:
    """φ′(z1), (n, K), and φ′(z2), (n, C)."""
    phi1, phi2 = as_pair(passes.phi)
    return jax.vmap(phi1.prime)(passes.trace.z1), jax.vmap(phi2.prime)(passes.trace.z2)
