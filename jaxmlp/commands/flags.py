"""The flags of one command, from the shell and from files of flags: recipes, and what a run was told.

Nothing is global: every command has a Flags of its own, so that several can be imported side by side.
"""

import contextlib
import io
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from jaxmlp.commands import grid
from jaxmlp.commands.grid import Grid, GridError, ListParser, Values
from jaxmlp.inputs.view import View
from jaxmlp.runs import run_directory
from jaxmlp.runs.run_directory import FLAGS
from jaxmlp.training.config import Config

RECIPES = Path(__file__).parents[1] / "recipes"

TOLD = ("data_dir", "devices", "target_epsilon")  # what flags.txt may say beside the flags of Config

_DEFINE: dict[Any, Any] = {
    int: absl_flags.DEFINE_integer,
    float: absl_flags.DEFINE_float,
    bool: absl_flags.DEFINE_bool,
    str: absl_flags.DEFINE_string,
}


class FlagError(ValueError):
    """Flags that are not understood. The text is one line: flag, what was expected, what came."""


Takes = Callable[[list[str]], bool]


def _never(operands: list[str]) -> bool:
    return False


class PathFlag:
    """A flag that names a file or a folder: `value` is its Path, None where it is not set or empty."""

    def __init__(self, holder: Any, empty: bool, absolute: bool) -> None:
        self._holder, self.empty, self.absolute = holder, empty, absolute

    @property
    def value(self) -> Path | None:
        return Path(self._holder.value) if self._holder.value else None


