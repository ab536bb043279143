// What the network is shown of an image: its pixels, upright, or edges, as in training: inputs/view.py.

import { Matrix, times } from "./arrays.mjs";

/** x0 of pixels from 0 to 255: a picture of height x width, its rows one after another. */
export function inputsOf(pixels, height, width, { deskew, directions, edges }) {
  const upright = deskew ? deskewed(pixels, height, width) : pixels;
  const shown = directions ? directionMaps(upright, height, width) : upright;
  const unit = Float64Array.from(shown, (pixel) => pixel / 255);
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

/** Sixteen maps of a quarter of height and width, four in a row, one for each direction of edges (directions.py). */
export function directionMaps(pixels, height, width) {
  const x = Float64Array.from(pixels, (pixel) => pixel / 255);
  const [right, down] = slopes(x, height, width);
  const [high, wide] = [height / 4, width / 4];
  const maps = new Float64Array(height * width);
  for (let k = 0; k < 16; k++) {
    const angle = (k * Math.PI) / 8;
    const strengths = right.map((toRight, p) => {
      const steepness = Math.hypot(toRight, down[p]);
      const along = Math.max(0, Math.cos(angle) * toRight + Math.sin(angle) * down[p]);
      return steepness > 0 ? steepness * (along / steepness) ** 16 : 0;
    });
    const half = halved(strengths, height, width);
    const map = halved(half, height / 2, width / 2).map(Math.sqrt);
    const [top, left] = [Math.floor(k / 4) * high, (k % 4) * wide];
    for (let r = 0; r < high; r++) maps.set(map.subarray(r * wide, (r + 1) * wide), (top + r) * width + left);
  }
  const length = Math.sqrt(maps.reduce((sum, value) => sum + value ** 2, 0) / maps.length);
  return Uint8ClampedArray.from(maps, (value) => (length > 0 ? rint(255 * Math.min(1, (0.2 * value) / length)) : 0));
}

/** [to the right, downwards]: the slopes of the image, by Sobel's operator. */
function slopes(x, height, width) {
  const [rows, columns] = [matrices(height), matrices(width)];
  return [
    alongColumns(columns.slope, alongRows(rows.smooth, x, height, width), height, width),
    alongColumns(columns.smooth, alongRows(rows.slope, x, height, width), height, width),
  ];
}

function halved(map, height, width) {
  return alongColumns(matrices(width).halve, alongRows(matrices(height).halve, map, height, width), height / 2, width);
}

/**
 * Four maps of edges, one a quarter of the picture: crossed along a row, along a column, along the diagonal downwards
 * to the right, and along that to the left (edges.py).
 */
export function edgeMaps(x, height, width) {
  const [slopeRight, slopeDown] = slopes(x, height, width);
  const steeper = slopeRight.map((right, p) => Math.abs(right) - Math.abs(slopeDown[p]));
  const diagonal = slopeRight.map(
    (right, p) => Math.SQRT2 * Math.min(Math.abs(right), Math.abs(slopeDown[p])) * Math.sign(right * slopeDown[p]),
  );
  const maps = new Float64Array(height * width);
  [steeper, steeper.map((v) => -v), diagonal, diagonal.map((v) => -v)].forEach((edges, quarter) => {
    const half = halved(
      edges.map((v) => Math.max(v, 0)),
      height,
      width,
    );
    const top = quarter < 2 ? 0 : height / 2;
    const left = quarter % 2 === 0 ? 0 : width / 2;
    for (let r = 0; r < height / 2; r++) {
      maps.set(half.subarray((r * width) / 2, ((r + 1) * width) / 2), (top + r) * width + left);
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
