"""Statistics of a batch's n gradients, read off its trace and deltas: no further pass, no gradient per example.

The gradient g of one example is G1 to G4, outer products of what the forward and the backward pass left behind.
With the bias as the weight of one more input that is always 1, each layer's part of g is [x; 1] δᵀ, and so

    g ⊙ g        =  [x²; 1] (δ²)ᵀ                  elementwise squares
    ‖g‖²         =  (‖x‖² + 1) ‖δ‖²
    ⟨g, g′⟩      =  (x·x′ + 1) (δ·δ′)
    ⟨g, [V; v]⟩  =  (Vᵀx + v) · δ

summed over the two layers (x0, δ1) and (x1, δ2) where one number is wanted. Below, rows are examples.

Every function takes the `passes` of a batch of n examples first (batch.passes). It is pure and jitted, keeps
float32 or float64, and raises ValueError while tracing on a wrong shape or dtype. Costs count multiply-adds; a
whole gradient, forward pass included, takes 2nDK.

What is a square is as small as a square: in float32, gradients below about 1e-19 have squares that underflow to 0.
`gradient_norms`, and with it what is clipped, is free of that, and of overflow, for inputs of ordinary size.
"""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmlp import batch, network
from jaxmlp.batch import Passes
from jaxmlp.checks import check_array, check_direction, check_other, check_passes
from jaxmlp.network import Deltas, Params
from jaxmlp.sharding import DELTAS, PARAMS, SCALAR, of_batch, on_any_mesh


class NoiseScale(NamedTuple):
    """Unbiased estimates from one batch, each a scalar (McCandlish et al. 2018, appendix A)."""

    covariance_trace: jax.Array  # tr Σ, Σ the covariance of the gradient of one example
    squared_norm: jax.Array  # ‖G‖², G the gradient of the expected loss; may come out negative, being unbiased

    @property
    def ratio(self) -> jax.Array:
        """tr Σ / ‖G‖²: the batch size above which a larger batch helps little. NaN where all gradients are zero.

        No estimate of its own, and biased: over a run, mean the two fields, and take the ratio of the means.
        """
        return self.covariance_trace / self.squared_norm


@jax.jit
@on_any_mesh(("nDK", "nK", "nKC", "nC"))
def per_example_gradients(passes: Passes) -> Params:
    """The n gradients, unscaled: Params of leaves (n, D, K), (n, K), (n, K, C), (n, C).

    The plain thing, for what the rest of this module does not offer: it costs the memory of n gradients.
    """
    check_passes(passes)
    return jax.vmap(network.gradient)(passes.trace, passes.deltas)


@jax.jit
@on_any_mesh(("n", "n", "n", "n"))
def squared_norms(passes: Passes) -> Params:
    """‖∂L/∂W1‖², ‖∂L/∂b1‖², ... of every example: Params of four (n,) arrays. Cost n(D + 2K + C).

    Goodfellow 2015, Efficient per-example gradient computations, arXiv:1510.01799.
    """
    check_passes(passes)
    trace = passes.trace
    x0, x1, delta1, delta2 = (batch.row_sums(a**2) for a in (trace.x0, trace.x1, *passes.deltas))
    return Params(W1=x0 * delta1, b1=delta1, W2=x1 * delta2, b2=delta2)


@jax.jit
@on_any_mesh("n")
def gradient_norms(passes: Passes) -> jax.Array:
    """‖g‖ of every example over all its parameters, (n,). Cost n(D + 2K + C). Goodfellow 2015.

    g is linear in δ, so each example's deltas are first divided by their size Σ|δ|: then their squares neither
    underflow nor overflow. A zero gradient has norm 0, and there the norm's derivative is 0; one with a NaN or an
    infinity, NaN.

    As a measure of how wrong x2 is, it fails where the output saturates: a sigmoid's confident mistake has φ′(z2),
    and so ‖g‖, near 0.
    """
    check_passes(passes)
    deltas = passes.deltas
    size = batch.row_sums(jnp.abs(deltas.delta1)) + batch.row_sums(jnp.abs(deltas.delta2))
    smallest_normal = jnp.finfo(size.dtype).tiny  # type: ignore[no-untyped-call]
    scale = jax.lax.stop_gradient(jnp.where(size >= smallest_normal, size, 1))
    scaled = jax.tree.map(lambda delta: delta / scale[:, None], deltas)
    squares = sum(squared_norms(replace(passes, deltas=scaled)))
    zero = squares == 0  # where the root has no derivative
    return scale * jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, squares)))


@jax.jit
@on_any_mesh(PARAMS)
def weighted_gradient(passes: Passes, weights: jax.Array) -> Params:
    """The *sum* Σ_n w_n g_n for weights (n,), of the dtype of the trace. Cost nDK.

    Weights 1/n give batch.gradient. A weight of 0 leaves out a finite gradient, not one with a NaN (0·NaN = NaN).
    """
    check_passes(passes)
    n = passes.y.shape[0]
    check_array("weights", weights, (n,), passes.y.dtype)
    return _times(n, batch.gradient(passes.trace, _scaled(passes.deltas, weights)))


