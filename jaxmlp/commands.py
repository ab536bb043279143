"""What the commands share: flags made from a config, errors in one line, exit codes.

0 done; 1 wrong flags, or an extra that is not installed; 2 bad data, checkpoint or run directory; 3 training
diverged; 130 Ctrl-C; 143 SIGTERM; 141 the reader of standard output has gone.
"""

import atexit
import contextlib
import gc
import io
import os
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import jax
from absl import app, flags, logging

from jaxmlp.data.idx import DataError
from jaxmlp.extras import MissingExtra
from jaxmlp.inspection.scoring import NetworkError
from jaxmlp.runs import storage
from jaxmlp.runs.checkpoint import CheckpointError
from jaxmlp.runs.files import FileError
from jaxmlp.runs.run_directory import FLAGS, RunError, RunWarning
from jaxmlp.runs.stopping import Stopped
from jaxmlp.runs.storage import Network
from jaxmlp.training.config import Config, ConfigError
from jaxmlp.training.loop import Diverged

flags.disclaim_key_flags()  # what is defined here belongs to the command, and shows in its --help

T = TypeVar("T")

WRONG_FLAGS, BAD_DATA, DIVERGED = 1, 2, 3
INTERRUPTED, READER_GONE = 130, 141  # 128 and the number of SIGINT, of SIGPIPE


def define_config_flags() -> None:
    """A flag for every field of Config, with its default; Config itself checks the range."""
    define: dict[Any, Callable[..., Any]] = {
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_bool,
        str: flags.DEFINE_string,
    }
    for f in fields(Config):
        define[f.type](f.name, f.default, f"{f.metadata['help']} ({f.metadata['expected']})")


def config_from_flags() -> Config:
    values: dict[str, Any] = {f.name: flags.FLAGS[f.name].value for f in fields(Config)}
    return Config(**values)


def flagfile(*names: str) -> str:
    """The flags of Config, and the others named that have a value, as lines that --flagfile reads."""
    values = {name: flags.FLAGS[name].value for name in (*names, *(f.name for f in fields(Config)))}
    return "".join(f"--{name}={value}\n" for name, value in values.items() if value is not None)


def keep_compiled(folder: str) -> None:
    """Let JAX keep every program that it compiles in this folder, and take those that it finds there."""
    options = {
        "jax_compilation_cache_dir": folder,
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    for name, value in options.items():
        jax.config.update(name, value)  # type: ignore[no-untyped-call]


def recipe() -> str:
    """The name of the flagfile on the command line, `train` without one."""
    files = re.findall(r"(?m)^--?flagfile[=\n](.+)$", "\n".join(sys.argv))
    return Path(files[-1]).stem if files else "train"


def define_network_flags() -> None:
    """--run_dir and --checkpoint, for `network_of_flags`."""
    flags.DEFINE_string("run_dir", None, "a run directory, whose newest whole checkpoint is used")
    flags.DEFINE_string("checkpoint", None, "use this checkpoint, or file of jaxmlp.save, instead of the newest")


def network_of_flags() -> tuple[Path, Network]:
    """(its path, its network) of the checkpoint that --run_dir and --checkpoint ask for.

    Raises RunError, CheckpointError.
    """
    run_dir, checkpoint = flags.FLAGS["run_dir"].value, flags.FLAGS["checkpoint"].value
    if checkpoint:
        return Path(checkpoint), storage.read(Path(checkpoint))
    if not run_dir:
        fail("--run_dir: expected a run directory, or --checkpoint and a file, got neither", WRONG_FLAGS)
    return storage.newest(Path(run_dir))


def start(main: Callable[..., None], operands: bool = False) -> None:
    """Parse the flags, call `main`, and exit: an expected error is one line on stderr and its exit code.

    With a --run_dir that holds flags already, these come first, and those on the command line after them. `main` is
    called with the arguments that are no flags, which only a command with `operands` may have.
    """
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # the shell has closed it
            setattr(sys, stream, Path(os.devnull).open("w"))  # noqa: SIM115 (for as long as the process runs)
    warnings.showwarning = _show_warning
    atexit.register(gc.freeze)  # or Python walks all of JAX once more before it ends: 0.1 s and more
    app.run(
        lambda rest: _guarded(lambda: _started(main, *rest[1:])),
        flags_parser=lambda arguments: _guarded(lambda: _parse(arguments, operands)),
    )


def _parse(arguments: list[str], operands: bool) -> list[str]:
    rest = _parse_once(arguments)
    run_dir = flags.FLAGS["run_dir"].value if "run_dir" in flags.FLAGS else None
    if run_dir and os.path.exists(begun := Path(run_dir, FLAGS)):  # False for a name too long
        # A command that only looks at a run lacks most of these flags.
        undefined = ",".join(["data_dir", *(f.name for f in fields(Config))])
        rest = _parse_once([arguments[0], f"--undefok={undefined}", f"--flagfile={begun}", *arguments[1:]])
    if rest[1:] and not operands:
        fail(f"expected flags (--name=value) only, got {rest[1]!r}", WRONG_FLAGS)
    return rest


def _parse_once(arguments: list[str]) -> list[str]:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # absl goes on after a flagfile that includes itself
            rest: list[str] = flags.FLAGS(arguments)
    except (flags.Error, UnicodeDecodeError) as error:
        fail(str(error).removeprefix("ERROR:: "), WRONG_FLAGS)
    if said.getvalue():
        fail(said.getvalue(), WRONG_FLAGS)
    return rest


def _started(main: Callable[..., None], *operands: str) -> None:
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the second where JAX knows no such platform
        wanted = os.environ.get("JAX_PLATFORMS") or "JAX's choice"
        fail(f"JAX_PLATFORMS: expected a platform with a device, got {wanted} {error}", WRONG_FLAGS)
    main(*operands)


def _guarded(work: Callable[[], T]) -> T:
    """What `work` returns, once all that it printed has left."""
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # JAX says at INFO which backends it did not find
    try:
        try:
            return work()
        finally:
            sys.stdout.flush()
    except ConfigError as error:
        fail(f"--{error}", WRONG_FLAGS)
    except MissingExtra as error:
        fail(str(error), WRONG_FLAGS)
    except (DataError, NetworkError, CheckpointError, RunError, FileError) as error:
        fail(str(error), BAD_DATA)
    except Diverged as error:
        fail(str(error), DIVERGED)
    except Stopped as error:
        fail(str(error), 128 + error.signum)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        fail(f"expected a network and a batch that fit, got {str(error) or 'out of memory'}", WRONG_FLAGS)
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


def fail(message: str, code: int) -> NoReturn:
    """Print the message as one line and exit."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)
