"""Parameters in a file, and out of a run directory: one line in research code.

params, phi = jaxmlp.load("runs/20261124-153000-quick")
jaxmlp.save("mine.npz", params, "relu,sigmoid")  # and deskew=True, edges=True if it was trained so
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
    edges: bool  # whether it was trained on edge maps in place of pixels

    def upright(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The images (n, H, W) of 0 to 255, upright if the network was trained on such."""
        return deskewed(images) if self.deskew else images


def save(path: str | Path, params: Params, phi: str = "sigmoid", deskew: bool = False, edges: bool = False) -> None:
    """Write parameters, and their activation by name ("relu", or "relu,sigmoid"), to one .npz file, all or nothing.

    `deskew` and `edges` say that they were trained on upright digits, on edge maps, so that the commands show them
    no others. Raises ValueError for a wrong argument, CheckpointError if the file cannot be written.
    """
    named(phi)
    *_, dtype = check_params(params)
    if dtype.kind != "f":  # NumPy's own; bfloat16, say, would come back as two bytes without a meaning
        raise ValueError(f"params: expected float16, float32 or float64, got {dtype}")
    for name, value in {"deskew": deskew, "edges": edges}.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name}: expected True or False, got {value!r}")
    described = {"phi": np.asarray(phi), "deskew": np.asarray(deskew), "edges": np.asarray(edges)}
    checkpoint.save(Path(path), {**checkpoint.flatten({"params": params}), **described})


def load(path: str | Path) -> tuple[Params, Phi]:
    """(params, phi) from a run directory, its newest whole checkpoint; or from one checkpoint, or a file of `save`.

    float64 parameters become float32 unless JAX has float64 on. Warns of a network that expects other inputs
    than pixels / 255: those of `data.deskewing.deskewed` images, or their `data.edges.edge_maps`. Raises RunError
    for a folder that is no run or has not saved an epoch yet, CheckpointError for a damaged file.
    """
    network = read(Path(path))
    options = [name for name in ("deskew", "edges") if getattr(network, name)]
    if options:
        images = "data.deskewing.deskewed(images) / 255" if network.deskew else "images / 255"
        images = f"data.edges.edge_maps({images})" if network.edges else f"({images})"
        run_directory.warn(
            f"{path}: trained with {' '.join(f'--{name}' for name in options)}: give it {images}.reshape(n, -1), "
            f"and save it with {', '.join(f'{name}=True' for name in options)}"
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
        deskew, edges = (bool(arrays.get(name, False)) for name in ("deskew", "edges"))  # absent from older files
        return Network(params, named(str(arrays["phi"])), deskew, edges)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: expected parameters, phi, deskew and edges, got {error}") from error
