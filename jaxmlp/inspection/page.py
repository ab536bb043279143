"""One HTML page that holds its pictures in itself: nothing else is needed to read it, now or in ten years."""

import base64
from collections.abc import Sequence
from html import escape
from typing import NamedTuple


class Picture(NamedTuple):
    """A PNG and what is said of it."""

    name: str  # of its file, without .png
    title: str
    alt: str  # for those who cannot see it
    caption: str
    png: bytes


class Table(NamedTuple):
    """Rows of text, the first column naming the row."""

    title: str
    rows: Sequence[Sequence[str]]
    heads: Sequence[str] = ()  # of the columns; none in a list of facts


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
img { max-width: 100%; height: auto; }
figure { margin: 0 0 2.5rem; }
figcaption { color: #555; max-width: 46rem; }
div { overflow-x: auto; }
table { border-collapse: collapse; margin-bottom: 2rem; }
th, td { text-align: left; padding: 0.2rem 1rem 0.2rem 0; border-bottom: 1px solid #ddd; vertical-align: top; }
"""


def page(title: str, parts: Sequence[Picture | Table]) -> str:
    """The page with these parts, in this order."""
    body = "\n".join(_picture(part) if isinstance(part, Picture) else _table(part) for part in parts)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{body}
</body>
</html>
"""


def _picture(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode()
    return (
        f"<h2>{escape(picture.title)}</h2>\n"
        f'<figure><img src="data:image/png;base64,{data}" alt="{escape(picture.alt)}">\n'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def _table(table: Table) -> str:
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in table.heads)
    rows = "\n".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in table.rows
    )
    head = f"<thead><tr>{heads}</tr></thead>\n" if heads else ""
    return f"<h2>{escape(table.title)}</h2>\n<div><table>{head}<tbody>{rows}</tbody></table></div>"
