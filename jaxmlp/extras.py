"""Optional dependencies: what to say when one is missing."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class MissingExtra(ImportError):
    """An optional dependency is not installed. The text is one line that says how to install it."""


@contextmanager
def plot_extra() -> Iterator[None]:
    """Around an import of Matplotlib or Pillow: raises MissingExtra where it fails."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # where it cannot keep its cache it warns, and works
    try:
        yield
    except ImportError as error:
        raise MissingExtra(f"pictures need the extra [plot]: pip install 'jaxmlp[plot]' ({error})") from error
