"""Many runs at once: each an ordinary run directory, and a table of what came of them."""

import shlex
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from jax.sharding import Mesh
from tqdm import tqdm

from jaxmlp.data import datasets
from jaxmlp.data.datasets import Dataset
from jaxmlp.inputs.view import View
from jaxmlp.runs import environment, files, lines, run_directory, run_writer, sweep_directory
from jaxmlp.runs.checkpoint import CheckpointError
from jaxmlp.runs.run_directory import FLAGS, RunError, RunWarning
from jaxmlp.runs.run_writer import RunWriter, Saved
from jaxmlp.runs.stopping import StopRequest
from jaxmlp.runs.sweep_directory import DONE, Result
from jaxmlp.training import devices, loop, members
from jaxmlp.training.config import Config, ConfigError
from jaxmlp.training.loop import Diverged
from jaxmlp.training.members import Group, Member, Step

NOT_TRAINED = "not trained"
FAILED = Result(end=NOT_TRAINED)
MOST_REASONS = 3  # that are told why combinations are left out


class Told(NamedTuple):
    """What a sweep is told."""

    varying: tuple[str, ...]  # the options in which the networks differ
    members: Mapping[str, Config]  # by the name of the folder of each
    data_dir: Path | None
    flags: str  # the text of its flags.txt
    flags_of: Callable[[Config], str]  # that of a member's
    left_out: Mapping[str, str] = {}  # why some combinations of options are no members, by their names


def sweep(
    told: Told, run_dir: Path | None, stop: StopRequest, recipe: str = "sweep", device_count: int = 0
) -> None:
    """Train the networks, side by side where one program can, and save each to a folder of its own in `run_dir`.

    A sweep that exists is gone on with; without `run_dir` it is a new runs/<time>-<recipe>. The networks are spread
    over `device_count` devices, for 0 over all. One that diverges, or that cannot be trained because its checkpoints
    are damaged or another process trains it, is told of and stops no other. Prints a line for each network that ends,
    on a terminal also a progress bar, and at the end the table. Raises DataError, ConfigError, RunError, also if some
    could not be trained, FileError, Diverged if every network did, and Stopped once `stop` is asked for.
    """
    loaded = {
        all_images: datasets.load(told.data_dir, all_images)
        for all_images in {config.train_on_all for config in told.members.values()}
    }
    for config in told.members.values():
        if config.private:  # to choose among networks of the same examples would need an account of its own
            raise ConfigError("noise_multiplier", "0 in a sweep", config.noise_multiplier)
        config.check_data(loaded[config.train_on_all].train.images.shape)
    mesh = devices.members_mesh(device_count, len(told.members))
    run_dir = run_dir or run_writer.fresh(recipe)
    with sweep_directory.opened(run_dir):
        under_way = _Sweep(told, run_dir, stop, loaded)
        under_way.begin(mesh)
        with tqdm(total=under_way.epochs_left, unit="epoch", leave=False, disable=None) as bar:
            for group in under_way.groups():
                under_way.train(group, devices.members_mesh(device_count, len(group)), bar)
        print(under_way.report(), flush=True)
        under_way.check()


