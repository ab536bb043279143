"""Curvature of a batch's loss, exact for the two layers, from its trace and deltas: second_order.py under vmap.

Every function returns the *mean* over the n examples, unless it says otherwise. `trace` and `deltas` are those of
the same params and phi (batch.forward, batch.backward), with a leading axis n, and y is (n, C). Every function is
pure and jitted, with `phi` and `kind` static, keeps float32 or float64, and raises ValueError while tracing on a
wrong shape or dtype. Costs count multiply-adds; a whole gradient, forward pass included, takes 2nDK.
"""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxmlp import batch, second_order
from jaxmlp.activations import Phi, layers, sigmoid
from jaxmlp.batch import jit_phi
from jaxmlp.checks import BATCH, check_deltas, check_direction, check_other, check_trace
from jaxmlp.network import Deltas, Params, Trace


class KroneckerFactors(NamedTuple):
    """A_l ⊗ G_l approximates layer l's block of the curvature, [W; b] flattened row by row."""

    A1: jax.Array  # (D + 1, D + 1)
    G1: jax.Array  # (K, K)
    A2: jax.Array  # (K + 1, K + 1)
    G2: jax.Array  # (C, C)


@jit_phi
def hessian_diagonal(params: Params, trace: Trace, deltas: Deltas, y: jax.Array, phi: Phi = sigmoid) -> Params:
    """The diagonal of the Hessian of the mean loss, as Params: (X0²)ᵀH1/n, ... Cost nDK, as the gradient."""
    _check(params, trace, deltas, y)
    return _mean_diagonal(trace, _hessian_h(params, trace, deltas, y, phi))


@jit_phi
def hessian_traces(params: Params, trace: Trace, deltas: Deltas, y: jax.Array, phi: Phi = sigmoid) -> jax.Array:
    """The trace of the Hessian of each example's L, (n,), no mean. Cost n(D + 2KC).

    The diagonal summed: (‖x0‖² + 1) Σ_j h1_j + (‖x1‖² + 1) Σ_k h2_k.
    """
    _check(params, trace, deltas, y)
    h1, h2 = _hessian_h(params, trace, deltas, y, phi)
    x0, x1, h1, h2 = (batch.row_sums(a) for a in (trace.x0**2, trace.x1**2, h1, h2))
    return (x0 + 1) * h1 + (x1 + 1) * h2


@jit_phi
def gauss_newton_diagonal(params: Params, trace: Trace, deltas: Deltas, y: jax.Array, phi: Phi = sigmoid) -> Params:
    """The diagonal of the mean of JᵀJ, as Params; its entries are >= 0. Cost nDK, as the gradient.

    It depends on neither deltas nor y, which are taken so that it stands in for `hessian_diagonal`.
    """
    _check(params, trace, deltas, y)
    return _mean_diagonal(trace, jax.vmap(lambda t: second_order.gauss_newton_h(params, t, phi))(trace))


