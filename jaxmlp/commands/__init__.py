"""What the commands share: flags, recipes and help; errors in one line; exit codes. Re-exports only."""

from jaxmlp.commands.flags import Flags
from jaxmlp.commands.start import BAD_DATA, WRONG_FLAGS, complain, fail, start

__all__ = ["BAD_DATA", "WRONG_FLAGS", "Flags", "complain", "fail", "start"]
