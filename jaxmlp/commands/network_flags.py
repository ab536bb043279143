"""--run_dir and --checkpoint: the network that a command looks at."""

from pathlib import Path

from jaxmlp.commands.flags import FlagError, Flags
from jaxmlp.runs import storage
from jaxmlp.runs.storage import Network


class NetworkFlags:
    """Defined among `flags`."""

    def __init__(self, flags: Flags) -> None:
        self.run_dir = flags.path("run_dir", "a run directory, whose newest whole checkpoint is used")
        self.checkpoint = flags.path("checkpoint", "this checkpoint, or file of jaxmlp.save, not the newest")

    def read(self) -> tuple[Path, Network]:
        """The checkpoint that they ask for: its path, its network. Raises FlagError, RunError, CheckpointError."""
        if checkpoint := self.checkpoint.value:
            return checkpoint, storage.read(checkpoint)
        if not (run_dir := self.run_dir.value):
            raise FlagError("--run_dir: expected a run directory, or --checkpoint and a file, got neither")
        return storage.newest(run_dir)
