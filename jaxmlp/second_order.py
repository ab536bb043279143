"""The second derivatives of L, written out by hand on ONE example. The batch is in curvature.py.

Differentiating B1 and B2 once more, with e = x2 − y, gives the diagonals of the second derivatives of L with
respect to z2 and z1. Of z2 that is all there is, for φ acts on each z2_k alone; of z1 the diagonal is enough, for
one weight or bias moves one z1_j:

    h2 = φ′(z2)² + e ⊙ φ″(z2)                                                              (H2)
    h1 = (W2² h2) ⊙ φ′(z1)² + (W2 δ2) ⊙ φ″(z1)            W2² entry by entry               (H1)

z1 is linear in (W1, b1), with factor x0_i for W1_ij and 1 for b1_j, so ∂²L/∂W1_ij² = x0_i² h1_j and
∂²L/∂b1_j² = h1_j; likewise in the second layer, with x1 and h2. These are G1 to G4 with h for δ and squares for x.

The Gauss-Newton matrix JᵀJ, J the Jacobian of x2 by the parameters, keeps what is left of the Hessian where e = 0
(and so δ2 = 0):

    h2 = φ′(z2)²                                                                           (N2)
    h1 = (W2² h2) ⊙ φ′(z1)²                                                                (N1)

It is positive semidefinite, and the Fisher matrix of the model "y is normal with mean x2 and variance 1". J follows
from ∂x2/∂z2 = diag(φ′(z2)), from the same factors x0, x1 and 1, and from

    S = ∂x2/∂z1 = diag(φ′(z2)) W2ᵀ diag(φ′(z1))  ∈ R^{C×K}                                 (S)

The product of a matrix with a vector v = (V1, v1, V2, v2) is a derivative R{·} as the parameters move along v: of
the gradient for the Hessian, F1 to G4 differentiated line by line (Pearlmutter 1994, Fast exact multiplication by
the Hessian); for JᵀJ the same with e = 0 and δ2 = 0.

Everything here is of one example and unscaled. Arguments are as in network.py, whose checks the batch has made.
"""

import jax

from jaxmlp.activations import Phi, as_pair, sigmoid
from jaxmlp.network import Deltas, Params, Trace


def hessian_h(params: Params, trace: Trace, deltas: Deltas, y: jax.Array, phi: Phi = sigmoid) -> Deltas:
    """H2 and H1: (h1, h2), (K,) and (C,), the diagonals of ∂²L/∂z1² and ∂²L/∂z2², in the place of the deltas."""
    x0, z1, x1, z2, x2 = trace
    W2, delta2 = params.W2, deltas.delta2
    phi1, phi2 = as_pair(phi)
    h2 = phi2.prime(z2) ** 2 + (x2 - y) * phi2.second(z2)  # H2
    h1 = (W2**2 @ h2) * phi1.prime(z1) ** 2 + (W2 @ delta2) * phi1.second(z1)  # H1
    return Deltas(h1, h2)


def gauss_newton_h(params: Params, trace: Trace, phi: Phi = sigmoid) -> Deltas:
    """N2 and N1: the same of the Gauss-Newton matrix."""
    x0, z1, x1, z2, x2 = trace
    phi1, phi2 = as_pair(phi)
    h2 = phi2.prime(z2) ** 2  # N2
    h1 = (params.W2**2 @ h2) * phi1.prime(z1) ** 2  # N1
    return Deltas(h1, h2)


def output_jacobian(params: Params, trace: Trace, phi: Phi = sigmoid) -> jax.Array:
    """S = ∂x2/∂z1, (C, K)."""
    x0, z1, x1, z2, x2 = trace
    phi1, phi2 = as_pair(phi)
    return phi2.prime(z2)[:, None] * params.W2.T * phi1.prime(z1)[None]  # S


def r_forward(
    params: Params, trace: Trace, v: Params, phi: Phi = sigmoid
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """R{z1} and R{x1}, both (K,), and R{z2}, (C,), along v."""
    V1, v1, V2, v2 = v
    x0, z1, x1, z2, x2 = trace
    phi1, phi2 = as_pair(phi)
    Rz1 = V1.T @ x0 + v1  # R{F1}
    Rx1 = phi1.prime(z1) * Rz1  # R{F2}
    Rz2 = params.W2.T @ Rx1 + v2 + V2.T @ x1  # R{F3}
    return Rz1, Rx1, Rz2


def r_gradient(
    params: Params, trace: Trace, deltas: Deltas, y: jax.Array, v: Params, phi: Phi = sigmoid
) -> tuple[jax.Array, Deltas]:
    """R{x1}, (K,), and (R{δ1}, R{δ2}) along v: what R{G1} to R{G4} are outer products of."""
    x0, z1, x1, z2, x2 = trace
    W2, V2, delta2 = params.W2, v.W2, deltas.delta2
    phi1, phi2 = as_pair(phi)
    Rz1, Rx1, Rz2 = r_forward(params, trace, v, phi)
    Rdelta2 = (phi2.prime(z2) ** 2 + (x2 - y) * phi2.second(z2)) * Rz2  # R{B1}
    Rdelta1 = (  # φ′(z1) not factored out: of the sum of two products XLA makes a batch's slower
        (W2 @ Rdelta2) * phi1.prime(z1) + (V2 @ delta2) * phi1.prime(z1) + (W2 @ delta2) * phi1.second(z1) * Rz1
    )  # R{B2}
    return Rx1, Deltas(Rdelta1, Rdelta2)


def r_gauss_newton(params: Params, trace: Trace, v: Params, phi: Phi = sigmoid) -> Deltas:
    """The same (R{δ1}, R{δ2}) where e = 0 and δ2 = 0."""
    x0, z1, x1, z2, x2 = trace
    phi1, phi2 = as_pair(phi)
    Rz1, Rx1, Rz2 = r_forward(params, trace, v, phi)
    Rdelta2 = phi2.prime(z2) ** 2 * Rz2
    Rdelta1 = (params.W2 @ Rdelta2) * phi1.prime(z1)
    return Deltas(Rdelta1, Rdelta2)
