"""A two-layer perceptron in JAX whose forward and backward passes are written out by hand. Re-exports only."""

from jaxmlp import activations, batch, curvature, gradcheck, network, statistics
from jaxmlp.activations import Activation
from jaxmlp.batch import loss_and_gradient
from jaxmlp.network import Deltas, Params, Trace, init
from jaxmlp.storage import load, save

__all__ = [
    "Activation",
    "Deltas",
    "Params",
    "Trace",
    "activations",
    "batch",
    "curvature",
    "gradcheck",
    "init",
    "load",
    "loss_and_gradient",
    "network",
    "save",
    "statistics",
]
