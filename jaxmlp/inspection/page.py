"""One HTML page that holds its pictures in itself: nothing else is needed to read it, now or in ten years."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from jaxmlp.inspection.markup import Content, html, tag

STYLE = Path(__file__).with_name("page.css")


class Section(NamedTuple):
    """A part of the page, which the list of contents links to."""

    name: str  # of its anchor
    title: str
    content: Sequence[Element]


def page(title: str, lead: str, sections: Sequence[Section], last: Sequence[Content]) -> str:
    """The page with these sections, in this order; `lead` says it all in a line, `last` what else there is."""
    links = (tag("li", tag("a", section.title, href=f"#{section.name}")) for section in sections)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", STYLE.read_text()),
    )
    body = tag(
        "body",
        tag("header", tag("h1", title), tag("p", lead, class_="lead")),
        tag("nav", tag("ol", *links), aria_label="Contents"),
        tag("main", *map(_section, sections)),
        tag("footer", tag("p", *last)),
    )
    return f"<!DOCTYPE html>\n{html(tag('html', head, body, lang='en'))}\n"


def _section(section: Section) -> Element:
    return tag("section", tag("h2", section.title), *section.content, id=section.name)
