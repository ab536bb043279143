"""The folder of a sweep: the run directory of each of its networks, and

flags.txt   the flags, with their lists, for --flagfile
sweep.csv   a row for each network: what it was told, and what came of it
lock        held by the process that writes
"""

import csv
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from jaxmlp.runs import files, locking, machines, run_directory
from jaxmlp.runs.locking import OWNER
from jaxmlp.runs.run_directory import FLAGS, LOCK, SWEEP, TEST, RunError, RunWarning, checkpoints
from jaxmlp.training.loop import Metrics

RUN = "run"  # the column of the folders
DONE = "done"


class Result(NamedTuple):
    """What came of a network, in the columns of the table; None where it is not known."""

    epochs_done: int | None = None
    validation_errors: int | None = None  # after the last epoch, as is the loss
    validation_loss: float | None = None
    test_errors: int | None = None
    seconds: float | None = None  # of training, others beside it
    privacy_epsilon: float | None = None  # of a private network
    end: str = ""  # DONE, or how it diverged


WAITING = Result()


def result(history: Sequence[Metrics], test_errors: int | None, end: str) -> Result:
    """Of a network with this record of its epochs."""
    last = history[-1] if history else None
    return Result(
        len(history),
        last.validation_errors if last else None,
        last.validation_loss if last else None,
        test_errors,
        sum(metrics.seconds for metrics in history),
        last.epsilon if last else None,
        end,
    )


@machines.led
def save_flags(folder: Path, text: str) -> None:
    files.replace(folder / FLAGS, text.encode())


@machines.led
def save(folder: Path, asked: Mapping[str, Mapping[str, Any]], results: Mapping[str, Result]) -> None:
    """Write the table of all networks, by name, with the values that were asked of each, all or nothing.

    Raises FileError.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([RUN, *next(iter(asked.values())), *Result._fields])
    for name, values in asked.items():
        rows.writerow([name, *values.values(), *results.get(name, WAITING)])
    files.replace(folder / SWEEP, text.getvalue().encode())


def is_sweep(path: Path) -> bool:
    return (path / SWEEP).is_file()


def ends(path: Path) -> dict[str, str]:
    """How each network in the sweep's table has ended, by name; none before there is a table. Raises RunError."""
    if not is_sweep(path):
        return {}
    try:
        rows = csv.DictReader(io.StringIO(files.read(path / SWEEP).decode()))
        return {row[RUN]: row["end"] or "" for row in rows}
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise RunError(f"{path / SWEEP}: expected a table of networks, got {error!r}") from error


def run_dirs(path: Path) -> list[Path]:
    """The run directories of a sweep that are done, in its order; of any other path, itself.

    Warns of those that are not. Raises RunError if none is, or the table cannot be read.
    """
    if not is_sweep(path):
        return [path]
    table = ends(path)
    done = [path / name for name in table if (path / name / TEST).exists() and checkpoints(path / name)]
    if not done:
        raise RunError(f"{path}: expected a sweep with a network that is done, got {len(table)} that are not")
    if left := [end for name, end in table.items() if path / name not in done]:
        empty, waiting = left.count(DONE), left.count("")
        kinds = ((len(left) - empty - waiting, "diverged"), (waiting, "not done"), (empty, "of no epochs"))
        told = [f"{n} {what}" for n, what in kinds if n]
        warnings.warn(f"{path}: of {len(table)} networks, {', '.join(told)}: left out", RunWarning, stacklevel=2)
    return done


@contextmanager
def opened(path: Path) -> Iterator[None]:
    """The folder at `path`, made if there is none, and locked.

    Raises FileError if it cannot be made or written, RunError if it is something else, or another process is
    writing it.
    """
    with ExitStack() as held:
        _claim(path, held)
        yield


@machines.led
def _claim(path: Path, held: ExitStack) -> None:
    files.make_folder(path)
    _check_ours(path)
    held.enter_context(locking.locked(path / LOCK))


def _check_ours(path: Path) -> None:
    """Raise RunError unless the folder is a sweep's, or empty, or what is left of one killed at its beginning."""
    names, begun = locking.found_in(path)
    if run_directory.CONFIG in names:
        raise RunError(f"{path}: expected the folder of a sweep, got that of a run")
    if SWEEP in names and FLAGS not in names:
        raise RunError(f"{path / FLAGS}: expected the flags of the sweep, one a line, got no such file")
    ours = {LOCK, LOCK + OWNER, FLAGS, FLAGS + files.TEMPORARY, SWEEP + files.TEMPORARY} if begun else set()
    foreign = sorted(names - ours)
    if foreign and SWEEP not in names:
        raise RunError(
            f"{path}: expected the folder of a sweep or an empty one, got a folder with {foreign[0]} in it"
        )
