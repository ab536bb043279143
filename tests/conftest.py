"""Strict numbers for the whole suite: float64 on, rank promotion an error, full matmul precision on any device."""

import jax
from hypothesis import settings

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "highest")

settings.register_profile("jaxmlp", deadline=None, derandomize=True)  # first calls compile
settings.load_profile("jaxmlp")
