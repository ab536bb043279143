"""The report of a run, one HTML page, and the comparison of several. Needs the extra [plot]."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from jaxmlp.data import datasets
from jaxmlp.inspection import classes, curves, deltas, facts, mistakes, plots, scoring, units
from jaxmlp.inspection.markup import Content, table, tag
from jaxmlp.inspection.page import Section, page
from jaxmlp.runs import files, lines, run_directory, sweep_directory
from jaxmlp.runs.run import Run, read_run
from jaxmlp.runs.run_directory import EXPLORER
from jaxmlp.training.loop import Metrics

FOLDER, PAGE, COMPARISON = "report", "index.html", "comparison.html"
WORST = 12
FEW = 2  # runs that differ in the seed alone: a curve for each; more of them are a band


def write_report(run_dir: Path, data_dir: Path | None, others: Sequence[Path]) -> Path:
    """Write the report of the run into its directory, compared with the runs or sweeps `others`; the page's path.

    `data_dir` holds the data that it was trained on, MNIST without one. The network is scored on the validation
    images, and once the run has counted its test errors on the test images again. Raises DataError, NetworkError,
    RunError, CheckpointError, FileError.
    """
    run = read_run(run_dir)
    compared = [run, *_read(others)] if others else []
    sections = [*_run(run, data_dir), *_comparison(compared)]
    return _write(run_dir / FOLDER / PAGE, page(f"Run {run.name}", facts.summary(run), sections, _last(run)))


def write_comparison(folders: Sequence[Path]) -> Path:
    """Write the comparison of these runs, and of all in these sweeps, into the first folder; the path of the page.

    Raises RunError, CheckpointError, FileError.
    """
    compared = _read(folders)
    title = f"Runs {', '.join(_names(folders))}"
    named = _named(compared)
    best = max(named, key=lambda name: named[name].best.validation_accuracy)
    lead = f"{lines.counted(len(compared), 'run')}; the best on validation is {best}: {facts.summary(named[best])}"
    return _write(folders[0] / FOLDER / COMPARISON, page(title, lead, _comparison(compared), []))


def write_sweep(folder: Path, others: Sequence[Path] = ()) -> Path:
    """Write the comparison of a sweep's networks, and of the runs `others`, into its folder; the path of the page.

    Raises RunError, CheckpointError, FileError.
    """
    compared = _read([folder, *others])
    named = _named(compared)
    ends = {name: run.history[-1] for name, run in named.items() if not run.config.train_on_all}
    lead = lines.counted(len(compared), "network")
    if ends:
        best = min(ends, key=lambda name: (ends[name].validation_errors, ends[name].validation_loss))
        lead += f"; the best on validation is {best}: {facts.summary(named[best])}"
    else:
        lead += f"; {facts.TRAINED_ON}"
    title = f"Sweep {folder.absolute().name}"
    table, drawn = _comparison(compared)
    return _write(folder / FOLDER / PAGE, page(title, lead, [drawn, table], []))


def _read(folders: Sequence[Path]) -> list[Run]:
    """The runs, and those of the sweeps, in these folders."""
    return [read_run(path) for folder in folders for path in sweep_directory.run_dirs(folder)]


def _write(path: Path, text: str) -> Path:
    files.make_folder(path.parent)
    files.replace(path, text.encode(errors="replace"))  # a path may hold bytes that are no text
    return path


def _run(run: Run, data_dir: Path | None) -> list[Section]:
    dataset = datasets.load(data_dir, run.config.train_on_all)
    if run.data:
        run_directory.check_data(run.path, dataset.sha256)
    source, validation = str(data_dir or "MNIST"), dataset.validation
    splits = {"validation": scoring.score(run.network, validation, source)}
    if run.tested:
        splits["test"] = scoring.score(run.network, dataset.test, source)
    scores = splits["validation"]
    norms = scoring.gradient_norms(run.network, validation)
    found = deltas.examples(run.network, validation, scores, deltas.chosen(scores, norms))
    rows = [[tag("th", name, scope="row"), tag("td", value)] for name, value in facts.facts(run, dataset, data_dir)]
    return [
        Section("run", "The run", [table([], rows, class_="facts")]),
        deltas.section(found, run.network),
        curves.section(run, len(dataset.train.labels)),
        classes.accuracy(splits),
        classes.confusion(splits),
        mistakes.section(scoring.worst_mistakes(scores, WORST), validation, run.network),
        units.section(run.network, dataset.train.images.shape[1:]),
        curves.gradient_norms(norms, scores.predictions != scores.labels),
    ]


def _last(run: Run) -> list[Content]:
    """The page to draw digits on, or how to make it."""
    if (run.path / EXPLORER).exists():
        link = tag("a", EXPLORER, href=f"../{EXPLORER}")
        return ["To draw digits and see what this network makes of them: ", link, "."]
    command = ["python", "-m", "jaxmlp.explore", shlex.quote(f"--run_dir={run.path}")]
    return [
        "A page on which to draw digits and see what this network makes of them: ",
        facts.code(command),
    ]


def _comparison(compared: Sequence[Run]) -> list[Section]:
    if not compared:
        return []
    heads: list[Content] = [
        "run",
        "network",
        "epochs",
        "training loss",
        "validation loss",
        "best validation accuracy",
        "test errors",
    ]
    named, settings = _named(compared), _settings(compared)
    banded = len(compared) > plots.COLOURS or any(len(runs) > FEW for runs in settings.values())
    rows = [[tag("th", name, scope="row"), *(tag("td", cell) for cell in _row(run))] for name, run in named.items()]
    return [
        Section("compared", "The runs compared", [table(heads, rows)]),
        curves.bands(settings) if banded else curves.comparison({name: run.history for name, run in named.items()}),
    ]


def _settings(compared: Sequence[Run]) -> dict[str, list[Sequence[Metrics]]]:
    """The histories of those that differ in the seed alone, by the options in which they differ from others."""
    configs = [asdict(replace(run.config, seed=0)) for run in compared]
    varying = [name for name in configs[0] if len({config[name] for config in configs}) > 1]
    settings: dict[str, list[Sequence[Metrics]]] = {}
    for run, config in zip(compared, configs, strict=True):
        name = ", ".join(f"{option}={config[option]}" for option in varying) or "all"
        settings.setdefault(name, []).append(run.history)
    return settings


def _row(run: Run) -> list[str]:
    last = run.history[-1]
    return [
        facts.network(run),
        f"{last.epoch}",
        f"{last.train_loss:.5f}",
        f"{last.validation_loss:.5f}",
        facts.best(run),
        facts.test_errors(run),
    ]


def _named(compared: Sequence[Run]) -> dict[str, Run]:
    return dict(zip(_names([run.path for run in compared]), compared, strict=True))


def _names(paths: Sequence[Path]) -> list[str]:
    """The names of the folders, or where two are alike the paths."""
    names = [path.absolute().name for path in paths]
    return names if len(set(names)) == len(names) else list(map(str, paths))
