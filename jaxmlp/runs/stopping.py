"""SIGTERM and Ctrl-C: the first asks a run to stop once it has saved, the second ends the process at once."""

import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from jaxmlp.runs import machines

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):
    """A run that ended early because a signal asked it to, with everything saved."""

    def __init__(self, signum: int, text: str) -> None:
        super().__init__(text)
        self.signum = signum


class StopRequest:
    """Whether a signal has asked for the end: `signum` is the signal's number, None until then."""

    signum: int | None = None
    how_to_go_on = ""  # what is said when a second signal ends the process at once

    @property
    def asked(self) -> bool:
        """Whether a signal has come, to this process or to another of its run."""
        return any(signum is not None for signum in machines.gather(self.signum))

    def check(self, text: str) -> None:
        """Raise Stopped with this text if a signal has come, to this process or to another of its run."""
        for signum in machines.gather(self.signum):
            if signum is not None:
                raise Stopped(signum, text)


def heed_signals(work: Callable[[StopRequest], None]) -> None:
    """Call `work` with a StopRequest that SIGTERM and Ctrl-C fulfil; a second one ends the process, code 128 + n.

    `work` runs in a thread of its own, so that a signal is heard while it compiles or waits for the device.
    """
    request = StopRequest()

    def ask(signum: int, frame: object) -> None:
        if request.signum is not None:
            os.write(sys.stderr.fileno(), f"\nleft at once; {request.how_to_go_on}\n".encode())
            os._exit(128 + signum)
        request.signum = signum
        os.write(sys.stderr.fileno(), b"\nstopping after this epoch; once more to leave at once\n")

    before = {signum: signal.signal(signum, ask) for signum in SIGNALS}
    try:
        with ThreadPoolExecutor(max_workers=1) as thread:
            thread.submit(work, request).result()
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
