"""The class and the outputs of images that somebody hands in."""

from pathlib import Path

import numpy as np

from jaxmlp.data import pictures
from jaxmlp.inspection import scoring
from jaxmlp.runs.storage import Network


def predict(network: Network, files: list[Path]) -> str:
    """A table with a row for each image in the files: its name, the class predicted, and the output of each class.

    An image of a file that can hold several is named by its index too. Raises DataError and MissingExtra; all files
    are read before anything is predicted.
    """
    read = [pictures.read(file, network.params.W1.shape[0]) for file in files]
    names = [
        str(file) if len(images) == 1 else f"{file}[{i}]"
        for file, images in zip(files, read, strict=True)
        for i in range(len(images))
    ]
    x2 = np.concatenate([scoring.outputs(network, images) for images in read])
    width = max(map(len, (*names, "image")))
    lines = [f"{'image':{width}} prediction " + "".join(f"{c:6}" for c in range(x2.shape[1]))]
    for name, outputs in zip(names, x2, strict=True):
        lines.append(f"{name:{width}} {np.argmax(outputs):10} " + "".join(f"{x:6.2f}" for x in outputs))
    return "\n".join(lines)
