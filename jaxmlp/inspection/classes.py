"""Which classes a network knows and which it confuses: tables of a split's scores."""

from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from jaxmlp.inspection import scoring
from jaxmlp.inspection.markup import table, tag
from jaxmlp.inspection.page import Section
from jaxmlp.inspection.scoring import Scores

COMMONEST = 5  # confusions that are named


def accuracy(splits: dict[str, Scores]) -> Section:
    """Of each class in each split: its examples, the errors among them, the accuracy. Bars are of the errors."""
    counts = {name: scoring.confusion_matrix(scores) for name, scores in splits.items()}
    most = max(float(_wrong(matrix).max()) for matrix in counts.values()) or 1.0
    heads = ["class", *(f"{name}{what}" for name in splits for what in (": errors", " accuracy"))]
    classes = len(next(iter(counts.values())))
    rows = [
        [
            tag("th", f"{k}", scope="row"),
            *(cell for m in counts.values() for cell in _class(m[k].sum(), m[k, k], most)),
        ]
        for k in range(classes)
    ]
    of_all = (cell for m in counts.values() for cell in _class(m.sum(), np.trace(m), most))
    rows.append([tag("th", "all", scope="row"), *of_all])
    return Section("classes", "Accuracy by class", [table(heads, rows, class_="numbers")])


def confusion(splits: dict[str, Scores]) -> Section:
    """A matrix for each split."""
    intro = tag("p", "How often each label, a row, gets each prediction, a column. Mistakes alone are coloured.")
    return Section(
        "confusion", "Confusion", [intro, tag("div", *(_matrix(*split) for split in splits.items()), class_="pair")]
    )


def _class(examples: int, right: int, most: float) -> list[Element]:
    """The cells of a class in a split; `most` is the part of errors that fills a bar."""
    wrong = (examples - right) / examples if examples else 0.0
    errors = tag("td", f"{examples - right:,} of {examples:,}", class_="bar", style=f"--part: {wrong / most:.1%}")
    return [errors, tag("td", f"{1 - wrong:.2%}" if examples else "")]


def commonest(counts: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """(label, prediction, how often) of the commonest confusions, COMMONEST at most."""
    mistakes = counts * ~np.eye(len(counts), dtype=bool)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:COMMONEST]
    found = [
        (int(i), int(j), int(mistakes[i, j])) for i, j in zip(*np.unravel_index(order, counts.shape), strict=True)
    ]
    return [confused for confused in found if confused[2]]


def _wrong(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.floating]:
    """The part of each class's examples that is predicted wrongly, (C,)."""
    examples = counts.sum(axis=1)
    wrong: npt.NDArray[np.floating] = (examples - np.diag(counts)) / np.maximum(examples, 1)
    return wrong


def _matrix(name: str, scores: Scores) -> Element:
    counts = scoring.confusion_matrix(scores)
    most = int((counts * ~np.eye(len(counts), dtype=bool)).max()) or 1
    rows = [
        [tag("th", f"{label}", scope="row"), *(_cell(label, j, int(n), most) for j, n in enumerate(row))]
        for label, row in enumerate(counts)
    ]
    named = ", ".join(f"{label} for {prediction} ({n})" for label, prediction, n in commonest(counts))
    said = f"{scores.errors:,} errors in {len(scores.labels):,} {name} images." + (
        f" Commonest: {named}." if named else ""
    )
    if name == "test":
        said += " They are scored again for this table, and nothing is chosen by it."
    return tag(
        "figure",
        tag("h3", name.capitalize()),
        table(["", *(f"{k}" for k in range(len(counts)))], rows, class_="matrix"),
        tag("figcaption", said),
    )


def _cell(label: int, prediction: int, n: int, most: int) -> Element:
    if label == prediction:
        return tag("td", f"{n}", class_="right")
    return tag(
        "td", f"{n or ''}", **({"class_": "strong"} if n > 0.6 * most else {}), style=f"--part: {n / most:.0%}"
    )
