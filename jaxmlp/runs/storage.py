"""A trained network in a file, and out of a run directory: one line in research code.

params, phi = jaxmlp.load("runs/20261124-153000-quick")
jaxmlp.save("mine.npz", params, "relu,sigmoid")  # and View(deskew=True, edges=True) if it was trained so
"""

import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxmlp.activations import Phi, named
from jaxmlp.checks import check_params
from jaxmlp.inputs.view import View
from jaxmlp.network import Params
from jaxmlp.runs import checkpoint, run_directory
from jaxmlp.runs.checkpoint import CheckpointError
from jaxmlp.runs.run_directory import RunWarning


class Network(NamedTuple):
    """What a file or a run directory holds of a trained network."""

    params: Params
    phi: Phi
    view: View  # what it was shown of an image, and must be shown again


PIXELS = View()


def save(path: str | Path, params: Params, phi: str = "sigmoid", view: View = PIXELS) -> None:
    """Write parameters, and their activation by name ("relu", or "relu,sigmoid"), to one .npz file, all or nothing.

    `view` says what they were trained on, so that the commands show them nothing else. Raises ValueError for a
    wrong argument, FileError if the file cannot be written.
    """
    named(phi)
    check_params(params)
    if not isinstance(view, View):
        raise ValueError(f"view: expected a View, got {view!r}")
    described = {"phi": np.asarray(phi), **view.arrays()}
    checkpoint.save(Path(path), {**checkpoint.flatten({"params": params}), **described})


def load(path: str | Path) -> tuple[Params, Phi]:
    """(params, phi) from a run directory, its newest whole checkpoint; or from one checkpoint, or a file of `save`.

    float64 parameters become float32 unless JAX has float64 on. Warns (RunWarning) of a network that expects other
    inputs than pixels / 255: those of a `View`, which it names. Raises RunError for a folder that is no run or has
    not saved an epoch yet, CheckpointError for a damaged file.
    """
    params, phi, view = read(Path(path))
    if view != PIXELS:
        text = f"{path}: trained on other inputs than pixels: give it jaxmlp.{view.code}.x0(images), and save it so"
        warnings.warn(text, RunWarning, stacklevel=2)
    return params, phi


def read(path: Path) -> Network:
    """What `load` reads, whole and without its warning. Raises RunError, CheckpointError."""
    return newest(path)[1] if path.is_dir() else unpacked(path, checkpoint.load(path))


def newest(run_dir: Path) -> tuple[Path, Network]:
    """(its path, its network) of the newest whole checkpoint of a run. Raises RunError, CheckpointError."""
    path, arrays = run_directory.newest(run_dir)
    return path, of_run(run_dir, path, arrays)


def of_run(run_dir: Path, path: Path, arrays: Mapping[str, np.ndarray]) -> Network:
    """As `unpacked`, of a checkpoint of this run. Raises RunError, CheckpointError if it is of another kind."""
    network = unpacked(path, arrays)
    config = run_directory.read_config(run_dir)["config"]
    described = {"phi": str(arrays["phi"]), "hidden": network.params.b1.size, **asdict(network.view)}
    for name, value in described.items():
        if config.get(name, value) != value:
            raise CheckpointError(f"{path}: expected {name} {config[name]!r}, as its run has it, got {value!r}")
    return network


def unpacked(path: Path, arrays: Mapping[str, np.ndarray]) -> Network:
    """The network among the arrays of the checkpoint at `path`. Raises CheckpointError."""
    try:
        params = Params(*(jnp.asarray(arrays[f"params.{leaf}"]) for leaf in Params._fields))
        check_params(params)
        return Network(params, named(str(arrays["phi"])), View.from_arrays(arrays))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: expected parameters, phi and a view, got {error}") from error
