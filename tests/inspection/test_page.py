"""The HTML page: whole in itself, and safe whatever it is told."""

import base64
from html.parser import HTMLParser

from jaxmlp.inspection.markup import image, table, tag
from jaxmlp.inspection.page import Section, page

VOID = {"meta", "img"}


class Reader(HTMLParser):
    """The tags with their attributes, and the text; that every tag is closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.text.append(text)


NASTY = '<script>alert("&")</script>'


def test_a_page_holds_its_pictures_and_escapes_its_text():
    picture = image("image/png", b"\x89PNG bytes", NASTY)
    cells = table([NASTY], [[tag("td", NASTY)]])
    read = Reader(page(NASTY, NASTY, [Section("one", NASTY, [picture, cells])], [NASTY]))
    (img,) = [attributes for name, attributes in read.tags if name == "img"]
    assert img["alt"] == NASTY
    kind, data = img["src"].split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == b"\x89PNG bytes"
    assert read.text.count(NASTY) == 8  # title, heading, lead, contents, section, head, cell, last
    assert {name for name, _ in read.tags}.isdisjoint({"script", "link", "iframe"})


def test_the_contents_lead_to_the_sections_in_their_order():
    read = Reader(page("a page", "", [Section("b", "Second", []), Section("a", "First", [])], []))
    assert [attributes["href"] for name, attributes in read.tags if name == "a"] == ["#b", "#a"]
    assert [attributes["id"] for name, attributes in read.tags if name == "section"] == ["b", "a"]


def test_text_stays_where_it_stands_between_elements():
    element = tag("p", "o", "ne ", tag("b", "two"), " three", " four", tag("i"), " five", class_="c")
    assert "".join(element.itertext()) == "one two three four five"
    assert element.attrib == {"class": "c"}
