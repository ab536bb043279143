"""The command on drawn digits that are in no data set, on files of images, and on what it must refuse."""

import re
import subprocess
import sys

import numpy as np
import pytest

import jaxmlp
from jaxmlp import batch
from jaxmlp.data import datasets
from jaxmlp.inputs.deskewing import deskewed
from jaxmlp.inputs.edges import edge_maps
from jaxmlp.inspection import prediction
from jaxmlp.runs import storage
from jaxmlp.training import loop
from jaxmlp.training.config import Config


def predict(*arguments, **environment):
    command = [sys.executable, "-m", "jaxmlp.predict", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **environment)


def table(text):
    """(names, predictions, outputs) of the rows that were printed."""
    rows = [line.split(maxsplit=12) for line in text.splitlines()[1:]]
    return [row[0] for row in rows], [int(row[1]) for row in rows], np.array([row[2:12] for row in rows], float)


@pytest.fixture(scope="module")
def mnist_network(tmp_path_factory):
    """A file of parameters after two epochs of the whole of MNIST."""
    config = Config(hidden=50, phi="relu,sigmoid", learning_rate=0.3, epochs=2)
    for state, _ in loop.fit(loop.prepare(config, datasets.load())):
        path = tmp_path_factory.mktemp("network") / "network.npz"
        jaxmlp.save(path, state.params, config.phi)
    return path


SHADE = np.linspace(0.35, 1, 280)[None, :] * np.ones((280, 1))
PHOTOS = {
    "pen on paper": {},
    "chalk on a board": {"ink": 0.9, "paper": 0.15, "noise": 0.05, "scale": 130, "at": (100, 30), "pen": 8},
    "in the shade, turned": {"light": SHADE, "noise": 0.04, "turn": 8, "scale": 150, "at": (60, 90), "pen": 5},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", PHOTOS)
def test_drawn_digits_are_recognised(mnist_network, tmp_path, kind):
    pytest.importorskip("PIL")
    from PIL import Image

    from drawn_digits import photo

    files = [tmp_path / f"{digit}.{'png' if digit % 2 else 'jpg'}" for digit in range(10)]
    for digit, file in enumerate(files):
        Image.fromarray(photo(digit, **PHOTOS[kind])).save(file)
    done = predict(*files, f"--checkpoint={mnist_network}")
    assert done.stderr == ""
    names, predictions, outputs = table(done.stdout)
    assert names == list(map(str, files))
    assert outputs.shape == (10, 10)
    assert sum(np.array(predictions) == np.arange(10)) >= 9


@pytest.mark.slow
def test_files_of_images(trained_run, few_digits, tmp_path):
    images = datasets.load(few_digits).test.images
    np.save(tmp_path / "one.npy", images[7])
    np.save(tmp_path / "three.npy", images[3:6] / 255)
    idx = few_digits / "t10k-images-idx3-ubyte"
    done = predict(f"--run_dir={trained_run}", tmp_path / "one.npy", tmp_path / "three.npy", idx)
    assert done.stderr == ""
    names, predictions, outputs = table(done.stdout)
    assert names == [
        str(tmp_path / "one.npy"),
        *(f"{tmp_path / 'three.npy'}[{i}]" for i in range(3)),
        *(f"{idx}[{i}]" for i in range(200)),
    ]
    params, phi = jaxmlp.load(trained_run)
    shown = np.concatenate([images[7:8], images[3:6], images]).reshape(204, -1)
    x2 = np.asarray(batch.forward(params, shown / 255, phi).x2)
    np.testing.assert_allclose(outputs, x2, atol=0.0051)
    assert predictions == x2.argmax(1).tolist()


@pytest.mark.slow
def test_pictures_become_edges_of_upright_digits_for_a_network_of_such(edges_run, few_digits):
    idx = few_digits / "t10k-images-idx3-ubyte"
    done = predict(f"--run_dir={edges_run}", idx)
    assert done.stderr == ""
    params, phi, *_ = storage.read(edges_run)
    shown = edge_maps(deskewed(datasets.load(few_digits).test.images) / 255).reshape(200, -1)
    np.testing.assert_allclose(table(done.stdout)[2], batch.forward(params, shown, phi).x2, atol=0.0051)


@pytest.mark.slow
def test_a_mistake_is_one_line_and_an_exit_code(trained_run, tmp_path):
    for arguments, code, line in (
        (
            [f"--run_dir={trained_run}"],
            1,
            "error: expected the files of pictures after the run or the flags, got none",
        ),
        (["x.png"], 1, "error: expected the files of pictures after the run or the flags, got none"),
        ([f"--run_dir={tmp_path}", "x.png"], 2, f"error: {tmp_path}: expected a run directory, got no config.json"),
        (
            [f"--run_dir={trained_run}", "none.png"],
            2,
            "error: none.png: expected a readable file, got No such file",
        ),
    ):
        done = predict(*arguments)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith(line)
        assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_of_many_files_the_good_ones_are_predicted_and_each_bad_one_is_named(trained_run, few_digits, tmp_path):
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    np.save(tmp_path / "good.npy", datasets.load(few_digits).test.images[7])
    files = [tmp_path / name for name in ("bad.npy", "good.npy", "photo.heic", "absent.png")]
    done = predict(f"--run_dir={trained_run}", *files)
    assert done.returncode == 2
    assert table(done.stdout)[0] == [str(tmp_path / "good.npy")]
    errors = done.stderr.splitlines()
    assert [line.split(": expected ")[0] for line in errors] == [
        f"error: {tmp_path / name}" for name in ("bad.npy", "photo.heic", "absent.png")
    ]
    assert "got HEIC" in errors[1]


@pytest.mark.slow
def test_the_command_says_where_it_is_not_sure(trained_run, few_digits, tmp_path):
    images = datasets.load(few_digits).test.images
    np.save(tmp_path / "empty.npy", np.zeros_like(images[:1]))
    done = predict(f"--run_dir={trained_run}", tmp_path / "empty.npy", few_digits / "t10k-images-idx3-ubyte")
    rows = done.stdout.splitlines()[1:]
    assert re.search(r"  not sure: largest output 0\.[0-4]\d$", rows[0])
    params, phi = jaxmlp.load(trained_run)
    x2 = np.asarray(batch.forward(params, images.reshape(200, -1) / 255, phi).x2)
    assert [row.partition("  not sure")[1] != "" for row in rows[1:]] == [prediction.doubt(x) != "" for x in x2]


@pytest.mark.parametrize(
    ("largest", "second", "said"),
    [
        (1.0, 0.0, ""),
        (0.9, 0.49, ""),
        (0.9, 0.51, "not sure: 3 or 8"),
        (0.51, 0.0, ""),
        (0.49, 0.0, "largest output 0.49"),
    ],
)
def test_doubt(largest, second, said):
    outputs = np.zeros(10)
    outputs[[3, 8]] = largest, second
    assert prediction.doubt(outputs) == (said if not said or said.startswith("not") else f"not sure: {said}")


@pytest.mark.slow
def test_without_the_plot_extra_photos_are_refused_and_idx_files_are_not(trained_run, few_digits, tmp_path):
    (tmp_path / "PIL.py").write_text("raise ImportError('not installed here')")
    (tmp_path / "digit.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    environment = {"env": {"PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}"}}
    done = predict(f"--run_dir={trained_run}", tmp_path / "digit.png", **environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: pictures need the extra [plot]: pip install 'jaxmlp[plot]' (not installed here)\n"
    )
    done = predict(f"--run_dir={trained_run}", few_digits / "t10k-images-idx3-ubyte", **environment)
    assert done.returncode == 0
