"""Formulas as MathML, which browsers set: from the notation of this project, ∂L/∂W1 = x0 δ1ᵀ, to the notes'."""

import re
from collections.abc import Sequence
from html import escape

_TOKEN = re.compile(
    r"(?P<slope>∂L/∂)?(?P<letter>[A-Za-zδφηε])(?P<layer>\d?)(?P<transposed>ᵀ?)(?:_(?P<indices>[a-z]+))?"
    r"|Σ_(?P<over>[a-z])|(?P<half>½)|(?P<mark>[²′])|(?P<number>\d+)|(?P<sign>\S)"
)


def in_html(text: str) -> str:
    """The text with every [[formula]] in it as MathML."""
    return re.sub(r"\[\[(.+?)\]\]", lambda match: mathml(match[1]), text, flags=re.DOTALL)


def mathml(formula: str) -> str:
    """One formula. A digit after a letter is its layer, what follows an underscore its indices."""
    parts: list[str] = []
    for match in _TOKEN.finditer(formula):
        if mark := match["mark"]:  # of what stands before it
            parts.append(_tag("msup", parts.pop(), _tag("mn", "2") if mark == "²" else _tag("mo", mark)))
        else:
            parts.append(_element(match))
    return _tag("math", *parts)


def _element(match: re.Match[str]) -> str:
    if over := match["over"]:
        return _tag("munder", _tag("mo", "∑"), _tag("mi", over))
    if match["half"]:
        return _tag("mfrac", _tag("mn", "1"), _tag("mn", "2"))
    if number := match["number"]:
        return _tag("mn", number)
    if sign := match["sign"]:
        return f'<mo stretchy="false">{escape(sign)}</mo>'
    symbol = _symbol(match["letter"], match["layer"], match["transposed"], match["indices"] or "")
    if match["slope"]:
        above, below = [_tag("mo", "∂"), _tag("mi", "L")], [_tag("mo", "∂"), symbol]
        return _tag("mfrac", _tag("mrow", *above), _tag("mrow", *below))
    return symbol


def _symbol(letter: str, layer: str, transposed: str, indices: str) -> str:
    base = _tag("mi", letter)
    below = _row([_tag("mi", index) for index in indices])
    above = _row([_tag("mn", f"({layer})")] * bool(layer) + [_tag("mo", "⊤")] * bool(transposed))
    if below and above:
        return _tag("msubsup", base, below, above)
    if below or above:
        return _tag("msub", base, below) if below else _tag("msup", base, above)
    return base


def _row(parts: Sequence[str]) -> str:
    return _tag("mrow", *parts) if len(parts) > 1 else "".join(parts)


def _tag(name: str, *children: str) -> str:
    return f"<{name}>{''.join(children)}</{name}>"
