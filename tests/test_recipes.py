"""Every recipe, on a few hundred digits: its flags are this program's, and it learns."""

import re
from pathlib import Path

import pytest

import jaxmlp
from test_train import train

RECIPES = sorted(Path(jaxmlp.__file__).parent.glob("recipes/*.flags"))


def test_there_are_recipes():
    assert {"nielsen30", "nielsen100", "quick"} <= {recipe.stem for recipe in RECIPES}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_runs(recipe, few_digits, tmp_path):
    few = ["--epochs=30", "--warmup_epochs=15"]  # of few steps: a rate that rises in four explodes
    done = train(f"--flagfile={recipe}", f"--data_dir={few_digits}", *few, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "epoch 30/30" in done.stdout
    assert int(done.stdout.split("test errors: ")[1].split()[0]) < 150  # of 200; chance makes 180


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_says_what_it_reaches(recipe):
    comment = "\n".join(line for line in recipe.read_text().splitlines() if line.startswith("#"))
    assert f"python -m jaxmlp.train --flagfile=jaxmlp/recipes/{recipe.name}" in comment
    assert re.search(r"\d+\.\d ± \d+\.\d test errors in 10,000", comment)
