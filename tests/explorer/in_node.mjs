// Runs the page's modules, in the folder of the first argument, on the cases in a JSON file, the second; prints what
// each computed. test_mathematics.py and test_shown.py compare that with the program.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, file] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(`${folder}/${name}.mjs`));
const [arrays, { ACTIVATIONS }, network, differences, inputs, photo, model, check] = await Promise.all(
  ["arrays", "activations", "network", "differences", "inputs", "photo", "model", "check"].map(load),
);

const vector = (list) => Float64Array.from(list);
const matrix = (rows) => new arrays.Matrix(rows.length, rows[0].length, vector(rows.flat()));
const parameters = ({ W1, b1, W2, b2 }) => ({ W1: matrix(W1), b1: vector(b1), W2: matrix(W2), b2: vector(b2) });
const listed = (named) =>
  Object.fromEntries(Object.entries(named).map(([name, value]) => [name, Array.from(arrays.numbers(value))]));

const runs = {
  activation: ({ phi, z }) => ["phi", "prime"].map((f) => z.map((value) => ACTIVATIONS[phi][f](value))),
  passes({ params, x0, y, phi }) {
    const [W, pair] = [parameters(params), phi.map((name) => ACTIVATIONS[name])];
    const trace = network.forward(W, vector(x0), pair);
    const deltas = network.backward(W, trace, vector(y), pair);
    const loss = network.loss(W, vector(x0), vector(y), pair);
    return {
      trace: listed(trace),
      deltas: listed(deltas),
      gradient: listed(network.gradient(trace, deltas)),
      loss,
    };
  },
  steps({ params, x0, y, phi, eta, count }) {
    const pair = phi.map((name) => ACTIVATIONS[name]);
    let W = parameters(params);
    for (let n = 0; n < count; n++) {
      const trace = network.forward(W, vector(x0), pair);
      W = network.step(W, network.gradient(trace, network.backward(W, trace, vector(y), pair)), eta);
    }
    return listed(W);
  },
  /** Each call of `step`, then of `undo` until there are none: the weights, and the forward passes it took. */
  undone({ params, x0, y, phi, eta, calls }) {
    const base64 = (values) => Buffer.from(Float32Array.from(values.flat()).buffer).toString("base64");
    const leaves = Object.fromEntries(Object.entries(params).map(([leaf, W]) => [leaf, base64(W)]));
    const [height, width, hidden, outputs] = [1, x0.length, params.b1.length, params.b2.length];
    const made = new model.Model({ height, width, hidden, outputs, phi, params: leaves });
    let passes = 0;
    made.forward = (x) => {
      passes++;
      return model.Model.prototype.forward.call(made, x);
    };
    const after = (act) => {
      passes = 0;
      act();
      return { params: listed(made.params), passes };
    };
    const steps = Array.from({ length: calls }, () => after(() => made.step(vector(x0), vector(y), eta, 2)));
    const undone = [];
    for (let n = 0; n < calls && made.past.length; n++) undone.push(after(() => made.undo()));
    return { steps, undone, trained: made.params === made.trained };
  },
  differences({ params, x0, y, phi }) {
    const [W, pair] = [parameters(params), phi.map((name) => ACTIVATIONS[name])];
    const of = (leaf) =>
      Array.from(arrays.numbers(W[leaf]), (_, index) =>
        differences.centralDifference(W, vector(x0), vector(y), pair, leaf, index),
      );
    return Object.fromEntries(Object.keys(W).map((leaf) => [leaf, of(leaf)]));
  },
  verdicts({ params, x0, y, phi, gradient }) {
    const [W, pair] = [parameters(params), phi.map((name) => ACTIVATIONS[name])];
    const trace = network.forward(W, vector(x0), pair);
    const deltas = network.backward(W, trace, vector(y), pair);
    deltas.delta2 = arrays.scaled(deltas.delta2, gradient);
    return y.map((_, at) => check.checked({ leaf: "b2", at }, 0, W, trace, deltas, vector(y), pair).verdict);
  },
  units: ({ W2 }) => model.strongestUnits(matrix(W2)),
  inputs: ({ pixels, height, width, view }) =>
    Array.from(inputs.inputsOf(Uint8ClampedArray.from(pixels), height, width, view)),
  drawing: ({ ink, height, width }) => Array.from(photo.mnistForm({ height, width, data: vector(ink) })),
};

const cases = JSON.parse(readFileSync(file, "utf8"));
console.log(JSON.stringify(cases.map(({ run, ...given }) => runs[run](given))));
