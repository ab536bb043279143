"""The page itself: pdoc's, with the equations beside the functions, and of a field the comment behind its line."""

import inspect
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import jax
from markupsafe import Markup
from pdoc import doc, render

from jaxmlp import second_order
from jaxmlp.explorer import formulas

README = Path(__file__).parents[2] / "README.md"

# What other people's code may import, in the order in which one reads it.
PUBLIC = [
    "jaxmlp",
    "jaxmlp.network",
    "jaxmlp.batch",
    "jaxmlp.statistics",
    "jaxmlp.curvature",
    "jaxmlp.second_order",
    "jaxmlp.adversarial",
    "jaxmlp.activations",
    "jaxmlp.gradcheck",
    "jaxmlp.data.datasets",
    "jaxmlp.data.idx",
    "jaxmlp.inputs.view",
    "jaxmlp.inputs.distortions",
    "jaxmlp.inputs.mixup",
    "jaxmlp.inputs.deskewing",
    "jaxmlp.inputs.edges",
    "jaxmlp.training.config",
    "jaxmlp.training.loop",
    "jaxmlp.training.optimizers",
    "jaxmlp.runs.storage",
]


def build(folder: Path) -> Path:
    """Write the pages into the folder and return the first of them. What the folder held of pages is replaced."""
    shutil.rmtree(folder / "jaxmlp", ignore_errors=True)
    render.env.filters.update(mathml=_mathml, tags=_tags, comment=_comment, summary=_summary)
    render.env.globals["equations"] = {"jaxmlp.network": _first_order(), "jaxmlp.second_order": _second_order()}
    render.configure(docformat="markdown", template_directory=Path(__file__).parent / "templates")
    jax.Array.__qualname__ = "Array"  # a signature says jax.Array, not jaxlib._jax.Array
    modules = {name: doc.Module.from_name(name) for name in PUBLIC}
    pages = {"index.html": render.html_index(modules), "search.js": render.search_index(modules)}
    for name, module in modules.items():
        pages[name.replace(".", "/") + ".html"] = render.html_module(module, modules)
    for name, text in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "index.html"


def _first_order() -> dict[str, str]:
    """F1 to G4 by their tags, from the README's table."""
    rows = re.findall(r"^\| (\w\d?) \| ([^|,]+=[^|,]+)[^|]* \|", README.read_text("utf-8"), re.MULTILINE)
    return dict(rows)


def _second_order() -> dict[str, str]:
    """H2, H1, N2 and N1 by their tags, from where they are derived."""
    lines = re.findall(r"^ +(h.*?=.*?)  .*\((\w\d)\)$", second_order.__doc__ or "", re.MULTILINE)
    return {tag: equation for equation, tag in lines}


def _mathml(equation: str) -> Markup:
    return Markup(formulas.mathml(equation))


def _tags(source: str) -> list[str]:
    """Those of the lines that are an equation."""
    return re.findall(r"# (\w\d?)$", source, re.MULTILINE)


def _comment(variable: doc.Variable) -> str:
    """What stands behind the line that defines a field or a constant: its shape, say."""
    owner: Any = sys.modules[variable.modulename]
    for name in variable.qualname.split(".")[:-1]:
        owner = getattr(owner, name)
    found = re.search(rf"^ *{variable.name}\b.*?  # (.+)$", inspect.getsource(owner), re.MULTILINE)
    return found[1] if found else ""


def _summary(module: doc.Module) -> str:
    """The first paragraph of its docstring."""
    return module.docstring.split("\n\n")[0]
