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

from jaxmlp.activations import ACTIVATIONS, Activation
from tools.docs import equations

# What other people's code may import, in the order in which one reads it.
PUBLIC = [
    "jaxmlp",
    "jaxmlp.network",
    "jaxmlp.batch",
    "jaxmlp.statistics",
    "jaxmlp.curvature",
    "jaxmlp.second_order",
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
    render.env.globals["equations"] = {
        "jaxmlp.network": equations.of_the_network(),
        "jaxmlp.second_order": equations.of_the_second_derivatives(),
    }
    render.configure(docformat="markdown", template_directory=Path(__file__).parent / "templates")
    _name_as_one_writes()
    modules = {name: doc.Module.from_name(name) for name in PUBLIC}
    pages = {"index.html": render.html_index(modules), "search.js": render.search_index(modules)}
    for name, module in modules.items():
        pages[name.replace(".", "/") + ".html"] = render.html_module(module, modules)
    for name, text in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "index.html"


def _name_as_one_writes() -> None:
    """So that a signature says jax.Array, not jaxlib._jax.Array, and sigmoid, not an object at an address."""
    names = {activation: name for name, activation in ACTIVATIONS.items()}

    def name(activation: Activation) -> str:
        return names[activation]

    jax.Array.__qualname__ = "Array"
    Activation.__repr__ = name  # type: ignore[method-assign,assignment]


def _mathml(equation: str) -> Markup:
    return Markup(equations.mathml(equation))


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
