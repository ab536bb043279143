// φ with its derivative: activations.py, on one number.

const sigmoid = (z) => 1 / (1 + Math.exp(-z));
const sigmoidPrime = (z) => sigmoid(z) * sigmoid(-z); // 1 − σ(z) would lose its digits where z is large
const tanhPrime = (z) => 4 * sigmoidPrime(2 * z);

/** φ(z) = a tanh(bz). */
const scaledTanh = (a, b) => ({
  phi: (z) => a * Math.tanh(b * z),
  prime: (z) => a * b * tanhPrime(b * z),
});

export const ACTIVATIONS = {
  sigmoid: { phi: sigmoid, prime: sigmoidPrime },
  tanh: scaledTanh(1, 1),
  scaled_tanh: scaledTanh(1.7159, 2 / 3),
  relu: { phi: (z) => Math.max(z, 0), prime: (z) => (z > 0 ? 1 : 0) }, // φ′(0) = 0
  softplus: { phi: (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))), prime: sigmoid },
  identity: { phi: (z) => z, prime: () => 1 },
};
