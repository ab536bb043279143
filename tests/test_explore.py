"""The command: the file that it writes, and how it ends."""

import base64
import json
import re
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import jaxmlp
from jaxmlp.data import datasets
from jaxmlp.inspection import scoring
from jaxmlp.runs import storage
from shell import assert_one_line, run

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.fixture
def explore(call):
    return partial(call, "explore")


@pytest.fixture
def copy(trained_run, tmp_path):
    return shutil.copytree(trained_run, tmp_path / "a <copy>")


def data_of(file):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*)</script>', file.read_text())[1])


def array(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


def test_a_page_holds_the_network_and_fifty_test_digits(copy, few_digits):
    done = run("explore", copy)
    file = copy / "explore.html"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{file}\n", "")
    data, network, test = data_of(file), storage.newest(copy)[1], datasets.load(few_digits).test
    for leaf, W in network.params._asdict().items():
        np.testing.assert_array_equal(array(data["params"][leaf], "<f4"), np.float32(W).ravel())
    assert {name: data[name] for name in ("height", "width", "hidden", "outputs", "phi", "view")} == {
        "height": 28,
        "width": 28,
        "hidden": 12,
        "outputs": 10,
        "phi": ["relu", "sigmoid"],
        "view": {"deskew": False, "directions": False, "edges": False},
    }
    digits = data["digits"]
    numbers = digits["numbers"]
    np.testing.assert_array_equal(array(digits["images"], np.uint8), test.images[numbers].ravel())
    assert digits["labels"] == test.labels[numbers].tolist()
    worst = scoring.worst_mistakes(scoring.score(network, test, ""), 10)
    assert numbers[: digits["worst"]] == [mistake.index for mistake in worst]
    assert len(set(numbers)) == 50
    others = test.labels[numbers[len(worst) :]]
    assert others[:5].tolist() == sorted(set(others))[:5]
    assert np.bincount(others).min() >= 3


def test_a_page_is_whole_in_itself_and_safe_whatever_its_run_is_called(explore, copy):
    explore(copy, f"--out={copy / 'page.html'}")
    text = (copy / "page.html").read_text()
    assert "<title>a &lt;copy&gt;: 784-12-10, relu, sigmoid</title>" in text
    assert re.findall(r"<(?:link|img|script|iframe)[^>]* (?:href|src)=\"(?!data:)", text) == []
    assert not re.search(r"(?m)url\(|@import|^import |^export ", text)
    assert "default-src 'none'" in text
    assert text.count("</script>") == 2


def test_a_checkpoint_alone_and_upright_edges(explore, copy, edges_run, few_digits, tmp_path):
    done = explore(f"--checkpoint={copy / 'best.npz'}", f"--data_dir={few_digits}", f"--out={tmp_path / 'b.html'}")
    assert (done.stdout, done.stderr) == (f"{tmp_path / 'b.html'}\n", "")
    assert "<title>best: " in (tmp_path / "b.html").read_text()
    explore(edges_run, f"--out={tmp_path / 'e.html'}")
    assert data_of(tmp_path / "e.html")["view"] == {"deskew": True, "directions": False, "edges": True}


def test_a_mistake_is_one_line_and_an_exit_code(explore, copy, tmp_path):
    empty = tmp_path / "run"
    empty.mkdir()
    (empty / "config.json").write_text('{"config": {}, "data": {}, "environment": {}}')
    for arguments, code, line in (
        ([], 1, "error: --run_dir: expected a run directory, or --checkpoint and a file, got neither"),
        ([copy, "--out=/none/page.html"], 2, "error: /none/page.html: expected"),
        ([copy, f"--out={tmp_path}"], 2, f"error: {tmp_path}: expected"),
        ([copy, copy], 1, f"error: expected one run directory, got '{copy}' as well"),
        ([empty], 2, f"error: {empty}: expected a run that has saved an epoch, got none saved yet"),
        ([tmp_path], 2, f"error: {tmp_path}: expected a run directory, got no config.json"),
        ([f"--checkpoint={copy / 'flags.txt'}"], 2, f"error: {copy / 'flags.txt'}: expected"),
        ([copy, f"--data_dir={tmp_path}"], 2, f"error: {tmp_path}/train-images-idx3-ubyte: expected"),
    ):
        assert_one_line(explore(*arguments), code, line)
        assert not list(tmp_path.rglob("*.html"))


def test_a_set_without_images_of_the_networks_size_is_refused(explore, copy, tmp_path):
    for name, shape in (("train-images-idx3", (12, 5, 4)), ("t10k-images-idx3", (4, 5, 4))):
        header = bytes([0, 0, 8, 3]) + b"".join(length.to_bytes(4, "big") for length in shape)
        (tmp_path / f"{name}-ubyte").write_bytes(header + bytes(np.prod(shape)))
    for name, labels in (("train-labels-idx1", bytes([0, 1] * 6)), ("t10k-labels-idx1", bytes(4))):
        header = bytes([0, 0, 8, 1]) + len(labels).to_bytes(4, "big")
        (tmp_path / f"{name}-ubyte").write_bytes(header + labels)
    line = f"error: {tmp_path}: expected images of 784 pixels, one for each input, got 5x4\n"
    assert_one_line(explore(copy, f"--data_dir={tmp_path}"), 2, line)


def test_a_wheel_holds_the_sources_of_the_page(tmp_path):
    pytest.importorskip("hatchling.build", reason="expected hatchling, which builds a wheel, got none")

    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = Path(jaxmlp.__file__).parent / "explorer"
    assert {f"jaxmlp/explorer/{file.name}" for file in sources.glob("*.*") if file.suffix != ".md"} <= names
