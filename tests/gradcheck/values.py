"""Two given gradients compared, without a model."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxmlp import gradcheck


def compare_values(by_hand: Any, reference: Any, **options: Any) -> gradcheck.Report:
    """A comparison of two given gradients: the loss is linear in the parameters, with slopes `reference`."""

    def loss(params: Any) -> jax.Array:
        return sum(jnp.sum(p * g) for p, g in zip(jax.tree.leaves(params), jax.tree.leaves(reference), strict=True))

    return gradcheck.compare(loss, lambda params: by_hand, jax.tree.map(jnp.ones_like, reference), **options)
