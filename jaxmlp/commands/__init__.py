"""What the commands share: flags, recipes and help; errors in one line; exit codes. Re-exports only."""

from jaxmlp.commands.flags import Flags
from jaxmlp.commands.start import WRONG_FLAGS, fail, start

__all__ = ["WRONG_FLAGS", "Flags", "fail", "start"]
