"""Many networks side by side, in one program.

The program has slots, each of them a network's. On a CPU a device, of one core, has one slot; a GPU or TPU has
many, which go through `vmap`. A network stays in its slot until it ends, and then the next one takes it: what slots
have in common is what is compiled, and each may be at an epoch of its own.

    group = members.prepare(config, dataset, mesh, count)
    for step in members.fit(group, waiting):
        ...

Every number is that of `loop.fit`, up to rounding: train_epoch and evaluate are the same functions. A private
network has a program of its own, for the length of its batches is drawn from its secret.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from jaxmlp.data.datasets import Dataset, Split
from jaxmlp.inputs.pixel_grid import Grid
from jaxmlp.network import Params
from jaxmlp.training import blocked, devices, loop
from jaxmlp.training.config import Config
from jaxmlp.training.epoch import EpochInput, Seen, State, Tuning, train_epoch
from jaxmlp.training.loop import Diverged, Metrics
from jaxmlp.training.optimizers import optimizer_of
from jaxmlp.training.privacy.account import Account, account_of
from jaxmlp.training.privacy.sampling import Sampling
from jaxmlp.training.validation import Score, evaluate

# What of a config only the host reads, so that the networks of a program may differ in it.
FREE = ("seed", "learning_rate", "schedule", "warmup_epochs", "epochs", "patience", "distortion_end")

MOST_ON_A_DEVICE = 64  # which bounds the memory: each needs a copy of the training images in its own order


class Member(NamedTuple):
    """A network and how far it has come."""

    config: Config
    state: State  # arrays of the host
    history: tuple[Metrics, ...]  # a record an epoch


class Step(NamedTuple):
    """What an epoch made of a member."""

    member: Member  # after the epoch; of one that diverged, before
    test_errors: int | None = None  # once it is done
    diverged: Diverged | None = None

    @property
    def ended(self) -> bool:
        """Whether it makes place for the next."""
        return self.done or self.diverged is not None

    @property
    def done(self) -> bool:
        """Whether it has trained to its end."""
        return self.diverged is None and loop.ended(self.member.config, self.member.history)


@dataclass(frozen=True)
class Group:
    """The program of networks of one `compiled` config, and their data on its devices. Made by `prepare`."""

    slots: int
    program: jax.stages.Compiled  # an epoch of every slot
    first: Callable[[Config], State]  # a member's state before its first epoch, on the host
    place: Callable[[Sequence[State]], State]  # one for each slot
    train: Callable[[State, Sequence[tuple[Config, int]]], tuple[State, Seen]]  # for each slot its epoch, from 0
    validate: Callable[[State], Score]  # of each slot
    test: Callable[[Sequence[State]], list[int]]  # test errors of so many states of the host
    examples: int  # trained on in an epoch
    validation_examples: int
    compile_seconds: float
    account: Account | None  # of a private network


def compiled(config: Config) -> Config:
    """What of the config is compiled: those of which this is equal train in one program."""
    return replace(config, **{name: getattr(Config, name) for name in FREE})


def prepare(config: Config, dataset: Dataset, mesh: Mesh, count: int, secret: bytes | None = None) -> Group:
    """Put the data, already prepared by the config's view, on the mesh and compile for `count` networks.

    The mesh is of devices.members_mesh, the config that of any of the networks. A private one is alone, with its
    secret.
    """
    examples, *size = dataset.train.images.shape
    sampling = Sampling.of(config, examples, secret) if secret else None
    account = account_of(config, examples) if config.private else None
    config = compiled(config)
    platform = mesh.devices.flat[0].platform
    slots = mesh.size * _on_each(platform, -(-count // mesh.size))
    tuning = Tuning(batches_per_block=blocked.batches_per_block(config, platform))

    def first(config: Config) -> State:
        drawn = loop.first_params(config.seed, size[0] * size[1], config.hidden, dataset.classes)
        params = jax.tree.map(lambda leaf: np.asarray(leaf, jax.dtypes.canonicalize_dtype(leaf.dtype)), drawn)
        state: State = jax.tree.map(np.asarray, State(params, optimizer_of(config).init(params)))
        return state

    def place(states: Sequence[State]) -> State:
        state: State = devices.place_members(states, mesh)
        return state

    def score_of_one(params: Params, images: jax.Array, labels: jax.Array) -> Score:
        score: Score = evaluate(params, images, labels, phi=config.activation, view=config.view, size=tuple(size))
        return score

    score = jax.jit(devices.of_each_member(score_of_one, mesh))

    def scorer(split: Split) -> Callable[[State], Score]:
        data = loop.placed(split, mesh)
        return lambda state: score(state.params, *data)

    def epoch_input(epochs: Sequence[tuple[Config, int]]) -> Any:
        return devices.place_members([loop.of_epoch(*of_slot, examples, sampling) for of_slot in epochs], mesh)

    started = time.perf_counter()
    train_data = loop.placed(dataset.train, mesh)
    state = place([first(config)] * slots)
    epoch = epoch_of_each(config, tuning, tuple(size), mesh, dataset.grid)
    program = epoch.lower(state, epoch_input([(config, 0)] * slots), *train_data).compile()
    validate, score_on_test = scorer(dataset.validation), scorer(dataset.test)
    validate(state)  # compiles it, and the test's too where the sizes are equal
    compile_seconds = time.perf_counter() - started

    def train(state: State, epochs: Sequence[tuple[Config, int]]) -> tuple[State, Seen]:
        result: tuple[State, Seen] = program(state, epoch_input(epochs), *train_data)
        return result

    def test(states: Sequence[State]) -> list[int]:
        errors: list[int] = []
        for start in range(0, len(states), slots):
            some = list(states[start : start + slots])
            scores = score_on_test(place(some + some[:1] * (slots - len(some))))
            errors += np.asarray(devices.whole(scores.errors))[: len(some)].tolist()
        return errors

    return Group(
        slots,
        program,
        first,
        place,
        train,
        validate,
        test,
        examples,
        len(dataset.validation.labels),
        compile_seconds,
        account,
    )


def epoch_of_each(
    config: Config, tuning: Tuning, size: tuple[int, int], mesh: Mesh, grid: Grid | None = None
) -> Any:
    """The program, jitted: of each slot its State and what loop.of_epoch gives, and the data, to (State, Seen)."""

    def epoch_of_one(member: Any, images: jax.Array, labels: jax.Array) -> tuple[State, Seen]:
        state, of_epoch = member
        inputs = EpochInput(images, labels, *of_epoch)
        result: tuple[State, Seen] = train_epoch(state, inputs, config, tuning, size, grid)
        return result

    @partial(jax.jit, donate_argnums=0)
    def epoch(state: State, of_epochs: Any, images: jax.Array, labels: jax.Array) -> tuple[State, Seen]:
        result: tuple[State, Seen] = devices.of_each_member(epoch_of_one, mesh)((state, of_epochs), images, labels)
        return result

    return epoch


def _on_each(platform: str, wanted: int) -> int:
    """The slots of a device. On a CPU `vmap` makes slower products: one network after another is faster there."""
    return 1 if platform == "cpu" else min(wanted, MOST_ON_A_DEVICE)


def fit(
    group: Group, waiting: Iterator[Member], go_on: Callable[[], bool] = lambda: True
) -> Generator[Step, None, None]:
    """Train the members that wait, none of which has ended, and yield a step for every epoch of each.

    One that has ended, or diverged, makes place for the next. While steps are yielded, to be saved, the devices are
    at the next epoch already, unless `go_on` said no before it: then what is done is yielded, and nothing more.
    To be closed by who leaves early: that waits for the devices.
    """
    slots: list[Member | None] = [None] * group.slots
    steps: list[Step] = []
    state: State | None = None
    while go_on():
        for slot, member in enumerate(slots):
            if member is None and (newcomer := next(waiting, None)):
                slots[slot], state = newcomer, None
        busy = next(filter(None, slots), None)
        if busy is None:
            break
        filled = [member or busy for member in slots]  # an empty slot does what another does, for nothing
        if state is None:
            state = group.place([member.state for member in filled])
        started = time.perf_counter()
        state, seen = group.train(state, [(member.config, len(member.history)) for member in filled])
        try:
            yield from steps
        finally:
            seen.loss.block_until_ready()  # also if it is closed: Python crashes if it ends with a device at work
        seconds = time.perf_counter() - started
        of_slots = _steps(group, slots, state, seen, seconds)
        steps = [step for step in of_slots if step]
        slots = [step.member if step and not step.ended else None for step in of_slots]
    yield from steps


def _steps(
    group: Group, slots: Sequence[Member | None], state: State, seen: Seen, seconds: float
) -> list[Step | None]:
    """The step of each slot, None of an empty one."""
    states, seens, scores = map(devices.members_of, (state, seen, group.validate(state)))
    steps = [
        _step(group, member, of_member, seen_by_it, score, seconds) if member else None
        for member, of_member, seen_by_it, score in zip(slots, states, seens, scores, strict=True)
    ]
    errors = iter(group.test([step.member.state for step in steps if step and step.done]))
    return [step._replace(test_errors=next(errors)) if step and step.done else step for step in steps]


def _step(group: Group, member: Member, state: State, seen: Seen, score: Score, seconds: float) -> Step:
    config, _, history = member
    sizes = group.examples, group.validation_examples
    try:
        metrics = loop.measured(len(history), seen, score, seconds, *sizes)
    except Diverged as error:
        return Step(member, diverged=error)
    if group.account:
        metrics = metrics._replace(epsilon=group.account.epsilon(metrics.epoch))
    return Step(Member(config, state, (*history, metrics)))
