"""A two-layer perceptron in JAX whose forward and backward passes are written out by hand. Re-exports only."""

# ruff: noqa: E402  (before JAX is imported, which takes a second)
import sys

from jaxmlp import interrupts

interrupts.leave_quietly(sys.argv, sys.orig_argv)

from jaxmlp import activations, adversarial, batch, curvature, gradcheck, network, statistics
from jaxmlp.activations import Activation
from jaxmlp.batch import Passes, loss_and_gradient
from jaxmlp.inputs.view import View
from jaxmlp.network import Deltas, Params, Trace, init
from jaxmlp.runs.storage import load, save

__version__ = "0.2.0"

__all__ = [
    "Activation",
    "Deltas",
    "Params",
    "Passes",
    "Trace",
    "View",
    "activations",
    "adversarial",
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