class _Sweep:
    """A sweep as far as it has come, by the names of its members."""

    def __init__(self, told: Told, folder: Path, stop: StopRequest, loaded: Mapping[bool, Dataset]) -> None:
        self.told, self.folder, self.stop, self.loaded = told, folder, stop, loaded
        self.results: dict[str, Result] = {}  # of those that have ended
        self.failed: dict[str, str] = {}  # why a member cannot be trained
        self._last: tuple[tuple[bool, View], Dataset] | None = None

    @property
    def left(self) -> dict[str, Config]:
        """The members that are to be trained."""
        ended = self.results.keys() | self.failed.keys()
        return {name: config for name, config in self.told.members.items() if name not in ended}

    @property
    def epochs_left(self) -> int:
        return sum(config.epochs for config in self.left.values())

    def begin(self, mesh: Mesh) -> None:
        """Look what is there, and say what there is to do.

        Raises ConfigError, RunError, FileError.
        """
        ends = sweep_directory.ends(self.folder)
        for name, config in self.told.members.items():
            writer = RunWriter(self.folder / name)
            if writer.check(config, self._dataset(config).sha256):
                self._look(name, config, writer, ends.get(name, ""))
        if dropped := [name for name in ends if name not in self.told.members]:
            text = f"{self.folder}: {', '.join(dropped)} stay, but are no longer in its table"
            warnings.warn(text, RunWarning, stacklevel=1)
        files.replace(self.folder / FLAGS, self.told.flags.encode())
        self._save()
        differ = f", which differ in {', '.join(self.told.varying)}" if self.told.varying else ""
        diverged = sum(result.end != DONE for result in self.results.values())
        done = f", {len(self.results) - diverged} of them done" if self.results else ""
        done += f", {diverged} diverged" if diverged else ""
        print(lines.on_devices(mesh))
        print(f"{lines.counted(len(self.told.members), 'network')}{differ}{done}")
        if self.told.left_out:
            print(_left_out(self.told))
        print(f"sweep: {self.folder}", flush=True)
        for name in self.failed:
            print(self._not_trained(name), flush=True)
        self.stop.how_to_go_on = f"--run_dir={self.folder} goes on from the last epochs that were saved"

    def _look(self, name: str, config: Config, writer: RunWriter, end: str) -> None:
        """How a member that was begun has ended, if it has: by its folder, or if it diverged by the table's `end`."""
        try:
            history = run_directory.newest_history(writer.path)
        except CheckpointError as error:
            self.failed[name] = str(error)
            return
        test = writer.tested(config)
        if test and test["epoch"] == len(history):  # else its last checkpoint is damaged
            self.results[name] = sweep_directory.result(history, test["errors"], DONE)
        elif end not in ("", DONE):
            self.results[name] = sweep_directory.result(history, None, end)

    def _not_trained(self, name: str) -> str:
        return f"{name}: {NOT_TRAINED}: {self.failed[name]}"

    def groups(self) -> list[dict[str, Config]]:
        """The members that are left, those together that one program trains."""
        groups: dict[Config, dict[str, Config]] = {}
        for name, config in self.left.items():
            groups.setdefault(members.compiled(config), {})[name] = config
        return list(groups.values())

    def train(self, group: Mapping[str, Config], mesh: Mesh, bar: "tqdm[object]") -> None:
        """Train the members of one program to their ends."""
        stopped = f"stopped; --run_dir={self.folder} goes on from the last epochs that were saved"
        self.stop.check(stopped)
        config = next(iter(group.values()))
        environment_now = environment.describe(devices.members_mesh(1, 1))  # each is whole on one, as in `train`
        dataset = self._prepared(config, bar)
        program = members.prepare(config, dataset, mesh, len(group))
        lines.write(bar, _program_line(config, dataset, len(group), program))
        writing: dict[Config, _Writing] = {}
        with ExitStack() as all_of_them:

            def waiting() -> Iterator[Member]:
                for name, config in group.items():
                    held = all_of_them.enter_context(ExitStack())
                    try:
                        writer = held.enter_context(run_writer.opened(self.folder / name))
                    except RunError as error:  # another process trains it
                        self.failed[name] = str(error)
                        bar.total -= config.epochs
                        lines.write(bar, self._not_trained(name))
                        continue
                    writer.claim(config, dataset.sha256, environment_now, self.told.flags_of(config))
                    first = program.first(config)
                    saved = writer.resume(first) or Saved(first, ())
                    bar.update(len(saved.history))
                    member, writing[config] = Member(config, *saved), _Writing(name, writer, held)
                    if loop.ended(config, saved.history):  # it was stopped before its test
                        (errors,) = program.test([saved.state])
                        self._end(writing[config], Step(member, errors), bar)
                    else:
                        yield member

            with closing(members.fit(program, waiting(), lambda: self.stop.signum is None)) as steps:
                for step in steps:
                    config, state, history = step.member
                    if not step.diverged:
                        writing[config].writer.save(Saved(state, history), config)
                        bar.update()
                    if step.ended:
                        self._end(writing[config], step, bar)
        self.stop.check(stopped)

    def _end(self, writing: "_Writing", step: Step, bar: "tqdm[object]") -> None:
        """Record how a member ended, and let go of its folder."""
        config, _, history = step.member
        if step.test_errors is not None:
            writing.writer.save_test(len(history), step.test_errors, len(self._dataset(config).test.labels))
        end = str(step.diverged).partition(":")[0] if step.diverged else DONE
        result = sweep_directory.result(history, step.test_errors, end)
        self.results[writing.name] = result
        self._save()
        writing.held.close()
        bar.total -= config.epochs - len(history)
        n = len(self.told.members)
        lines.write(bar, f"{len(self.results):>{len(str(n))}}/{n}  {writing.name}: {_in_words(result)}")

    def _save(self) -> None:
        sweep_directory.save(self.folder, self.told.varying, self.told.members, self.results)

    def _dataset(self, config: Config) -> Dataset:
        return self.loaded[config.train_on_all]

    def _prepared(self, config: Config, bar: "tqdm[object]") -> Dataset:
        """The data as the view of the config has them; those of the last group, if they are the same."""
        wanted = config.train_on_all, config.view
        if self._last is None or self._last[0] != wanted:
            lines.write(bar, lines.data(self._dataset(config), config, config.train_on_all))
            self._last = wanted, self._dataset(config).map_images(config.prepare)
        return self._last[1]

    def check(self) -> None:
        """Raise RunError if some members could not be trained, Diverged if all of them diverged."""
        if self.failed:
            first, *others = self.failed.values()
            got = f"{len(others) + 1} of {len(self.told.members)} that could not be: {first}"
            more = f"; and {len(others)} more" if others else ""
            raise RunError(f"{self.folder}: expected to train every network, got {got}{more}")
        if all(result.end != DONE for result in self.results.values()):
            raise Diverged(f"{self.folder}: every network diverged; begin anew at a lower rate")

    def report(self) -> str:
        """The table of all members, and the best of them by validation as a command that repeats it."""
        told, results = self.told, self.results
        heads = [*(told.varying or ("seed",)), "epochs", "validation errors", "loss", "test errors", "time"]
        rows = [_cells(told, config, results.get(name, FAILED)) for name, config in told.members.items()]
        text = "\n" + _table(heads, rows)
        scored = [
            (result.validation_errors, result.validation_loss, name)
            for name, result in results.items()
            if result.end == DONE and result.epochs and not told.members[name].train_on_all
        ]
        if any(config.train_on_all for config in told.members.values()):
            text += "\n\nwith --train_on_all the validation images are trained on too, and say nothing of which is best"
        if scored:
            *_, best = min(scored)
            where = [shlex.quote(f"--data_dir={told.data_dir}")] if told.data_dir else []
            command = ["python", "-m", "jaxmlp.train", *told.members[best].flags, *where]
            text += f"\n\nthe best by validation is {best}; to repeat it:\n{' '.join(command)}"
        return text


