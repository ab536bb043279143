"""The packaged MNIST, other sets in its form, the splits, and every set that must be refused."""

import gzip
import hashlib
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import jaxmlp
from jaxmlp.data import DataError, load

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = NAMES

MNIST_SHA256 = {  # of the decompressed files
    TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def idx_bytes(array):
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def arrays(rows=20, test_rows=5, size=(3, 4), classes=4):
    """A small set, by file name; the labels run 0, 1, .., C-1, 0, 1, .."""
    rng = np.random.default_rng(0)
    return {
        TRAIN_IMAGES: rng.integers(0, 256, (rows, *size), np.uint8),
        TRAIN_LABELS: (np.arange(rows) % classes).astype(np.uint8),
        TEST_IMAGES: rng.integers(0, 256, (test_rows, *size), np.uint8),
        TEST_LABELS: (np.arange(test_rows) % classes).astype(np.uint8),
    }


def write(folder, contents, gzipped=()):
    """Each array or bytes of `contents` as the file of its name in `folder`."""
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        data = content if isinstance(content, bytes) else idx_bytes(content)
        if name in gzipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def mnist():
    return load()


def test_mnist_is_the_real_one(mnist):
    assert mnist.sha256 == MNIST_SHA256
    assert mnist.classes == 10


def test_mnist_splits(mnist):
    for split, rows in ((mnist.train, 50_000), (mnist.validation, 10_000), (mnist.test, 10_000)):
        assert split.images.shape == (rows, 28, 28)
        assert split.labels.shape == (rows,)
        assert split.images.dtype == split.labels.dtype == np.uint8
    # The first labels of each split, read off the files with zcat and od.
    assert mnist.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert mnist.validation.labels[:5].tolist() == [3, 8, 6, 9, 6]
    assert mnist.test.labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_mnist_loads_quickly():
    def seconds():
        start = time.process_time()
        load()
        return time.process_time() - start

    assert min(seconds() for _ in range(3)) < 1


@pytest.mark.parametrize("gzipped", [(), NAMES, NAMES[1:3]], ids=["plain", "gz", "both kinds"])
def test_loads_another_set(tmp_path, gzipped):
    contents = arrays(rows=24, size=(3, 4), classes=4)
    folder = write(tmp_path, contents, gzipped)
    for data_dir in (folder, str(folder)):
        dataset = load(data_dir)
        assert dataset.classes == 4
        np.testing.assert_array_equal(dataset.train.images, contents[TRAIN_IMAGES][:20])
        np.testing.assert_array_equal(dataset.train.labels, contents[TRAIN_LABELS][:20])
        np.testing.assert_array_equal(dataset.validation.images, contents[TRAIN_IMAGES][20:])
        np.testing.assert_array_equal(dataset.validation.labels, contents[TRAIN_LABELS][20:])
        np.testing.assert_array_equal(dataset.test.images, contents[TEST_IMAGES])
        np.testing.assert_array_equal(dataset.test.labels, contents[TEST_LABELS])
        assert dataset.sha256 == {n: hashlib.sha256(idx_bytes(a)).hexdigest() for n, a in contents.items()}


@pytest.mark.parametrize(("size", "classes"), [((1, 1), 2), ((5, 2), 26), ((2, 2), 256)])
def test_other_sizes_and_class_counts(tmp_path, size, classes):
    dataset = load(write(tmp_path, arrays(rows=600, size=size, classes=classes)))
    assert dataset.classes == classes
    assert dataset.train.images.shape == (500, *size)


@pytest.mark.parametrize(
    ("rows", "validation"), [(12, 2), (17, 2), (59_999, 9_999), (60_000, 10_000), (120_000, 10_000)]
)
def test_validation_is_the_last_sixth_but_at_most_10000(tmp_path, rows, validation):
    contents = arrays(rows=rows, size=(1, 1), classes=2)
    folder = write(tmp_path, contents)
    split, whole = load(folder), load(folder, train_on_all=True)
    assert len(split.train.images) == len(split.train.labels) == rows - validation
    assert len(split.validation.images) == len(split.validation.labels) == validation
    np.testing.assert_array_equal(whole.train.images, contents[TRAIN_IMAGES])
    np.testing.assert_array_equal(whole.train.labels, contents[TRAIN_LABELS])
    np.testing.assert_array_equal(whole.validation.images, split.validation.images)
    np.testing.assert_array_equal(whole.test.images, split.test.images)


@pytest.mark.parametrize("train_on_all", [False, True])
def test_a_sorted_file_is_split_at_random_and_always_the_same_way(tmp_path, train_on_all):
    contents = arrays(rows=600, size=(2, 2), classes=10)
    contents[TRAIN_LABELS] = np.sort(contents[TRAIN_LABELS])
    contents[TRAIN_IMAGES][:, 0, 0] = contents[TRAIN_LABELS]  # so that one sees whether an image keeps its label
    folder = write(tmp_path, contents)
    dataset, again = load(folder, train_on_all), load(folder, train_on_all)
    assert dataset.shuffled
    assert len(dataset.train.labels) == (600 if train_on_all else 500)
    for split, same in ((dataset.train, again.train), (dataset.validation, again.validation)):
        np.testing.assert_array_equal(split.images, same.images)
        np.testing.assert_array_equal(split.images[:, 0, 0], split.labels)
        assert set(split.labels.tolist()) == set(range(10))
    rows = {split.tobytes() for part in (dataset.train, dataset.validation) for split in part.images}
    assert rows == {image.tobytes() for image in contents[TRAIN_IMAGES]}


def test_no_class_is_missing_from_training_however_rare(tmp_path):
    contents = arrays(rows=60, classes=4)
    contents[TRAIN_LABELS][:] = 0
    contents[TRAIN_LABELS][[57, 58, 59]] = 1, 2, 3
    dataset = load(write(tmp_path, contents))
    assert dataset.shuffled
    assert set(dataset.train.labels.tolist()) == {0, 1, 2, 3}
    assert len(dataset.validation.labels) == 10


def test_mnist_keeps_its_own_split(mnist):
    assert not mnist.shuffled


def test_the_plain_file_is_preferred(tmp_path):
    contents = arrays()
    write(tmp_path, {name: b"not read" for name in NAMES}, gzipped=NAMES)
    np.testing.assert_array_equal(load(write(tmp_path, contents)).test.images, contents[TEST_IMAGES])


SMALL = arrays()
BAD = {  # name: (files changed, file at fault, what the message says after its path)
    "zero items": ({TEST_LABELS: SMALL[TEST_LABELS][:0]}, TEST_LABELS, "expected at least one item, got .* 0"),
    "images are labels": (
        {TRAIN_IMAGES: SMALL[TRAIN_LABELS]},
        TRAIN_IMAGES,
        "expected the number of dimensions 3, got 1",
    ),
    "swapped": (
        {TRAIN_LABELS: SMALL[TRAIN_IMAGES], TRAIN_IMAGES: SMALL[TRAIN_LABELS]},
        TRAIN_IMAGES,
        "expected the number of dimensions 3, got 1",
    ),
    "labels are images": (
        {TEST_LABELS: SMALL[TEST_IMAGES]},
        TEST_LABELS,
        "expected the number of dimensions 1, got 3",
    ),
    "training counts": (
        {TRAIN_LABELS: SMALL[TRAIN_LABELS][:19]},
        TRAIN_LABELS,
        f"expected 20 labels, one for each image of {TRAIN_IMAGES}.*, got 19",
    ),
    "test counts": (
        {TEST_IMAGES: SMALL[TEST_IMAGES][:4]},
        TEST_LABELS,
        f"expected 4 labels, one for each image of {TEST_IMAGES}.*, got 5",
    ),
    "image sizes": (
        {TEST_IMAGES: SMALL[TEST_IMAGES].reshape(5, 4, 3)},
        TEST_IMAGES,
        f"expected images of 3 x 4, the size in {TRAIN_IMAGES}.*, got 4 x 3",
    ),
    "no class 0": ({TRAIN_LABELS: SMALL[TRAIN_LABELS] + 1}, TRAIN_LABELS, "labels 0 to C-1, .* up to 4 but no 0"),
    "a gap": (
        {TRAIN_LABELS: np.array([*range(7), *range(8, 20), 0], np.uint8)},
        TRAIN_LABELS,
        "labels 0 to C-1, .* up to 19 but no 7",
    ),
    "labels up to 255": (
        {TRAIN_LABELS: np.append(SMALL[TRAIN_LABELS][:19], np.uint8(255))},
        TRAIN_LABELS,
        "expected labels 0 to C-1, each at least once, got labels up to 255 but no 4",
    ),
    "one class": ({TRAIN_LABELS: SMALL[TRAIN_LABELS] * 0}, TRAIN_LABELS, "expected at least two classes, got"),
    "unknown test label": (
        {TEST_LABELS: np.array([0, 1, 2, 3, 4], np.uint8)},
        TEST_LABELS,
        f"expected labels 0 to 3, as in {TRAIN_LABELS}.*, got 4",
    ),
    "five examples": (
        {TRAIN_IMAGES: SMALL[TRAIN_IMAGES][:5], TRAIN_LABELS: SMALL[TRAIN_LABELS][:5]},
        TRAIN_IMAGES,
        "expected at least 6 images, got 5",
    ),
    "damaged last": (
        {TRAIN_IMAGES: idx_bytes(SMALL[TRAIN_IMAGES])[:-1]},
        TRAIN_IMAGES,
        "expected (256 bytes|240 items), .*, got (255|239)",
    ),
}


@pytest.mark.parametrize("gzipped", [(), NAMES], ids=["plain", "gz"])
@pytest.mark.parametrize("case", BAD)
def test_refuses(tmp_path, case, gzipped):
    changed, name, message = BAD[case]
    with pytest.raises(DataError, match=message) as caught:
        load(write(tmp_path, SMALL | changed, gzipped))
    path = tmp_path / (f"{name}.gz" if gzipped else name)
    assert str(caught.value).startswith(f"{path}: expected ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_refuses_a_folder_without_one_of_the_files(tmp_path, name):
    folder = write(tmp_path, SMALL)
    (folder / name).unlink()
    with pytest.raises(DataError) as caught:
        load(folder)
    assert str(caught.value) == f"{folder / name}: expected this file or {name}.gz, got neither"


def test_refuses_what_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    for folder, found in (("absent", "No such file or directory"), ("file", "Not a directory")):
        with pytest.raises(DataError) as caught:
            load(tmp_path / folder)
        assert str(caught.value) == f"{tmp_path / folder}: expected a folder of four IDX files, got {found}"


def test_counts_are_compared_before_anything_is_read(tmp_path):
    """Headers that disagree: no CRC is looked at, so no item was."""
    packed = gzip.compress(idx_bytes(SMALL[TRAIN_LABELS][:19]))
    folder = write(tmp_path, {**SMALL, TRAIN_LABELS: packed[:-8] + bytes(8)})
    with pytest.raises(DataError, match="expected 20 labels"):
        load(folder)


def test_needs_neither_jax_nor_flags():
    """Of the modules under jaxmlp/data: the package above them imports jax for its own sake."""
    program = (
        "import sys, types; jaxmlp = types.ModuleType('jaxmlp'); jaxmlp.__path__ = sys.argv[1:]\n"
        "sys.modules['jaxmlp'] = jaxmlp; import jaxmlp.data.datasets\n"
        "print([m for m in ('jax', 'absl') if m in sys.modules])\n"
    )
    package = Path(jaxmlp.__file__).parent
    done = subprocess.run([sys.executable, "-c", program, package], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
