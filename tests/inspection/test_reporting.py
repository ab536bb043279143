"""A report refused before anything is written. What a report holds is tested in test_report.py."""

import shutil

import pytest

pytest.importorskip("matplotlib")

from jaxmlp.data import DataError
from jaxmlp.inspection import reporting
from jaxmlp.runs import files
from jaxmlp.runs.files import FileError
from jaxmlp.runs.run import read_run
from jaxmlp.runs.run_directory import RunError


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setattr(reporting, "DPI", 20)
    monkeypatch.setattr(reporting, "WORST", 1)


@pytest.fixture
def copy(trained_run, tmp_path):
    return shutil.copytree(trained_run, tmp_path / "copy")


def test_a_place_that_cannot_be_written(copy):
    (copy / "report").write_text("in the way")
    with pytest.raises(FileError, match="report: expected a folder to write in, got File exists"):
        reporting.write_comparison([copy])


def test_a_picture_that_cannot_be_written_is_named(copy, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(FileError, match=r"comparison\.png: expected to write \d+ bytes, got No space left"):
        reporting.write_comparison([copy])
    assert not list((copy / "report").iterdir())


def test_other_runs_or_data_that_cannot_be_read(copy, few_digits, tmp_path):
    with pytest.raises(RunError, match="expected a run directory"):
        reporting.write_report(copy, few_digits, [tmp_path])
    with pytest.raises(DataError, match="expected this file"):
        reporting.write_report(copy, tmp_path, [])
    assert not (copy / "report").exists()


def test_runs_of_one_name_are_told_apart_by_their_paths(copy, tmp_path):
    twin = shutil.copytree(copy, tmp_path / "elsewhere" / "copy")
    page = reporting.write_comparison([copy, twin]).read_text()
    assert f'<th scope="row">{copy}</th>' in page
    assert f'<th scope="row">{twin}</th>' in page


def test_validation_images_that_were_trained_on_are_said_to_be(copy, few_digits):
    config = copy / "config.json"
    assert "trained on too" not in reporting.write_report(copy, few_digits, []).read_text()
    config.write_text(config.read_text().replace('"train_on_all": false', '"train_on_all": true'))
    assert "trained on too" in reporting.write_report(copy, few_digits, []).read_text()


def test_a_network_of_edges_of_upright_digits_is_shown_such(edges_run, few_digits, tmp_path):
    copy = shutil.copytree(edges_run, tmp_path / "copy")
    last = read_run(copy).history[-1]
    page = reporting.write_report(copy, few_digits, []).read_text()
    assert f"{last.validation_errors} errors in 100 validation images" in page
    assert "The network saw them upright. The network saw them as edges." in page
    assert "Its quarters are maps of edges: " in page