class _Writing(NamedTuple):
    """The folder of a member under way."""

    name: str
    writer: RunWriter
    held: ExitStack  # its lock


def _left_out(told: Told) -> str:
    left_out = told.left_out
    reasons = list(dict.fromkeys(left_out.values()))
    more = f"; and {len(reasons) - MOST_REASONS} reasons more" if len(reasons) > MOST_REASONS else ""
    return (
        f"{len(left_out):,} of {len(left_out) + len(told.members):,} combinations cannot be, and are left out: "
        f"{'; '.join(reasons[:MOST_REASONS])}{more}"
    )


def _program_line(config: Config, dataset: Dataset, n: int, program: Group) -> str:
    pixels = dataset.train.images[0].size
    return (
        f"{lines.counted(n, 'network')} {pixels}-{config.hidden}-{dataset.classes}, {config.phi}, "
        f"{min(n, program.slots)} at once; compiled in {program.compile_seconds:.1f} s"
    )


def _in_words(result: Result) -> str:
    if result.end != DONE:
        return result.end
    if result.validation_loss is None:
        return f"no epochs, {lines.counted(result.test_errors or 0, 'test error')}"
    return ", ".join(
        [
            lines.counted(result.epochs or 0, "epoch"),
            lines.counted(result.validation_errors or 0, "validation error"),
            f"loss {lines.loss(result.validation_loss)}",
            lines.counted(result.test_errors or 0, "test error"),
            f"{result.seconds:.1f} s",
        ]
    )


def _cells(told: Told, config: Config, result: Result) -> list[str]:
    options = [str(getattr(config, option)) for option in told.varying or ("seed",)]
    loss = "" if result.validation_loss is None else lines.loss(result.validation_loss)
    errors = ["" if n is None else f"{n:,}" for n in (result.validation_errors, result.test_errors)]
    epochs = "" if result.epochs is None else str(result.epochs)
    seconds = "" if result.seconds is None else f"{result.seconds:.1f} s"
    cells = [*options, epochs, errors[0], loss, errors[1], seconds]
    return cells if result.end == DONE else [*cells[:-2], result.end, seconds]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in [heads, *rows]
    )
