"""A network on a whole data set: its outputs, its mean loss and its errors. Pure, jitted, in chunks.

Images are uint8, (n, D) or (n, H, W), and already prepared by the view, which may need their `size` (H, W); labels
are uint8 (n,).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmlp import network
from jaxmlp.activations import Phi
from jaxmlp.inputs import pixels
from jaxmlp.inputs.view import View
from jaxmlp.network import Params

AT_ONCE = 1000  # examples in a chunk, which bounds the memory
PIXELS = View()


class Score(NamedTuple):
    """Of a whole data set: the mean loss, and the number of examples whose largest output is not their label's."""

    loss: jax.Array
    errors: jax.Array


@partial(jax.jit, static_argnames=("phi", "view", "size"))
def evaluate(
    params: Params,
    images: jax.Array,
    labels: jax.Array,
    phi: Phi,
    view: View = PIXELS,
    size: tuple[int, int] | None = None,
) -> Score:
    """Every example is scored, and the errors are counted exactly."""

    def score(example: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        image, y = pixels.examples(params, *example)
        image = image.reshape(size) if size else image
        return judged(_output(params, image, phi, view), y)

    losses, wrong = jax.lax.map(score, (images, labels), batch_size=AT_ONCE)
    return Score(jnp.mean(losses), jnp.sum(wrong))


@partial(jax.jit, static_argnames=("phi", "view"))
def outputs(params: Params, images: jax.Array, phi: Phi, view: View = PIXELS) -> jax.Array:
    """x2 of every image, (n, C)."""

    def output(image: jax.Array) -> jax.Array:
        return _output(params, pixels.scaled(image, params.b2.dtype), phi, view)

    x2: jax.Array = jax.lax.map(output, images, batch_size=AT_ONCE)
    return x2


@jax.jit
def losses(x2: jax.Array, y: jax.Array) -> jax.Array:
    """L of every example, (n,), unscaled, of its outputs x2 (n, C)."""
    of_each: jax.Array
    of_each, _ = jax.lax.map(lambda example: judged(*example), (x2, y), batch_size=AT_ONCE)
    return of_each


def judged(x2: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(L, whether the prediction is wrong) of one example; the prediction is the first of the largest outputs."""
    return network.squared_error(x2, y), jnp.argmax(x2) != jnp.argmax(y)


def _output(params: Params, image: jax.Array, phi: Phi, view: View) -> jax.Array:
    """x2 of one image in [0, 1]."""
    (x0,) = view.convert(image[None])
    return network.forward(params, x0, phi).x2
