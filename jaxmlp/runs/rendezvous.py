"""How the processes of one run find one another, before JAX connects them: one line where JAX would abort.

Process 0 waits at the coordinator's address, and there alone. Every other process connects and says who it is and
what it was told; when all have come, process 0 lets them go on, or says to all why not. Who cannot come says that
instead, process 0 too. The connections stay open: the processes agree through them, and whoever ends is missed at
once.
"""

import contextlib
import json
import selectors
import socket
import time
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from jaxmlp.runs.links import Link, Strange, farewell, lost, written

HELLO = 5.0  # seconds in which who connects must say who it is
FAREWELL = 5.0  # seconds in which the others are told why all must end
PAUSE = 0.1  # seconds between two attempts to connect
STRANGERS = 100  # beside the processes, who may be at the door at once; of more the first is sent away
HTTP2 = b"\x04\0\0\0\0\0"  # what JAX's coordinator says first, after three bytes: settings, in a frame of HTTP/2


class MachineError(Exception):
    """A process of the run is missing, is lost, or differs from process 0. The text is one line."""


class Told(NamedTuple):
    """What a process knows when it comes."""

    process: int
    processes: int
    same: dict[str, Any]  # by name, what must be equal in all: versions, flags
    seconds: int  # how long to wait for the others


def difference(process: int, same: dict[str, Any], other: dict[str, Any]) -> str | None:
    """The first of what must be the `same` that is not, in words; None if there is none."""
    for name in sorted({*same, *other}):
        if same.get(name) != other.get(name):
            expected, got = (json.dumps(known[name]) if name in known else "none" for known in (same, other))
            return f"process {process}: expected {name} {expected}, as process 0 has it, got {got}"
    return None


class Meeting(ABC):
    """Of one process with the others of its run, at the address of process 0."""

    def __init__(self, address: tuple[str, int], process: int, processes: int) -> None:
        self.address, self.process, self.processes = address, process, processes

    @abstractmethod
    def meet(self, same: dict[str, Any], seconds: int) -> list[Link]:
        """Links to processes 1, 2, ... for process 0; to process 0 alone for any other.

        `same` is what must be equal in all, `seconds` how long to wait. Raises MachineError.
        """

    @abstractmethod
    def excuse(self, words: str) -> None:
        """Say to the others why this process does not come, or stay. It waits for them, but not for long."""

    def _again(self, process: int) -> str:
        return f"--process_id: expected each of 0 to {self.processes - 1} once, got {process} again"


def meeting(address: tuple[str, int], process: int, processes: int) -> Meeting:
    """Of process number `process` of so many, at this (host, port)."""
    return (_Visit if process else _Door)(address, process, processes)


