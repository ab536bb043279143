"""What the processes of a run say to one another: JSON, one line a message, over connections that stay open."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

LONGEST = 1 << 20  # bytes of a message


class Strange(ValueError):
    """No message: the connection has ended, or what was `said` is none of ours."""

    def __init__(self, said: bytes) -> None:
        super().__init__(said)
        self.said = said


class Link:
    """A connection to another process."""

    def __init__(self, connected: socket.socket) -> None:
        self.address: str = connected.getsockname()[0]  # this process's own
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, seconds in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):  # a host that is cut off is missed after about 11 s
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
        self._socket, self._unread = connected, b""

    def send(self, message: Any) -> None:
        """Raises OSError if the other has ended."""
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, seconds: float | None = None) -> Any:
        """The next message, for which it waits so long in all, or for ever. Raises Strange."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self.whole:
            self.read(None if deadline is None else max(deadline - time.monotonic(), 0.001))
        said, _, self._unread = self._unread.partition(b"\n")
        try:
            return json.loads(said)
        except (ValueError, RecursionError) as error:
            raise Strange(said) from error

    @property
    def whole(self) -> bool:
        """Whether a message has come as a whole."""
        return b"\n" in self._unread

    def read(self, seconds: float | None) -> None:
        """Some of what the other says, as soon as it comes. Raises Strange if nothing does."""
        try:
            self._socket.settimeout(seconds)
            more = self._socket.recv(LONGEST)
            self._socket.settimeout(None)
        except OSError as error:
            raise Strange(self._unread) from error
        self._unread += more
        if not more or len(self._unread) > LONGEST:
            raise Strange(self._unread)

    def __iter__(self) -> Iterator[Any]:
        """Every message, until the connection ends."""
        while True:
            try:
                yield self.receive()
            except Strange:
                return

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()


def written(address: tuple[str, int]) -> str:
    """host:port, an IPv6 host in brackets."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def farewell(words: str, after: float | None) -> dict[str, Any]:
    """The last message of a process: others end by these words `after` so many seconds, for None by themselves."""
    return {"words": words, "after": after}


def lost(process: int) -> str:
    """What is said of a process that has ended without a farewell."""
    return f"process {process}: expected to go on, got the end of its connection: killed or cut off"
