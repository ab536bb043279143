"""Every recipe, on a few hundred digits: its flags are this program's, and its network learns."""

import re
from pathlib import Path

import pytest

import jaxmlp

RECIPES = sorted(Path(jaxmlp.__file__).parent.glob("recipes/*.flags"))


def test_there_are_recipes():
    assert {"nielsen30", "nielsen100", "quick"} <= {recipe.stem for recipe in RECIPES}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_runs(call, recipe, few_digits, tmp_path):
    few = [
        "--hidden=50",
        "--epochs=10",
        "--batch_size=10",
        "--learning_rate=0.1",
        "--momentum=0.9",
    ]  # for 500 digits
    if recipe.stem.startswith("private"):  # at its ε so few digits teach nothing
        few += ["--batch_size=50", "--target_epsilon=500"]
    done = call("train", f"--flagfile={recipe}", f"--data_dir={few_digits}", *few, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "epoch 10/10" in done.stdout
    assert int(done.stdout.split("test errors: ")[1].split()[0]) < 150  # of 200; chance makes 180


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_says_what_it_reaches(recipe):
    comment = "\n".join(line for line in recipe.read_text().splitlines() if line.startswith("#"))
    assert f"python -m jaxmlp.train --recipe={recipe.stem} --seed=0\n" in comment
    assert re.search(r"\d+\.\d ± \d+\.\d test errors in 10,000", comment)
