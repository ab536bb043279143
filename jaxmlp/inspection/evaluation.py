"""Networks held against a split of a data set: the numbers, as text for people and as JSON for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from jaxmlp.data import datasets
from jaxmlp.inspection import scoring
from jaxmlp.inspection.scoring import Mistake
from jaxmlp.runs import run_directory
from jaxmlp.runs.storage import Network

WORST = 10


class Evaluation(NamedTuple):
    """The fields are those of the JSON object."""

    checkpoints: list[str]  # one, or the members of a committee
    data: str  # the folder, or MNIST
    split: str  # validation or test
    examples: int
    errors: int
    errors_of_each: list[int]  # the members' own
    loss: float  # the mean of L
    confusion_matrix: list[list[int]]  # [label][prediction]
    worst_mistakes: list[Mistake]


def evaluate(
    networks: Sequence[tuple[Path, Network]], data_dir: Path | None, split: str, run_dirs: Sequence[Path] = ()
) -> Evaluation:
    """Score a network, given with the path of its checkpoint, or the mean output of several, on the split of a set.

    The set is that in `data_dir`, MNIST without one; the runs in `run_dirs` must have been trained on it. Raises
    DataError, NetworkError, RunError.
    """
    dataset = datasets.load(data_dir)
    for run_dir in run_dirs:
        run_directory.check_data(run_dir, dataset.sha256)
    examples = {"validation": dataset.validation, "test": dataset.test}[split]
    data = str(data_dir or "MNIST")
    members = [scoring.score(network, examples, data) for _, network in networks]
    scores = scoring.committee(members)
    return Evaluation(
        checkpoints=[str(checkpoint) for checkpoint, _ in networks],
        data=data,
        split=split,
        examples=len(scores.labels),
        errors=scores.errors,
        errors_of_each=[member.errors for member in members],
        loss=float(scores.losses.mean()),
        confusion_matrix=scoring.confusion_matrix(scores).tolist(),
        worst_mistakes=scoring.worst_mistakes(scores, WORST),
    )


def as_json(evaluation: Evaluation) -> str:
    """One object; a mistake in it is an object too."""
    worst = [asdict(mistake) for mistake in evaluation.worst_mistakes]
    return json.dumps({**evaluation._asdict(), "worst_mistakes": worst})


def as_text(evaluation: Evaluation) -> str:
    errors, examples = evaluation.errors, evaluation.examples
    classes = range(len(evaluation.confusion_matrix))
    width = max(5, len(str(examples)) + 1)
    lines = [
        *_networks(evaluation),
        f"{evaluation.split} errors: {errors:,} of {examples:,} ({1 - errors / examples:.2%} accuracy), "
        f"mean loss {evaluation.loss:.5f}",
        "",
        "confusion matrix: a row for each label, a column for each prediction",
        " " * 5 + "".join(f"{c:{width}}" for c in classes),
        *(f"{c:5}" + "".join(f"{n:{width}}" for n in evaluation.confusion_matrix[c]) for c in classes),
    ]
    if evaluation.worst_mistakes:
        lines += [
            "",
            f"worst mistakes: index in {evaluation.split}, label, prediction, loss, and the output of each class",
            f"{'index':>7} {'label':>5} {'prediction':>10} {'loss':>7}" + "".join(f"{c:6}" for c in classes),
            *(
                f"{m.index:7} {m.label:5} {m.prediction:10} {m.loss:7.3f}" + "".join(f"{x:6.2f}" for x in m.outputs)
                for m in evaluation.worst_mistakes
            ),
        ]
    return "\n".join(lines)


def _networks(evaluation: Evaluation) -> list[str]:
    checkpoints, data = evaluation.checkpoints, evaluation.data
    if len(checkpoints) == 1:
        return [f"{checkpoints[0]} on {data}"]
    each = zip(checkpoints, evaluation.errors_of_each, strict=True)
    return [*(f"{checkpoint}: {errors:,} errors" for checkpoint, errors in each), f"their committee on {data}"]
