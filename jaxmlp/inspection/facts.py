"""What is known of a run, in words: a line that says it all, and a list of facts. What is not known is left out."""

import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any
from xml.etree.ElementTree import Element

from jaxmlp.data.datasets import Dataset
from jaxmlp.inspection.markup import Content, tag
from jaxmlp.runs import lines
from jaxmlp.runs.run import Run
from jaxmlp.training.privacy.account import epsilon_text

COMMIT = 10  # digits of a revision, in a line of prose
TRAINED_ON = "the validation images were trained on too, and say nothing about new ones"
DATE = "%Y-%m-%d %H:%M"


def summary(run: Run) -> str:
    """Network, test errors, time, commit."""
    commit = run.environment.get("git revision")
    said = [f"{network(run)}: {_result(run)}", f"trained in {duration(_seconds(run))}"]
    return ", ".join([*said, f"commit {str(commit)[:COMMIT]}"] if commit else said)


def network(run: Run) -> str:
    inputs, hidden = run.network.params.W1.shape
    return f"{inputs}-{hidden}-{len(run.network.params.b2)}, {run.config.phi.replace(',', ' then ')}"


def best(run: Run) -> str:
    return f"{run.best.validation_accuracy:.2%} (epoch {run.best.epoch})"


def test_errors(run: Run) -> str:
    if run.test is None:
        return "not counted yet"
    counted = f"{_of(run.test['errors'], run.test['examples'])} after epoch {run.test['epoch']}"
    return counted if run.tested else f"{counted}, not counted since"


def privacy(run: Run) -> str:
    """What the parameters tell of an example, of a private run."""
    last = run.history[-1]
    return (
        f"({epsilon_text(last.epsilon or 0)}, δ {run.config.delta:g}) of the parameters after "
        f"{lines.counted(last.epoch, 'epoch')}, "
        "for one training example more or less"
    )


def facts(run: Run, dataset: Dataset, data_dir: Path | None) -> list[tuple[str, Content]]:
    """(name, value) of each. The run was trained on `dataset`, of the folder `data_dir` or MNIST."""
    last, flags = run.history[-1], run.config.flags
    splits = ((dataset.train, "training"), (dataset.validation, "validation"), (dataset.test, "test"))
    listed = ", ".join(f"{len(split.labels):,} {name}" for split, name in splits)
    height, width = dataset.train.images.shape[1:]
    rate = median(metrics.examples_per_second for metrics in run.history)
    return [
        ("network", f"{network(run)}, {sum(leaf.size for leaf in run.network.params):,} parameters"),
        ("flags that are not defaults", code(flags) if flags else "none"),
        ("to repeat it", code(command(run, data_dir))),
        (
            "data",
            f"{data_dir or 'MNIST'}: {listed} images of {height}x{width}"
            + (", training and validation split at random" if dataset.shuffled else "")
            + (f", seen {', '.join(run.network.view.seen)}" if run.network.view.seen else ""),
        ),
        ("test errors", test_errors(run)),
        (
            "last validation errors",
            f"{_of(last.validation_errors, len(dataset.validation.labels))}, loss {last.validation_loss:.5f}",
        ),
        ("best validation accuracy", best(run)),
        (
            "training",
            f"{last.epoch} of {run.config.epochs} epochs in {duration(_seconds(run))}, {rate:,.0f} examples/s",
        ),
        *([("privacy", privacy(run))] if last.epsilon is not None else []),
        *([("note", TRAINED_ON)] if run.config.train_on_all else []),
        *_circumstances(run),
    ]


def command(run: Run, data_dir: Path | None) -> list[str]:
    """What to type to repeat the run, word for word."""
    where = [shlex.quote(f"--data_dir={data_dir}")] if data_dir else []
    return ["python", "-m", "jaxmlp.train", *run.config.flags, *where]


def duration(seconds: float) -> str:
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60)):
        if seconds < limit:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 3600:.1f} h"


def code(words: list[str]) -> Element:
    """On a narrow page a line ends between two words, not after a hyphen."""
    unbroken = [part for word in words for part in (" ", tag("span", word, class_="word"))]
    return tag("code", *unbroken[1:])


def _result(run: Run) -> str:
    if run.test and run.tested:
        return f"{run.test['errors']:,} test errors in {run.test['examples']:,}"
    last = run.history[-1]
    return (
        f"{last.validation_errors:,} validation errors ({last.validation_accuracy:.2%} right) "
        f"after {last.epoch} of {run.config.epochs} epochs"
    )


def _circumstances(run: Run) -> Iterator[tuple[str, str]]:
    """When, where and with what, as far as it is known."""
    known = {name: value for name, value in run.environment.items() if value not in (None, "", [])}
    if run.begun:
        yield "begun", time.strftime(DATE, run.begun)
    yield "last epoch saved", time.strftime(DATE, run.saved)
    machine = [
        f"{known[name]}{unit}" for name, unit in (("CPU model", ""), ("CPU count", " processors")) if name in known
    ]
    if machine:
        yield "machine", ", ".join(machine)
    if "backend" in known:
        yield (
            "jax ran on",
            f"{known['backend']}" + (f": {_devices(known['devices'])}" if "devices" in known else ""),
        )
    versions = [f"{name} {known[name]}" for name in ("python", "jax", "jaxlib", "numpy") if name in known]
    if versions:
        yield "versions", ", ".join(versions)
    if "XLA_FLAGS" in known:
        yield "XLA_FLAGS", str(known["XLA_FLAGS"])
    if "git revision" in known:
        yield "commit", str(known["git revision"])


def _devices(names: Any) -> str:
    return ", ".join(map(str, names)) if isinstance(names, list) else str(names)


def _seconds(run: Run) -> float:
    return sum(metrics.seconds for metrics in run.history)


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({part / whole:.2%})"