@partial(jax.jit, static_argnames=("phi", "kind"))
def kronecker_factors(
    params: Params,
    trace: Trace,
    deltas: Deltas,
    y: jax.Array,
    phi: Phi = sigmoid,
    kind: Literal["exact", "empirical"] = "exact",
) -> KroneckerFactors:
    """Means over the batch whose Kronecker product stands for each layer's block (Martens & Grosse 2015, Optimizing
    neural networks with Kronecker-factored approximate curvature, arXiv:1503.05671).

    A_l is the mean of [x; 1][x; 1]ᵀ for x = x0, x1. G_l depends on `kind`:
    "exact": G1 the mean of SᵀS and G2 of diag(φ′(z2)²), exact in that no target is sampled. For n = 1, A_l ⊗ G_l is
    the block of JᵀJ itself. deltas and y are not used.
    "empirical": the means of δ1δ1ᵀ and δ2δ2ᵀ. For n = 1, A_l ⊗ G_l is the block of g gᵀ itself.
    Cost nD² for A1, nK² for A2, and nCK² ("exact") or nK² for G1.
    """
    _check(params, trace, deltas, y)
    if kind not in ("exact", "empirical"):
        raise ValueError(f"kind: expected 'exact' or 'empirical', got {kind!r}")
    n = trace.x0.shape[0]
    A1, A2 = (_mean_square(jnp.pad(x, ((0, 0), (0, 1)), constant_values=1)) for x in (trace.x0, trace.x1))
    if kind == "empirical":
        G1, G2 = (_mean_square(delta) for delta in deltas)
        return KroneckerFactors(A1, G1, A2, G2)
    prime1, prime2 = _primes(trace, phi)

    def add_output(G1: jax.Array, k: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        W2_k, prime2_k = k
        S_k = prime2_k[:, None] * W2_k[None] * prime1  # row k of every example's S, (n, K): never all of (n, C, K)
        return G1 + S_k.T @ S_k / n, None

    G1, _ = jax.lax.scan(add_output, jnp.zeros_like(A2[:-1, :-1]), (params.W2.T, prime2.T))
    return KroneckerFactors(A1, G1, A2, G2=jnp.diag(jnp.mean(prime2**2, axis=0)))


@jit_phi
def hessian_vector_product(
    params: Params, trace: Trace, deltas: Deltas, y: jax.Array, phi: Phi, v: Params
) -> Params:
    """Hv for H the Hessian of the mean loss, and v and Hv in the shape of Params. Cost 2nDK, as the gradient's.

    The R-operator of Pearlmutter 1994, written out; against differentiating a gradient it reuses both passes.
    """
    _check(params, trace, deltas, y)
    check_direction(v, trace)
    Rx1, Rdeltas = jax.vmap(lambda t, d, target: second_order.r_gradient(params, t, d, target, v, phi))(
        trace, deltas, y
    )
    Rgradient: Params = batch.gradient(trace, Rdeltas)  # R{G2}, R{G3}, R{G4} and half of R{G1}, x1 R{δ2}ᵀ
    return Rgradient._replace(W2=Rgradient.W2 + (deltas.delta2.T @ Rx1 / y.shape[0]).T)  # R{x1} δ2ᵀ


@jit_phi
def gauss_newton_vector_product(
    params: Params, trace: Trace, deltas: Deltas, y: jax.Array, phi: Phi, v: Params
) -> Params:
    """The mean of JᵀJv: forward along v to Jv = R{x2}, and backward from there. Cost 2nDK, as the gradient's.

    It depends on neither deltas nor y, which are taken so that it stands in for `hessian_vector_product`
    (Schraudolph 2002, Fast curvature matrix-vector products for second-order gradient descent).
    """
    _check(params, trace, deltas, y)
    check_direction(v, trace)
    product: Params = batch.gradient(
        trace, jax.vmap(lambda t: second_order.r_gauss_newton(params, t, v, phi))(trace)
    )
    return product


@jit_phi
def tangent_kernel(params: Params, trace: Trace, phi: Phi = sigmoid, other: Trace | None = None) -> jax.Array:
    """The neural tangent kernel of the predictions x2, (n, C, m, C): ⟨∂x2_k/∂θ, ∂x2′_l/∂θ⟩ for all pairs of
    examples, of this batch and of `other`'s trace (or its own). No mean. Jacot et al. 2018, arXiv:1806.07572.

    (x0·x0′ + 1) (S S′ᵀ)_kl + [k = l] φ′(z2_k) φ′(z2′_k) (x1·x1′ + 1). No Jacobian by parameter is built: beyond the
    result, memory goes to S, (n, C, K). Cost nm(D + C²K).
    Where the result is too large for memory, take it by blocks of rows and keep what you need of each, here Θu:

        blocks = jax.tree.map(lambda a: a.reshape(-1, 100, a.shape[1]), trace)
        rows = lambda block: jnp.einsum("nkml,ml->nk", tangent_kernel(params, block, phi, trace), u)
        jax.lax.map(rows, blocks).reshape(u.shape)
    """
    check_trace(params, trace, trace.x2, lead=BATCH)  # there is no target: x2 passes for one
    if other is None:
        other = trace
    check_other(other, trace, "a Trace")
    prime2, their_prime2 = _primes(trace, phi)[1], _primes(other, phi)[1]
    S, their_S = (jax.vmap(lambda t: second_order.output_jacobian(params, t, phi))(t) for t in (trace, other))
    layer1 = (trace.x0 @ other.x0.T + 1)[:, None, :, None] * jnp.einsum("nkj,mlj->nkml", S, their_S)
    layer2 = (trace.x1 @ other.x1.T + 1)[:, None, :] * prime2[:, :, None] * their_prime2.T[None]  # (n, C, m)
    return layer1 + layer2[..., None] * jnp.eye(prime2.shape[1], dtype=S.dtype)[None, :, None, :]


def _check(params: Params, trace: Trace, deltas: Deltas, y: jax.Array) -> None:
    check_trace(params, trace, y, lead=BATCH)
    check_deltas(trace, deltas, lead=BATCH)


def _hessian_h(params: Params, trace: Trace, deltas: Deltas, y: jax.Array, phi: Phi) -> Deltas:
    return jax.vmap(lambda t, d, target: second_order.hessian_h(params, t, d, target, phi))(trace, deltas, y)


def _mean_diagonal(trace: Trace, h: Deltas) -> Params:
    """G1 to G4 with h for δ and squares for x, meaned: (X0²)ᵀH1/n, ΣH1/n, (X1²)ᵀH2/n, ΣH2/n."""
    diagonal: Params = batch.gradient(jax.tree.map(jnp.square, trace), h)
    return diagonal


def _mean_square(rows: jax.Array) -> jax.Array:
    """The mean of row rowᵀ."""
    return rows.T @ rows / rows.shape[0]


def _primes(trace: Trace, phi: Phi) -> tuple[jax.Array, jax.Array]:
    """φ′(z1), (n, K), and φ′(z2), (n, C)."""
    phi1, phi2 = layers(phi)
    return phi1.prime(trace.z1), phi2.prime(trace.z2)
