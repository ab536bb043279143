"""Arrays in one file that is whole or is refused.

A checkpoint is an .npz (`allow_pickle=False`) whose zip comment is the SHA-256 of every byte before it, so that a
truncated file and any flipped bit are noticed.
"""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxmlp.runs import files

FORMAT = 1  # of the arrays' names; goes up when an older program could not read the file

_COMMENT = 64  # the hexadecimal digits of a SHA-256


class CheckpointError(ValueError):
    """A checkpoint that cannot be read. The text is one line: path, what was expected, what came."""


def save(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write the arrays to `path`, all or nothing. Raises FileError; an older file at `path` stays whole."""
    packed = io.BytesIO()
    contents: dict[str, Any] = {"format": np.int32(FORMAT), **{name: np.asarray(a) for name, a in arrays.items()}}
    np.savez(packed, **contents)
    files.replace(path, sealed(packed.getvalue()))


def load(path: Path) -> dict[str, np.ndarray]:
    """The arrays that `save` wrote to `path`. Raises CheckpointError if it is not what `save` wrote, whole."""
    try:
        content = files.read(path)
    except OSError as error:
        raise CheckpointError(f"{path}: expected a checkpoint, got {error.strerror}") from error
    body, digest = content[:-_COMMENT], content[-_COMMENT:]
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise CheckpointError(
            f"{path}: expected a whole checkpoint, got {len(content)} bytes with a wrong checksum"
        )
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = dict(file)
    except Exception as error:  # the checksum is right, so somebody else's program made it
        raise CheckpointError(f"{path}: expected a checkpoint of jaxmlp, got {error}") from error
    version = arrays.pop("format", None)
    if version is None or version.shape != () or version != FORMAT:
        raise CheckpointError(f"{path}: expected checkpoint format {FORMAT}, got {version}")
    return arrays


def sealed(zipped: bytes) -> bytes:
    """The zip file, which has no comment, with the SHA-256 of all that precedes it as its comment."""
    content = zipped[:-2] + _COMMENT.to_bytes(2, "little")  # a zip ends with the length of its comment
    return content + hashlib.sha256(content).hexdigest().encode()


def flatten(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a pytree by their paths, as in `params.W1`."""
    return {_name(key): np.asarray(leaf) for key, leaf in jax.tree.leaves_with_path(tree)}


def unflatten(path: Path, like: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The pytree of `like`'s structure, shapes and dtypes among the arrays of the checkpoint at `path`.

    Raises CheckpointError that names the first array that is absent or not as it should be.
    """

    def leaf(key: Any, expected: Any) -> np.ndarray:
        name = _name(key)
        found = arrays.get(name)
        got = "none" if found is None else f"{found.dtype}{found.shape}"
        if got != f"{expected.dtype}{expected.shape}":
            raise CheckpointError(f"{path}: expected {name} of {expected.dtype}{expected.shape}, got {got}")
        return arrays[name]

    return jax.tree.map_with_path(leaf, like)


def _name(key: Any) -> str:
    return jax.tree_util.keystr(key, simple=True, separator=".")
