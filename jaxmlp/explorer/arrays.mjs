// Vectors are Float64Arrays; a matrix keeps its rows one after another. Doubles, so that a central difference on the
// page has digits to compare; the weights come as float32.

export class Matrix {
  constructor(rows, columns, data = new Float64Array(rows * columns)) {
    this.rows = rows;
    this.columns = columns;
    this.data = data;
  }
}

/** The numbers of a matrix or a vector. */
export const numbers = (array) => array.data ?? array;

/** Wᵀ x. Most pixels are background, and add nothing. */
export function transposedTimes(W, x) {
  const sum = new Float64Array(W.columns);
  for (let i = 0; i < W.rows; i++) {
    if (x[i] === 0) continue;
    const row = i * W.columns;
    for (let j = 0; j < W.columns; j++) sum[j] += W.data[row + j] * x[i];
  }
  return sum;
}

/** W x. */
export function times(W, x) {
  const product = new Float64Array(W.rows);
  for (let i = 0; i < W.rows; i++) {
    const row = i * W.columns;
    for (let j = 0; j < W.columns; j++) product[i] += W.data[row + j] * x[j];
  }
  return product;
}

/** x yᵀ. */
export function outer(x, y) {
  const product = new Matrix(x.length, y.length);
  for (let i = 0; i < x.length; i++) {
    if (x[i] === 0) continue;
    const row = i * y.length;
    for (let j = 0; j < y.length; j++) product.data[row + j] = x[i] * y[j];
  }
  return product;
}

/** The rows of Wᵀ: column j of W. */
export const column = (W, j) => Float64Array.from({ length: W.rows }, (_, i) => W.data[i * W.columns + j]);
export const row = (W, i) => W.data.subarray(i * W.columns, (i + 1) * W.columns);

export const plus = (x, y) => x.map((value, i) => value + y[i]);
export const minus = (x, y) => x.map((value, i) => value - y[i]);
export const hadamard = (x, y) => x.map((value, i) => value * y[i]);
export const scaled = (x, factor) => x.map((value) => value * factor);
export const oneHot = (k, length) => Float64Array.from({ length }, (_, i) => (i === k ? 1 : 0));
export const argmax = (x) => x.reduce((best, value, i) => (value > x[best] ? i : best), 0);
export const largest = (x) => x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
