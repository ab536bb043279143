"""Parameters in a file, and out of a run directory: one line in research code.

params, phi = jaxmlp.load("runs/20261124-153000-quick")
jaxmlp.save("mine.npz", params, "relu,sigmoid")  # deskew=True as well, if it was trained with --deskew
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from jaxmlp.activations import Phi, named
from jaxmlp.checks import check_params
from jaxmlp.data.deskewing import deskewed
from jaxmlp.network import Params
from jaxmlp.training import checkpoint, run_directory
from jaxmlp.training.checkpoint import CheckpointError


class Network(NamedTuple):
    """What a file or a run directory holds of a network."""

    params: Params
    phi: Phi
    deskew: bool  # whether it was trained on upright digits

    def seen(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The images (n, H, W) of 0 to 255 as the network was trained to see them."""
        return deskewed(images) if self.deskew else images


def save(path: str | Path, params: Params, phi: str = "sigmoid", deskew: bool = False) -> None:
    """Write parameters, and their activation by name ("relu", or "relu,sigmoid"), to one .npz file, all or nothing.

    `deskew` says that they were trained on upright digits, so that the commands show them no others. Raises
    ValueError for a wrong phi, parameters or deskew, CheckpointError if the file cannot be written.
    """
    named(phi)
    *_, dtype = check_params(params)
    if dtype.kind != "f":  # NumPy's own; bfloat16, say, would come back as two bytes without a meaning
        raise ValueError(f"params: expected float16, float32 or float64, got {dtype}")
    if not isinstance(deskew, bool):
        raise ValueError(f"deskew: expected True or False, got {deskew!r}")
    described = {"phi": np.asarray(phi), "deskew": np.asarray(deskew)}
    checkpoint.save(Path(path), {**checkpoint.flatten({"params": params}), **described})


def load(path: str | Path) -> tuple[Params, Phi]:
    """(params, phi) from a run directory, its newest whole checkpoint; or from one checkpoint, or a file of `save`.

    float64 parameters become float32 unless JAX has float64 on. Warns of a network that was trained on upright
    digits: it expects `data.deskewing.deskewed` images. Raises RunError for a folder that is no run or has not
    saved an epoch yet, CheckpointError for a damaged file.
    """
    network = read(Path(path))
    if network.deskew:
        run_directory.warn(
            f"{path}: trained with --deskew: give it data.deskewing.deskewed(images).reshape(n, -1) / 255, "
            "and save it with deskew=True"
        )
    return network.params, network.phi


def read(path: Path) -> Network:
    """What `load` reads, whole and without its warning."""
    return newest(path)[1] if path.is_dir() else unpacked(path, checkpoint.load(path))


def newest(run_dir: Path) -> tuple[Path, Network]:
    """(its path, its network) of the newest whole checkpoint of a run. Raises RunError, CheckpointError."""
    path, arrays = run_directory.newest(run_dir)
    return path, unpacked(path, arrays)


def unpacked(path: Path, arrays: Mapping[str, np.ndarray]) -> Network:
    """The network among the arrays of the checkpoint at `path`. Raises CheckpointError."""
    try:
        params = Params(*(jnp.asarray(arrays[f"params.{leaf}"]) for leaf in Params._fields))
        check_params(params)
        deskew = bool(arrays.get("deskew", False))  # absent from files that are older than it
        return Network(params, named(str(arrays["phi"])), deskew)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: expected parameters, phi and deskew, got {error}") from error
