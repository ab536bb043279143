"""The command: which page it writes, and how it ends."""

import re
import shutil
import sys
from functools import partial

import pytest

from shell import assert_one_line, run


@pytest.fixture
def report(call):
    """In this process."""
    pytest.importorskip("matplotlib")
    return partial(call, "report")


@pytest.fixture
def copy(trained_run, tmp_path):
    return shutil.copytree(trained_run, tmp_path / "copy")


@pytest.mark.slow
def test_it_writes_a_page_and_says_where_even_without_a_home(copy, tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("")  # below which no folder can be made
    nowhere = {"HOME": f"{tmp_path}/file/home", "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": "", "MPLCONFIGDIR": ""}
    done = run("report", f"--run_dir={copy}", **nowhere)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{copy / 'report' / 'index.html'}\n"
    assert (copy / "report" / "index.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.slow
def test_a_report_with_a_comparison_and_a_comparison_alone(report, copy, trained_run):
    done = report("--compare", copy, trained_run)
    assert (done.stdout, done.stderr) == (f"{copy / 'report' / 'comparison.html'}\n", "")
    page = (copy / "report" / "comparison.html").read_text()
    assert page.count("data:image/svg+xml") == 2
    assert re.findall(r'<th scope="row">(\w+)</th>', page) == ["copy", "small"]

    done = report(f"--run_dir={copy}", "--compare", trained_run)
    assert (done.stdout, done.stderr) == (f"{copy / 'report' / 'index.html'}\n", "")
    page = (copy / "report" / "index.html").read_text()
    assert page.count("data:image/svg+xml") == 6
    assert page.count("Learning curves</a>") == 1


def test_a_mistake_is_one_line_and_an_exit_code(report, copy, tmp_path):
    for arguments, code, line in (
        ([], 1, "error: --run_dir: expected a run directory, got none"),
        ([f"--run_dir={copy}", copy], 1, f"error: expected --compare before other run directories, got '{copy}'"),
        (
            [f"--run_dir={copy}", "--compare"],
            1,
            "error: --compare: expected run directories after the flags, got none",
        ),
        ([f"--run_dir={copy}", "--compare", tmp_path], 2, f"error: {tmp_path}: expected a run directory, got no"),
        (
            [f"--run_dir={copy}", f"--data_dir={tmp_path}"],
            2,
            f"error: {tmp_path}/train-images-idx3-ubyte: expected",
        ),
    ):
        assert_one_line(report(*arguments), code, line)
        assert not (copy / "report").exists()


@pytest.mark.slow
def test_without_the_plot_extra(copy, tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('not installed here')")
    done = run("report", f"--run_dir={copy}", PYTHONPATH=f"{tmp_path}:{':'.join(sys.path)}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: pictures need the extra [plot]: pip install 'jaxmlp[plot]' (not installed here)\n"
    )
