// One weight, checked: its gradient by the equation, with its numbers, and by the central difference of the loss.

import { centralDifference, digitsInCommon, rounding } from "./differences.mjs";
import { entry, factor, long, math, mn, mo, short, slope } from "./words.mjs";

/**
 * What to say of the weight {leaf, at} of hidden unit j: of W1 the one from pixel `at`, of W2 that to output `at`. Each
 * is HTML. Without a target there is nothing to compute.
 */
export function checked({ leaf, at }, j, params, trace, deltas, target, phi) {
  const { index, of, from, to } = {
    W1: { index: at * params.W1.columns + j, of: ["w", 1, at, j], from: ["x", 0, at], to: ["δ", 1, j] },
    b1: { index: j, of: ["b", 1, j], to: ["δ", 1, j] },
    W2: { index: j * params.W2.columns + at, of: ["w", 2, j, at], from: ["x", 1, j], to: ["δ", 2, at] },
    b2: { index: at, of: ["b", 2, at], to: ["δ", 2, at] },
  }[leaf];
  const equation = math(slope(...of), mo("="), ...(from ? [entry(...from), mo("·")] : []), entry(...to));
  if (!target) return { equation, byHand: "–", difference: "–", verdict: "" };

  const delta = deltas[`delta${to[1]}`][to[2]];
  const input = from ? trace[`x${from[1]}`][from[2]] : 1;
  const byHand = input * delta;
  const product = from ? [mo("="), factor(input), mo("·"), factor(delta)] : [];
  const difference = centralDifference(params, trace.x0, target, phi, leaf, index);
  const common = digitsInCommon(byHand, difference);
  const hidden = common === 0 && Math.abs(byHand - difference) <= rounding(trace, target, deltas.delta2);
  return {
    equation: equation + math(...product, mo("="), mn(short(byHand))),
    byHand: marked(byHand, common),
    difference: marked(difference, common),
    verdict: hidden ? "Too small to compare: the rounding of L hides it." : verdict(common),
  };
}

function verdict(common) {
  if (common === Infinity) return "They are equal.";
  return Number.isNaN(common) ? "" : `They agree in ${common} ${common === 1 ? "digit" : "digits"}.`;
}

/** The number, so many of its significant digits marked. */
function marked(value, common) {
  const text = long(value);
  let end = common > 0 ? Math.max(text.search(/[1-9]/), 0) : 0;
  for (let left = common; left > 0 && end < text.length && text[end] !== "e"; end++) {
    if (text[end] !== ".") left--;
  }
  return `<mark>${text.slice(0, end)}</mark>${text.slice(end)}`;
}
