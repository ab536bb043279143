"""What a command says of itself: --help, in groups of flags."""

import shutil
import textwrap

from jaxmlp.commands.flags import Flags

ORDER = ("network", "training", "optimizer", "privacy", "inputs", "run")


def help_text(flags: Flags) -> str:
    """The command's own words, then a paragraph for each group of flags: name, default, what it is and expects."""
    width = min(shutil.get_terminal_size().columns, 110)
    parts = [flags.usage.strip()]
    for group in sorted(flags.groups, key=ORDER.index):
        entries = [_entry(name, flags, width) for name in flags.groups[group]]
        if entries:
            parts.append(f"{group}:\n" + "\n".join(entries))
    return "\n\n".join([*parts, "-h, --help: this text; --version"])


def _entry(name: str, flags: Flags, width: int) -> str:
    default = flags.default(name)
    shown = f"--{name}" if default is None or default is False else f"--{name}={default}"
    return textwrap.fill(
        f"{shown}: {flags.helps[name]} ({flags.expected[name]})",
        width,
        initial_indent="  ",
        subsequent_indent="      ",
        break_on_hyphens=False,
    )
