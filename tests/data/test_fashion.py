"""Fashion-MNIST, where Debian's package dataset-fashion-mnist has put it, and the recipes that train on it."""

import re
from pathlib import Path

import pytest

from jaxmlp.commands.flags import RECIPES
from jaxmlp.data import load

FOLDER = "/usr/share/datasets/fashion-mnist"
SHA256 = {  # of the decompressed files, by zcat and sha256sum
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def test_its_recipes_and_no_other_name_its_folder():
    told = {path.stem: re.findall(r"^--data_dir=(.*)$", path.read_text(), re.M) for path in RECIPES.glob("*.flags")}
    assert {recipe: folders for recipe, folders in told.items() if folders} == {
        "fashion_pixels": [FOLDER],
        "fashion_directions": [FOLDER],
    }


@pytest.mark.slow
@pytest.mark.skipif(not Path(FOLDER).exists(), reason="needs Debian's dataset-fashion-mnist")
def test_it_is_the_real_one_and_is_split_as_mnist():
    fashion = load(FOLDER)
    assert fashion.sha256 == SHA256
    assert (fashion.classes, fashion.shuffled) == (10, False)
    for split, rows in ((fashion.train, 50_000), (fashion.validation, 10_000), (fashion.test, 10_000)):
        assert split.images.shape == (rows, 28, 28)