@jax.jit
@on_any_mesh(PARAMS)
def clipped_gradient(passes: Passes, max_norm: jax.Array | float) -> Params:
    """The *mean* of the n gradients, each first scaled down to norm `max_norm` if longer. Cost nDK.

    That is (1/n) Σ_n g_n min(1, c/‖g_n‖): the clipping of differentially private SGD (Abadi et al. 2016,
    arXiv:1607.00133), in the one backward pass. c = `max_norm` is a scalar, a Python number or traced; below 0 it
    counts as 0, for a traced one cannot be refused. A zero gradient stays zero. A NaN or an infinity in one
    gradient makes the mean NaN: to drop it silently would hide a broken example. c = inf clips nothing, c = NaN
    gives NaN.
    """
    clipped: Params = batch.gradient(passes.trace, clipped_deltas(passes, max_norm))
    return clipped


@jax.jit
@on_any_mesh(PARAMS)
def clipped_sum(passes: Passes, max_norm: jax.Array | float, mask: jax.Array) -> Params:
    """The *sum* of the gradients whose `mask` (n,), of bools, is True, each clipped as above. Cost nDK.

    That is Σ_n m_n g_n min(1, c/‖g_n‖): one example more or less moves it by at most c, up to rounding, which is
    what the noise of differentially private SGD is measured by (Abadi et al. 2016). Where the mask is False an
    example is padding: it counts for nothing, whatever it holds, a NaN too.
    """
    check_passes(passes)
    check_array("mask", mask, passes.y.shape[:1], jnp.dtype(bool))
    trace, deltas = jax.tree.map(lambda a: jnp.where(mask[:, None], a, 0), (passes.trace, passes.deltas))
    clipped = clipped_deltas(replace(passes, trace=trace, deltas=deltas), max_norm)
    return _times(passes.y.shape[0], batch.gradient(trace, clipped))


@jax.jit
@on_any_mesh(of_batch(DELTAS))
def clipped_deltas(passes: Passes, max_norm: jax.Array | float) -> Deltas:
    """The deltas of the clipped gradients: δ_n min(1, c/‖g_n‖), for g_n is linear in them. c is a scalar."""
    norms = gradient_norms(passes)
    max_norm = jnp.maximum(jnp.asarray(max_norm, norms.dtype), 0)
    check_array("max_norm", max_norm, ())
    short = norms <= max_norm  # never divided by: near 0 the quotient's derivative overflows
    return _scaled(passes.deltas, jnp.where(short, 1, max_norm / jnp.where(short, 1, norms)))


@jax.jit
@on_any_mesh(PARAMS)
def second_moment(passes: Passes) -> Params:
    """The *mean* of g² over the batch, entry by entry: (X0²)ᵀ(Δ1²)/n, ... Cost nDK.

    It is also the diagonal of the empirical Fisher matrix.
    """
    check_passes(passes)
    moment: Params = batch.gradient(*jax.tree.map(jnp.square, (passes.trace, passes.deltas)))
    return moment


@jax.jit
@on_any_mesh(PARAMS)
def variance(passes: Passes) -> Params:
    """The unbiased variance of each entry of g: the mean of (g − mean g)² times n/(n − 1). Cost 3nDK.

    From centred quantities: of each layer, with x = x̄ + ξ and δ = δ̄ + ε, an entry x δ of g is the constant x̄ δ̄
    and h = x ε + ξ δ̄, whose variance is mean h² − (mean h)². So a mean gradient that is large beside its spread
    costs no digits. What remains is an absolute error of a few roundings of mean h². Never below 0. NaN for n = 1,
    as in np.var(ddof=1).
    """
    check_passes(passes)
    trace, deltas = passes.trace, passes.deltas

    def of_layer(x: jax.Array, delta: jax.Array) -> tuple[jax.Array, jax.Array]:
        xi, epsilon, mean_delta = *_centred(x, delta), jnp.mean(delta, axis=0)
        mean_square = (
            _mean_product(x**2, epsilon**2)
            + 2 * _mean_product(x * xi, epsilon) * mean_delta[None]
            + jnp.mean(xi**2, axis=0)[:, None] * mean_delta[None] ** 2
        )
        spread = mean_square - _mean_product(xi, epsilon) ** 2
        return jnp.maximum(spread, 0), jnp.mean(epsilon**2, axis=0)

    W1, b1 = of_layer(trace.x0, deltas.delta1)
    W2, b2 = of_layer(trace.x1, deltas.delta2)
    bessel = _bessel(passes)
    return Params(*(bessel * leaf for leaf in (W1, b1, W2, b2)))


