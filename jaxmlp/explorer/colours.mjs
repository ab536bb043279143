// Colours for numbers, from the style sheet: zero is the paper, so that what is coloured is what is not zero.

const STEPS = 255;
const channels = (hex) => [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));

/** STEPS + 1 colours from one to the other, as the 32 bits of a canvas pixel. */
function ramp(from, to) {
  return Uint32Array.from({ length: STEPS + 1 }, (_, step) => {
    const [red, green, blue] = from.map((value, i) => Math.round(value + ((to[i] - value) * step) / STEPS));
    return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  });
}

/** {signed, ink}: the canvas pixel for a share of the scale's limit, from -1 to 1, from 0 to 1. */
export function palette() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => channels(style.getPropertyValue(name).trim());
  const [above, below, ink] = ["--plus", "--minus", "--ink"].map((name) => ramp(colour("--paper"), colour(name)));
  const step = (share) => Math.min(STEPS, Math.round(STEPS * share));
  return {
    signed: (share) => (share < 0 ? below[step(-share)] : above[step(share)]),
    ink: (share) => ink[step(share)],
  };
}
