"""A bar for each class, as an SVG element in which text stays text."""

from collections.abc import Mapping, Sequence
from math import floor, log10
from xml.etree.ElementTree import Element

from jaxmlp.inspection.markup import tag

SHOWN = 10  # classes, at most

ROW, DIGIT, RIGHT = 12, 6, 33  # height of a row; widths of a digit, and of the number on the right
WIDTH = SHOWN * ROW  # as square as the pictures beside it

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

Span = tuple[float, float]


def shown(values: Sequence[float], always: Sequence[int]) -> list[int]:
    """The classes to show: all if they are few, or else `always` and those of the largest |value|."""
    by_size = sorted(range(len(values)), key=lambda k: (k not in always, -abs(values[k])))
    return sorted(by_size[:SHOWN])


def span(values: Sequence[float]) -> Span:
    """From the least to the largest of the values and 0; of zeros alone, (0, 1)."""
    low, high = min(0.0, *values), max(0.0, *values)
    return (low, high) if low < high else (0.0, 1.0)


def exponent(largest: float) -> int:
    """Of the power of ten in which a number and smaller ones beside it are written: 0 from 0.1 to 1000."""
    return 0 if largest == 0 or 0.1 <= largest < 1000 else floor(log10(largest))


def power(exponent: int) -> str:
    return f"10{str(exponent).translate(SUPERSCRIPT)}"


def number(value: float, exponent: int = 0) -> str:
    """With two decimals, in units of this power of ten."""
    text = f"{value / 10.0**exponent:.2f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def alone(value: float) -> str:
    """A number that stands by itself: two digits, and the power of ten where there would be many zeros."""
    sign = "−" if value < 0 else ""
    if value == 0:
        return "0"
    if 0.001 <= abs(value) < 1000:
        return f"{sign}{abs(value):{'#.2g' if abs(value) < 9.95 else '.0f'}}"
    mantissa, e = f"{abs(value):.1e}".split("e")
    return f"{sign}{mantissa}·{power(int(e))}"


def listed(values: Sequence[float]) -> str:
    """For those who cannot see bars."""
    return ", ".join(f"{k}: {alone(value)}" for k, value in enumerate(values))


def bars(
    values: Sequence[float],
    classes: Sequence[int],
    span: Span,
    marks: Mapping[int, str],
    alt: str,
    target: Sequence[float] = (),
) -> Element:
    """The values of these classes over `span`, which holds 0, each with its number in units of the span's exponent.

    `marks` gives some classes a CSS class. `target` has another value of each class, drawn as a line across.
    """
    low, high = span
    e = exponent(max(-low, high))
    left = DIGIT * len(f"{max(classes)}") + 7
    middle = WIDTH - RIGHT - left

    def x(value: float) -> float:
        return left + middle * (value - low) / (high - low)

    drawn = []
    for row, k in enumerate(classes):
        top, baseline, (start, end) = row * ROW, f"{row * ROW + 9.2}", sorted((x(0), x(values[k])))
        band = {"y": f"{top + 1.5}", "height": f"{ROW - 3}"}
        parts = [
            tag("text", f"{k}", x=f"{left - 4}", y=baseline, text_anchor="end"),
            tag("rect", x=f"{left}", width=f"{middle}", class_="track", **band),
            tag("rect", x=f"{start:.2f}", width=f"{max(end - start, 0.75):.2f}", **band),
            tag("text", number(values[k], e), x=f"{WIDTH}", y=baseline, text_anchor="end"),
        ]
        if len(target):
            at = f"{x(target[k]):.2f}"
            parts.append(tag("line", x1=at, x2=at, y1=f"{top + 0.5}", y2=f"{top + ROW - 0.5}", class_="target"))
        drawn.append(tag("g", *parts, class_=marks.get(k, "other")))
    height = ROW * len(classes)
    zero = tag("line", x1=f"{x(0):.2f}", x2=f"{x(0):.2f}", y1="0", y2=f"{height}", class_="zero")
    return tag("svg", *drawn, zero, viewBox=f"0 0 {WIDTH} {height}", class_="bars", role="img", aria_label=alt)
