"""Every recipe, on a few hundred digits: its flags are this program's, and its loss falls."""

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
    done = train(f"--flagfile={recipe}", f"--data_dir={few_digits}", "--epochs=15", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    losses = [float(loss) for loss in re.findall(r"train loss ([\d.]+)", done.stdout)]
    assert len(losses) == 15
    assert losses[-1] < 0.95 * losses[0]
    assert "test errors: " in done.stdout


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_says_what_it_reaches(recipe):
    comment = "\n".join(line for line in recipe.read_text().splitlines() if line.startswith("#"))
    assert f"python -m jaxmlp.train --flagfile=jaxmlp/recipes/{recipe.name}" in comment
    assert re.search(r"\d+\.\d ± \d+\.\d test errors in 10,000", comment)
