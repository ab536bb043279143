"""The second derivatives of one example, each against autodiff by z1 and z2."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oracle
from compare import assert_close
from jaxmlp import network, second_order
from nets import phi_of, random_net


@pytest.mark.parametrize(("hidden", "output"), [("tanh", "softplus"), ("sigmoid", "scaled_tanh")])
def test_by_z(hidden, output):
    """H1, H2, N1, N2 and S. That ∂²L/∂z2² is diagonal is part of what is tested."""
    params, x0, y = random_net()
    phi = phi_of(hidden, output)
    phi1, phi2 = oracle.PHI[hidden], oracle.PHI[output]
    trace = network.forward(params, x0, phi)
    deltas = network.backward(params, trace, y, phi)

    def by_z1(z1):
        return phi2(phi1(z1) @ params.W2 + params.b2)

    def loss(x2):
        return jnp.sum((x2 - y) ** 2) / 2

    h1, h2 = second_order.hessian_h(params, trace, deltas, y, phi)
    assert_close(jnp.diag(h2), jax.hessian(lambda z2: loss(phi2(z2)))(trace.z2))
    assert_close(h1, jnp.diag(jax.hessian(lambda z1: loss(by_z1(z1)))(trace.z1)))

    S = jax.jacrev(by_z1)(trace.z1)
    by_z2 = jax.jacrev(phi2)(trace.z2)
    assert_close(second_order.output_jacobian(params, trace, phi), S)
    h1, h2 = second_order.gauss_newton_h(params, trace, phi)
    assert_close((h1, h2), (jnp.diag(S.T @ S), jnp.diag(by_z2.T @ by_z2)))


@pytest.mark.slow
@pytest.mark.parametrize(("hidden", "output"), [("tanh", "softplus"), ("sigmoid", "scaled_tanh")])
def test_along_v(hidden, output):
    """R{z1}, R{x1}, R{z2}, R{δ1} and R{δ2} by central differences of the forward and the backward pass."""
    params, x0, y = random_net()
    v, _, _ = random_net(seed=1)
    phi = phi_of(hidden, output)

    def passes(step):
        moved = jax.tree.map(lambda p, direction: p + step * direction, params, v)
        trace = network.forward(moved, x0, phi)
        return trace, network.backward(moved, trace, y, phi)

    trace, deltas = passes(0.0)
    (after, deltas_after), (before, deltas_before) = passes(1e-5), passes(-1e-5)

    def difference(a, b):
        return np.asarray(a - b) / 2e-5

    R = second_order.r_forward(params, trace, v, phi)
    names = ("z1", "x1", "z2")
    assert_close(R, [difference(getattr(after, name), getattr(before, name)) for name in names], 1e-8)
    Rx1, Rdeltas = second_order.r_gradient(params, trace, deltas, y, v, phi)
    assert_close(Rx1, R[1])
    assert_close(Rdeltas, jax.tree.map(difference, deltas_after, deltas_before), 1e-8)