@jax.jit
@on_any_mesh("nm")
def gram(passes: Passes, other: Passes | None = None) -> jax.Array:
    """⟨g_n, g′_m⟩ for all pairs of examples, (n, m): this batch's against `other`'s, or against its own.

    (X0X0′ᵀ + 1) ⊙ (Δ1Δ1′ᵀ) + (X1X1′ᵀ + 1) ⊙ (Δ2Δ2′ᵀ), unscaled. Cost nm(D + 2K + C).
    Where (n, m) is too large for memory, take it by blocks of rows and keep what you need of each, here Gu:

        jax.lax.map(lambda rows: gram(passes[rows], passes) @ u, jnp.arange(n).reshape(-1, 1000)).ravel()
    """
    check_passes(passes)
    if other is None:
        other = passes
    check_other(other, passes)
    trace, deltas, their_trace, their_deltas = passes.trace, passes.deltas, other.trace, other.deltas
    layer1 = (trace.x0 @ their_trace.x0.T + 1) * (deltas.delta1 @ their_deltas.delta1.T)
    layer2 = (trace.x1 @ their_trace.x1.T + 1) * (deltas.delta2 @ their_deltas.delta2.T)
    return layer1 + layer2


@jax.jit
@on_any_mesh("n")
def directional(passes: Passes, v: Params) -> jax.Array:
    """⟨g_n, v⟩ of every example, (n,): the rate at which its loss changes as the parameters move along v. Cost nDK.

    With v = (V1, v1, V2, v2): ((X0V1 + v1) ⊙ Δ1)·1 + ((X1V2 + v2) ⊙ Δ2)·1.
    """
    check_passes(passes)
    check_direction(v, passes.params)
    trace, deltas = passes.trace, passes.deltas
    V1, v1, V2, v2 = v
    layer1 = (trace.x0 @ V1 + v1[None]) * deltas.delta1
    layer2 = (trace.x1 @ V2 + v2[None]) * deltas.delta2
    return batch.row_sums(layer1) + batch.row_sums(layer2)


@jax.jit
@on_any_mesh((SCALAR, SCALAR))
def noise_scale(passes: Passes) -> NoiseScale:
    """How noisy the batch's gradient is (McCandlish et al. 2018, An empirical model of large-batch training,
    arXiv:1812.06162). With g the mean gradient, tr Σ is the mean of ‖g_n − g‖² times n/(n − 1), and
    ‖G‖² = ‖g‖² − tr Σ/n. Cost nDK.

    From centred quantities, as `variance`: of each layer, h_n = [x; 1] εᵀ + [ξ; 0] δ̄ᵀ is g_n but for a constant.
    Its mean is M = mean ξ εᵀ, so that the mean of ‖g_n − g‖² is that of ‖h_n‖² less ‖M‖². What remains is an error
    of a few roundings of ‖h_n‖², and in ‖G‖² of ‖g‖². NaN for n = 1, where neither can be estimated.
    """
    check_passes(passes)
    trace, deltas = passes.trace, passes.deltas

    def of_layer(x: jax.Array, delta: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(the mean of ‖g_n − g‖², ‖g‖²) of one layer."""
        xi, epsilon = _centred(x, delta)
        mean_x, mean_delta = jnp.mean(x, axis=0), jnp.mean(delta, axis=0)
        M = _mean_product(xi, epsilon)
        squared_norms = (
            (batch.row_sums(x**2) + 1) * batch.row_sums(epsilon**2)
            + 2 * batch.row_sums(x * xi) * (epsilon @ mean_delta)
            + batch.row_sums(xi**2) * jnp.sum(mean_delta**2)
        )  # ‖h_n‖²
        g = M + jnp.outer(mean_x, mean_delta)
        return jnp.mean(squared_norms) - _sum_of_squares(M), _sum_of_squares(g) + jnp.sum(mean_delta**2)

    spread1, squared_norm1 = of_layer(trace.x0, deltas.delta1)
    spread2, squared_norm2 = of_layer(trace.x1, deltas.delta2)
    n = passes.y.shape[0]
    covariance_trace = jnp.maximum(spread1 + spread2, 0) * _bessel(passes)
    return NoiseScale(covariance_trace, squared_norm=squared_norm1 + squared_norm2 - covariance_trace / n)


def _centred(x: jax.Array, delta: jax.Array) -> tuple[jax.Array, jax.Array]:
    """ξ = x − x̄ and ε = δ − δ̄, of the inputs and deltas of one layer; centred twice, for means are rounded."""

    def centred(rows: jax.Array) -> jax.Array:
        for _ in range(2):
            rows = rows - jnp.mean(rows, axis=0)[None]
        return rows

    return centred(x), centred(delta)


def _mean_product(x: jax.Array, delta: jax.Array) -> jax.Array:
    """The mean of x δᵀ, in batch.gradient's order of the factors."""
    return (delta.T @ x / x.shape[0]).T


def _sum_of_squares(matrix: jax.Array) -> jax.Array:
    return jnp.sum(batch.row_sums(matrix**2))


def _times(n: int, mean: Params) -> Params:
    """The sum over n examples of which this is the mean."""
    return Params(*(n * leaf for leaf in mean))


def _scaled(deltas: Deltas, factors: jax.Array) -> Deltas:
    """Each example's deltas times its factor."""
    return Deltas(*(factors[:, None] * delta for delta in deltas))


def _bessel(passes: Passes) -> jax.Array:
    """n/(n − 1); NaN for n = 1. An array, for n may be symbolic (jax.export)."""
    n = jnp.asarray(passes.y.shape[0], passes.y.dtype)
    return jnp.where(n > 1, n / jnp.maximum(n - 1, 1), jnp.nan)
