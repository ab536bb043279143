"""What a transform of images tells the rest of the program, so that nothing else need know it by name."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Transform:
    """Images in, images of the same size out: on the host, once, or on the device, at every step, or both.

    What `prepare` makes is what is distorted, if images are. A transform that has to come after has `of_distorted`
    too, which is then done in place of it.
    """

    help: str  # of its flag
    seen: str  # how the network sees its images, in a word or two
    prepare: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]] | None = None  # (n, H, W) of 0 to 255
    convert: Callable[[jax.Array], jax.Array] | None = None  # (n, H, W) of [0, 1], floating-point; traced
    of_distorted: Callable[[jax.Array], jax.Array] | None = None  # what `prepare` does, as `convert` does it
    fits: Callable[[int, int], bool] = lambda height, width: True  # whether there is one of images of this size
    needs: str = "any height and width"  # what `fits` asks for, in words
    ink: str = ""  # for a picture of weights: what an input is, if not the ink of a pixel, and which are bright
