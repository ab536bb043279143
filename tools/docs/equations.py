"""The equations, read from where they are told, as MathML.

Those of the network are the rows of the README's table, those of the second derivatives stand in second_order.py.
They are written in Unicode, which becomes LaTeX here, and latex2mathml makes MathML of that.
"""

import re
from pathlib import Path

from latex2mathml.converter import convert

from jaxmlp import second_order

README = Path(__file__).parents[2] / "README.md"

LATEX = [
    (r"∂(\w+)/∂(\w+)", r"\\frac{∂\1}{∂\2}"),
    (r"\b([a-zA-Z]+?|[δφ])(\d)_(\w)", r"\1_{\2,\3}"),  # entry k of z1
    (r"([a-zA-Z]|δ)(\d)", r"\1_\2"),
    (r"R\^\{(\w)×(\w)\}", r"\\mathbb{R}^{\1 \\times \2}"),
    ("diag", r"\\operatorname{diag}"),
    *(
        (symbol, latex + " ")
        for symbol, latex in (
            ("∂", r"\\partial"),
            ("δ", r"\\delta"),
            ("φ", r"\\varphi"),
            ("Σ", r"\\sum"),
            ("½", r"\\tfrac{1}{2}"),
            ("⊙", r"\\odot"),
            ("∈", r"\\in"),
            ("ᵀ", r"^\\mathrm{T}"),
            ("²", "^2"),
            ("−", "-"),
        )
    ),
]


def of_the_network() -> dict[str, str]:
    """F1 to G4 by their tags, in Unicode."""
    rows = re.findall(r"^\| (\w\d?) \| ([^|]+=[^|]+) \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    return {tag: equation.split(", ")[0] for tag, equation in rows}


def of_the_second_derivatives() -> dict[str, str]:
    """H2, H1, N2, N1 and S."""
    lines = re.findall(r"^ +(\S.*?=.*?)  .*\((\w\d?)\)$", second_order.__doc__ or "", re.MULTILINE)
    return {tag: equation for equation, tag in lines}


def latex(equation: str) -> str:
    """z1 = W1ᵀ x0 + b1 in LaTeX."""
    for pattern, replacement in LATEX:
        equation = re.sub(pattern, replacement, equation)
    return equation


def mathml(equation: str) -> str:
    """The equation as a <math> element."""
    element: str = convert(latex(equation)).replace('display="inline"', 'displaystyle="true"')
    return element
