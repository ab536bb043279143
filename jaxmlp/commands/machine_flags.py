"""--distributed, or --coordinator_address, --num_processes and --process_id: a run of several processes."""

import contextlib
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jaxlib
import numpy as np

import jaxmlp
from jaxmlp.commands.flags import FlagError, Flags
from jaxmlp.runs import environment, machines
from jaxmlp.runs.rendezvous import Meeting

NAMES = ("coordinator_address", "num_processes", "process_id")
MOST = 1_000_000


class MachineFlags:
    """Defined among `flags`."""

    def __init__(self, flags: Flags) -> None:
        self._flags = flags
        self._distributed = flags.switch(
            "distributed", "be one process of several, as SLURM, Open MPI or a TPU pod started them"
        )
        self._address = flags.text("coordinator_address", "where process 0 waits for the others", "host:port")
        self._processes = flags.integer("num_processes", "how many processes there are", None, 1, MOST)
        self._process = flags.integer("process_id", "which of them this is, from 0", None, 0, MOST)
        self._timeout = flags.integer(
            "initialization_timeout", "seconds that the processes wait for one another to begin", 60, 1, 86_400
        )

    def join(self, told: tuple[str, ...], own: tuple[str, ...]) -> None:
        """Join the other processes, if there are to be any, and take over the flags of process 0.

        These are those of Config, of `told` and of `own`. What of the first two stands on the command line must do
        so in all processes; of the last, each may have its own. Raises FlagError, MachineError.
        """
        if not self._several():
            return
        meeting, local_devices = self._expect()
        same = {**_versions(), **self._flags.given_values(*told)}
        machines.join(meeting, local_devices, same, self._timeout.value)
        flagfile = machines.gather(self._flags.flagfile(*told, *own))[0]
        if not machines.leads():
            self._flags.take(flagfile, own)

    def expect(self, arguments: Sequence[str]) -> None:
        """Let the other processes, if there are to be any, hear why this one ends: its arguments are wrong."""
        with contextlib.suppress(FlagError):
            self._flags.parse_alone(arguments, ("distributed", *NAMES, "initialization_timeout"))
            if self._several():
                self._expect()

    def _several(self) -> bool:
        return self._distributed.value or any(value is not None for value in self._values())

    def _values(self) -> list[Any]:
        return [self._address.value, self._processes.value, self._process.value]

    def _expect(self) -> tuple[Meeting, list[int] | None]:
        """The meeting, and the numbers of this process's devices. Raises FlagError."""
        values, local_devices = self._values(), None
        if self._distributed.value:
            *values, local_devices = _detected(values, self._timeout.value)
        for name, value in zip(NAMES, values, strict=True):
            if value is None:
                expected = "a value, or --distributed under SLURM, Open MPI or on a TPU pod"
                raise FlagError(f"--{name}: expected {expected}, got none")
        address, processes, process = values
        meeting = machines.expect(_host_and_port(address), process, processes)
        if process >= processes:
            raise FlagError(f"--process_id: expected less than num_processes, which is {processes}, got {process}")
        return meeting, local_devices


def _detected(values: list[Any], seconds: int) -> tuple[Any, ...]:
    """The values of NAMES and the numbers of this process's devices: what is None as JAX finds it, if it does."""
    from jax._src import clusters  # what jax.distributed.initialize asks: here, so that we know where it listens

    detect = clusters.ClusterEnv.auto_detect_unset_distributed_params
    try:
        address, processes, process = values
        found: tuple[Any, ...] = detect(address, processes, process, None, None, seconds)
    except (KeyError, RuntimeError, ValueError) as error:
        got = f"no {error.args[0]}" if isinstance(error, KeyError) else error  # a variable that is missing
        raise FlagError(f"--distributed: expected SLURM, Open MPI or a TPU pod, got {got}") from error
    return found


def _host_and_port(address: str) -> tuple[str, int]:
    found = re.fullmatch(r"(?:([^:\[\]]+)|\[([^\[\]]+)\]):(\d{1,5})", address)  # IPv6 in brackets
    if not found or not 0 < int(found[3]) < 1 << 16:
        raise FlagError(f"--coordinator_address: expected host:port, got {address!r}")
    return found[1] or found[2], int(found[3])


def _versions() -> dict[str, str]:
    """What processes that compute together must have in common, settings of JAX included."""
    source = hashlib.sha256()
    for path in sorted(Path(jaxmlp.__file__).parent.rglob("*.py")):
        source.update(path.read_bytes())
    return {
        "jaxmlp": f"{jaxmlp.__version__} of SHA-256 {source.hexdigest()[:12]}",
        "jax": jax.__version__,
        "jaxlib": jaxlib.version.__version__,
        "numpy": np.__version__,
        **{name: str(getattr(jax.config, name)) for name in environment.SETTINGS},
    }
