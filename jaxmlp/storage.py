"""Parameters in a file, and out of a run directory: one line in research code.

params, phi = jaxmlp.load("runs/20261124-153000-quick")
jaxmlp.save("mine.npz", params, "relu,sigmoid")
"""

from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from jaxmlp.activations import Phi, named
from jaxmlp.checks import check_params
from jaxmlp.network import Params
from jaxmlp.training import checkpoint, run_directory
from jaxmlp.training.checkpoint import CheckpointError


def save(path: str | Path, params: Params, phi: str = "sigmoid") -> None:
    """Write parameters, and their activation by name ("relu", or "relu,sigmoid"), to one .npz file, all or nothing.

    Raises ValueError for a wrong phi or wrong parameters, CheckpointError if the file cannot be written.
    """
    named(phi)
    check_params(params)
    checkpoint.save(Path(path), {**checkpoint.flatten({"params": params}), "phi": np.asarray(phi)})


def load(path: str | Path) -> tuple[Params, Phi]:
    """(params, phi) from a run directory, its newest whole checkpoint; or from one checkpoint, or a file of `save`.

    Raises RunError for a folder that is no run or has not saved an epoch yet, CheckpointError for a damaged file.
    """
    path = Path(path)
    if path.is_dir():
        path, arrays = run_directory.newest(path)
    else:
        arrays = checkpoint.load(path)
    return network(path, arrays)


def network(path: Path, arrays: Mapping[str, np.ndarray]) -> tuple[Params, Phi]:
    """(params, phi) among the arrays of the checkpoint at `path`. Raises CheckpointError."""
    try:
        params = Params(*(jnp.asarray(arrays[f"params.{leaf}"]) for leaf in Params._fields))
        check_params(params)
        return params, named(str(arrays["phi"]))
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: expected parameters and phi, got {error}") from error
