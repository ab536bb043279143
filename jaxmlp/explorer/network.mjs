// The two-layer perceptron, forward and backward, on one example: network.py, line by line.
//
// x0 ∈ R^D   --W1, b1-->   z1 ∈ R^K   --φ-->   x1   --W2, b2-->   z2 ∈ R^C   --φ-->   x2 = ŷ
//
// params is {W1, b1, W2, b2}, as is a gradient; phi is the pair [hidden, output]; y is one-hot.

import { Matrix, hadamard, minus, outer, plus, times, transposedTimes } from "./arrays.mjs";

/** F1 to F4: the prediction x2 of x0, with all that the backward pass needs. */
export function forward(params, x0, phi) {
  const { W1, b1, W2, b2 } = params;
  const [phi1, phi2] = phi;
  const z1 = plus(transposedTimes(W1, x0), b1); // F1
  const x1 = z1.map(phi1.phi); // F2
  const z2 = plus(transposedTimes(W2, x1), b2); // F3
  const x2 = z2.map(phi2.phi); // F4
  return { x0, z1, x1, z2, x2 };
}

/** L = ½ Σ_k (x2_k − y_k)². */
export function squaredError(x2, y) {
  return minus(x2, y).reduce((sum, error) => sum + error ** 2, 0) / 2; // L
}

/** L of the prediction. */
export function loss(params, x0, y, phi) {
  return squaredError(forward(params, x0, phi).x2, y);
}

/** B1 and B2: the derivatives of L with respect to z2, then z1. */
export function backward(params, trace, y, phi) {
  const { z1, z2, x2 } = trace;
  const [phi1, phi2] = phi;
  const delta2 = hadamard(minus(x2, y), z2.map(phi2.prime)); // B1
  const delta1 = hadamard(times(params.W2, delta2), z1.map(phi1.prime)); // B2
  return { delta1, delta2 };
}

/** G1 to G4: the derivatives of L with respect to the parameters. */
export function gradient(trace, deltas) {
  const { x0, x1 } = trace;
  const { delta1, delta2 } = deltas;
  return {
    W2: outer(x1, delta2), // G1
    b2: delta2, // G2
    W1: outer(x0, delta1), // G3
    b1: delta1, // G4
  };
}

/** W ← W − η ∂L/∂W, of each parameter; a new one, the old one stays. */
export function step(params, gradient, eta) {
  const moved = (W, dW) => W.map((value, i) => value - eta * dW[i]);
  const { W1, b1, W2, b2 } = params;
  return {
    W1: new Matrix(W1.rows, W1.columns, moved(W1.data, gradient.W1.data)),
    b1: moved(b1, gradient.b1),
    W2: new Matrix(W2.rows, W2.columns, moved(W2.data, gradient.W2.data)),
    b2: moved(b2, gradient.b2),
  };
}
