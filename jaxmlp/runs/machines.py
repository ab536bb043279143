"""A run of several processes, on one machine or many: joining, agreeing, leaving.

Every process runs the same program on its own devices, and JAX adds up what they compute. Each comes to every
`gather`, to all that is `led` and to every collective operation in the same order. Process 0 leads: it alone reads
and writes the run directory and prints. When one ends, all do, in one line each.

In a run of one process, everything here is a plain call.
"""

import contextlib
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial, wraps
from queue import SimpleQueue
from typing import Any, TypeVar

import jax

from jaxmlp import interrupts
from jaxmlp.runs import rendezvous
from jaxmlp.runs.links import Link, farewell, lost, written
from jaxmlp.runs.rendezvous import MachineError, Meeting

HEARTBEAT = 10  # seconds without a sign of life after which JAX ends a run
LEAVING = 5.0  # seconds that a process which leaves waits for the others to do so too
GRACE = 3.0  # seconds after which a process follows another that has failed
STATUS = re.compile("[A-Z_]+: ")  # how a ValueError of XLA's begins, for a connection that broke: "UNKNOWN: Gloo"
LOST = 4  # the exit code when a process is missing, lost or different

F = TypeVar("F", bound=Callable[..., Any])


class _Group:
    """The processes of a run, as one of them sees them."""

    def __init__(self, process: int, links: list[Link]) -> None:
        self.process, self.links = process, links
        self.leading = False  # whether it does what is `led`, while the others wait
        self.inboxes: list[SimpleQueue[Any]] = [SimpleQueue() for _ in links]
        self.left = [threading.Event() for _ in links]
        self.ended = [threading.Event() for _ in links]
        self.last_words = threading.Lock()  # held by the thread that ends this process
        for i in range(len(links)):
            threading.Thread(target=self._listen, args=(i,), daemon=True).start()

    def _listen(self, i: int) -> None:
        for message in self.links[i]:
            if "value" in message:
                self.inboxes[i].put(message["value"])
                continue
            self.left[i].set()
            if message["after"] is not None:
                threading.Timer(message["after"], self._follow, [message["words"]]).start()
        self.ended[i].set()
        if not self.left[i].is_set():
            self.left[i].set()
            self._follow(lost(i + 1 if self.process == 0 else 0))

    def _follow(self, words: str) -> None:
        """End this process as another has ended, unless it is ending already."""
        if self.last_words.acquire(blocking=False):
            print(f"error: {words}", file=sys.stderr, flush=True)
            leave(LOST, words)

    def lead(self, work: Callable[[], Any]) -> Any:
        self.leading = True
        try:
            return work()
        finally:
            self.leading = False

    def tell(self, link: Link, value: Any) -> None:
        with contextlib.suppress(OSError):  # its process has ended, which _listen notices
            link.send({"value": value})

    def leave(self, words: str, after: float | None) -> None:
        """Tell the others, and wait for them: process 0, with which JAX's coordinator ends, goes last.

        They follow `after` so many seconds, or for None by themselves.
        """
        deadline = time.monotonic() + LEAVING
        for link in self.links:
            with contextlib.suppress(OSError):
                link.send(farewell(words, after))
        for event in self.ended if self.process == 0 else self.left:
            event.wait(max(deadline - time.monotonic(), 0))


_group: _Group | None = None
_meeting: Meeting | None = None  # while it is to come, or under way


def expect(coordinator: tuple[str, int], process: int, processes: int) -> Meeting:
    """Make this process number `process` of a run of so many, which meet at the (host, port) of process 0.

    From now on, if it ends, the others hear why.
    """
    global _meeting
    _meeting = rendezvous.meeting(coordinator, process, processes)
    return _meeting


def join(meeting: Meeting, local_devices: list[int] | None, same: dict[str, Any], seconds: int) -> None:
    """Meet the other processes and let JAX connect them, before it looks for its devices.

    `same` is what must be equal in all processes, by name, and `seconds` how long to wait for them. Raises
    MachineError, and Terminated by SIGTERM.
    """
    global _group, _meeting
    try:
        with interrupts.sigterm_raises():
            links = meeting.meet(same, seconds)
            _group = _Group(meeting.process, links)
    except MachineError:
        _meeting = None  # all that came have been told
        raise
    _meeting = None
    _mute(meeting.process)
    set_option: Any = jax.config.update
    set_option("jax_enable_preemption_service", False)  # which would take SIGTERM for itself
    if meeting.process:
        time.sleep(2 * rendezvous.PAUSE)  # if JAX's coordinator is not there yet, it is asked again after a second
    address = written(meeting.address)
    jax.distributed.initialize(
        address,
        meeting.processes,
        meeting.process,
        local_devices,
        cluster_detection_method="deactivate",
        initialization_timeout=seconds,
        heartbeat_timeout_seconds=HEARTBEAT,
        coordinator_bind_address=address,  # by default it listens on every address of the machine
    )
    if links:
        _bind_gloo(links[0].address)