class Flags:
    """The flags of a command, each with its help and what it expects, in groups for people who ask for --help."""

    def __init__(self, usage: str | None, operands: bool = False, takes_run: Takes = _never) -> None:
        """`usage` is what the command says of itself. Only with `operands` may there be arguments that are no flag,
        the first of which is the run directory where `takes_run` says so of them, and no flag names one.
        """
        self.usage, self.operands, self.takes_run = usage or "", operands, takes_run
        self.groups: dict[str, list[str]] = {"run": []}
        self.expected: dict[str, str] = {}
        self.helps: dict[str, str] = {}
        self._values = absl_flags.FlagValues()  # type: ignore[no-untyped-call]
        self._values.set_gnu_getopt(True)  # a flag may stand after what is no flag
        self._paths: dict[str, PathFlag] = {}
        self._files: Files = {}
        self._given: frozenset[str] = frozenset()
        self._of_one_run = False  # whether flags.txt in the folder of a sweep is none of its own
        self.recipe = "train"  # the name of the recipe or flagfile that was given

    def path(self, name: str, help: str, empty: bool = False, absolute: bool = False) -> PathFlag:
        """A flag whose value is a path, in which ~ is the home folder. It may be `empty`, or is made `absolute`."""
        holder = self._define(absl_flags.DEFINE_string, name, None, help, "a path")
        self._paths[name] = PathFlag(holder, empty, absolute)
        return self._paths[name]

    def switch(self, name: str, help: str) -> Any:
        return self._define(absl_flags.DEFINE_bool, name, False, help, "true or false")

    def text(self, name: str, help: str, expected: str) -> Any:
        return self._define(absl_flags.DEFINE_string, name, None, help, expected)

    def integer(self, name: str, help: str, default: int | None, low: int, high: int) -> Any:
        expected = f"an integer from {low} to {high}"
        define = partial(absl_flags.DEFINE_integer, lower_bound=low, upper_bound=high)
        return self._define(define, name, default, help, expected)

    def positive(self, name: str, help: str, group: str, lists: bool = False) -> Any:
        """A finite number > 0, with `lists` several of them; None where it is not set."""
        expected = "a finite number > 0"
        parser = ListParser(name, float, expected, lambda v: isfinite(v) and v > 0)
        define = partial(absl_flags.DEFINE, parser) if lists else absl_flags.DEFINE_float
        return self._define(define, name, None, help, expected, group=group)

    def choice(self, name: str, help: str, choices: Sequence[str]) -> Any:
        """One of the choices, the first unless told otherwise."""
        return self._define(absl_flags.DEFINE_string, name, choices[0], help, " or ".join(choices), choices)

    def config(self, lists: bool = False) -> None:
        """A flag for every field of Config, with its default, and --recipe and --flagfile; see `read_config`.

        With `lists` each takes several values: see `read_grid`.
        """
        self._of_one_run = not lists
        self._define(absl_flags.DEFINE_string, "recipe", None, "the flags of a recipe", " or ".join(recipes()))
        self._describe("flagfile", "flags from a file, one a line", "a path", "run")
        for group, f in _grouped():
            parser = ListParser(f.name, f.type, f.metadata["expected"], f.metadata["valid"])
            of_list = partial(absl_flags.DEFINE, parser, boolean=f.type is bool)
            define = of_list if lists else _DEFINE[f.type]
            self._define(define, f.name, f.default, f.metadata["help"], f.metadata["expected"], group=group)

    def read_config(self) -> Config:
        """The Config of these flags. Raises ConfigError."""
        values: dict[str, Any] = {f.name: self._values[f.name].value for f in fields(Config)}
        return Config(**values)

    def read_grid(
        self, more: Mapping[str, Values] | None = None, config_of: Callable[..., Config] = Config
    ) -> Grid:
        """The networks that flags of lists ask for, with `more` that `config_of` takes beside the fields of Config.

        Raises FlagError, and what config_of raises if that is not a ConfigError of some of the networks.
        """
        try:
            values: dict[str, Any] = {f.name: self._values[f.name].value for f in fields(Config)}
            return grid.grid({**(more or {}), **values}, config_of)
        except GridError as error:
            raise FlagError(str(error)) from error

    def values(self, *names: str) -> dict[str, Any]:
        """The values, by name, of the flags named and of those of Config; None where there is none."""
        return {name: self._values[name].value for name in (*names, *(f.name for f in fields(Config)))}

    def flagfile(self, *names: str) -> str:
        """The flags of Config, and the others named that have a value, as lines that --flagfile reads."""
        return as_lines(self.values(*names))

    def set(self, name: str, value: Any) -> None:
        """As if the command line had said so."""
        self._values[name].value = value

    def given(self, name: str) -> bool:
        """Whether the flag stood on the command line, and not in the flags of its run directory alone."""
        return name in self._given

    def given_values(self, *names: str) -> dict[str, Any]:
        """The values, by --name, of those flags of Config and of the others named that the command line gave."""
        known = (*names, *(f.name for f in fields(Config)))
        values = {f"--{name}": self._values[name].value for name in known if self.given(name)}
        return {name: str(value) if isinstance(value, Values) else value for name, value in values.items()}

    def take(self, flagfile: str, own: Sequence[str]) -> None:
        """Let every flag be as this text of `flagfile` has it, but for those of the command line named in `own`."""
        kept = [f"--{name}={self._values[name].value}" for name in own if self.given(name)]
        self._parse([*flagfile.splitlines(), *kept])

    def default(self, name: str) -> Any:
        default = self._values[name].default if name in self._values else None
        return default[0] if isinstance(default, Values) else default

    def parse(self, arguments: Sequence[str]) -> list[str]:
        """Set the flags from the arguments, and return those that are no flags, without the run directory.

        With a --run_dir that holds flags already, these come first, and those of the command line after them.
        Raises FlagError, and RunError if that is the folder of a sweep where one run is asked for.
        """
        arguments = [_with_recipe(argument) for argument in _joined(arguments)]
        self._files = _read_flagfiles(arguments)
        self.recipe = _recipe(arguments)
        operands = self._parse(arguments)
        self._given = frozenset(name for name in self._values if self._values[name].present)
        named = self._value("run_dir") or self._value("checkpoint")
        if operands and not self.operands:
            where = _in_file(re.escape(operands[0]) + "$", arguments, self._files)
            raise FlagError(f"expected flags (--name=value) only, got {operands[0]!r}{where}")
        if operands and not named and self.takes_run(operands):
            run_dir, *operands = operands
            arguments = [f"--run_dir={run_dir}", *arguments]
            self._parse(arguments)
        run_dir = self._value("run_dir")
        if run_dir and self._of_one_run:
            run_directory.check_is_one(Path(run_dir))
        if run_dir and os.path.exists(recorded := Path(run_dir, FLAGS)):  # False for a name too long
            # A command that only looks at a run lacks most of these flags.
            undefined = ",".join([*TOLD, *(f.name for f in fields(Config))])
            self._files |= _read_flagfiles([f"--flagfile={recorded}"])
            self._parse([f"--undefok={undefined}", f"--flagfile={recorded}", *arguments])
        return operands

    def parse_alone(self, arguments: Sequence[str], names: Sequence[str]) -> None:
        """Set the flags of these names from the arguments, whatever else there is wrong. Raises FlagError."""
        alone = absl_flags.FlagValues()  # type: ignore[no-untyped-call]
        alone.set_gnu_getopt(True)
        for name in names:
            alone[name] = self._values[name]
        try:
            alone(["", *(a for a in arguments if not a.lstrip("-").startswith("flagfile"))], known_only=True)
        except (absl_flags.Error, ValueError) as error:
            raise FlagError(str(error)) from error
        self._values.mark_as_parsed()

    def _parse(self, arguments: Sequence[str]) -> list[str]:
        said = io.StringIO()
        self._values.unparse_flags()
        try:
            with contextlib.redirect_stderr(said):  # absl goes on after a flagfile that includes itself
                _, *rest = self._values(["", *arguments])
        except absl_flags.IllegalFlagValueError as error:
            of_list = isinstance(error.__context__, GridError)
            message = str(error.__context__) if of_list else self._illegal(str(error))
            raise FlagError(message + _in_file(_flag_in(str(error)), arguments, self._files)) from error
        except (absl_flags.Error, ValueError) as error:  # --noedges=1 is a bare ValueError
            raise FlagError(str(error) + _in_file(_flag_in(str(error)), arguments, self._files)) from error
        if said.getvalue():
            raise FlagError(said.getvalue())
        for name, path in self._paths.items():
            flag = self._values[name]
            if flag.value == "" and not path.empty:  # most likely of a variable that is not set
                raise FlagError(f"--{name}: expected a path, got nothing")
            if flag.value:
                expanded = _expanded(f"--{name}", flag.value)
                flag.value = str(expanded.absolute() if path.absolute else expanded)
                _check_utf8(f"--{name}", flag.value)
        return rest

    def _illegal(self, message: str) -> str:
        """absl's message about a value, in the words of this program."""
        found = re.match(
            r"flag --(\w+)=(.*): (invalid literal|could not|\('Non-boolean|value should|\S+ is not)", message, re.S
        )
        return f"--{found[1]}: expected {self.expected[found[1]]}, got {found[2]!r}" if found else message

    def _value(self, name: str) -> Any:
        return self._values[name].value if name in self._values else None

    def _define(
        self, define: Any, name: str, default: Any, help: str, expected: str, *more: Any, group: str = "run"
    ) -> Any:
        self._describe(name, help, expected, group)
        if more:  # of a choice
            return absl_flags.DEFINE_enum(name, default, list(more[0]), help, flag_values=self._values)
        return define(name, default, help, flag_values=self._values)

    def _describe(self, name: str, help: str, expected: str, group: str) -> None:
        self.groups.setdefault(group, []).append(name)
        self.expected[name], self.helps[name] = expected, help


