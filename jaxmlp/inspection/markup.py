"""HTML as elements: whatever text they are given is escaped, and every tag is closed."""

import base64
from collections.abc import Sequence
from typing import TypeAlias
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

Content: TypeAlias = str | Element


def tag(name: str, /, *content: Content, **attributes: str) -> Element:
    """<name attributes>content</name>, where strings are text. `class_` is class, `aria_label` is aria-label."""
    element = Element(name, {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()})
    last = None
    for part in content:
        if isinstance(part, Element):
            element.append(last := part)
        elif last is None:
            element.text = (element.text or "") + part
        else:
            last.tail = (last.tail or "") + part
    return element


def image(kind: str, content: bytes, alt: str, **attributes: str) -> Element:
    """An <img> that holds its file, of a media type such as image/png, in itself."""
    return tag("img", src=f"data:{kind};base64,{base64.b64encode(content).decode()}", alt=alt, **attributes)


def table(heads: Sequence[Content], rows: Sequence[Sequence[Element]], **attributes: str) -> Element:
    """A table of these cells, under a row of heads if there are any. It scrolls by itself where it is too wide."""
    head = [tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in heads)))] if heads else []
    body = tag("tbody", *(tag("tr", *cells) for cells in rows))
    return tag("div", tag("table", *head, body, **attributes), class_="scrolls")


def html(element: Element) -> str:
    return ElementTree.tostring(element, encoding="unicode", method="html")
