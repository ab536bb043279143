"""How the processes of one run find one another, before JAX connects them: one line where JAX would abort.

Process 0 waits at the coordinator's address, and there alone. Every other process connects and says who it is and
what it was told; when all have come, process 0 lets them go on, or says to all why not. The connections stay open:
the processes agree through them, and whoever ends is missed at once. What is sent is JSON, one line a message.
"""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

HELLO = 5.0  # seconds in which who connects must say who it is
PAUSE = 0.1  # seconds between two attempts to connect
LONGEST = 1 << 20  # bytes of a message


class MachineError(Exception):
    """A process of the run is missing, is lost, or differs from process 0. The text is one line."""


class Told(NamedTuple):
    """What a process knows when it comes."""

    process: int
    processes: int
    same: dict[str, Any]  # by name, what must be equal in all: versions, flags
    seconds: int  # how long to wait for the others


class Link:
    """A connection to another process. Raises OSError, EOFError or ValueError where it is none of ours."""

    def __init__(self, connected: socket.socket) -> None:
        self.address: str = connected.getsockname()[0]  # this process's own
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, seconds in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):  # a host that is cut off is missed after about 11 s
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
        self._socket, self._file = connected, connected.makefile("rwb")

    def send(self, message: Any) -> None:
        self._file.write(json.dumps(message).encode() + b"\n")
        self._file.flush()

    def receive(self, seconds: float | None = None) -> Any:
        """The next message, for which it waits so long, or for ever."""
        self._socket.settimeout(seconds)
        line = self._file.readline(LONGEST)
        self._socket.settimeout(None)
        if not line.endswith(b"\n"):
            raise EOFError
        return json.loads(line)

    def __iter__(self) -> Iterator[Any]:
        """Every message, until the connection ends."""
        while True:
            try:
                yield self.receive()
            except (OSError, EOFError, ValueError):
                return

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def written(address: tuple[str, int]) -> str:
    """host:port, an IPv6 host in brackets."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def meet(address: tuple[str, int], me: Told) -> list[Link]:
    """Links to processes 1, 2, ... for process 0; to process 0 alone for any other. Raises MachineError."""
    return _await_all(address, me) if me.process == 0 else [_connect(address, me)]


def difference(process: int, same: dict[str, Any], other: dict[str, Any]) -> str | None:
    """The first of what must be the `same` that is not, in words; None if there is none."""
    for name in sorted({*same, *other}):
        if same.get(name) != other.get(name):
            expected, got = (json.dumps(known[name]) if name in known else "none" for known in (same, other))
            return f"process {process}: expected {name} {expected}, as process 0 has it, got {got}"
    return None


def _await_all(address: tuple[str, int], me: Told) -> list[Link]:
    deadline = time.monotonic() + me.seconds
    links: dict[int, Link] = {}
    doubles: list[Link] = []
    wrong = ""
    try:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        server = socket.create_server(address, family=family)
    except OSError as error:
        expected = "a free address of this machine, which is process 0"
        raise MachineError(f"{_at(address)}: expected {expected}, got {_reason(error)}") from error
    with server:
        while len(links) < me.processes - 1:
            server.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                link = Link(server.accept()[0])
            except TimeoutError:
                missing = ", ".join(str(i) for i in range(1, me.processes) if i not in links)
                expected = f"{me.processes} processes within {me.seconds} s"
                wrong = wrong or f"expected {expected}, got none with --process_id={missing}"
                break
            try:
                came = Told(*link.receive(HELLO))
                found = _wrong(came, me, links)
            except Exception:  # a stranger, who may send anything
                link.close()
                continue
            if found and not wrong:
                wrong = found
                deadline = min(deadline, time.monotonic() + HELLO)  # the others shall hear of it too
            if came.process in links:
                doubles.append(link)
            else:
                links[came.process] = link
    for link in [*links.values(), *doubles]:
        with contextlib.suppress(OSError):  # it has gone already: the next who needs it will notice
            link.send(wrong)
        if wrong:
            link.close()
    if wrong:
        raise MachineError(wrong)
    return [links[i] for i in sorted(links)]


def _wrong(came: Told, me: Told, links: dict[int, Link]) -> str | None:
    if came.processes != me.processes:
        return f"--num_processes: expected {me.processes}, as process 0 has it, got {came.processes}"
    if came.process in links:
        return f"--process_id: expected each of 0 to {me.processes - 1} once, got {came.process} again"
    return difference(came.process, me.same, came.same)


def _connect(address: tuple[str, int], me: Told) -> Link:
    deadline = time.monotonic() + me.seconds
    while True:
        try:
            link = Link(socket.create_connection(address, timeout=max(deadline - time.monotonic(), 0.01)))
            break
        except OSError as error:  # process 0 is not there yet
            if time.monotonic() + PAUSE > deadline:
                expected = f"process 0 within {me.seconds} s"
                raise MachineError(f"{_at(address)}: expected {expected}, got {_reason(error)}") from error
            time.sleep(PAUSE)
    try:
        link.send(me)
        why = link.receive(me.seconds + 2 * HELLO)
        if why == "":
            return link
    except (OSError, EOFError, ValueError) as error:
        got = f"another program, its end, or a run that has its process {me.process} already"
        link.close()
        raise MachineError(f"{_at(address)}: expected process 0, got {got}") from error
    link.close()
    raise MachineError(str(why))


def _at(address: tuple[str, int]) -> str:
    return f"--coordinator_address={written(address)}"


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).partition(" (while")[0]  # what Python adds says the address again
