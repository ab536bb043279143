"""The equations again, in NumPy and float64, index by index and without a line of jaxmlp, to compare with.

The activations use other formulas than jaxmlp.activations wherever there are any.
"""

import numpy as np


def _log_sigmoid(z):
    return -np.logaddexp(0, -z)


def _sigmoid(z):
    return np.exp(_log_sigmoid(z))


def _sigmoid_prime(z):
    return np.exp(_log_sigmoid(z) + _log_sigmoid(-z))


def _sigmoid_second(z):
    return -_sigmoid_prime(z) * np.tanh(z / 2)


def _sech_squared(z):
    return np.exp(2 * (np.log(2) - np.logaddexp(z, -z)))


# name: (φ, φ′, φ″)
ACTIVATIONS = {
    "sigmoid": (_sigmoid, _sigmoid_prime, _sigmoid_second),
    "tanh": (np.tanh, _sech_squared, lambda z: -2 * np.tanh(z) * _sech_squared(z)),
    "scaled_tanh": (
        lambda z: 1.7159 * np.tanh(2 * z / 3),
        lambda z: 1.7159 * 2 / 3 * _sech_squared(2 * z / 3),
        lambda z: -1.7159 * 8 / 9 * np.tanh(2 * z / 3) * _sech_squared(2 * z / 3),
    ),
    "relu": (lambda z: np.where(z > 0, z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0), lambda z: 0.0 * z),
    "softplus": (lambda z: np.logaddexp(0, z), _sigmoid, _sigmoid_prime),
    "identity": (lambda z: 1.0 * z, lambda z: 1.0 + 0.0 * z, lambda z: 0.0 * z),
}


def forward(params, x0, hidden, output):
    """(x0, z1, x1, z2, x2) of one example; `hidden` and `output` are names of activations."""
    W1, b1, W2, b2, x0 = (np.asarray(array, np.float64) for array in (*params, x0))
    (D, K), C = W1.shape, W2.shape[1]
    z1 = np.array([sum(W1[i, j] * x0[i] for i in range(D)) + b1[j] for j in range(K)])  # F1
    x1 = ACTIVATIONS[hidden][0](z1)  # F2
    z2 = np.array([sum(W2[j, k] * x1[j] for j in range(K)) + b2[k] for k in range(C)])  # F3
    x2 = ACTIVATIONS[output][0](z2)  # F4
    return x0, z1, x1, z2, x2


def loss(x2, y):
    return sum((x2[k] - y[k]) ** 2 for k in range(len(y))) / 2  # L


def backward(params, trace, y, hidden, output):
    """(δ1, δ2) of one example."""
    W2, y = np.asarray(params[2], np.float64), np.asarray(y, np.float64)
    _, z1, _, z2, x2 = (np.asarray(array, np.float64) for array in trace)
    prime1, prime2 = ACTIVATIONS[hidden][1](z1), ACTIVATIONS[output][1](z2)
    K, C = W2.shape
    delta2 = np.array([(x2[k] - y[k]) * prime2[k] for k in range(C)])  # B1
    delta1 = np.array([sum(W2[j, k] * delta2[k] for k in range(C)) * prime1[j] for j in range(K)])  # B2
    return delta1, delta2


def gradient(trace, deltas):
    """(∂L/∂W1, ∂L/∂b1, ∂L/∂W2, ∂L/∂b2) of one example."""
    x0, _, x1, _, _ = (np.asarray(array, np.float64) for array in trace)
    delta1, delta2 = (np.asarray(array, np.float64) for array in deltas)
    dW2 = np.array([[x1[j] * delta2[k] for k in range(len(delta2))] for j in range(len(x1))])  # G1
    db2 = delta2  # G2
    dW1 = np.array([[x0[i] * delta1[j] for j in range(len(delta1))] for i in range(len(x0))])  # G3
    db1 = delta1  # G4
    return dW1, db1, dW2, db2


def mean_loss_and_gradient(params, x, y, hidden, output):
    """The means over a batch, one example after the other."""
    losses, gradients = [], []
    for x0, target in zip(x, np.asarray(y, np.float64), strict=True):
        trace = forward(params, x0, hidden, output)
        losses.append(loss(trace[4], target))
        gradients.append(gradient(trace, backward(params, trace, target, hidden, output)))
    return sum(losses) / len(losses), tuple(sum(leaf) / len(losses) for leaf in zip(*gradients, strict=True))
