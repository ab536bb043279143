"""The command: which pictures and pages it writes, and how it ends."""

import base64
import re
import shutil
import sys
from functools import partial

import pytest

from shell import assert_one_line, run

PICTURES = ["confusion_matrix", "gradient_norms", "hidden_units", "learning_curves", "worst_mistakes"]


@pytest.fixture
def report(call, monkeypatch):
    """In this process, with pictures that are small and few."""
    pytest.importorskip("matplotlib")
    from jaxmlp.inspection import reporting

    monkeypatch.setattr(reporting, "DPI", 20)
    monkeypatch.setattr(reporting, "WORST", 1)
    return partial(call, "report")


@pytest.fixture
def copy(trained_run, tmp_path):
    return shutil.copytree(trained_run, tmp_path / "copy")


def embedded(page):
    return [base64.b64decode(data) for data in re.findall(r'src="data:image/png;base64,([^"]+)"', page)]


@pytest.mark.slow
def test_a_report_is_pictures_and_one_page_that_holds_them(copy):
    pytest.importorskip("matplotlib")
    done = run("report", f"--run_dir={copy}")
    folder = copy / "report"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{folder / 'index.html'}\n"
    assert sorted(file.name for file in folder.iterdir()) == sorted([f"{p}.png" for p in PICTURES] + ["index.html"])
    page = (folder / "index.html").read_text()
    pngs = embedded(page)
    assert sorted(pngs) == sorted((folder / f"{name}.png").read_bytes() for name in PICTURES)
    assert all(png.startswith(b"\x89PNG\r\n\x1a\n") for png in pngs)
    assert page.count("<img") == page.count('alt="') == 5
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|@import", page)  # nothing is fetched
    for fact in (
        "784-12-10, relu,sigmoid",
        "--learning_rate=0.5",
        "of 200 (after epoch 8)",
        "errors in 100 validation",
    ):
        assert fact in page


def test_a_report_with_a_comparison_and_a_comparison_alone(report, copy, trained_run):
    done = report("--compare", copy, trained_run)
    assert (done.stdout, done.stderr) == (f"{copy / 'report' / 'comparison.html'}\n", "")
    page = (copy / "report" / "comparison.html").read_text()
    assert embedded(page) == [(copy / "report" / "comparison.png").read_bytes()]
    assert re.findall(r'<th scope="row">(\w+)</th>', page) == ["copy", "small"]

    done = report(f"--run_dir={copy}", "--compare", trained_run)
    assert (done.stdout, done.stderr) == (f"{copy / 'report' / 'index.html'}\n", "")
    assert len(embedded((copy / "report" / "index.html").read_text())) == 6


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


def test_without_the_plot_extra(copy, tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('not installed here')")
    done = run("report", f"--run_dir={copy}", PYTHONPATH=f"{tmp_path}:{':'.join(sys.path)}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: pictures need the extra [plot]: pip install 'jaxmlp[plot]' (not installed here)\n"
    )