def as_lines(values: Mapping[str, Any]) -> str:
    """These flags, but those without a value, as lines that --flagfile reads."""
    return "".join(f"--{name}={value}\n" for name, value in values.items() if value is not None)


def recipes() -> list[str]:
    """The names of the recipes that come with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.flags"))


def _grouped() -> list[tuple[str, Any]]:
    """(group, field) of every field of Config: a field without a group is in that of the one before it."""
    inherited = fields(View)
    pairs, group = [("inputs", f) for f in inherited], ""
    for f in fields(Config)[len(inherited) :]:
        group = f.metadata.get("group", group)
        pairs.append((group, f))
    return pairs


def _joined(arguments: Sequence[str]) -> list[str]:
    """--recipe quick as --recipe=quick, and the same of --flagfile."""
    joined = re.sub(r"(?m)^(--?(?:recipe|flagfile))\n", r"\1=", "\n".join(arguments))
    return joined.split("\n") if arguments else []


def _with_recipe(argument: str) -> str:
    """--recipe=NAME as the --flagfile that it stands for. Raises FlagError on an unknown name."""
    found = re.fullmatch(r"--?recipe=(.*)", argument, re.S)
    if not found:
        return argument
    if found[1] not in recipes():
        raise FlagError(f"--recipe: expected one of {', '.join(recipes())}, got {found[1]!r}")
    return f"--flagfile={RECIPES / found[1]}.flags"


def _recipe(arguments: Sequence[str]) -> str:
    """The name of the last flagfile among the arguments, `train` without one."""
    files = [argument.partition("=")[2] for argument in arguments if re.match("--?flagfile=", argument)]
    return Path(files[-1]).stem if files else "train"


Files = dict[Path, list[str]]  # flagfiles and their lines


def _read_flagfiles(arguments: Sequence[str], known: Files | None = None) -> Files:
    """The flagfiles among the arguments, those that they name, and what is known.

    Raises FlagError on one that is not a readable file of text.
    """
    files = dict(known or {})
    for argument in arguments:
        found = re.fullmatch(r"--?flagfile=(.*)", argument.strip())
        if not found:
            continue
        if not found[1]:
            raise FlagError("--flagfile: expected a path, got nothing")
        if (path := _expanded("--flagfile", found[1])) in files:
            continue
        try:
            if path.exists() and not path.is_file():  # to open a FIFO waits for a writer
                raise FlagError(f"--flagfile: expected a file, got {path}, a folder or device")
            lines = path.read_text("utf-8").splitlines()
        except OSError as error:
            raise FlagError(f"--flagfile: expected a readable file, got {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise FlagError(f"--flagfile: expected text in UTF-8, got {path}: {error}") from error
        if lines and lines[0].startswith("\ufeff"):
            raise FlagError(f"--flagfile: expected text in UTF-8 without a mark at its beginning, got {path}")
        if any("\0" in line for line in lines):
            raise FlagError(f"--flagfile: expected text in UTF-8, got {path}, which has zero bytes, as UTF-16 has")
        if any(re.match(r"--?recipe[= ]", line.strip()) for line in lines):
            raise FlagError(f"--recipe: expected on the command line, got it in {path}")
        files = _read_flagfiles(lines, {**files, path: lines})
    return files


def _flag_in(message: str) -> str:
    """What matches a line with the flag that absl's message names."""
    named = re.search(r"flag (?:'|--)(\w+)", message)
    return rf"--?(?:no)?{named[1]}\b" if named else "(?!)"


def _in_file(line_like: str, arguments: Sequence[str], files: Files) -> str:
    """What a message about a line lacks: the flagfile that it stands in, if it is not among the arguments."""

    def stands_in(lines: Sequence[str]) -> bool:
        return any(re.match(line_like, line.strip()) for line in lines)

    if stands_in(arguments):
        return ""
    return next((f", in {path}" for path, lines in files.items() if stands_in(lines)), "")


def _expanded(name: str, text: str) -> Path:
    """The path, in which ~ is the home folder. Raises FlagError."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise FlagError(f"{name}: expected the home folder of a user, got {text}: {error}") from error


def _check_utf8(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FlagError(f"{name}: expected a name in UTF-8, got {os.fsencode(text)!r}") from error
