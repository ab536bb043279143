"""Parameters in a file of their own, and what a file must say of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp.activations import relu, sigmoid
from jaxmlp.runs import checkpoint, storage
from jaxmlp.runs.checkpoint import CheckpointError

PARAMS = jaxmlp.Params(*(np.full(shape, 0.5) for shape in ((4, 3), 3, (3, 2), 2)))


def test_what_is_saved_is_read_again(tmp_path, capsys):
    jaxmlp.save(tmp_path / "net.npz", PARAMS, "relu,sigmoid")
    params, phi = jaxmlp.load(tmp_path / "net.npz")
    assert all(np.array_equal(ours, given) for ours, given in zip(params, PARAMS, strict=True))
    assert phi == (relu, sigmoid)
    assert storage.read(tmp_path / "net.npz")[2:] == (False, False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("deskew", "edges", "flags", "inputs", "arguments"),
    [
        (True, False, "--deskew", "(data.deskewing.deskewed(images) / 255)", "deskew=True"),
        (False, True, "--edges", "data.edges.edge_maps(images / 255)", "edges=True"),
        (
            True,
            True,
            "--deskew --edges",
            "data.edges.edge_maps(data.deskewing.deskewed(images) / 255)",
            "deskew=True, edges=True",
        ),
    ],
)
def test_a_network_of_other_inputs_than_pixels_says_so(tmp_path, capsys, deskew, edges, flags, inputs, arguments):
    file = tmp_path / "net.npz"
    jaxmlp.save(file, PARAMS, deskew=deskew, edges=edges)
    assert storage.read(file)[2:] == (deskew, edges)
    assert capsys.readouterr().err == ""
    jaxmlp.load(file)
    assert capsys.readouterr().err == (
        f"warning: {file}: trained with {flags}: give it {inputs}.reshape(n, -1), and save it with {arguments}\n"
    )


def test_a_file_older_than_that(tmp_path):
    file = tmp_path / "net.npz"
    checkpoint.save(file, {**checkpoint.flatten({"params": PARAMS}), "phi": np.asarray("tanh")})
    assert storage.read(file)[2:] == (False, False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"phi": "cosine"},
        {"phi": (relu, sigmoid)},  # as `load` gives it
        {"deskew": "False"},
        {"deskew": None},
        {"edges": 1},
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
