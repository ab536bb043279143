// The network on the page: its weights as they came, and the steps taken since.

import { Matrix, argmax, largest, row } from "./arrays.mjs";
import { ACTIVATIONS } from "./activations.mjs";
import { backward, forward, gradient, step } from "./network.mjs";

/** The bytes that a base64 text stands for. */
export function bytesOf(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

const KEPT = 20; // calls of `step` that can be taken back; 800 hidden units make each 5 MB

export class Model {
  constructor({ height, width, hidden, outputs, phi, params }) {
    const vector = (text) => Float64Array.from(new Float32Array(bytesOf(text).buffer));
    this.phi = phi.map((name) => ACTIVATIONS[name]);
    this.trained = {
      W1: new Matrix(height * width, hidden, vector(params.W1)),
      b1: vector(params.b1),
      W2: new Matrix(hidden, outputs, vector(params.W2)),
      b2: vector(params.b2),
    };
    this.reset();
  }

  forward(x0) {
    return forward(this.params, x0, this.phi);
  }

  backward(trace, y) {
    return backward(this.params, trace, y, this.phi);
  }

  reset() {
    this.params = this.trained;
    this.past = []; // the params before each of the last calls of `step`
  }

  /** `count` steps down the gradient of one example. */
  step(x0, y, eta, count) {
    this.past = [...this.past, this.params].slice(-KEPT);
    for (let n = 0; n < count; n++) {
      const trace = this.forward(x0);
      this.params = step(this.params, gradient(trace, this.backward(trace, y)), eta);
    }
  }

  /** Takes back the last call of `step`. */
  undo() {
    this.params = this.past.pop();
  }

  predictions(examples) {
    return examples.map((x0) => argmax(this.forward(x0).x2));
  }
}

/** The hidden units by the norm of their outgoing weights, the largest first, as in the report. */
export function strongestUnits(W2) {
  const norms = Array.from({ length: W2.rows }, (_, j) => Math.hypot(...row(W2, j)));
  return norms.map((_, j) => j).sort((i, j) => norms[j] - norms[i]);
}

/** The limit of a symmetric scale of colours or bars. */
export const limitOf = (values) => largest(values) || 1;
