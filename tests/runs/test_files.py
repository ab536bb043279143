"""Rows are added whole or not at all. That a file is replaced so is in test_checkpoint.py."""

import os
import resource
from contextlib import contextmanager

import pytest

from jaxmlp.runs import files, run_directory
from jaxmlp.runs.files import FileError
from jaxmlp.runs.run_directory import RunError


def test_what_is_no_file_is_not_read(tmp_path):
    """A FIFO would wait for a writer for ever."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, tmp_path / "none"):
        with pytest.raises(OSError, match="FIFO" if path.exists() else "No such file"):
            files.read(path)


def test_a_fifo_in_a_run_is_one_line(tmp_path):
    for name, read in (("config.json", run_directory.read_config), ("test.json", run_directory.read_test)):
        os.mkfifo(tmp_path / name)
        with pytest.raises(RunError, match="FIFO"):
            read(tmp_path)


@contextmanager
def files_of_at_most(size):
    """A larger file cannot be written: of what is too much, the first part is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_rows_follow_one_another(tmp_path):
    path = tmp_path / "rows"
    files.append(path, b"first\n")
    files.append(path, b"second\n")
    assert path.read_bytes() == b"first\nsecond\n"


@pytest.mark.parametrize(("size", "got"), [(10, "No space left on device"), (6, "File too large")])
def test_of_a_row_that_does_not_fit_nothing_stays(tmp_path, size, got):
    path = tmp_path / "rows"
    files.append(path, b"first\n")
    with files_of_at_most(size), pytest.raises(FileError, match=f"rows: expected to add a row, got {got}$"):
        files.append(path, b"second\n")
    assert path.read_bytes() == b"first\n"
