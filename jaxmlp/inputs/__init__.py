"""What a network is shown: images as a View transforms them, and varied in training. Re-exports only."""

from jaxmlp.inputs.distortions import Distortion, distort
from jaxmlp.inputs.view import View

__all__ = ["Distortion", "View", "distort"]
