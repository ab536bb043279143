"""Pictures beside the table of records: digits upright, distorted, as edges, as directions, with their pixels in
disorder and on the grid learned from such; and those still wrong.

    python -m tools.records.pictures runs/reproduce/simard800_{deskewed,edges,directions,directions_slanted}

The run directories, or all of a sweep, are the members of the committee whose mistakes are shown. Needs the extra
[plot].
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from jaxmlp import commands
from jaxmlp.data import datasets
from jaxmlp.data.datasets import Dataset
from jaxmlp.inputs import neighbours
from jaxmlp.inputs.deskewing import deskewed
from jaxmlp.inputs.directions import direction_maps
from jaxmlp.inputs.distortions import distort
from jaxmlp.inputs.edges import edge_maps
from jaxmlp.inputs.pixel_grid import laid
from jaxmlp.inspection import scoring
from jaxmlp.runs import run_directory, storage, sweep_directory
from jaxmlp.training.augmentation import distortion_of
from jaxmlp.training.config import Config

PICTURES = Path(__file__).resolve().parents[1] / "pictures"
COLUMNS = 12
DPI = 120


def main(*paths: str) -> None:
    members = [run_dir for path in paths for run_dir in sweep_directory.run_dirs(Path(path))]
    distortion = distortion_of(Config(**run_directory.read_config(members[0])["config"])) if members else None
    if distortion is None:
        got = members[0] if members else "none"
        commands.fail(f"expected run directories of a recipe with distortions, got {got}", commands.WRONG_FLAGS)
    dataset = datasets.load()
    images, labels = dataset.train
    ten = [np.flatnonzero(labels == digit)[0] for digit in range(10)]
    upright = deskewed(images[ten])
    digits = jnp.asarray(upright / 255)
    distorted = [distort(jax.random.key(i), digits, distortion) for i in range(5)]  # as in the first epoch
    _rows(digits, *distorted).savefig(PICTURES / "distortions.png", dpi=DPI)
    _rows(digits, edge_maps(digits)).savefig(PICTURES / "edges.png", dpi=DPI)
    _rows(digits, direction_maps(upright)).savefig(PICTURES / "directions.png", dpi=DPI)
    _on_a_learned_grid(images, ten).savefig(PICTURES / "learned_grid.png", dpi=DPI)
    _mistakes(dataset, members).savefig(PICTURES / "remaining_errors.png", dpi=DPI)


def _rows(*rows: jax.Array | npt.NDArray[np.uint8]) -> Figure:
    pictures = [np.asarray(image) for row in rows for image in row]
    return _grid(pictures, [""] * len(pictures), columns=len(rows[0]))


def _on_a_learned_grid(images: npt.NDArray[np.uint8], which: list[int]) -> Figure:
    """Some of the images with their pixels in disorder, and below laid on the grid that all of them show then."""
    disorder = tuple(np.random.default_rng(0).permutation(images[0].size).tolist())
    shuffled = laid(images, disorder)
    return _rows(shuffled[which], laid(shuffled[which], neighbours.learned(shuffled)))


def _mistakes(dataset: Dataset, members: list[Path]) -> Figure:
    """The test digits that the committee gets wrong, each with its label and what the committee takes it for."""
    networks = [storage.read(member) for member in members]
    scores = scoring.committee([scoring.score(network, dataset.test, "MNIST") for network in networks])
    wrong = np.flatnonzero(scores.predictions != scores.labels)
    titles = [f"{scores.labels[i]} not {scores.predictions[i]}" for i in wrong]
    return _grid([dataset.test.images[i] for i in wrong], titles, COLUMNS)


def _grid(images: list[npt.NDArray[np.generic]], titles: list[str], columns: int) -> Figure:
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(0.75 * columns, (0.95 if any(titles) else 0.75) * rows), layout="constrained")
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.axis("off")
    for axes, image, title in zip(figure.axes, images, titles, strict=False):
        axes.imshow(image, cmap="gray_r")
        axes.set_title(title, fontsize=8, pad=2)
    return figure


if __name__ == "__main__":
    commands.start(main, commands.Flags(__doc__, operands=True))
