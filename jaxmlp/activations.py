"""Activations: φ with its first and second derivative, elementwise functions of z.

All are finite for every finite z (no overflow on the way), in float32 and float64.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, SupportsIndex

import jax
import jax.numpy as jnp

Elementwise = Callable[[jax.Array], jax.Array]


@dataclass(frozen=True, eq=False, repr=False)
class Activation:
    """φ, φ′ and φ″. Hashable and compared by identity, so that `jax.jit` takes one as a static argument.

    `a(z)` is φ(z), `a.prime(z)` is φ′(z), `a.second(z)` is φ″(z); each keeps the shape and dtype of z.
    """

    phi: Elementwise
    prime: Elementwise
    second: Elementwise

    def __call__(self, z: jax.Array) -> jax.Array:
        return self.phi(z)

    def __repr__(self) -> str:
        name = self._name()
        return name or f"Activation({self.phi!r}, {self.prime!r}, {self.second!r})"

    def __copy__(self) -> "Activation":
        return self  # a copy would be another activation, and compile anew

    def __deepcopy__(self, memo: dict[int, Any]) -> "Activation":
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """Those of this module are pickled by name, so that they are themselves in another process."""
        return self._name() or super().__reduce_ex__(protocol)

    def _name(self) -> str | None:
        """Its name in this module; None of one that is somebody else's."""
        return next((name for name in ACTIVATIONS if globals().get(name) is self), None)


# One activation for both layers, or a pair (hidden, output).
Phi = Activation | tuple[Activation, Activation]


def as_pair(phi: Phi) -> tuple[Activation, Activation]:
    """(φ of the hidden layer, φ of the output layer). Raises ValueError on anything that is not a Phi."""
    pair = phi if isinstance(phi, tuple) else (phi, phi)
    if len(pair) != 2 or not all(isinstance(a, Activation) for a in pair):
        raise ValueError(f"phi: expected an Activation or a pair (hidden, output) of them, got {phi!r}")
    return pair


def _sigmoid_prime(z: jax.Array) -> jax.Array:
    """σ(z) σ(−z): in float32, 1 − σ(z) is 0 from z = 17 on."""
    return jax.nn.sigmoid(z) * jax.nn.sigmoid(-z)


def _sigmoid_second(z: jax.Array) -> jax.Array:
    """−σ(z) σ(−z) tanh(z/2), for 1 − 2σ(z) is −tanh(z/2), which keeps its digits near 0."""
    return -_sigmoid_prime(z) * jnp.tanh(z / 2)


def _tanh_prime(z: jax.Array) -> jax.Array:
    """4 σ(2z) σ(−2z): in float32, 1 − tanh(z)² is 0 from z = 9 on."""
    return 4 * _sigmoid_prime(2 * z)


def _scaled_tanh(a: float, b: float) -> Activation:
    """φ(z) = a tanh(bz)."""

    def phi(z: jax.Array) -> jax.Array:
        return a * jnp.tanh(b * z)

    def prime(z: jax.Array) -> jax.Array:
        return a * b * _tanh_prime(b * z)

    def second(z: jax.Array) -> jax.Array:
        return -2 * a * b**2 * jnp.tanh(b * z) * _tanh_prime(b * z)

    return Activation(phi, prime, second)


sigmoid = Activation(jax.nn.sigmoid, _sigmoid_prime, _sigmoid_second)
tanh = _scaled_tanh(1.0, 1.0)
scaled_tanh = _scaled_tanh(1.7159, 2 / 3)  # LeCun et al. 1998, Efficient BackProp: φ(±1) = ±1
relu = Activation(jax.nn.relu, lambda z: (z > 0).astype(z.dtype), jnp.zeros_like)  # φ′(0) = 0
softplus = Activation(jax.nn.softplus, jax.nn.sigmoid, _sigmoid_prime)
identity = Activation(lambda z: z, jnp.ones_like, jnp.zeros_like)

ACTIVATIONS: dict[str, Activation] = {
    "sigmoid": sigmoid,
    "tanh": tanh,
    "scaled_tanh": scaled_tanh,
    "relu": relu,
    "softplus": softplus,
    "identity": identity,
}


def named(text: str) -> Phi:
    """The pair (hidden, output) of one name of ACTIVATIONS, or of two: "relu,sigmoid". Raises ValueError."""
    names = text.split(",") if isinstance(text, str) else []
    if not 1 <= len(names) <= 2 or not set(names) <= set(ACTIVATIONS):
        raise ValueError(f"phi: expected one or two (hidden,output) of {', '.join(ACTIVATIONS)}, got {text!r}")
    return ACTIVATIONS[names[0]], ACTIVATIONS[names[-1]]
