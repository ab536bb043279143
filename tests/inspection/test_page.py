"""The HTML page: whole in itself, and safe whatever it is told."""

import base64
from html.parser import HTMLParser

from jaxmlp.inspection.page import Picture, Table, page

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
    picture = Picture("p", NASTY, NASTY, NASTY, b"\x89PNG bytes")
    read = Reader(
        page(NASTY, [Table(NASTY, [(NASTY, NASTY)], (NASTY, NASTY)), picture, Table("facts", [("a", "b")])])
    )
    (image,) = [attributes for tag, attributes in read.tags if tag == "img"]
    assert image["alt"] == NASTY
    kind, data = image["src"].split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == picture.png
    assert read.text.count(NASTY) == 9
    assert {tag for tag, _ in read.tags}.isdisjoint({"script", "link", "iframe"})
    assert sum(tag == "thead" for tag, _ in read.tags) == 1
