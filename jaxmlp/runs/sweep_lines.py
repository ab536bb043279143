"""What a sweep prints: of each of its networks, and at the end the table and the best."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxmlp.data.datasets import Dataset
from jaxmlp.runs import lines
from jaxmlp.runs.sweep_directory import DONE, Result
from jaxmlp.training.config import Config
from jaxmlp.training.members import Group
from jaxmlp.training.privacy.account import epsilon_text

NOT_TRAINED = "not trained"
MOST_REASONS = 3

_FAILED = Result(end=NOT_TRAINED)


def networks(asked: Mapping[str, Mapping[str, Any]], results: Mapping[str, Result]) -> str:
    """How many there are, in what they differ, and how many have ended."""
    said = [lines.counted(len(asked), "network")]
    if len(asked) > 1:
        said.append(f"which differ in {', '.join(next(iter(asked.values())))}")
    done = sum(of_one.end == DONE for of_one in results.values())
    if done:
        said.append(f"{done} of them done")
    if len(results) > done:
        said.append(f"{len(results) - done} diverged")
    return ", ".join(said)


def left_out(reasons: Mapping[str, str], count: int) -> str:
    """Why combinations of options, by name, are none of so many."""
    of_all = list(dict.fromkeys(reasons.values()))
    more = f"; and {len(of_all) - MOST_REASONS} reasons more" if len(of_all) > MOST_REASONS else ""
    return (
        f"{len(reasons):,} of {len(reasons) + count:,} combinations cannot be, and are left out: "
        f"{'; '.join(of_all[:MOST_REASONS])}{more}"
    )


def program(config: Config, dataset: Dataset, count: int, group: Group) -> str:
    pixels = dataset.train.images[0].size
    return (
        f"{lines.counted(count, 'network')} {pixels}-{config.hidden}-{dataset.classes}, {config.phi}, "
        f"{min(count, group.slots)} at once; compiled in {group.compile_seconds:.1f} s"
    )


def result(of_one: Result) -> str:
    epochs, validation_errors, validation_loss, test_errors, seconds, epsilon, end = of_one
    if end != DONE:
        return end
    said = [lines.counted(test_errors or 0, "test error")]
    if validation_loss is None:
        return ", ".join(["no epochs", *said])
    said = [
        lines.counted(epochs or 0, "epoch"),
        lines.counted(validation_errors or 0, "validation error"),
        f"loss {lines.loss(validation_loss)}",
        *said,
        f"{seconds:.1f} s",
    ]
    return ", ".join(said if epsilon is None else [*said, epsilon_text(epsilon)])


def table(asked: Mapping[str, Mapping[str, Any]], results: Mapping[str, Result]) -> str:
    """A row for each network, with the values that were asked of it. Without a result it was not trained."""
    private = any(of_one.privacy_epsilon is not None for of_one in results.values())
    options = list(next(iter(asked.values())))
    done = "epochs done" if "epochs" in options else "epochs"
    heads = [*options, done, "validation errors", "loss", *(["ε"] if private else []), "test errors", "time"]
    rows = [
        [*map(str, values.values()), *_cells(results.get(name, _FAILED), private)] for name, values in asked.items()
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in [heads, *rows]
    )


def _cells(of_one: Result, private: bool) -> list[str]:
    epochs, validation_errors, validation_loss, test_errors, seconds, epsilon, end = of_one
    return [
        "" if epochs is None else str(epochs),
        "" if validation_errors is None else f"{validation_errors:,}",
        "" if validation_loss is None else lines.loss(validation_loss),
        *(["" if epsilon is None else epsilon_text(epsilon).removeprefix("ε ")] if private else []),
        f"{test_errors:,}" if end == DONE else end,
        "" if seconds is None else f"{seconds:.1f} s",
    ]


def best(members: Mapping[str, Config], results: Mapping[str, Result], data_dir: Path | None) -> str:
    """The best member by validation as a command that repeats it; or why there is none."""
    scored = [
        (of_one.validation_errors, of_one.validation_loss, name)
        for name, of_one in results.items()
        if of_one.end == DONE and of_one.epochs_done and not members[name].train_on_all
    ]
    if not scored:
        trained_on = any(config.train_on_all for config in members.values())
        why = "--train_on_all trains on the validation images too" if trained_on else "none was trained to its end"
        return f"none is the best by validation: {why}"
    *_, name = min(scored)
    where = [shlex.quote(f"--data_dir={data_dir}")] if data_dir else []
    command = " ".join(["python", "-m", "jaxmlp.train", *members[name].flags, *where])
    private = members[name].private
    again = "one like it, for its secret is its own" if private else "to repeat it"
    said = f"the best by validation is {name}; {again}:\n{command}"
    if private and len(scored) > 1:
        said += f"\nits ε is of this network by itself: that it was chosen among {len(scored)} tells a little more"
    return said
