"""What the page is made of: its notation as MathML, the equations, the modules."""

import re

import pytest

from jaxmlp.explorer import formulas, page

CASES = {
    "z1": "<msup><mi>z</mi><mn>(1)</mn></msup>",
    "W2ᵀ": "<msup><mi>W</mi><mrow><mn>(2)</mn><mo>⊤</mo></mrow></msup>",
    "w1_ij": "<msubsup><mi>w</mi><mrow><mi>i</mi><mi>j</mi></mrow><mn>(1)</mn></msubsup>",
    "y_k": "<msub><mi>y</mi><mi>k</mi></msub>",
    "φ′": "<msup><mi>φ</mi><mo>′</mo></msup>",
    "½ Σ_k": "<mfrac><mn>1</mn><mn>2</mn></mfrac><munder><mo>∑</mo><mi>k</mi></munder>",
    "∂L/∂η": "<mfrac><mrow><mo>∂</mo><mi>L</mi></mrow><mrow><mo>∂</mo><mi>η</mi></mrow></mfrac>",
    "2h": "<mn>2</mn><mi>h</mi>",
    "(a)²": '<mo stretchy="false">(</mo><mi>a</mi><msup><mo stretchy="false">)</mo><mn>2</mn></msup>',
}


@pytest.mark.parametrize("formula", CASES)
def test_a_formula(formula):
    assert formulas.mathml(formula) == f"<math>{CASES[formula]}</math>"


def test_every_equation_stands_on_the_page_once():
    source = (page.FOLDER / "page.html").read_text()
    tagged = re.findall(r'<b class="tag">(\w+)</b> \[\[(.+?)\]\]', source)
    assert sorted(tagged) == sorted(
        {
            "F1": "z1 = W1ᵀ x0 + b1",
            "F2": "x1 = φ(z1)",
            "F3": "z2 = W2ᵀ x1 + b2",
            "F4": "x2 = φ(z2)",
            "L": "L = ½ Σ_k (x2_k − y_k)²",
            "B1": "δ2 = (x2 − y) ⊙ φ′(z2)",
            "B2": "δ1 = (W2 δ2) ⊙ φ′(z1)",
            "G1": "∂L/∂W2 = x1 δ2ᵀ",
            "G2": "∂L/∂b2 = δ2",
            "G3": "∂L/∂W1 = x0 δ1ᵀ",
            "G4": "∂L/∂b1 = δ1",
        }.items()
    )
    assert "[[" not in formulas.in_html(source)


def test_every_module_is_on_the_page_after_those_that_it_imports():
    assert sorted(page.MODULES) == sorted(file.stem for file in page.FOLDER.glob("*.mjs"))
    for i, name in enumerate(page.MODULES):
        imported = re.findall(r'from "\./(\w+)\.mjs"', (page.FOLDER / f"{name}.mjs").read_text())
        assert set(imported) <= set(page.MODULES[:i])
