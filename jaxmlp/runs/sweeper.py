"""Many runs at once: each an ordinary run directory, and a table of what came of them."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh
from tqdm import tqdm

from jaxmlp.data import datasets
from jaxmlp.data.datasets import Dataset
from jaxmlp.inputs.view import View
from jaxmlp.runs import environment, lines, machines, run_directory, run_writer, sweep_directory, sweep_lines
from jaxmlp.runs.checkpoint import CheckpointError
from jaxmlp.runs.run_directory import RunError, RunWarning
from jaxmlp.runs.run_writer import RunWriter, Saved
from jaxmlp.runs.stopping import StopRequest
from jaxmlp.runs.sweep_directory import DONE, Result
from jaxmlp.training import devices, loop, members
from jaxmlp.training.augmentation import grid_of, prepared
from jaxmlp.training.config import Config, ConfigError
from jaxmlp.training.loop import Diverged
from jaxmlp.training.members import Member, Step


class Told(NamedTuple):
    """What a sweep is told."""

    members: Mapping[str, Config]  # by the name of the folder of each
    asked: Mapping[str, Mapping[str, Any]]  # of each, the values of the options in which they differ
    data_dir: Path | None
    flags: str  # the text of its flags.txt
    flags_of: Callable[[Config], str]  # that of a member's
    left_out: Mapping[str, str] = {}  # why some combinations of options are no members, by their names


def sweep(
    told: Told, run_dir: Path | None, stop: StopRequest, recipe: str = "sweep", device_count: int = 0
) -> None:
    """Train the networks, side by side where one program can, and save each to a folder of its own in `run_dir`.

    A sweep that exists is gone on with; without `run_dir` it is a new runs/<time>-<recipe>. The networks are spread
    over `device_count` devices, for 0 over all. One that diverges, or cannot be trained since its checkpoints are
    damaged or another process trains it, is told of and stops no other. Prints a line for each network that ends,
    on a terminal also a progress bar, and at the end the table. Raises DataError, ConfigError, MissingExtra,
    FileError, RunError, also if some could not be trained, Diverged if every network did, and Stopped once `stop`
    is asked for.
    """
    loaded = {
        all_images: datasets.load(told.data_dir, all_images)
        for all_images in {config.train_on_all for config in told.members.values()}
    }
    machines.check_same(
        {
            "number of devices": jax.local_device_count(),
            **{f"{name} of SHA-256": digest for name, digest in next(iter(loaded.values())).sha256.items()},
        }
    )
    told = _possible(told, loaded)
    privacy = _privacy(told, loaded)
    mesh = devices.members_mesh(device_count, len(told.members))
    run_dir = run_dir or run_writer.fresh(recipe)
    with sweep_directory.opened(run_dir):
        under_way = _Sweep(told, run_dir, stop, loaded)
        under_way.begin()
        print("\n".join([lines.on_devices(mesh), *under_way.header(), *privacy, f"sweep: {run_dir}"]), flush=True)
        disable = None if machines.leads() else True
        with tqdm(total=under_way.epochs_left, unit="epoch", leave=False, disable=disable) as bar:
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
        self.environment = environment.describe(devices.first_device())  # where each is whole, as in `train`
        self._last: tuple[tuple[bool, View, bool, bool], Dataset] | None = None

    @property
    def left(self) -> dict[str, Config]:
        """The members that are to be trained."""
        ended = self.results.keys() | self.failed.keys()
        return {name: config for name, config in self.told.members.items() if name not in ended}

    @property
    def epochs_left(self) -> int:
        return sum(config.epochs for config in self.left.values())

    def begin(self) -> None:
        """Look what is there, and write what is told.

        Raises ConfigError, RunError, FileError.
        """
        ends = sweep_directory.ends(self.folder) if machines.leads() else {}
        for name, config in self.told.members.items():
            found = self._look(name, config, ends.get(name, ""))
            if isinstance(found, str):
                self.failed[name] = found
            elif found:
                self.results[name] = Result(*found)
        self._refuse()
        if dropped := [name for name in ends if name not in self.told.members]:
            text = f"{self.folder}: {', '.join(dropped)} stay, but are no longer in its table"
            warnings.warn(text, RunWarning, stacklevel=1)
        sweep_directory.save_flags(self.folder, self.told.flags)
        self._save()
        self.stop.how_to_go_on = f"--run_dir={self.folder} goes on from the last epochs that were saved"

    @machines.led
    def _look(self, name: str, config: Config, end: str) -> Result | str | None:
        """How a member has ended: by its folder, or, if it diverged, by its `end` in the table; why it cannot be
        trained; None if it can.
        """
        writer = RunWriter(self.folder / name)
        if writer.path.exists() and not writer.path.is_dir():
            return f"{writer.path}: expected the folder of a run, got a file"
        try:
            if not writer.check(config, self._dataset(config).sha256):
                return None
            history = run_directory.newest_history(writer.path)
            test = writer.tested(config)
        except (CheckpointError, ConfigError, RunError) as error:
            return str(error)
        if test and test["epoch"] == len(history):  # else its last checkpoint is damaged
            return sweep_directory.result(history, test["errors"], DONE)
        return sweep_directory.result(history, None, end) if end not in ("", DONE) else None

    @machines.led
    def _refuse(self) -> None:
        """Raise what is wrong with the first member that has begun, if something is with all that have."""
        begun = [name for name in self.told.members if (self.folder / name / run_directory.CONFIG).exists()]
        if begun and self.failed.keys() >= set(begun):
            config = self.told.members[begun[0]]
            RunWriter(self.folder / begun[0]).check(config, self._dataset(config).sha256)

    def _not_trained(self, name: str) -> str:
        return f"{name}: {sweep_lines.NOT_TRAINED}: {self.failed[name]}"

    def header(self) -> list[str]:
        """What there is to do, in lines."""
        told, results = self.told, self.results
        header = [sweep_lines.networks(told.asked, results)]
        if told.left_out:
            header.append(sweep_lines.left_out(told.left_out, len(told.members)))
        return header + list(map(self._not_trained, self.failed))

    def groups(self) -> list[dict[str, Config]]:
        """The members that are left, those together that one program trains: a private one by itself."""
        groups: dict[tuple[Config, str], dict[str, Config]] = {}
        for name, config in self.left.items():
            groups.setdefault((members.compiled(config), name if config.private else ""), {})[name] = config
        return list(groups.values())

    def train(self, group: Mapping[str, Config], mesh: Mesh, bar: "tqdm[object]") -> None:
        """Train the members of one program to their ends."""
        stopped = f"stopped; --run_dir={self.folder} goes on from the last epochs that were saved"
        self.stop.check(stopped)
        config = next(iter(group.values()))
        dataset = self._prepared(config, bar)
        writing: dict[Config, _Writing] = {}
        with ExitStack() as all_of_them:
            newcomers = self._newcomers(group, all_of_them, bar)
            secret = None
            if config.private:
                if (alone := next(newcomers, None)) is None:
                    return
                newcomers, secret = iter([alone]), alone.writer.secret()
            program = members.prepare(config, dataset, mesh, len(group), secret)
            lines.write(bar, sweep_lines.program(config, dataset, len(group), program))

            def waiting() -> Iterator[Member]:
                for newcomer in newcomers:
                    first = program.first(newcomer.config)
                    saved = newcomer.writer.resume(first) or Saved(first, ())
                    bar.update(len(saved.history))
                    member = Member(newcomer.config, *saved)
                    if loop.ended(newcomer.config, saved.history):  # it was stopped before its test
                        (errors,) = program.test([saved.state])
                        self._end(newcomer, Step(member, errors), bar)
                    else:
                        writing[newcomer.config] = newcomer
                        yield member

            with closing(members.fit(program, waiting(), lambda: not self.stop.asked)) as steps:
                for step in steps:
                    config, state, history = step.member
                    if not step.diverged:
                        writing[config].writer.save(Saved(state, history), config)
                        bar.update()
                    if step.ended:
                        self._end(writing[config], step, bar)
        self.stop.check(stopped)

    def _newcomers(
        self, group: Mapping[str, Config], all_of_them: ExitStack, bar: "tqdm[object]"
    ) -> Iterator["_Writing"]:
        """The members that can be trained, each of them locked and claimed once it is asked for."""
        for name, config in group.items():
            held = all_of_them.enter_context(ExitStack())
            if why := self._claim(name, config, held):
                self.failed[name] = why
                bar.total -= config.epochs
                lines.write(bar, self._not_trained(name))
            else:
                yield _Writing(name, config, RunWriter(self.folder / name), held)

    @machines.led
    def _claim(self, name: str, config: Config, held: ExitStack) -> str:
        """Lock and claim the folder of a member; why that cannot be, or nothing."""
        try:
            writer = held.enter_context(run_writer.opened(self.folder / name))
            writer.claim(config, self._dataset(config).sha256, self.environment, self.told.flags_of(config))
            if config.private:
                writer.secret()
        except (ConfigError, RunError) as error:  # another process trains it, or it lacks something
            held.close()
            return str(error)
        return ""

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
        lines.write(bar, f"{len(self.results):>{len(str(n))}}/{n}  {writing.name}: {sweep_lines.result(result)}")

    def _save(self) -> None:
        sweep_directory.save(self.folder, self.told.asked, self.results)

    def _dataset(self, config: Config) -> Dataset:
        return self.loaded[config.train_on_all]

    def _prepared(self, config: Config, bar: "tqdm[object]") -> Dataset:
        """The data as the view of the config has them; those of the last group, if they are the same."""
        wanted = config.train_on_all, config.view, config.distorts, config.learned_grid
        if self._last is None or self._last[0] != wanted:
            lines.write(bar, lines.data(self._dataset(config), config))
            self._last = wanted, prepared(self._dataset(config), config)
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
        """The table of all members, and the best of them by validation."""
        told, results = self.told, self.results
        table = sweep_lines.table(told.asked, results)
        return f"\n{table}\n\n{sweep_lines.best(told.members, results, told.data_dir)}"


def _possible(told: Told, loaded: dict[bool, Dataset]) -> Told:
    """Without the members that these data do not allow. Raises ConfigError, the first of why, if none is left.

    A grid that members learn is then in `loaded`.
    """
    wrong: dict[str, ConfigError] = {}
    why_no_grid = cache(partial(_learn_grid, loaded))
    for name, config in told.members.items():
        try:
            config.check_data(loaded[config.train_on_all].train.images.shape)
            if config.learned_grid and (no_grid := why_no_grid(config.train_on_all)):
                raise no_grid
        except ConfigError as error:
            wrong[name] = error
    if len(wrong) == len(told.members):
        raise next(iter(wrong.values()))
    left_out = {name: str(why) for name, why in wrong.items()}
    return told._replace(
        members={name: config for name, config in told.members.items() if name not in wrong},
        asked={name: values for name, values in told.asked.items() if name not in wrong},
        left_out={**told.left_out, **left_out},
    )


def _learn_grid(loaded: dict[bool, Dataset], all_images: bool) -> ConfigError | None:
    """Give these data the grid that they show, or else tell why they show none."""
    try:
        loaded[all_images] = loaded[all_images]._replace(grid=grid_of(loaded[all_images]))
    except ConfigError as error:
        return error
    return None


def _privacy(told: Told, loaded: Mapping[bool, Dataset]) -> list[str]:
    """What the private members end with, each line once. Raises MissingExtra."""
    settings = dict.fromkeys(replace(config, seed=0) for config in told.members.values() if config.private)
    said = (lines.privacy(config, len(loaded[config.train_on_all].train.labels)) for config in settings)
    return list(dict.fromkeys(said))


class _Writing(NamedTuple):
    """A member under way, and its folder."""

    name: str
    config: Config
    writer: RunWriter
    held: ExitStack  # its lock
