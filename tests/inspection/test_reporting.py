"""What a report holds, and that it is refused before anything is written. Its parts have tests of their own."""

import json
import re
import shutil
from dataclasses import replace

import pytest

pytest.importorskip("matplotlib")

from jaxmlp.data import DataError
from jaxmlp.inspection import plots, reporting
from jaxmlp.runs import files
from jaxmlp.runs.files import FileError
from jaxmlp.runs.run import read_run
from jaxmlp.runs.run_directory import RunError


@pytest.fixture
def copy(trained_run, tmp_path):
    return shutil.copytree(trained_run, tmp_path / "copy")


def change(run_dir, **parts):
    path = run_dir / "config.json"
    recorded = json.loads(path.read_text())
    for part, values in parts.items():
        recorded[part] |= values
    path.write_text(json.dumps(recorded))


def test_a_report_is_one_page_that_fetches_nothing(copy, few_digits):
    path = reporting.write_report(copy, few_digits, [])
    page = path.read_text()
    assert path == copy / "report" / "index.html"
    assert [file.name for file in path.parent.iterdir()] == ["index.html"]
    assert not re.search(r"(src|href)=\"(?!data:|#)|url\(|@import", page)
    test, last = json.loads((copy / "test.json").read_text()), read_run(copy).history[-1]
    assert f"784-12-10, relu then sigmoid: {test['errors']} test errors in 200, trained in" in page
    assert f"{last.validation_errors} errors in 100 validation images" in page
    assert f"{test['errors']} errors in 200 test images" in page  # the counts of both agree
    sections = re.findall(r'<section id="(\w+)"', page)
    assert sections == ["run", "deltas", "curves", "classes", "confusion", "mistakes", "units", "norms"]
    assert page.count("data:image/svg+xml") == 4  # loss, accuracy, learning rate, gradient norms
    assert "trained on too" not in page


def test_a_run_under_way_has_no_test_confusion_and_one_on_all_images_says_so(copy, few_digits, monkeypatch):
    (copy / "test.json").unlink()
    change(copy, config={"train_on_all": True})
    drawn, draw = [], plots.learning_rates
    monkeypatch.setattr(plots, "learning_rates", lambda *given: drawn.append(given) or draw(*given))
    page = reporting.write_report(copy, few_digits, []).read_text()
    assert "validation errors (" in page
    assert "test images." not in page
    assert "trained on too" in page
    assert drawn == [(read_run(copy).config, 600, 8)]  # examples in each of 8 epochs


def test_test_errors_of_an_earlier_epoch_are_not_those_of_the_network(copy, few_digits):
    (copy / "test.json").write_text('{"epoch": 7, "errors": 31, "examples": 200}')
    page = reporting.write_report(copy, few_digits, []).read_text()
    assert "31 of 200 (15.50%) after epoch 7, not counted since" in page
    assert "200 test images." not in page


def test_the_last_line_leads_to_the_explorer_or_says_how_to_make_it(copy, few_digits):
    page = reporting.write_report(copy, few_digits, []).read_text()
    assert f"--run_dir={copy}" in page.rpartition("<footer>")[2]
    (copy / "explore.html").write_text("")
    page = reporting.write_report(copy, few_digits, []).read_text()
    assert '<a href="../explore.html">' in page.rpartition("<footer>")[2]


@pytest.mark.slow
def test_a_network_of_edges_of_upright_digits_is_shown_such(edges_run, few_digits, tmp_path):
    copy = shutil.copytree(edges_run, tmp_path / "copy")
    last = read_run(copy).history[-1]
    page = reporting.write_report(copy, few_digits, []).read_text()
    assert f"{last.validation_errors} errors in 100 validation images" in page
    assert "The network sees them upright, as edges." in page
    assert "Its quarters are maps of edges: " in page


