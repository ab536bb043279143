"""The mutants of table.toml, read and checked."""

import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_suffix(".toml")


class Mutant(NamedTuple):
    """`old`, which stands exactly once in the module, becomes `new`."""

    name: str
    module: str  # dotted, inside the package
    old: str
    new: str
    tests: Path  # the file that must notice

    @property
    def source(self) -> Path:
        return Path("jaxmlp", *self.module.split(".")).with_suffix(".py")


def read() -> tuple[list[Mutant], list[str]]:
    """(all mutants, the names of the handful). Raises ValueError if a name stands twice."""
    modules = tomllib.loads(TABLE.read_text("utf-8"))
    handful = modules.pop("handful")
    mutants = [
        Mutant(name, module, old, new, Path("tests", *tests) if tests else mirror(module))
        for module, of_module in modules.items()
        for name, (old, new, *tests) in of_module.items()
    ]
    names = [mutant.name for mutant in mutants]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{TABLE.name}: expected every name once, got {min(twice)} again")
    return mutants, handful


def mirror(module: str) -> Path:
    """The file below tests/ that mirrors the module, or else the one that mirrors its folder."""
    *folders, name = module.split(".")
    of_module = Path("tests", *folders, f"test_{name}.py")
    if folders and not (ROOT / of_module).exists():
        *folders, name = folders
        return Path("tests", *folders, f"test_{name}.py")
    return of_module


def chosen(names: Sequence[str], handful: bool = False) -> list[Mutant]:
    """The mutants of these names, and all those of these modules; or the handful; or all. Each fits the code.

    Raises ValueError.
    """
    mutants, of_handful = read()
    if handful and names:
        raise ValueError(f"--handful: expected no names with it, got {names[0]}")
    names = of_handful if handful else names
    modules = sorted({mutant.module for mutant in mutants})
    known = {*modules, *(mutant.name for mutant in mutants)}
    for name in names:
        if name not in known:
            nearest = get_close_matches(name, known) or modules
            raise ValueError(f"expected mutants or modules, such as {', '.join(nearest)}, got {name}")
    asked = [mutant for mutant in mutants if not names or mutant.name in names or mutant.module in names]
    for mutant in asked:
        check(mutant)
    return asked


def check(mutant: Mutant) -> None:
    """Raise ValueError unless it fits the code and its tests are there."""
    found = (ROOT / mutant.source).read_text("utf-8").count(mutant.old)
    if found != 1:
        raise ValueError(f"{mutant.name}: expected {mutant.old!r} once in {mutant.source}, got it {found} times")
    if not (ROOT / mutant.tests).is_file():
        raise ValueError(f"{mutant.name}: expected tests in {mutant.tests}, got no such file")
