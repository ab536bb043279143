// A drawing brought into MNIST's form, as predict brings a photo (data/photos.py), of which it takes these steps:
// soft edges, crumbs left out, cropped, strokes as wide as MNIST's, scaled into 20x20, centred by mass in 28x28.
// A drawing is ink on even ground, so nothing has to be told from shadows.

import { rint } from "./inputs.mjs";

export const SIZE = 28; // of the image
const BOX = 20; // of the digit in it
const CENTRE = 14; // the mean index of the ink
const STROKE = 2.5; // pixels: the median width of MNIST's strokes
const WIDTH = 0.5; // pixels: the standard deviation of the blur of a picture of 256
const BELL = [-2, -1, 0, 1, 2].map((step) => Math.exp(-((step / WIDTH) ** 2) / 2));
const BLUR = BELL.map((weight) => weight / BELL.reduce((a, b) => a + b));
const LEAST_PART = 0.1; // of the largest part of the digit: a smaller spot is dirt

/** Pixels of 0 to 255 of the drawing: `ink` is {height, width, data}, from 0 to 1. All 0 where nothing is drawn. */
export function mnistForm(ink) {
  const drawn = cropped(ink, BLUR.length); // the rest would take most of the time
  if (drawn === null) return new Uint8ClampedArray(SIZE * SIZE);
  const strokes = withoutCrumbs(contrasted(blurred(drawn)));
  return centred(scaledInto(BOX, thickened(cropped(strokes, 0))));
}

const picture = (height, width, at) => {
  const data = new Float64Array(height * width);
  for (let r = 0; r < height; r++) for (let c = 0; c < width; c++) data[r * width + c] = at(r, c);
  return { height, width, data };
};
const transposed = (p) => picture(p.width, p.height, (r, c) => p.data[c * p.width + r]);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** A Gaussian blur. */
function blurred(ink) {
  const along = ({ height, width, data }) =>
    picture(height, width, (r, c) => {
      let sum = 0;
      for (let i = 0; i < BLUR.length; i++) sum += BLUR[i] * data[r * width + clamp(c + i - 2, 0, width - 1)];
      return sum;
    });
  return transposed(along(transposed(along(ink))));
}

/** A quarter of the way from ground to ink counts as ground, three quarters as ink. */
function contrasted({ height, width, data }) {
  return { height, width, data: data.map((value) => clamp(2 * value - 0.5, 0, 1)) };
}

/** The ink without connected parts, diagonals included, that are too small to be of the digit. */
function withoutCrumbs({ height, width, data }) {
  const part = new Int32Array(data.length); // of each pixel; 0 is ground, or not seen yet
  const masses = [0];
  for (let start = 0; start < data.length; start++) {
    if (data[start] === 0 || part[start]) continue;
    const name = masses.length;
    const found = [start];
    part[start] = name;
    for (const p of found) {
      // grows while it is walked
      const row = Math.floor(p / width);
      const column = p % width;
      for (let r = Math.max(row - 1, 0); r <= Math.min(row + 1, height - 1); r++) {
        for (let c = Math.max(column - 1, 0); c <= Math.min(column + 1, width - 1); c++) {
          const near = r * width + c;
          if (data[near] === 0 || part[near]) continue;
          part[near] = name;
          found.push(near);
        }
      }
    }
    masses.push(found.reduce((sum, p) => sum + data[p], 0));
  }
  const least = LEAST_PART * Math.max(...masses);
  return { height, width, data: data.map((value, p) => (masses[part[p]] >= least ? value : 0)) };
}

/** The part with ink, and so many pixels more on every side that has them; null without ink. */
function cropped({ height, width, data }, margin) {
  let top = height;
  let bottom = 0;
  let left = width;
  let right = 0;
  for (let r = 0; r < height; r++) {
    for (let c = 0; c < width; c++) {
      if (data[r * width + c] === 0) continue;
      top = Math.min(top, r);
      bottom = r;
      left = Math.min(left, c);
      right = Math.max(right, c);
    }
  }
  if (top === height) return null;
  top = Math.max(0, top - margin);
  left = Math.max(0, left - margin);
  bottom = Math.min(height - 1, bottom + margin);
  right = Math.min(width - 1, right + margin);
  return picture(bottom - top + 1, right - left + 1, (r, c) => data[(top + r) * width + left + c]);
}