def test_runs_that_differ_in_the_seed_alone_are_bands(copy, tmp_path):
    runs = []
    for seed in range(3):
        for size in (12, 13):
            runs.append(shutil.copytree(copy, tmp_path / f"{size}-{seed}"))
            change(runs[-1], config={"seed": seed, "batch_size": size})
    errors = read_run(copy).history[-1].validation_errors
    few, many = (reporting.write_comparison(paths).read_text() for paths in (runs[:4], runs))
    for size in (12, 13):
        assert f"batch_size={size}: 3 networks, {errors} validation errors</li>" in many
    assert "networks," not in few
    assert "settings" not in many


def test_of_many_settings_those_of_the_fewest_errors_are_drawn(copy, tmp_path, monkeypatch):
    runs, read = [], read_run(copy)
    for number in range(12):
        last = read.history[-1]._replace(validation_errors=20 - number)
        config = replace(read.config, batch_size=number + 1)
        runs.append(read._replace(path=tmp_path / f"{number}", config=config, history=(*read.history[:-1], last)))
    monkeypatch.setattr(reporting, "read_run", lambda path: runs[int(path.name)])
    page = reporting.write_comparison([run.path for run in runs]).read_text()
    assert re.findall(r"batch_size=(\d+): 1 network, (\d+) validation errors</li>", page) == [
        (str(12 - i), str(9 + i)) for i in range(10)
    ]
    assert "Of 12 settings these are the 10 with the fewest; the table has all." in page
    assert page.count('<th scope="row">') == 12


def test_a_sweep_has_a_best_unless_all_were_trained_on_the_validation_images(copy, tmp_path):
    sweep = tmp_path / "sweep"
    runs = [shutil.copytree(copy, sweep / name) for name in ("a", "b")]
    (sweep / "sweep.csv").write_text("run,end\na,done\nb,done\n")
    change(runs[0], config={"train_on_all": True})
    assert "2 networks; the best on validation is b: 784-12-10" in reporting.write_sweep(sweep).read_text()
    change(runs[1], config={"train_on_all": True})
    assert "2 networks; the validation images were trained on too" in reporting.write_sweep(sweep).read_text()


def test_a_place_that_cannot_be_written(copy):
    (copy / "report").write_text("in the way")
    with pytest.raises(FileError, match="report: expected a folder to write in, got File exists"):
        reporting.write_comparison([copy])


def test_a_page_that_cannot_be_written_is_named(copy, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(FileError, match=r"comparison\.html: expected to write \d+ bytes, got No space left on"):
        reporting.write_comparison([copy])
    assert not list((copy / "report").iterdir())


def test_other_runs_or_data_that_cannot_be_read(copy, few_digits, tmp_path):
    with pytest.raises(RunError, match="expected a run directory"):
        reporting.write_report(copy, few_digits, [tmp_path])
    with pytest.raises(DataError, match="expected this file"):
        reporting.write_report(copy, tmp_path, [])
    assert not (copy / "report").exists()


def test_other_data_than_the_run_was_trained_on_are_refused_by_name(copy, few_digits):
    change(copy, data={"train-labels-idx1-ubyte": "0" * 64})
    with pytest.raises(RunError, match=r"expected train-labels-idx1-ubyte of SHA-256 0{64}, as it was begun, got"):
        reporting.write_report(copy, few_digits, [])
    assert not (copy / "report").exists()


def test_runs_of_one_name_are_told_apart_by_their_paths(copy, tmp_path):
    twin = shutil.copytree(copy, tmp_path / "elsewhere" / "copy")
    page = reporting.write_comparison([copy, twin]).read_text()
    assert f'<th scope="row">{copy}</th>' in page
    assert f'<th scope="row">{twin}</th>' in page


def test_a_path_that_is_no_text_has_a_report(copy, tmp_path):
    odd = copy.rename(tmp_path / b"d\xe9".decode("utf-8", "surrogateescape"))
    assert "<h1>Runs d?</h1>" in reporting.write_comparison([odd]).read_text()
