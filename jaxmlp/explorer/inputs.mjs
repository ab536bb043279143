// What the network is shown of an image: its pixels, upright, or the edges of them, as in training: inputs/view.py.

import { Matrix, times } from "./arrays.mjs";

/** x0 of pixels from 0 to 255: a picture of height x width, its rows one after another. */
export function inputsOf(pixels, height, width, { deskew, edges }) {
  const upright = deskew ? deskewed(pixels, height, width) : pixels;
  const unit = Float64Array.from(upright, (pixel) => pixel / 255);
  return edges ? edgeMaps(unit, height, width) : unit;
}

/** Rounds as NumPy does: a half to the even neighbour. */
export function rint(value) {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

/** The image sheared until its ink leans neither way: a row r is moved by k (r − r̄) pixels (deskewing.py). */
export function deskewed(pixels, height, width) {
  const total = Math.max(
    1,
    pixels.reduce((sum, pixel) => sum + pixel, 0),
  );
  const mean = (f) => {
    let sum = 0;
    for (let r = 0; r < height; r++) for (let c = 0; c < width; c++) sum += pixels[r * width + c] * f(r, c);
    return sum / total;
  };
  const row = mean((r) => r);
  const column = mean((_, c) => c);
  const variance = mean((r) => (r - row) ** 2);
  const k = variance > 0 ? mean((r, c) => (r - row) * (c - column)) / variance : 0;

  const at = (r, c) => (c >= 0 && c < width ? pixels[r * width + c] : 0);
  const upright = new Uint8ClampedArray(height * width);
  for (let r = 0; r < height; r++) {
    const move = Math.fround(k * (r - row));
    for (let c = 0; c < width; c++) {
      const from = Math.fround(c + move);
      const left = Math.floor(from);
      upright[r * width + c] = rint((left + 1 - from) * at(r, left) + (from - left) * at(r, left + 1));
    }
  }
  return upright;
}

/**
 * Four maps of edges, one a quarter of the picture: crossed along a row, along a column, along the diagonal downwards
 * to the right, and along that to the left (edges.py).
 */
export function edgeMaps(x, height, width) {
  const down = (rows, image) => alongRows(matrices(height)[rows], image, height, width);
  const across = (columns, image, rows) => alongColumns(matrices(width)[columns], image, rows, width);
  const slopeRight = across("slope", down("smooth", x), height);
  const slopeDown = across("smooth", down("slope", x), height);
  const steeper = slopeRight.map((right, p) => Math.abs(right) - Math.abs(slopeDown[p]));
  const diagonal = slopeRight.map(
    (right, p) => Math.SQRT2 * Math.min(Math.abs(right), Math.abs(slopeDown[p])) * Math.sign(right * slopeDown[p]),
  );
  const maps = new Float64Array(height * width);
  [steeper, steeper.map((v) => -v), diagonal, diagonal.map((v) => -v)].forEach((edges, quarter) => {
    const halved = across(
      "halve",
      down(
        "halve",
        edges.map((v) => Math.max(v, 0)),
      ),
      height / 2,
    );
    const top = quarter < 2 ? 0 : height / 2;
    const left = quarter % 2 === 0 ? 0 : width / 2;
    for (let r = 0; r < height / 2; r++) {
      maps.set(halved.subarray((r * width) / 2, ((r + 1) * width) / 2), (top + r) * width + left);
    }
  });
  return maps;
}

/** What smooths a signal by (½, 1, ½), takes its slope by (−1, 0, 1), and halves it by (1, 3, 3, 1)/8. */
function matrices(length) {
  const band = (rows, stride, weights) => {
    const matrix = new Matrix(rows, length);
    for (let i = 0; i < rows; i++) {
      weights.forEach((weight, offset) => {
        const j = stride * i + offset - 1;
        if (j >= 0 && j < length) matrix.data[i * length + j] = weight;
      });
    }
    return matrix;
  };
  return {
    smooth: band(length, 1, [1 / 2, 1, 1 / 2]),
    slope: band(length, 1, [-1, 0, 1]),
    halve: band(length / 2, 2, [1 / 8, 3 / 8, 3 / 8, 1 / 8]),
  };
}

/** M applied to every column of the image: M @ image. */
function alongRows(M, image, height, width) {
  const result = new Float64Array(M.rows * width);
  for (let c = 0; c < width; c++) {
    const signal = Float64Array.from({ length: height }, (_, r) => image[r * width + c]);
    times(M, signal).forEach((value, r) => (result[r * width + c] = value));
  }
  return result;
}

/** M applied to every row of the image: image @ M.T. */
function alongColumns(M, image, height, width) {
  const result = new Float64Array(height * M.rows);
  for (let r = 0; r < height; r++) {
    result.set(times(M, image.subarray(r * width, (r + 1) * width)), r * M.rows);
  }
  return result;
}
