"""Accuracy by class and confusion, as tables."""

import numpy as np

from jaxmlp.inspection import classes, mistakes
from jaxmlp.inspection.scoring import Scores


def scores(*pairs):
    labels, predictions = np.transpose(pairs)
    return Scores(labels.astype(np.uint8), np.eye(3)[predictions], np.zeros(len(labels)))


VALIDATION = scores((0, 0), (0, 0), (0, 1), (1, 1), (1, 1), (1, 0), (1, 0), (1, 0), (1, 2))
TEST = scores((0, 0), (2, 2), (2, 0), (2, 0))


def cells(row):
    return ["".join(cell.itertext()) for cell in row]


def test_accuracy_of_each_class_and_of_all():
    (table,) = classes.accuracy({"validation": VALIDATION, "test": TEST}).content
    rows = [cells(row) for row in table.findall(".//tr")]
    assert rows == [
        ["class", "validation: errors", "validation accuracy", "test: errors", "test accuracy"],
        ["0", "1 of 3", "66.67%", "0 of 1", "100.00%"],
        ["1", "4 of 6", "33.33%", "0 of 0", ""],
        ["2", "0 of 0", "", "2 of 3", "33.33%"],
        ["all", "5 of 9", "44.44%", "2 of 4", "50.00%"],
    ]
    bars = [cell.get("style") for cell in table.findall(".//td[@class='bar']")]
    assert bars[:3] == ["--part: 50.0%", "--part: 0.0%", "--part: 100.0%"]


def test_confusion_has_a_row_for_each_label_and_colours_mistakes_alone():
    _, pair = classes.confusion({"validation": VALIDATION, "test": TEST}).content
    validation, test = pair.findall("figure")
    rows = [cells(row) for row in validation.findall(".//tr")]
    assert rows == [["", "0", "1", "2"], ["0", "2", "1", ""], ["1", "3", "2", "1"], ["2", "", "", "0"]]
    first, second = (
        [cell.get("style") for cell in row.findall("td")] for row in validation.findall(".//tbody/tr")[:2]
    )
    assert first == [None, "--part: 33%", "--part: 0%"]
    assert second == ["--part: 100%", None, "--part: 33%"]
    said = "".join(validation.find("figcaption").itertext())
    assert said == "5 errors in 9 validation images. Commonest: 1 for 0 (3), 0 for 1 (1), 1 for 2 (1)."
    assert "scored again" in "".join(test.find("figcaption").itertext())


def test_no_mistake_is_said_so():
    perfect = scores((0, 0), (1, 1), (2, 2))
    _, pair = classes.confusion({"validation": perfect}).content
    assert "".join(pair.find(".//figcaption").itertext()) == "0 errors in 3 validation images."
    assert mistakes.section([], None, None).content[0].text == "No validation image is predicted wrongly."