class _Door(Meeting):
    """Where process 0 waits for the others. They are answered together, once all have come."""

    def __init__(self, address: tuple[str, int], process: int, processes: int) -> None:
        super().__init__(address, process, processes)
        self._same: dict[str, Any] | None = None
        self._server: socket.socket | None = None
        self._strangers: dict[Link, float] = {}  # who has not said yet who it is, and until when it must
        self._links: dict[int, Link] = {}  # who has come
        self._others: list[Link] = []  # who has come in another's place, or will not come
        self._wrong = ""  # why nobody goes on
        self._deadline = 0.0

    def meet(self, same: dict[str, Any], seconds: int) -> list[Link]:
        self._same = same
        self._deadline = time.monotonic() + seconds
        try:
            all_came = self._await_all()
        except OSError as error:
            expected = "a free address of this machine, for the only --process_id=0"
            raise MachineError(f"{_at(self.address)}: expected {expected}, got {_reason(error)}") from error
        if not all_came and not self._wrong:
            missing = ", ".join(str(i) for i in range(1, self.processes) if i not in self._links)
            expected = f"{self.processes} processes within {seconds} s"
            self._wrong = f"expected {expected}, got none with --process_id={missing}"
        self._answer()
        if self._wrong:
            raise MachineError(self._wrong)
        return [self._links[i] for i in sorted(self._links)]

    def excuse(self, words: str) -> None:
        self._deadline = time.monotonic() + FAREWELL
        self._refuse(words)
        with contextlib.suppress(OSError):  # an address that is not ours: nobody hears of it
            self._await_all()
            self._answer()

    def _refuse(self, words: str) -> None:
        """Let nobody go on, by the first of such words. Those who have not come yet shall hear of it too."""
        self._wrong = self._wrong or words
        self._deadline = min(self._deadline, time.monotonic() + FAREWELL)

    def _await_all(self) -> bool:
        """Whether all have come, or said that they do not, before the deadline."""
        if self._server is None:
            family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
            self._server = socket.create_server(self.address, family=family)
        with selectors.DefaultSelector() as selector:
            selector.register(self._server, selectors.EVENT_READ)
            for process, link in self._links.items():
                selector.register(link, selectors.EVENT_READ, process)
            for link in self._strangers:
                selector.register(link, selectors.EVENT_READ, link)
            while len(self._links) + len(self._others) < self.processes - 1:
                until = min([self._deadline, *self._strangers.values()])
                ready = selector.select(max(until - time.monotonic(), 0))
                for key, _ in ready:
                    if key.data is None:
                        link = Link(self._server.accept()[0])
                        self._strangers[link] = time.monotonic() + HELLO
                        selector.register(link, selectors.EVENT_READ, link)
                    elif isinstance(key.data, int):
                        selector.unregister(key.fileobj)
                        self._lose(key.data)
                    elif self._heard(link := key.data):
                        selector.unregister(link)
                        came = self._let_in(link)
                        if came is not None:
                            selector.register(link, selectors.EVENT_READ, came)
                for link in self._unwelcome():
                    selector.unregister(link)
                    self._send_away(link)
                if time.monotonic() > self._deadline:
                    return False
        return True

    def _unwelcome(self) -> list[Link]:
        """The strangers whose time is over, and the first of too many, who would use up the open files."""
        over = sum(time.monotonic() > until for until in self._strangers.values())
        return list(self._strangers)[: max(over, len(self._strangers) - self.processes - STRANGERS)]

    def _heard(self, link: Link) -> bool:
        """Whether all has come that a stranger says, or will."""
        try:
            link.read(0)
        except Strange:
            return True
        return link.whole

    def _send_away(self, link: Link) -> None:
        del self._strangers[link]
        link.close()

    def _let_in(self, link: Link) -> int | None:
        """The number of who has come, if it has a place."""
        try:
            said = link.receive(0)
            came = None if isinstance(said, dict) else self._told(said)
            words = _words(said) if came is None else self._found_wrong(came)
        except Exception:  # no process of ours, who may send anything
            self._send_away(link)
            return None
        del self._strangers[link]
        if words:
            self._refuse(words)
        if came is None or came.process in self._links:
            self._others.append(link)
            return None
        self._links[came.process] = link
        return came.process

    def _lose(self, process: int) -> None:
        """Who has come speaks again before it is answered: to say farewell, or it has ended."""
        link = self._links.pop(process)
        self._others.append(link)
        try:
            self._refuse(_words(link.receive(min(HELLO, self._deadline - time.monotonic()))))
        except Exception:
            self._refuse(lost(process))

    def _told(self, said: Any) -> Told:
        """What another process says as it comes. Raises TypeError if it is none of ours."""
        came = Told(*said)
        numbered = type(came.process) is type(came.processes) is int and 0 < came.process < came.processes
        knows_something = not self._same or not self._same.keys().isdisjoint(came.same)
        if numbered and knows_something:
            return came
        raise TypeError(said)

    def _found_wrong(self, came: Told) -> str | None:
        if came.processes != self.processes:
            return f"--num_processes: expected {self.processes}, as process 0 has it, got {came.processes}"
        if came.process in self._links:
            return self._again(came.process)
        return None if self._same is None else difference(came.process, self._same, came.same)

    def _answer(self) -> None:
        """Let all go on, or none, and close the door."""
        for link in [*self._links.values(), *self._others]:
            with contextlib.suppress(OSError):  # it has gone already: the next who needs it will notice
                link.send(farewell(self._wrong, 0) if self._wrong else "")
            if self._wrong:
                link.close()
        if self._server:
            self._answer_late(self._server)
            self._server.close()
            self._server = None

    def _answer_late(self, server: socket.socket) -> None:
        """Those who came when nobody was missing any more: the run goes on without them."""
        server.setblocking(False)
        with contextlib.suppress(OSError):  # there are no more, or more than may be open
            while True:
                self._strangers[Link(server.accept()[0])] = 0
        until = time.monotonic() + PAUSE  # for all of them together
        for link in list(self._strangers):
            with contextlib.suppress(Exception):  # no process of ours
                came = self._told(link.receive(until - time.monotonic()))
                link.send(farewell(self._wrong or self._found_wrong(came) or "", 0))
            self._send_away(link)


class _Visit(Meeting):
    """Of any other process, to process 0."""

    _link: Link | None = None

    def meet(self, same: dict[str, Any], seconds: int) -> list[Link]:
        self._link = link = self._connect(seconds)
        try:
            with contextlib.suppress(OSError):  # it may have said why it ends
                link.send(Told(self.process, self.processes, same, seconds))
            answer = link.receive(seconds + FAREWELL + HELLO)
            if answer == "":
                return [link]
            words = _words(answer)
        except Strange as error:
            words = self._no_door(error.said, in_time=not isinstance(error.__cause__, TimeoutError))
        except TypeError:
            words = self._no_door(repr(answer).encode())
        link.close()
        raise MachineError(words)

    def excuse(self, words: str) -> None:
        with contextlib.suppress(OSError, MachineError):
            link = self._link or self._connect(FAREWELL)
            link.send(farewell(words, 0))
            link.close()

    def _connect(self, seconds: float) -> Link:
        deadline = time.monotonic() + seconds
        while True:
            try:
                wait = max(deadline - time.monotonic(), 0.01)
                return Link(socket.create_connection(self.address, timeout=wait))
            except OSError as error:  # process 0 is not there yet
                if time.monotonic() + PAUSE > deadline:
                    expected = f"process 0 within {seconds} s"
                    raise MachineError(f"{_at(self.address)}: expected {expected}, got {_reason(error)}") from error
                time.sleep(PAUSE)

    def _no_door(self, said: bytes, in_time: bool = True) -> str:
        if said[3:].startswith(HTTP2):
            return f"{self._again(self.process)}: the run at {written(self.address)} has begun"
        got = "another program" if said else "its end" if in_time else "no answer"
        return f"{_at(self.address)}: expected process 0, got {got}"


def _words(said: Any) -> str:
    """Those of a farewell. Raises TypeError if it is none."""
    if isinstance(said, dict) and said.keys() == farewell("", 0).keys() and isinstance(said["words"], str):
        return said["words"]
    raise TypeError(said)


def _at(address: tuple[str, int]) -> str:
    return f"--coordinator_address={written(address)}"


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).partition(" (while")[0]  # what Python adds says the address again
