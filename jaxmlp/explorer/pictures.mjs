// The pictures of the page, by the id of their place in it.

import { Picture } from "./picture.mjs";

/**
 * Of a network with `hidden` units, shown in the order `units`. `keep` is called with a unit that is chosen, `point`
 * with one under the mouse, `pick` with the leaf of a weight that is chosen, its pixel or output, and its unit where it
 * is not the one looked at. `says` puts the value of a unit in a picture into words.
 */
export function picturesOf({ height, width, hidden, outputs }, units, { keep, point, pick, says }) {
  const make = (id, rows, columns, more) => [id, new Picture(document.getElementById(id), rows, columns, more)];
  const image = (id, name) => make(id, height, width, { name, colour: "ink" });
  const weights = (id, name) =>
    make(id, height, width, {
      name,
      says: (pixel) => `pixel in row ${Math.floor(pixel / width)}, column ${pixel % width}`,
      choose: (pixel) => pick("W1", pixel),
    });
  const side = Math.ceil(Math.sqrt(hidden));
  const tiles = (id, name, choose = keep) =>
    make(id, Math.ceil(hidden / side), side, { cells: units, name, says: (j) => says(id, j), choose, point });

  return Object.fromEntries([
    image("x0", "x0, what the network gets"),
    tiles("z1", "z1 of each hidden unit"),
    tiles("x1", "x1 of each hidden unit"),
    weights("W1-in", "weights of the unit from each pixel"),
    make("W2-out", 1, outputs, {
      name: "weights of the unit to each output",
      says: (k) => `weight to output ${k}`,
      choose: (k) => pick("W2", k),
    }),
    make("G1-x1", 1, hidden, { cells: units, name: "x1" }),
    make("G1-delta2", outputs, 1, { name: "δ2" }),
    make("dW2", outputs, hidden, {
      cells: Array.from({ length: hidden * outputs }, (_, cell) => {
        return units[cell % hidden] * outputs + Math.floor(cell / hidden);
      }),
      name: "gradient of the weights from each hidden unit to each output",
      says: (index) => `weight from unit ${Math.floor(index / outputs)} to output ${index % outputs}`,
      choose: (index) => pick("W2", index % outputs, Math.floor(index / outputs)),
    }),
    tiles("W2delta2", "W2 δ2 of each hidden unit"),
    tiles("slope1", "φ′(z1) of each hidden unit"),
    tiles("delta1", "δ1 of each hidden unit, the gradient of its bias", (j) => pick("b1", j, j)),
    image("G3-x0", "x0"),
    weights("dW1", "gradient of the weights from each pixel"),
  ]);
}
