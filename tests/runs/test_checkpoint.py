"""A checkpoint is whole or refused: torn files, flipped bits, full disks, and the order in which it is written."""

import os
import resource
import subprocess
import sys
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmlp.network import Params
from jaxmlp.runs import checkpoint, files
from jaxmlp.runs.checkpoint import CheckpointError
from jaxmlp.runs.files import FileError

TREE = {"params": Params(jnp.arange(6.0).reshape(2, 3), jnp.ones(3), jnp.zeros((3, 1), jnp.float32), jnp.ones(1))}


@pytest.fixture
def path(tmp_path):
    checkpoint.save(tmp_path / "a.npz", checkpoint.flatten(TREE))
    return tmp_path / "a.npz"


def refused(path):
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: expected ")
    assert ", got " in text
    assert "\n" not in text
    return text


def test_what_was_saved_comes_back_bit_for_bit(path):
    arrays = checkpoint.load(path)
    assert set(arrays) == {"params.W1", "params.b1", "params.W2", "params.b2"}
    back = checkpoint.unflatten(path, TREE, arrays)
    for leaf in Params._fields:
        got, want = getattr(back["params"], leaf), np.asarray(getattr(TREE["params"], leaf))
        assert got.dtype == want.dtype
        assert got.tobytes() == want.tobytes()


def test_it_is_an_npz_that_numpy_reads(path):
    with np.load(path, allow_pickle=False) as file:
        assert file["format"] == checkpoint.FORMAT
        assert zipfile.is_zipfile(path)


def test_every_truncation_is_refused(path):
    whole = path.read_bytes()
    for length in [0, 1, 63, 64, 65, *range(66, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refused(path)
    path.write_bytes(whole + b"\0")
    refused(path)


@pytest.mark.slow
def test_a_thousand_flipped_bits_are_refused(path):
    whole = path.read_bytes()
    for bit in np.random.default_rng(0).choice(8 * len(whole), 1000, replace=False):
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(broken)
        refused(path)


@pytest.mark.slow
@given(st.binary(max_size=300))
def test_any_bytes_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.npz"
    path.write_bytes(content)
    refused(path)


@given(st.binary(max_size=300))
def test_bytes_with_a_right_checksum_are_refused_if_they_are_no_checkpoint(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "forged.npz"
    files.replace(path, checkpoint.sealed(content + b"\0\0"))
    refused(path)


def test_a_pickle_is_never_loaded(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, format=np.int32(checkpoint.FORMAT), evil=np.array([print], dtype=object))
    files.replace(path, checkpoint.sealed(path.read_bytes()))
    assert "allow_pickle=False" in refused(path)


def test_another_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 99)
    checkpoint.save(tmp_path / "a.npz", {})
    monkeypatch.undo()
    assert refused(tmp_path / "a.npz").endswith("expected checkpoint format 1, got 99")


def test_missing_and_misplaced_files(tmp_path):
    assert refused(tmp_path / "none.npz").endswith("got No such file or directory")
    assert refused(tmp_path).endswith("got a folder, FIFO or device")
    os.mkfifo(tmp_path / "pipe.npz")
    assert refused(tmp_path / "pipe.npz").endswith("got a folder, FIFO or device")


@pytest.mark.parametrize(
    ("name", "array", "got"),
    [
        ("params.b1", None, "none"),
        ("params.b1", np.ones(4), r"float64\(4,\)"),
        ("params.W2", np.zeros((3, 1)), r"float64\(3, 1\)"),
    ],
)
def test_another_structure_names_the_array(path, name, array, got):
    arrays = {**checkpoint.load(path), name: array}
    if array is None:
        del arrays[name]
    with pytest.raises(CheckpointError, match=rf"expected {name} of float\d\d\(.*\), got {got}$"):
        checkpoint.unflatten(path, TREE, arrays)


def test_it_is_flushed_before_it_is_renamed_and_the_folder_after(path, monkeypatch):
    events = []

    def log(name, real):
        def logged(*arguments):
            events.append("folder" if name == "fsync" and os.path.isdir(f"/proc/self/fd/{arguments[0]}") else name)
            return real(*arguments)

        return logged

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, log(name, getattr(os, name)))
    checkpoint.save(path, {"a": np.ones(3)})
    assert events == ["fsync", "replace", "folder"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_no_temporary(path, monkeypatch, failing):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(FileError, match=r"expected to write \d+ bytes, got No space left on device"):
        checkpoint.save(path, {"a": np.ones(3)})
    monkeypatch.undo()
    assert "params.W1" in checkpoint.load(path)
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.slow
def test_a_file_size_limit_is_one_error_and_leaves_the_old_file(path):
    code = (
        "import resource, sys, numpy as np; from pathlib import Path; from jaxmlp.runs import checkpoint;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000));"
        "checkpoint.save(Path(sys.argv[1]), {'a': np.ones(10_000)})"
    )
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].endswith("got File too large")
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == limit
    assert "params.W1" in checkpoint.load(path)
    assert os.listdir(path.parent) == [path.name]
