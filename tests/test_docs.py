"""The API page is built whole, and a docstring on it says what a caller needs: shapes, errors, the source.

- Shapes: a function that takes or gives a plain array says its shape, as in (n, D), or "scalar"; a record says them
  at its fields.
- Errors: every exception that the function raises, by itself or through functions of its own module, is named.
- Source: where there is an equation there is its tag, a paper's year, or the module that derives it.

For the last two, the docstring of the module counts too.
"""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pdoc", reason="needs the extra [docs]")

from tools.docs import page

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]

SIZE = r"(?:[A-Za-z]|·|\d+|height|width|length)(?: [+] 1)?"
SHAPE = re.compile(rf"\({SIZE},(?: {SIZE}(?:, {SIZE})*)?\)|\bscalar\b|\bany shape\b|\bdimensions\b")
ARRAY = re.compile(r"\bArray\b|\bndarray\b|\bNDArray\b")
EQUATION = re.compile(r"[∂Σ‖⟨⊙²]|ᵀ")
SOURCE = re.compile(r"\b(?:19|20)\d\d\b|\b[FGBHNR]\{?\d|\bL\b =|\b\w+\.py\b")


def public(module):
    """(name, function or method) of all that the page shows of the module, a jitted one as it was written."""
    module = importlib.import_module(module)
    for name, value in vars(module).items():
        value = inspect.unwrap(value) if inspect.isroutine(value) or hasattr(value, "__wrapped__") else value
        home = getattr(value, "__module__", "")
        if name.startswith("_") or name not in getattr(module, "__all__", [name]) or not home:
            continue
        if not (home == module.__name__ or home.startswith(f"{module.__name__}.")):
            continue
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value):
            for method, function in vars(value).items():
                if inspect.isfunction(function) and not method.startswith("_") and function.__module__ == home:
                    yield f"{name}.{method}", function


FUNCTIONS = [
    pytest.param(function, id=f"{module.removeprefix('jaxmlp.')}.{name}")
    for module in page.PUBLIC[1:]  # the first, jaxmlp itself, only re-exports
    for name, function in public(module)
]


def raised(node, module, seen=()):
    """The names of the exceptions that leave this piece of code, functions of its module that it calls included."""
    if isinstance(node, ast.Try):
        handled = {ast.unparse(n) for handler in node.handlers if handler.type for n in ast.walk(handler.type)}
        inner = set().union(*(raised(n, module, seen) for n in node.body)) - handled
        outside = [*node.handlers, *node.orelse, *node.finalbody]
        return inner.union(*(raised(n, module, seen) for n in outside))
    found = set().union(*(raised(n, module, seen) for n in ast.iter_child_nodes(node)))
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        found.add(ast.unparse(node.exc.func))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in seen:
        name = node.func.id
        found |= {"ValueError"} if name.startswith("check_") else set()
        for definition in module.body:
            if isinstance(definition, ast.FunctionDef) and definition.name == name:
                found |= raised(definition, module, (*seen, name))
    return found


def errors_of(function):
    module = ast.parse(inspect.getsource(sys.modules[function.__module__]))
    return raised(ast.parse(inspect.cleandoc("\n" + inspect.getsource(function))), module)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_docstring_says_what_a_caller_needs(function):
    said, module_said = inspect.getdoc(function), inspect.getdoc(sys.modules[function.__module__])
    assert said, "expected a docstring, got none"
    annotations = [str(annotation) for annotation in inspect.get_annotations(function).values()]
    if any(ARRAY.search(text) and "Mapping" not in text and "Callable" not in text for text in annotations):
        assert SHAPE.search(said), f"expected a shape, as in (n, D), or 'scalar', got {said!r}"
    for error in errors_of(function):
        assert error in said + module_said, f"expected {error}, which it raises, got {said!r}"
    if EQUATION.search(said):
        assert SOURCE.search(said + module_said), f"expected a tag, a year or a module, got {said!r}"


def test_errors_are_found_through_calls_and_lost_where_they_are_caught():
    code = ast.parse(
        """
def f():
    raise ValueError("no")

def g():
    try:
        f()
    except ValueError:
        raise OSError("no")
"""
    )
    assert raised(code.body[0], code) == {"ValueError"}
    assert raised(code.body[1], code) == {"OSError"}
    assert raised(ast.parse("f()"), code) == {"ValueError"}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The text of every page, by its name. Built in a process of its own: pdoc is configured once and for all."""
    folder = tmp_path_factory.mktemp("api")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tools.docs", folder], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{folder / 'index.html'}\n", "")
    return {str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*.html")}


def test_every_public_module_has_a_page(pages):
    assert set(pages) == {"index.html", *(name.replace(".", "/") + ".html" for name in page.PUBLIC)}


def test_every_public_function_is_on_its_page(pages):
    for module in page.PUBLIC[1:]:
        for name, _ in public(module):
            assert f'id="{name}"' in pages[module.replace(".", "/") + ".html"]


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("forward", ["F1", "F2", "F3", "F4"]),
        ("squared_error", ["L"]),
        ("backward", ["B1", "B2"]),
        ("gradient", ["G1", "G2", "G3", "G4"]),
    ],
)
def test_an_equation_stands_beside_its_function(pages, name, tags):
    (section,) = re.findall(rf'<section id="{name}">.*?</section>', pages["jaxmlp/network.html"], re.DOTALL)
    assert re.findall(r"</math></div><span>\((\w+)\)", section) == tags


def test_the_first_page_shows_all_eleven(pages):
    tags = ["F1", "F2", "F3", "F4", "L", "B1", "B2", "G1", "G2", "G3", "G4"]
    assert re.findall(r"</math></div><span>\((\w+)\)", pages["index.html"]) == tags


def test_a_field_is_shown_with_its_shape(pages):
    assert re.search(r'id="Params.W1".*?<p>\(D, K\)</p>', pages["jaxmlp/network.html"], re.DOTALL)


def test_no_page_asks_the_network(pages):
    for name, text in pages.items():
        assert not re.search(r'(?:src|href)\s*=\s*["\']?(?:https?:)?//|@import|url\(["\']?http', text), name