def joined() -> bool:
    """Whether this is one process of several."""
    return _group is not None


def leads() -> bool:
    """Whether this is process 0, or the only one."""
    return _group is None or _group.process == 0


def gather(value: Any) -> list[Any]:
    """The value of every process, in their order. It is made of what JSON has."""
    if _group is None or _group.leading:
        return [value]
    if _group.process == 0:
        values = [value, *(inbox.get() for inbox in _group.inboxes)]
        for link in _group.links:
            _group.tell(link, values)
        return values
    _group.tell(_group.links[0], value)
    told: list[Any] = _group.inboxes[0].get()
    return told


def led(function: F) -> F:
    """Decorate what process 0 alone does; its result, of what JSON has, is that of all. If it fails, all end.

    Within it, all that is led or gathered is a plain call.
    """

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if _group is None or _group.leading:
            return function(*args, **kwargs)
        return gather(_group.lead(partial(function, *args, **kwargs)) if _group.process == 0 else None)[0]

    return called  # type: ignore[return-value]


def check_same(same: dict[str, Any]) -> None:
    """Raise MachineError, in every process, unless these are equal in all."""
    first, *others = gather(same)
    for process, other in enumerate(others, 1):
        if found := rendezvous.difference(process, first, other):
            raise MachineError(found)


def last_words() -> None:
    """Return to the one thread that may say why this process ends; any other waits for that end."""
    if _group is not None:
        _group.last_words.acquire()


def leave(code: int, words: str = "", everyone: bool = False) -> None:
    """End this process, unless it is the only one. `everyone`: all processes end so; else they end by these words.

    Python's own way to end would wait for the others in JAX, for minutes, and lose the exit code.
    """
    if _meeting and _group is None:
        interrupts.end_at_once()
        _meeting.excuse(f"process {_meeting.process}: {words}")
    if _group is None:
        return
    if words and not everyone:
        words = words if words.startswith("process ") else f"process {_group.process}: {words}"
    # Who fails may have company: the others may come to the same by themselves, and then say so.
    _group.leave(words, None if everyone else 0 if code == LOST else GRACE)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


@contextlib.contextmanager
def leaving() -> Iterator[None]:
    """Around all that a process does: however that ends, the process leaves, unless it is the only one."""
    try:
        yield
    except BaseException as error:
        if joined():
            last_words()
            if isinstance(error, SystemExit):
                code = int(error.code or 0)
                leave(code, "expected to go on, got its end", everyone=code == 0)
            traceback.print_exc()
            leave(1, f"expected no error in the program, got {error!r}")
        raise


def may_be_lost(error: Exception) -> bool:
    """Whether it is one of the two errors of JAX that the loss of another process may cause."""
    return joined() and (isinstance(error, jax.errors.JaxRuntimeError) or bool(STATUS.match(str(error))))


def blamed(error: Exception) -> str:
    """What to say of an error of JAX's that the loss of another process may cause, unless that is noticed first."""
    time.sleep(LEAVING)
    return f"expected all processes to go on, got {str(error).splitlines()[0]}"


def _mute(process: int) -> None:
    """Let process 0 alone write on standard output, and it not what Gloo, in C++, prints there."""
    kept = os.dup(sys.stdout.fileno())
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if process == 0:
        sys.stdout = os.fdopen(kept, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)


def _bind_gloo(address: str) -> None:
    """Let Gloo, through which CPUs add up, listen on this address: the one that leads to process 0.

    Else it takes that of the machine's name: another than was asked for, or, where the name is of 127.0.1.1, one
    that no other machine reaches. JAX has no public option for it.
    """
    from jax._src import distributed, xla_bridge
    from jax._src.lib import _jax  # type: ignore[attr-defined]

    collectives = _jax.make_gloo_tcp_collectives(distributed.global_state.client, hostname=address)
    xla_bridge.register_backend_factory(
        "cpu", partial(xla_bridge.make_cpu_client, collectives=collectives), fail_quietly=False
    )
