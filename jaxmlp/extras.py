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
    with _extra("plot", "pictures need"):
        yield


@contextmanager
def privacy_extra() -> Iterator[None]:
    """Around an import of dp-accounting: raises MissingExtra where it fails."""
    with _extra("privacy", "private training needs"):
        yield


@contextmanager
def _extra(name: str, who_needs: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        text = f"{who_needs} the extra [{name}]: pip install 'jaxmlp[{name}]' ({error})"
        raise MissingExtra(text) from error