const padded = ({ height, width, data }, by) =>
  picture(height + 2 * by, width + 2 * by, (r, c) => {
    const row = r - by;
    const column = c - by;
    return row >= 0 && row < height && column >= 0 && column < width ? data[row * width + column] : 0;
  });

/** The strokes as wide as MNIST's, if they were thinner. A long stroke is as wide as twice its area over its outline. */
function thickened(ink) {
  const { height, width, data } = padded(ink, 1);
  let outline = 0;
  let area = 0;
  for (let r = 0; r < height; r++) {
    for (let c = 0; c < width; c++) {
      const up = Math.max(r - 1, 0);
      const down = Math.min(r + 1, height - 1);
      const left = Math.max(c - 1, 0);
      const right = Math.min(c + 1, width - 1);
      const vertical = (data[down * width + c] - data[up * width + c]) / (down - up);
      const horizontal = (data[r * width + right] - data[r * width + left]) / (right - left);
      outline += Math.hypot(vertical, horizontal);
      area += data[r * width + c];
    }
  }
  const missing = (STROKE / BOX) * Math.max(ink.height, ink.width) - (2 * area) / outline;
  const reach = Math.max(0, rint(missing / 2));
  const sweep = (p) =>
    // the largest value of those that reach so far along a row
    picture(p.height, p.width - 2 * reach, (r, c) => {
      let most = 0;
      for (let i = 0; i <= 2 * reach; i++) most = Math.max(most, p.data[r * p.width + c + i]);
      return most;
    });
  return transposed(sweep(transposed(sweep(padded(ink, 2 * reach)))));
}

/** The ink scaled into a square of this side, its aspect kept, the darkest pixel 1: Pillow's bilinear filter. */
function scaledInto(side, ink) {
  const longer = Math.max(ink.height, ink.width);
  const [height, width] = [ink.height, ink.width].map((length) => Math.max(1, rint((length * side) / longer)));
  const small = transposed(resizedRows(transposed(resizedRows(ink, width)), height));
  const most = small.data.reduce((a, b) => Math.max(a, b), 0);
  return { height, width, data: small.data.map((value) => value / most) };
}

/** Each row to `width` pixels, weighted by a triangle that is two of the new pixels wide. */
function resizedRows(ink, width) {
  const scale = ink.width / width;
  const support = Math.max(scale, 1);
  const windows = Array.from({ length: width }, (_, c) => {
    const centre = (c + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const stop = Math.min(ink.width, Math.trunc(centre + support + 0.5));
    const weights = Array.from({ length: stop - start }, (_, i) =>
      Math.max(0, 1 - Math.abs(start + i - centre + 0.5) / support),
    );
    const total = weights.reduce((a, b) => a + b);
    return { start, weights: weights.map((weight) => weight / total) };
  });
  return picture(ink.height, width, (r, c) => {
    const { start, weights } = windows[c];
    return weights.reduce((sum, weight, i) => sum + weight * ink.data[r * ink.width + start + i], 0);
  });
}

/** The digit in the middle of SIZE x SIZE by its centre of mass, as far as it fits; pixels of 0 to 255. */
function centred(digit) {
  const mass = digit.data.reduce((a, b) => a + b);
  const row = digit.data.reduce((sum, value, p) => sum + value * Math.floor(p / digit.width), 0) / mass;
  const column = digit.data.reduce((sum, value, p) => sum + value * (p % digit.width), 0) / mass;
  const top = clamp(rint(CENTRE - row), 0, SIZE - digit.height);
  const left = clamp(rint(CENTRE - column), 0, SIZE - digit.width);
  const pixels = new Uint8ClampedArray(SIZE * SIZE);
  digit.data.forEach((value, p) => {
    pixels[(top + Math.floor(p / digit.width)) * SIZE + left + (p % digit.width)] = rint(255 * value);
  });
  return pixels;
}
