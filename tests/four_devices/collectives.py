"""What devices send each other, read off a compiled program."""

import re

KINDS = "all-reduce|all-gather|all-to-all|collective-permute|collective-broadcast|reduce-scatter"
COLLECTIVE = re.compile(rf"^.*? = (.*?) ({KINDS})(?:-start)?\(", re.M)


def collectives(compiled):
    """(kind, shape) of every array that is sent in the text of a compiled function, sorted, as is each shape:
    XLA combines collectives, and lays an array out either way.
    """
    return sorted(
        (kind, tuple(sorted(int(length) for length in shape.split(",") if length)))
        for types, kind in COLLECTIVE.findall(compiled.as_text())
        for shape in re.findall(r"\w\d+\[([\d,]*)\]", types)
    )
