"""Pictures of arrays and bars of classes, read back as numbers."""

import base64
import io
import re

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from PIL import Image

from jaxmlp.inspection import bars, tiles

RNG = np.random.default_rng(0)


def pixels(tile):
    kind, data = tile.get("src").split(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).astype(int)


def test_ink_is_dark_in_bytes_as_in_floats():
    image = RNG.integers(0, 256, (3, 5), np.uint8)
    np.testing.assert_array_equal(pixels(tiles.ink(image, 255, "")), 255 - image.astype(int))
    np.testing.assert_array_equal(pixels(tiles.ink(np.array([[0.0, 1.0, 2.0, 3.0]]), 2, "")), [[255, 128, 0, 0]])


def test_signed_numbers_are_red_above_0_and_blue_below_alike():
    red, _, blue = np.moveaxis(
        pixels(tiles.signed(np.array([[-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]]), 2, "")), -1, 0
    )
    assert (np.sign(red - blue)[0, [0, 1, 2, 4, 5, 6]] == [-1, -1, -1, 1, 1, 1]).all()
    assert min(red[0, 3], blue[0, 3]) > 240
    assert red[0, 1] == red[0, 0] < red[0, 2]
    assert blue[0, 5] == blue[0, 6] < blue[0, 4]


def test_zeros_have_a_picture_too():
    assert (pixels(tiles.signed(np.zeros((2, 2)), 0.0, "")) > 240).all()


def test_an_outline_goes_round_what_is_inside():
    inside = np.zeros((3, 4), bool)
    inside[1, 1:3] = True  # at the left edge of the picture another
    inside[2, 0] = True
    line = tiles.outlined(tiles.ink(np.zeros((3, 4)), 1, ""), inside)
    pieces = set(re.findall(r"M(\d) (\d)(v|h)1", line.find("svg/path").get("d")))
    around = {("1", "1", "v"), ("3", "1", "v"), ("1", "1", "h"), ("2", "1", "h"), ("1", "2", "h"), ("2", "2", "h")}
    assert pieces == around | {("0", "2", "v"), ("1", "2", "v"), ("0", "2", "h"), ("0", "3", "h")}
    assert line.find("svg").get("viewBox") == "0 0 4 3"


def test_bars_go_from_0_to_their_values_and_say_them():
    svg = bars.bars([0.5, -1.0, 0.0], [0, 1, 2], (-1.0, 1.0), {1: "label"}, "alt", target=[1.0, 0.0, 0.0])
    left, right = 13, bars.WIDTH - bars.RIGHT
    middle = (left + right) / 2
    drawn = [group.findall("rect")[1] for group in svg.findall("g")]
    ends = [(float(bar.get("x")), float(bar.get("x")) + float(bar.get("width"))) for bar in drawn]
    np.testing.assert_allclose(ends[0], (middle, (middle + right) / 2), atol=0.01)
    np.testing.assert_allclose(ends[1], (left, middle), atol=0.01)
    assert ends[2][1] > ends[2][0] == middle  # nothing is seen, but where it would be
    assert [group.get("class") for group in svg.findall("g")] == ["other", "label", "other"]
    assert [[text.text for text in group.findall("text")] for group in svg.findall("g")] == [
        ["0", "0.50"],
        ["1", "−1.00"],
        ["2", "0.00"],
    ]
    targets = [float(group.find("line").get("x1")) for group in svg.findall("g")]
    np.testing.assert_allclose(targets, [right, middle, middle])


def test_a_class_of_several_digits_has_room():
    svg = bars.bars([0.0] * 200, [0, 199], (0.0, 1.0), {}, "alt")
    rights = {float(group.find("text").get("x")) for group in svg.findall("g")}
    assert rights == {3 + 3 * bars.DIGIT}


def test_small_bars_are_numbered_in_units_of_a_power_of_ten():
    svg = bars.bars([2e-7, -4.5e-8], [0, 1], (-4.5e-8, 2e-7), {}, "alt")
    assert [group.findall("text")[1].text for group in svg.findall("g")] == ["2.00", "−0.45"]
    assert (bars.exponent(2e-7), bars.power(-7)) == (-7, "10⁻⁷")
    assert [bars.exponent(largest) for largest in (0, 0.1, 999, 1000, 0.09)] == [0, 0, 0, 3, -2]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.9999, "1.0"),
        (-0.25, "−0.25"),
        (0.0012, "0.0012"),
        (12.3, "12"),
        (-4.53e-7, "−4.5·10⁻⁷"),
        (2e4, "2.0·10⁴"),
    ],
)
def test_a_number_alone(value, text):
    assert bars.alone(value) == text


def test_of_many_classes_the_largest_and_those_asked_for_are_shown():
    assert bars.shown([0.1, -0.9, 0.5], (0,)) == [0, 1, 2]
    values = RNG.permutation(47) - 20.0
    always = [int(np.argmin(np.abs(values)))]
    largest = np.argsort(-np.abs(values), kind="stable")[: bars.SHOWN - 1].tolist()
    assert bars.shown(values.tolist(), always) == sorted(always + largest)
    assert bars.span([0.0, 0.0]) == (0, 1)
    assert bars.span([-2.0, -1.0]) == (-2, 0)
