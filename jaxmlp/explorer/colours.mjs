// Colours for numbers, from the style sheet: zero is the paper, so that what is coloured is what is not zero.

const channels = (hex) => [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
const mixed = (from, to, share) => from.map((value, i) => value + (to[i] - value) * share);

/** {signed, ink}: from a share of the scale's limit, -1 to 1 and 0 to 1, to [red, green, blue]. */
export function palette() {
  const style = getComputedStyle(document.documentElement);
  const [paper, ink, plus, minus] = ["--paper", "--ink", "--plus", "--minus"].map((name) =>
    channels(style.getPropertyValue(name).trim()),
  );
  return {
    signed: (share) => mixed(paper, share < 0 ? minus : plus, Math.min(1, Math.abs(share))),
    ink: (share) => mixed(paper, ink, Math.min(1, Math.max(0, share))),
  };
}
