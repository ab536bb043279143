"""The report of a run: its pictures as PNG files, and one page of them. Needs the extra [plot]."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from jaxmlp.data import datasets
from jaxmlp.data.datasets import Dataset
from jaxmlp.inspection import plots, scoring
from jaxmlp.inspection.page import Picture, Table, page
from jaxmlp.runs import files
from jaxmlp.runs.run import Run, read_run

FOLDER, PAGE, COMPARISON = "report", "index.html", "comparison.html"
WORST = 12
DPI = 120


def write_report(run_dir: Path, data_dir: Path | None, others: Sequence[Path], check_data: bool = True) -> Path:
    """Write the report of the run into its directory, compared with the runs `others` if any; the path of the page.

    The network is scored on the validation images of the set in `data_dir`, MNIST without one. Raises DataError,
    NetworkError, RunError, CheckpointError, FileError.
    """
    run = read_run(run_dir)
    comparison = _comparison([run, *map(read_run, others)]) if others else []
    parts = [*comparison, *_parts(run, data_dir)]
    return _write(run_dir / FOLDER, PAGE, f"Run {run.name}", parts)


def write_comparison(run_dirs: Sequence[Path]) -> Path:
    """Write the comparison of the runs alone into the directory of the first; the path of the page.

    Raises RunError, CheckpointError, FileError.
    """
    compared = [read_run(path) for path in run_dirs]
    title = f"Runs {', '.join(_names(compared))}"
    return _write(run_dirs[0] / FOLDER, COMPARISON, title, _comparison(compared))


def _write(folder: Path, name: str, title: str, parts: Sequence[Picture | Table]) -> Path:
    files.make_folder(folder)
    for part in parts:
        if isinstance(part, Picture):
            files.replace(folder / f"{part.name}.png", part.png)
    files.replace(folder / name, page(title, parts).encode())
    return folder / name


def _parts(run: Run, data_dir: Path | None) -> list[Picture | Table]:
    dataset = datasets.load(data_dir)
    scores = scoring.score(run.network, dataset.validation, str(data_dir or "MNIST"))
    parts: list[Picture | Table] = [
        _facts(run),
        _learning_curves(run),
        _hidden_units(run, dataset),
        _confusion_matrix(scores),
        _gradient_norms(run, dataset, scores),
    ]
    mistakes = scoring.worst_mistakes(scores, WORST)
    if mistakes:
        parts.append(_worst_mistakes(run, mistakes, dataset))
    return parts


def _facts(run: Run) -> Table:
    inputs, hidden = run.network.params.W1.shape
    last = run.history[-1]
    rows = [
        ("network", f"{inputs}-{hidden}-{len(run.network.params.b2)}, {run.config['phi']}"),
        ("flags", " ".join(f"--{name}={value}" for name, value in run.config.items())),
        ("epochs so far", f"{last.epoch}"),
        ("last losses", f"training {last.train_loss:.5f}, validation {last.validation_loss:.5f}"),
        ("last validation accuracy", f"{last.validation_accuracy:.2%} ({last.validation_errors:,} errors)"),
        ("best validation accuracy", _best(run)),
        ("test errors", _test_errors(run)),
    ]
    if run.config["train_on_all"]:
        rows.append(("note", "the validation images were trained on too, and say nothing about new ones"))
    return Table("The run", rows)


def _learning_curves(run: Run) -> Picture:
    first, last = run.history[0], run.history[-1]
    return Picture(
        name="learning_curves",
        title="Learning curves",
        alt=f"From epoch 1 to {last.epoch} the training loss goes from {first.train_loss:.4f} to "
        f"{last.train_loss:.4f}, the validation loss from {first.validation_loss:.4f} to "
        f"{last.validation_loss:.4f}, the validation accuracy from {first.validation_accuracy:.2%} to "
        f"{last.validation_accuracy:.2%}.",
        caption="Left: the loss L. The training loss is the mean over the epoch, each batch before its update, so "
        "it lags behind the validation loss, which is measured at the end. Right: the accuracy on the validation "
        "images.",
        png=_png(plots.learning_curves({run.name: run.history})),
    )


def _hidden_units(run: Run, dataset: Dataset) -> Picture:
    _, height, width = dataset.train.images.shape
    W1, W2 = np.asarray(run.network.params.W1), np.asarray(run.network.params.W2)
    units = plots.strongest_units(W2)
    return Picture(
        name="hidden_units",
        title="What each hidden unit looks for",
        alt=f"The incoming weights of {len(units)} of the {len(W2)} hidden units, each as an image of "
        f"{height} by {width} pixels.",
        caption="Each tile is a column of W1, the weights into the unit of that number. "
        f"{run.network.view.ink} on red excites the unit, on blue inhibits it; all tiles share one scale. The "
        "units stand in the order of the norm of their outgoing weights, the largest first: "
        f"{len(units)} of {len(W2)}.",
        png=_png(plots.hidden_units(W1, units, height, width)),
    )


def _confusion_matrix(scores: scoring.Scores) -> Picture:
    counts = scoring.confusion_matrix(scores)
    mistakes = counts - np.diag(np.diag(counts))
    label, prediction = np.unravel_index(np.argmax(mistakes), counts.shape)
    most = f" The commonest: {label} taken for {prediction}, {mistakes.max()} times." if mistakes.any() else ""
    return Picture(
        name="confusion_matrix",
        title="Confusion matrix",
        alt=f"{scores.errors} errors in {len(scores.labels)} validation images.{most}",
        caption=f"How often each label (row) got each prediction (column): {scores.errors:,} errors in "
        f"{len(scores.labels):,} validation images.{most}",
        png=_png(plots.confusion_matrix(counts)),
    )


def _gradient_norms(run: Run, dataset: Dataset, scores: scoring.Scores) -> Picture:
    norms = scoring.gradient_norms(run.network, dataset.validation)
    wrong = scores.predictions != scores.labels
    medians = [f"{np.median(norms[part]):.2g}" if part.any() else "none" for part in (~wrong, wrong)]
    return Picture(
        name="gradient_norms",
        title="Gradients of single examples",
        alt=f"Histogram of the gradient norms of {len(norms)} validation images: the median is {medians[0]} among "
        f"right predictions and {medians[1]} among wrong ones.",
        caption="The norm of the gradient of L for each validation image, from its deltas. The median is "
        f"{medians[0]} among right predictions, {medians[1]} among wrong ones. An output that saturates gives a "
        "confident mistake a small gradient.",
        png=_png(plots.gradient_norms(norms, wrong)),
    )


def _worst_mistakes(run: Run, mistakes: Sequence[scoring.Mistake], dataset: Dataset) -> Picture:
    listed = ", ".join(f"{m.label} for {m.prediction} (no. {m.index})" for m in mistakes)
    return Picture(
        name="worst_mistakes",
        title="The worst mistakes",
        alt=f"Images of the label and the prediction: {listed}.",
        caption="The validation images of the largest loss among those predicted wrongly, by their number from 0, "
        "with the output of each class: the label's in blue, the prediction's in orange."
        + "".join(f" The network saw them {words}." for words in run.network.view.seen),
        png=_png(plots.worst_mistakes(mistakes, dataset.validation.images)),
    )


def _comparison(compared: Sequence[Run]) -> list[Picture | Table]:
    names = _names(compared)
    rows = []
    for name, run in zip(names, compared, strict=True):
        inputs, hidden = run.network.params.W1.shape
        last = run.history[-1]
        rows.append(
            (
                name,
                f"{inputs}-{hidden}-{len(run.network.params.b2)}, {run.config['phi']}",
                f"{last.epoch}",
                f"{last.train_loss:.5f}",
                f"{last.validation_loss:.5f}",
                _best(run),
                _test_errors(run),
            )
        )
    heads = (
        "run",
        "network",
        "epochs",
        "training loss",
        "validation loss",
        "best validation accuracy",
        "test errors",
    )
    picture = Picture(
        name="comparison",
        title="Learning curves of the runs compared",
        alt="; ".join(f"{row[0]}: best validation accuracy {row[5]}" for row in rows) + ".",
        caption="Left: the loss L, dashed in training and solid on validation. Right: the accuracy on validation.",
        png=_png(plots.learning_curves({n: run.history for n, run in zip(names, compared, strict=True)})),
    )
    return [Table("The runs compared", rows, heads), picture]


def _names(compared: Sequence[Run]) -> list[str]:
    """The names of the folders, or where two are alike the paths."""
    names = [run.name for run in compared]
    return names if len(set(names)) == len(names) else [str(run.path) for run in compared]


def _best(run: Run) -> str:
    return f"{run.best.validation_accuracy:.2%} (epoch {run.best.epoch})"


def _test_errors(run: Run) -> str:
    if run.test is None:
        return "not counted yet"
    return f"{run.test['errors']:,} of {run.test['examples']:,} (after epoch {run.test['epoch']})"


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI, bbox_inches="tight")
    return file.getvalue()
