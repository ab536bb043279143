"""How a command starts and ends: every expected error is one line on standard error, and an exit code.

0 done; 1 wrong flags, or an extra that is not installed; 2 bad data, checkpoint or run directory; 3 training
diverged; 4 of several processes one is missing, lost or different; 130 Ctrl-C; 143 SIGTERM; 141 the reader of
standard output has gone.
"""

import atexit
import gc
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jax

from jaxmlp import __version__, interrupts
from jaxmlp.commands.flags import FlagError, Flags
from jaxmlp.commands.help import help_text
from jaxmlp.data.idx import DataError
from jaxmlp.extras import MissingExtra
from jaxmlp.inspection.scoring import NetworkError
from jaxmlp.runs import machines
from jaxmlp.runs.checkpoint import CheckpointError
from jaxmlp.runs.files import FileError
from jaxmlp.runs.rendezvous import MachineError
from jaxmlp.runs.run_directory import RunError, RunWarning
from jaxmlp.runs.stopping import Stopped
from jaxmlp.training.config import ConfigError
from jaxmlp.training.loop import Diverged

WRONG_FLAGS, BAD_DATA, DIVERGED = 1, 2, 3
INTERRUPTED, READER_GONE, TERMINATED = 130, 141, 143  # 128 and the number of SIGINT, SIGPIPE, SIGTERM


def start(
    main: Callable[..., None],
    flags: Flags,
    arguments: Sequence[str] | None = None,
    set_up: Callable[[], None] = lambda: None,
    refused: Callable[[Sequence[str]], None] = lambda arguments: None,
) -> NoReturn:
    """Parse the arguments, by default the command line's, call `main` with those that are no flags, and exit.

    `set_up` is called before JAX looks for its devices; `refused`, with arguments that are wrong, before the end.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGINT, signal.default_int_handler)  # imports are over: see jaxmlp/interrupts.py
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # the shell has closed it
            setattr(sys, stream, Path(os.devnull).open("w"))  # noqa: SIM115 (for as long as the process runs)
        getattr(sys, stream).reconfigure(errors="backslashreplace")  # a name that cannot be shown is no error
    warnings.showwarning = _show_warning
    atexit.register(gc.freeze)  # or Python walks all of JAX once more before it ends: 0.1 s and more
    with machines.leaving():
        guarded(lambda: _run(main, flags, arguments, set_up, refused))
        sys.exit(0)


def _run(
    main: Callable[..., None],
    flags: Flags,
    arguments: Sequence[str],
    set_up: Callable[[], None],
    refused: Callable[[Sequence[str]], None],
) -> None:
    if {"-h", "-help", "--help"} & set(arguments):
        print(help_text(flags))
        return
    if "--version" in arguments:
        print(f"jaxmlp {__version__}, jax {jax.__version__}")
        return
    try:
        operands = flags.parse(arguments)
    except FlagError:
        refused(arguments)
        raise
    set_up()
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the second where JAX knows no such platform
        wanted = os.environ.get("JAX_PLATFORMS") or "JAX's choice"
        fail(f"JAX_PLATFORMS: expected a platform with a device, got {wanted} {error}", WRONG_FLAGS)
    main(*operands)


def guarded(work: Callable[[], None]) -> None:
    """`work` until all that it printed has left; its expected errors end the process."""
    try:
        try:
            work()
        finally:
            sys.stdout.flush()
    except ConfigError as error:
        fail(f"--{error}", WRONG_FLAGS)
    except (FlagError, MissingExtra) as error:
        fail(str(error), WRONG_FLAGS)
    except (DataError, NetworkError, CheckpointError, RunError, FileError) as error:
        fail(str(error), BAD_DATA)
    except Diverged as error:
        fail(str(error), DIVERGED, everyone=True)
    except MachineError as error:
        fail(str(error), machines.LOST, everyone=True)
    except Stopped as error:  # as asked: no error
        machines.last_words()
        print(error, file=sys.stderr)
        machines.leave(128 + error.signum, everyone=True)
        sys.exit(128 + error.signum)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)
    except interrupts.Terminated:
        fail("terminated", TERMINATED)
    except (MemoryError, ValueError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            fail(f"expected a network and a batch that fit, got {str(error) or 'out of memory'}", WRONG_FLAGS)
        if not machines.may_be_lost(error):
            raise
        fail(machines.blamed(error), machines.LOST)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again at exit
        if isinstance(error, BrokenPipeError):
            sys.exit(READER_GONE)
        fail(f"{error.filename or 'standard output'}: expected a file that works, got {error.strerror}", BAD_DATA)


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    """Ours as one line; anyone else's as Python does."""
    ours = issubclass(category, RunWarning)
    text = f"warning: {message}\n" if ours else warnings.formatwarning(message, category, filename, lineno, line)
    print(text, end="", file=sys.stderr, flush=True)


def fail(message: str, code: int, everyone: bool = False) -> NoReturn:
    """Print the message as one line and exit. Of several processes the others end too, `everyone` by themselves."""
    machines.last_words()
    complain(message)
    machines.leave(code, message, everyone)
    sys.exit(code)


def complain(message: str) -> None:
    """Print the message as one line."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
