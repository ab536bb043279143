// gradcheck, of one parameter: the central difference of the loss.

import { minus, numbers } from "./arrays.mjs";
import { loss } from "./network.mjs";

export const H = 1e-4; // in doubles: its square, and the rounding of L over it, are both far below the gradient

/** (L(w + h) − L(w − h)) / 2h, for number `index` of the parameter called `leaf`, which is put back. */
export function centralDifference(params, x0, y, phi, leaf, index) {
  const W = numbers(params[leaf]);
  const w = W[index];
  const [above, below] = [w + H, w - H];
  W[index] = above;
  const up = loss(params, x0, y, phi);
  W[index] = below;
  const down = loss(params, x0, y, phi);
  W[index] = w;
  return (up - down) / (above - below);
}

/** What rounding alone may make of that difference: a step of the doubles in L, and in the z2 and x2 it comes from. */
export function rounding({ z2, x2 }, y, delta2) {
  const slip = (error, k) => error ** 2 / 2 + Math.abs(error * x2[k]) + Math.abs(delta2[k] * z2[k]);
  return (Number.EPSILON * minus(x2, y).map(slip).reduce((sum, value) => sum + value, 0)) / H;
}

/** In how many leading digits two numbers agree. */
export function digitsInCommon(a, b) {
  if (a === b) return Infinity;
  return Math.max(0, Math.floor(-Math.log10(Math.abs(a - b) / Math.max(Math.abs(a), Math.abs(b)))));
}
