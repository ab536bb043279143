"""What is said of a gradient: leaf by leaf, and as a table."""

from dataclasses import dataclass

from jaxmlp.gradcheck.verdicts import MISMATCH, OK, TOO_SMALL, WORDS


@dataclass(frozen=True)
class Mistake:
    """The kind of mistake that explains a wrong leaf."""

    kind: str  # one of diagnosis.KINDS
    text: str  # the same in words, with its numbers


@dataclass(frozen=True)
class Leaf:
    """One leaf of the gradient, and the entry that speaks most against it."""

    name: str  # its path in the parameters, as `jax.tree_util.keystr` writes it
    code: int
    entries: int  # that were judged
    off: int  # of these, how many are a mismatch
    index: tuple[int, ...]  # of the entry furthest off, among those with the verdict of the leaf
    by_hand: float  # that entry of the gradient by hand
    reference: float  # that entry of the reference
    allowed: float  # how far it may be off: what rounding explains, and the tolerance
    mistake: Mistake | None = None
    remark: str = ""

    @property
    def ok(self) -> bool:
        return self.code == OK

    @property
    def verdict(self) -> str:
        """ "ok", "too small to tell" or "MISMATCH", the worst of its entries."""
        return WORDS[self.code]

    @property
    def entry(self) -> str:
        """The index, as written after a name: empty for a scalar."""
        return str(list(self.index)) if self.index else ""

    @property
    def explanation(self) -> str:
        return "; ".join(text for text in (self.mistake.text if self.mistake else "", self.remark) if text)


@dataclass(frozen=True)
class Report:
    """A gradient against one reference, by leaf. Printed, it is a table; it is true if all is ok."""

    reference: str  # "jax.grad", "jvp of jax.grad" or "differences"
    leaves: tuple[Leaf, ...]
    # What the gradient changed, which makes a report not ok: of its arguments, and what else the loss refers to.
    changed: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    sampled: str = ""  # which entries were judged, where not all were

    @property
    def ok(self) -> bool:
        return self.code == OK

    @property
    def code(self) -> int:
        return max([MISMATCH if self.changed or self.beyond else OK, *(leaf.code for leaf in self.leaves)])

    @property
    def verdict(self) -> str:
        """The worst of the leaves; "MISMATCH" if anything was changed."""
        return WORDS[self.code]

    @property
    def too_small_to_tell(self) -> bool:
        """Nothing is wrong, and not all of it could be told."""
        return self.code == TOO_SMALL

    def __bool__(self) -> bool:
        return self.ok

    @property
    def worst(self) -> Leaf:
        """The first leaf with the worst verdict."""
        return max(self.leaves, key=lambda leaf: leaf.code)

    @property
    def complaints(self) -> list[str]:
        lines = []
        if self.changed:
            lines.append(f"gradient changes its arguments: {', '.join(self.changed)}")
        if self.beyond:
            lines.append(f"the loss is another once the gradient ran: it changed {', '.join(self.beyond)}")
        return lines

    def __str__(self) -> str:
        head = ("leaf", "off", "worst entry", "by hand", self.reference, "off by", "allowed", "")
        rows: list[tuple[str, ...]] = [head]
        for leaf in self.leaves:
            values = (f"{value:.9g}" for value in (leaf.by_hand, leaf.reference))
            distances = (f"{d:.1e}" for d in (abs(leaf.by_hand - leaf.reference), leaf.allowed))
            verdict = f"{leaf.verdict}: {leaf.explanation}" if leaf.explanation else leaf.verdict
            rows.append((leaf.name, f"{leaf.off} of {leaf.entries}", leaf.entry, *values, *distances, verdict))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([*self.complaints, *table, *([self.sampled] if self.sampled else [])])
