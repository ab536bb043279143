"""Mixup: training on mixtures of two examples of a batch.

The loss is quadratic and its target may be any vector, so nothing in the equations changes: y is a mixture too.

Source: H. Zhang, M. Cisse, Y. N. Dauphin, D. Lopez-Paz, mixup: Beyond Empirical Risk Minimization, ICLR 2018.
"""

import jax
import jax.numpy as jnp


def mix(key: jax.Array, x: jax.Array, y: jax.Array, alpha: float) -> tuple[jax.Array, jax.Array]:
    """λx + (1 − λ)x′ and λy + (1 − λ)y′, where (x′, y′) is the example before in the batch, for the first the last.

    x is (n, D), y is (n, C). λ is drawn for each example from Beta(alpha, alpha), and is λ or 1 − λ, whichever is
    the larger: (x, y) has the larger part.
    """
    part = jax.random.beta(key, alpha, alpha, (len(x), 1), x.dtype)
    part = jnp.maximum(part, 1 - part)
    return part * x + (1 - part) * jnp.roll(x, 1, axis=0), part * y + (1 - part) * jnp.roll(y, 1, axis=0)
