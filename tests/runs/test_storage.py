"""Parameters in a file of their own, and what a file must say of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp import View
from jaxmlp.activations import relu, sigmoid
from jaxmlp.runs import checkpoint, storage
from jaxmlp.runs.checkpoint import CheckpointError
from jaxmlp.runs.run_directory import RunWarning

PARAMS = jaxmlp.Params(*(np.full(shape, 0.5) for shape in ((4, 3), 3, (3, 2), 2)))


def test_what_is_saved_is_read_again(tmp_path):
    jaxmlp.save(tmp_path / "net.npz", PARAMS, "relu,sigmoid")
    params, phi = jaxmlp.load(tmp_path / "net.npz")
    assert all(np.array_equal(ours, given) for ours, given in zip(params, PARAMS, strict=True))
    assert phi == (relu, sigmoid)
    assert storage.read(tmp_path / "net.npz").view == View()


@pytest.mark.parametrize(
    ("view", "code"),
    [
        (View(deskew=True), "View(deskew=True)"),
        (View(edges=True), "View(edges=True)"),
        (View(deskew=True, edges=True), "View(deskew=True, edges=True)"),
    ],
)
def test_a_network_of_other_inputs_than_pixels_says_so(tmp_path, view, code):
    file = tmp_path / "net.npz"
    jaxmlp.save(file, PARAMS, view=view)
    assert storage.read(file).view == view
    with pytest.warns(RunWarning) as warnings:
        jaxmlp.load(file)
    (warning,) = warnings
    assert str(warning.message) == (
        f"{file}: trained on other inputs than pixels: give it jaxmlp.{code}.x0(images), and save it so"
    )
    assert warning.filename == __file__


def test_a_file_older_than_that(tmp_path):
    file = tmp_path / "net.npz"
    checkpoint.save(file, {**checkpoint.flatten({"params": PARAMS}), "phi": np.asarray("tanh")})
    assert storage.read(file).view == View()
    checkpoint.save(file, {**checkpoint.load(file), "deskew": np.asarray(True)})  # before edges
    assert storage.read(file).view == View(deskew=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"phi": "cosine"},
        {"phi": (relu, sigmoid)},  # as `load` gives it
        {"view": "edges"},
        {"view": None},
        {"params": PARAMS._replace(b2=np.ones(3))},
        {"params": jax.tree.map(jnp.bfloat16, PARAMS)},
    ],
)
def test_nothing_is_written_of_what_is_wrong(tmp_path, wrong):
    with pytest.raises(ValueError, match="expected"):
        jaxmlp.save(tmp_path / "net.npz", **{"params": PARAMS, **wrong})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong", [{"deskew": np.zeros(3)}, {"edges": np.zeros(3)}, {"params.b2": np.zeros(2, "V2")}]
)
def test_a_file_that_says_it_wrongly_is_refused(tmp_path, wrong):
    file = tmp_path / "net.npz"
    described = {"phi": np.asarray("tanh"), "deskew": np.asarray(False), "edges": np.asarray(False)}
    checkpoint.save(file, {**checkpoint.flatten({"params": PARAMS}), **described, **wrong})
    with pytest.raises(CheckpointError, match=f"^{file}: expected parameters"):
        storage.read(file)
