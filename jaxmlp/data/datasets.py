"""Training, validation and test split of MNIST, which is part of the package, or of a set in the same form."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jaxmlp.data import idx
from jaxmlp.data.idx import DataError

MNIST = Path(__file__).parent / "mnist"

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"
NDIM = {TRAIN_IMAGES: 3, TRAIN_LABELS: 1, TEST_IMAGES: 3, TEST_LABELS: 1}

MAX_VALIDATION = 10_000
VALIDATION_SHARE = 6  # one row in six: MNIST's 10,000 of 60,000

MapImages = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]


class Split(NamedTuple):
    """Examples, as they are in the files."""

    images: npt.NDArray[np.uint8]  # (n, height, width), 0 to 255
    labels: npt.NDArray[np.uint8]  # (n,), 0 to classes - 1


class Dataset(NamedTuple):
    """What `load` found. `sha256` gives, by file name without .gz, the hash of the plain IDX file."""

    train: Split
    validation: Split
    test: Split
    classes: int
    sha256: dict[str, str]
    shuffled: bool = False  # whether train and validation were split at random
    grid: tuple[int, ...] | None = None  # (H W,), by rows: the pixel in each cell of a grid learned from `train`

    def map_images(self, f: MapImages, of_training: MapImages | None = None) -> "Dataset":
        """The data set with `f` of the images (n, height, width) of each split in their place.

        `of_training`, if given, is for those of `train`.
        """
        splits = zip((self.train, self.validation, self.test), (of_training or f, f, f), strict=True)
        train, validation, test = (split._replace(images=g(split.images)) for split, g in splits)
        return self._replace(train=train, validation=validation, test=test)


def load(data_dir: str | Path | None = None, train_on_all: bool = False) -> Dataset:
    """The data set in the folder `data_dir`, or MNIST without one.

    The folder holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
    t10k-labels-idx1-ubyte, each plain, or gzipped with .gz at the end of its name; where both exist, the plain one
    is read.
    Images may have any size, the same in both files. The classes are those that the training labels show: 0 to C-1,
    each at least once, C >= 2; no test label lies outside.

    Validation is the end of the training file: its last sixth, but at most 10,000 rows. Where that part or the rest
    lacks a class, or has far less or more of it than chance gives, as in a sorted file, the rows are first brought
    into a random order, always the same. Train is the rest, or with `train_on_all` the whole file; the validation
    rows are then trained on too, and say nothing about new data.

    Raises DataError, a ValueError, that names the folder or file, what was expected and what came.
    """
    folder = MNIST if data_dir is None else Path(data_dir)
    paths = _find(folder)
    rows, *_ = _check_shapes(paths)
    # Small files first: a bad one is found before the images fill the memory.
    arrays = {name: idx.read(paths[name], NDIM[name]) for name in (TRAIN_LABELS, TEST_LABELS)}
    classes = _check_labels(paths, arrays[TRAIN_LABELS], arrays[TEST_LABELS])
    arrays |= {name: idx.read(paths[name], NDIM[name]) for name in (TEST_IMAGES, TRAIN_IMAGES)}

    images, labels = arrays[TRAIN_IMAGES], arrays[TRAIN_LABELS]
    first = _first_for_validation(rows)
    shuffled = _is_sorted(labels, first)
    if shuffled:
        order = _random_order(labels)
        images, labels = images[order], labels[order]
    return Dataset(
        train=Split(images, labels) if train_on_all else Split(images[:first], labels[:first]),
        validation=Split(images[first:], labels[first:]),
        test=Split(arrays[TEST_IMAGES], arrays[TEST_LABELS]),
        classes=classes,
        sha256={name: idx.sha256(arrays[name]) for name in NDIM},
        shuffled=shuffled,
    )


def training_shape(data_dir: str | Path | None = None, train_on_all: bool = False) -> tuple[int, ...]:
    """(n, height, width) of the training images that `load` gives, by the headers alone. Raises DataError."""
    rows, *size = _check_shapes(_find(MNIST if data_dir is None else Path(data_dir)))
    return (rows if train_on_all else _first_for_validation(rows)), *size


def _first_for_validation(rows: int) -> int:
    return rows - min(rows // VALIDATION_SHARE, MAX_VALIDATION)


def _is_sorted(labels: npt.NDArray[np.uint8], first: int) -> bool:
    """Whether the rows from `first` on, or those before, lack a class or have far from what chance gives."""
    classes = int(labels.max()) + 1
    of_train, of_validation = (np.bincount(part, minlength=classes) for part in (labels[:first], labels[first:]))
    expected = (of_train + of_validation) * (1 - first / len(labels))
    far = np.abs(of_validation - expected) > 6 * np.sqrt(expected)
    return bool(np.any(far | (of_train == 0) | (of_validation == 0)))


def _random_order(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """An order by a fixed seed that begins with an example of every class: none is missing from training."""
    order = np.random.default_rng(0).permutation(len(labels))
    _, first = np.unique(labels[order], return_index=True)
    return np.concatenate([order[first], np.delete(order, first)])


def _find(folder: Path) -> dict[str, Path]:
    """The path of each of the four files."""
    try:
        present = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise DataError(f"{folder}: expected a folder of four IDX files, got {error.strerror}") from error
    paths = {}
    for name in NDIM:
        found = next((n for n in (name, f"{name}.gz") if n in present), None)
        if found is None:
            raise DataError(f"{folder / name}: expected this file or {name}.gz, got neither")
        paths[name] = folder / found
    return paths


def _check_shapes(paths: dict[str, Path]) -> tuple[int, ...]:
    """The shape of the training images, once all four headers agree."""
    shapes = {name: idx.read_shape(paths[name], ndim) for name, ndim in NDIM.items()}
    for images, labels in ((TRAIN_IMAGES, TRAIN_LABELS), (TEST_IMAGES, TEST_LABELS)):
        if shapes[images][0] != shapes[labels][0]:
            raise DataError(
                f"{paths[labels]}: expected {shapes[images][0]} labels, one for each image of "
                f"{paths[images].name}, got {shapes[labels][0]}"
            )
    (rows, height, width), (_, *test_size) = shapes[TRAIN_IMAGES], shapes[TEST_IMAGES]
    if test_size != [height, width]:
        raise DataError(
            f"{paths[TEST_IMAGES]}: expected images of {height} x {width}, the size in {paths[TRAIN_IMAGES].name}, "
            f"got {test_size[0]} x {test_size[1]}"
        )
    if rows < VALIDATION_SHARE:  # validation would be empty
        raise DataError(f"{paths[TRAIN_IMAGES]}: expected at least {VALIDATION_SHARE} images, got {rows}")
    return shapes[TRAIN_IMAGES]


def _check_labels(paths: dict[str, Path], train: npt.NDArray[np.uint8], test: npt.NDArray[np.uint8]) -> int:
    """The number of classes."""
    shown = set(train.tobytes())
    classes = len(shown)
    absent = set(range(max(shown))) - shown
    if absent:
        raise DataError(
            f"{paths[TRAIN_LABELS]}: expected labels 0 to C-1, each at least once, "
            f"got labels up to {max(shown)} but no {min(absent)}"
        )
    if classes < 2:
        raise DataError(f"{paths[TRAIN_LABELS]}: expected at least two classes, got the label 0 alone")
    if test.max() >= classes:
        raise DataError(
            f"{paths[TEST_LABELS]}: expected labels 0 to {classes - 1}, as in {paths[TRAIN_LABELS].name}, "
            f"got {test.max()}"
        )
    return classes
