"""What a network is shown of an image, in training and ever after, and the record that remembers which.

A transform of images is one file here, and one line in `View`: with it come its flag, its place in checkpoints, and
its words in the header of a run and in its report.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from jaxmlp.inputs.deskewing import DESKEW
from jaxmlp.inputs.directions import DIRECTIONS
from jaxmlp.inputs.edges import EDGES
from jaxmlp.inputs.pixels import scaled
from jaxmlp.inputs.transform import Transform
from jaxmlp.options import switch


def _shown(transform: Transform) -> Any:
    return switch(transform.help, transform=transform)


@dataclass(frozen=True)
class View:
    """Which transforms an image goes through, in this order. Hashable: static under jit.

    Raises ValueError on a value that is no bool, and on two that do not go together.
    """

    deskew: bool = _shown(DESKEW)
    directions: bool = _shown(DIRECTIONS)
    edges: bool = _shown(EDGES)

    def __post_init__(self) -> None:
        for f in fields(View):
            if not isinstance(getattr(self, f.name), bool):
                raise ValueError(f"{f.name}: expected True or False, got {getattr(self, f.name)!r}")
        if self.directions and self.edges:
            raise ValueError("edges: expected False with directions, got True")

    def x0(self, images: npt.NDArray[np.uint8], dtype: Any = np.float32) -> jax.Array:
        """The inputs (n, D) of a network that is shown these images (n, H, W) of 0 to 255."""
        return self.convert(scaled(jax.numpy.asarray(self.prepare(images)), dtype))

    def prepare(self, images: npt.NDArray[np.uint8], distorted: bool = False) -> npt.NDArray[np.uint8]:
        """The part that is done on the host, once: (n, H, W) of 0 to 255 to the same.

        If they are to be `distorted` next, `convert` has to know too: it does then what has to come after.
        """
        for _, transform in self._transforms():
            if transform.prepare and not (distorted and transform.of_distorted):
                images = transform.prepare(images)
        return images

    def convert(self, images: jax.Array, distorted: bool = False) -> jax.Array:
        """The part that is done on the device: x0, (n, D), of prepared images in [0, 1], (n, H, W). Traced.

        Images may be (n, D) where it does nothing.
        """
        for _, transform in self._transforms():
            convert = (distorted and transform.of_distorted) or transform.convert
            images = convert(images) if convert else images
        return images.reshape(len(images), -1)

    @property
    def converts(self) -> bool:
        """Whether anything is done on the device."""
        return any(transform.convert for _, transform in self._transforms())

    def misfit(self, size: tuple[int, ...]) -> tuple[str, str] | None:
        """(its name, what it needs) of the first transform that images of this size have not; None if all fit."""
        for name, transform in self._transforms():
            if not (len(size) == 2 and transform.fits(*size)):
                return name, transform.needs
        return None

    @property
    def seen(self) -> tuple[str, ...]:
        """How the network sees its images, in words."""
        return tuple(transform.seen for _, transform in self._transforms())

    @property
    def ink(self) -> str:
        """What a bright input means, as the beginning of a sentence."""
        return next((t.ink for _, t in reversed(list(self._transforms())) if t.ink), "Ink")

    def arrays(self) -> dict[str, np.ndarray]:
        """For a checkpoint: a scalar for each transform, whether it is on."""
        return {f.name: np.asarray(getattr(self, f.name)) for f in fields(View)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "View":
        """From a checkpoint, which lacks what is younger than itself. Raises ValueError."""
        return cls(**{f.name: bool(arrays.get(f.name, False)) for f in fields(View)})

    @property
    def code(self) -> str:
        """As one writes it: View(deskew=True)."""
        return f"View({', '.join(f'{name}=True' for name, _ in self._transforms())})"

    def _transforms(self) -> Iterator[tuple[str, Transform]]:
        """Those that are on."""
        return ((f.name, f.metadata["transform"]) for f in fields(View) if getattr(self, f.name))
