"""One writer a folder, also where the file system has no locks."""

import errno
import fcntl
import os
import socket
import subprocess
import sys

import pytest

from jaxmlp.runs import locking
from jaxmlp.runs.files import FileError
from jaxmlp.runs.run_directory import RunError

HOST = socket.gethostname()


@pytest.fixture
def no_flock(monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


def assert_taken_by_another(path):
    with pytest.raises(RunError, match=f"^{path.parent}: expected to be its only writer, got a run in progress"):
        locking.locked(path).__enter__()


def test_a_second_writer_is_refused_and_the_next_is_not(tmp_path):
    with locking.locked(tmp_path / "lock"):
        assert_taken_by_another(tmp_path / "lock")
    with locking.locked(tmp_path / "lock"):
        assert [file.name for file in tmp_path.iterdir()] == ["lock"]


def test_without_locks_a_file_names_the_writer(tmp_path, no_flock):
    path = tmp_path / "lock"
    with locking.locked(path):
        assert (tmp_path / "lock.owner").read_text() == f"{HOST} {os.getpid()}"
        assert_taken_by_another(path)
    assert not (tmp_path / "lock.owner").exists()


def test_what_a_killed_writer_of_this_host_left_is_taken_over(tmp_path, no_flock):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "lock.owner").write_text(f"{HOST} {ended.pid}")
    with locking.locked(tmp_path / "lock"):
        assert (tmp_path / "lock.owner").read_text() == f"{HOST} {os.getpid()}"


def test_of_two_that_take_over_the_slower_is_refused(tmp_path, no_flock, monkeypatch):
    """It has read the name of the process that ended; meanwhile the other has taken its place."""
    path = tmp_path / "lock.owner"
    path.write_text("the ended")

    def ended(holder):
        assert holder == "the ended"
        path.write_text("the faster")
        return True

    monkeypatch.setattr(locking, "_ended", ended)
    with pytest.raises(RunError, match=r"its only writer, got a run in progress: the faster$"):
        locking.locked(tmp_path / "lock").__enter__()
    assert path.read_text() == "the faster"
    assert {file.name for file in tmp_path.iterdir()} == {"lock", "lock.owner"}


@pytest.mark.parametrize("holder", [f"{HOST} {os.getppid()}", "elsewhere 1", "", "nonsense"])
def test_a_writer_that_may_live_is_respected(tmp_path, no_flock, holder):
    (tmp_path / "lock.owner").write_text(holder)
    assert_taken_by_another(tmp_path / "lock")
    assert (tmp_path / "lock.owner").read_text() == holder


def test_an_error_of_the_work_is_not_the_locks(tmp_path):
    with pytest.raises(BrokenPipeError), locking.locked(tmp_path / "lock"):
        raise BrokenPipeError


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    path = tmp_path / "none" / "lock"
    with pytest.raises(FileError, match=f"^{path.parent}: expected a folder to write in, got No such file"):
        locking.locked(path).__enter__()


def test_another_error_of_the_lock_is_one_line(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(FileError, match=f"^{tmp_path}: expected a folder to write in, got Input/output error"):
        locking.locked(tmp_path / "lock").__enter__()
