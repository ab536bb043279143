// Numbers and symbols as one reads them.

/** Three significant digits, a real minus sign, no more than seven characters. */
export function short(value) {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  let text = size.toPrecision(3);
  if (size < 1e-3 || size >= 1e4) {
    const [digits, exponent] = size.toExponential(1).split("e");
    text = `${digits}e${exponent.replace("-", "−").replace("+", "")}`;
  }
  return (value < 0 ? "−" : "") + text;
}

/** Ten significant digits. */
export function long(value) {
  const text = value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(9) : value.toPrecision(10);
  return text.replaceAll("-", "−");
}

const tag =
  (name) =>
  (...children) =>
    `<${name}>${children.join("")}</${name}>`;
export const [mi, mn, mo, mrow, msup, msubsup, mfrac] = ["mi", "mn", "mo", "mrow", "msup", "msubsup", "mfrac"].map(
  tag,
);

export const math = (...children) => `<math>${children.join("")}</math>`;
const bracket = (sign) => `<mo stretchy="false">${sign}</mo>`;
export const brackets = (...children) => mrow(bracket("("), ...children, bracket(")"));
/** A factor: a negative one stands in brackets. */
export const factor = (value) => (value < 0 ? brackets(mn(short(value))) : mn(short(value)));
/** One entry of a vector or matrix of a layer: x with its indices below, the layer above. */
export const entry = (symbol, layer, ...indices) =>
  msubsup(mi(symbol), mrow(indices.map((i) => mn(i)).join(mo(","))), mn(`(${layer})`));
/** ∂L over ∂ of that entry. */
export const slope = (...of) => mfrac(mrow(mo("∂"), mi("L")), mrow(mo("∂"), entry(...of)));
