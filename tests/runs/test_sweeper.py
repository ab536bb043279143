"""A sweep with its folder: ordinary runs, exact resume, what diverges or fails, refusals, and the table."""

import csv
import json
import os
import re
import shutil
import signal
import warnings
from dataclasses import replace

import numpy as np
import pytest

from jaxmlp.inputs import neighbours
from jaxmlp.runs import checkpoint, run_directory, run_writer, sweep_directory, sweeper, trainer
from jaxmlp.runs.files import FileError
from jaxmlp.runs.run_directory import RunError, RunWarning
from jaxmlp.runs.stopping import Stopped, StopRequest
from jaxmlp.training.config import Config, ConfigError
from jaxmlp.training.loop import Diverged
from left import left_by

BASE = Config(hidden=6, epochs=3, batch_size=7, phi="tanh,sigmoid", learning_rate=0.5)
MEMBERS = {
    f"hidden={hidden}-seed={seed}": replace(BASE, hidden=hidden, seed=seed) for hidden in (6, 5) for seed in (0, 1)
}


def sweep(path, data_dir, members=MEMBERS, varying=("hidden", "seed"), stop=None):
    asked = {name: {v: getattr(config, v) for v in varying} for name, config in members.items()}
    told = sweeper.Told(members, asked, data_dir, "--seed=0,1\n", lambda config: f"--seed={config.seed}\n")
    sweeper.sweep(told, path, stop or StopRequest())


def rows_of(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def table(path):
    with (path / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(few_digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("sweeps") / "whole"
    sweep(path, few_digits)
    return path


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


def assert_same(a, b):
    for name in MEMBERS:
        np.testing.assert_equal(left_by(a / name), left_by(b / name))
    untimed = [[{**row, "seconds": ""} for row in table(path)] for path in (a, b)]
    assert untimed[0] == untimed[1]


def test_a_member_is_the_run_of_its_flags(whole, few_digits, tmp_path):
    name, config = list(MEMBERS.items())[3]
    trainer.train(config, few_digits, tmp_path / "run", f"--seed={config.seed}\n", StopRequest())
    assert sorted(os.listdir(whole / name)) == sorted(os.listdir(tmp_path / "run"))
    for file in ("flags.txt", "test.json"):
        assert (whole / name / file).read_text() == (tmp_path / "run" / file).read_text()
    ours, theirs = (run_directory.read_config(path) for path in (whole / name, tmp_path / "run"))
    assert ours == theirs
    (arrays, rows, _), (expected, expected_rows, _) = left_by(whole / name), left_by(tmp_path / "run")
    for file, saved in expected.items():
        assert saved.keys() == arrays[file].keys()
        for leaf in ("params.W1", "params.b1", "params.W2", "params.b2"):
            np.testing.assert_allclose(arrays[file][leaf], saved[leaf], rtol=0, atol=1e-12)
    for row, expected in zip(rows, expected_rows, strict=True):
        known, of_one = ({k: v for k, v in of_epoch.items() if v is not None} for of_epoch in (row, expected))
        assert known == pytest.approx(of_one, rel=1e-9)


def test_train_goes_on_with_a_member(copy, few_digits):
    config = replace(MEMBERS["hidden=6-seed=1"], epochs=4)
    trainer.train(config, few_digits, copy / "hidden=6-seed=1", "", StopRequest())
    assert run_directory.read_test(copy / "hidden=6-seed=1")["epoch"] == 4


def test_the_table_is_of_the_last_epoch_and_the_best_is_chosen_by_validation(whole, few_digits, capsys):
    sweep(whole, few_digits)
    out = capsys.readouterr().out
    rows = table(whole)
    assert [row["run"] for row in rows] == list(MEMBERS)
    for row, config in zip(rows, MEMBERS.values(), strict=True):
        history = rows_of(whole / row["run"])
        assert (row["hidden"], row["seed"]) == (str(config.hidden), str(config.seed))
        assert (row["epochs_done"], row["end"]) == ("3", "done")
        assert int(row["validation_errors"]) == history[-1]["validation_errors"]
        assert float(row["validation_loss"]) == history[-1]["validation_loss"]
        assert float(row["seconds"]) == pytest.approx(sum(epoch["seconds"] for epoch in history))
        assert int(row["test_errors"]) == run_directory.read_test(whole / row["run"])["errors"]
        assert f"{row['validation_errors']}  {float(row['validation_loss']):.5f}" in out
    best = min(rows, key=lambda row: (int(row["validation_errors"]), float(row["validation_loss"])))
    assert f"\nthe best by validation is {best['run']}; to repeat it:\npython -m jaxmlp.train --hidden=" in out
    assert f" --data_dir={few_digits}\n" in out


def test_what_is_done_is_not_done_again(whole, few_digits, monkeypatch):
    monkeypatch.setattr(sweeper.members, "prepare", lambda *arguments: pytest.fail("it was compiled"))
    before = {path: path.stat().st_mtime_ns for path in whole.glob("*/*.*")}
    sweep(whole, few_digits)
    assert {path: path.stat().st_mtime_ns for path in whole.glob("*/*.*")} == before


class AfterSaves(StopRequest):
    """Asks for the end once so many epochs have been saved."""

    def __init__(self, monkeypatch, saves):
        save, left = run_writer.RunWriter.save, iter(range(saves - 1))

        def saving(writer, saved, config):
            save(writer, saved, config)
            if next(left, None) is None:
                self.signum = signal.SIGTERM

        monkeypatch.setattr(run_writer.RunWriter, "save", saving)


@pytest.mark.parametrize("saves", [1, 3, 7])
def test_a_sweep_that_was_stopped_goes_on_to_the_same_bits(whole, few_digits, tmp_path, monkeypatch, saves):
    with monkeypatch.context() as patched, pytest.raises(Stopped, match=r"--run_dir=.* goes on from"):
        sweep(tmp_path / "run", few_digits, stop=AfterSaves(patched, saves))
    assert not all(row["end"] for row in table(tmp_path / "run"))
    sweep(tmp_path / "run", few_digits)
    assert_same(tmp_path / "run", whole)


@pytest.mark.parametrize("saves", [0, 1, 2, 5])
def test_a_sweep_that_was_killed_or_found_no_space_goes_on_to_the_same_bits(
    whole, few_digits, tmp_path, monkeypatch, saves
):
    save, left, fits, fit = checkpoint.save, iter(range(saves)), [], sweeper.members.fit
    monkeypatch.setattr(sweeper.members, "fit", lambda *arguments: fits.append(fit(*arguments)) or fits[-1])

    def failing(*arguments):
        if next(left, None) is None:
            raise FileError("no space")
        save(*arguments)

    monkeypatch.setattr(checkpoint, "save", failing)
    with pytest.raises(FileError) as caught:
        sweep(tmp_path / "run", few_digits)
    monkeypatch.setattr(checkpoint, "save", save)
    assert all(steps.gi_frame is None for steps in fits)  # closed, though `caught` keeps the frames of all
    del caught
    sweep(tmp_path / "run", few_digits)
    assert_same(tmp_path / "run", whole)


def test_one_that_was_killed_before_its_test_is_tested(whole, copy, few_digits):
    (copy / "hidden=5-seed=0" / "test.json").unlink()
    sweep(copy, few_digits)
    assert_same(copy, whole)


def test_more_networks_and_more_epochs_may_be_asked_for(copy, few_digits):
    more = {f"seed={seed}": replace(BASE, seed=seed, epochs=1) for seed in (0, 1, 2)}
    with pytest.warns(RunWarning, match="no longer in its table"):
        sweep(copy, few_digits, more, ("seed",))
    longer = {name: replace(config, epochs=2) for name, config in more.items()}
    sweep(copy, few_digits, longer, ("seed",))
    assert [row["epochs_done"] for row in table(copy)] == ["2", "2", "2"]


def test_one_that_diverges_is_told_of_and_stops_no_other(few_digits, tmp_path, capsys, monkeypatch):
    rates = {f"learning_rate={rate}": replace(BASE, phi="identity", learning_rate=rate) for rate in (1e6, 0.01)}
    sweep(tmp_path / "run", few_digits, rates, ("learning_rate",))
    assert "1/2  learning_rate=1000000.0: diverged in epoch 1\n" in capsys.readouterr().out
    assert [row["end"] for row in table(tmp_path / "run")] == ["diverged in epoch 1", "done"]
    with pytest.warns(RunWarning, match=r"run: of 2 networks, 1 diverged: left out$"):
        assert sweep_directory.run_dirs(tmp_path / "run") == [tmp_path / "run" / "learning_rate=0.01"]
    with monkeypatch.context() as patched:  # it has ended so
        patched.setattr(sweeper.members, "prepare", lambda *arguments: pytest.fail("it was compiled"))
        sweep(tmp_path / "run", few_digits, rates, ("learning_rate",))
    assert "2 networks, which differ in learning_rate, 1 of them done, 1 diverged\n" in capsys.readouterr().out
    assert [row["end"] for row in table(tmp_path / "run")] == ["diverged in epoch 1", "done"]
    shutil.rmtree(tmp_path / "run" / "learning_rate=1000000.0")
    sweep(tmp_path / "run", few_digits, rates, ("learning_rate",))
    assert "learning_rate=1000000.0: diverged in epoch 1\n" in capsys.readouterr().out
    del rates["learning_rate=0.01"]
    with pytest.raises(Diverged, match="every network diverged"):
        sweep(tmp_path / "none", few_digits, rates, ())
    with pytest.raises(RunError, match="expected a sweep with a network that is done, got 1 that are not"):
        sweep_directory.run_dirs(tmp_path / "none")


def test_one_that_another_process_trains_stops_no_other(whole, copy, few_digits, capsys):
    for name in ("hidden=5-seed=0", "hidden=6-seed=1"):
        (copy / name / "test.json").unlink()
    held = f"{copy}/hidden=5-seed=0: expected to be its only writer, got a run in progress"
    with run_writer.opened(copy / "hidden=5-seed=0"), pytest.raises(RunError) as caught:
        sweep(copy, few_digits)
    assert str(caught.value) == f"{copy}: expected to train every network, got 1 of 4 that could not be: {held}"
    out = capsys.readouterr().out
    assert f"hidden=5-seed=0: not trained: {held}\n" in out
    assert re.search(r"\n +5 +0 + not trained *\n", out)
    assert [row["end"] for row in table(copy)] == ["done", "done", "", "done"]
    sweep(copy, few_digits)
    assert_same(copy, whole)


def test_one_whose_checkpoints_are_all_damaged_stops_no_other(copy, few_digits):
    for name in ("hidden=5-seed=0", "hidden=5-seed=1", "hidden=6-seed=1"):
        (copy / name / "test.json").unlink()
    for name in ("hidden=5-seed=0", "hidden=6-seed=0"):
        for path in (copy / name).glob("*.npz"):
            path.write_bytes(b"torn")
    with (
        pytest.warns(RunWarning, match="trying the one before it"),
        pytest.raises(RunError, match=r"got 2 of 4 that could not be: .*0: expected a checkpoint .*; and 1 more$"),
    ):
        sweep(copy, few_digits)
    assert [row["end"] for row in table(copy)] == ["", "done", "", "done"]


def test_one_whose_folder_is_not_as_it_was_stops_no_other(copy, few_digits):
    """Trained longer by `train`, with a torn record, or with a file in its place: here of a sweep of more."""
    longer, torn, place = "hidden=6-seed=0", "hidden=6-seed=1", "hidden=5-seed=0"
    trainer.train(replace(MEMBERS[longer], epochs=4), few_digits, copy / longer, "", StopRequest())
    os.truncate(copy / torn / "config.json", 30)
    shutil.rmtree(copy / place)
    (copy / place).write_text("a file")
    more = {**MEMBERS, "hidden=5-seed=2": replace(BASE, hidden=5, seed=2)}
    with pytest.raises(RunError, match=r"got 3 of 5 that could not be: epochs: expected 4 or more.* and 2 more$"):
        sweep(copy, few_digits, more)
    assert {row["run"] for row in table(copy) if row["end"] == "done"} == {"hidden=5-seed=1", "hidden=5-seed=2"}


def test_what_the_data_do_not_allow_is_left_out(few_digits, tmp_path, capsys):
    sizes = {f"batch_size={size}": replace(BASE, epochs=1, batch_size=size) for size in (100, 10_000)}
    sweep(tmp_path / "run", few_digits, sizes, ("batch_size",))
    assert (
        "1 of 2 combinations cannot be, and are left out: batch_size: expected at most" in capsys.readouterr().out
    )
    assert [row["batch_size"] for row in table(tmp_path / "run")] == ["100"]
    del sizes["batch_size=100"]
    with pytest.raises(ConfigError, match=r"^batch_size: expected at most"):
        sweep(tmp_path / "none", few_digits, sizes)
    assert not (tmp_path / "none").exists()


def test_images_without_a_grid_leave_out_what_learns_one_and_are_looked_at_once(
    few_digits, tmp_path, capsys, monkeypatch
):
    looked = []

    def learned(images):
        looked.append(len(images))
        raise neighbours.NoGrid("that are drawn by chance")

    monkeypatch.setattr(neighbours, "learned", learned)
    distorted = {
        f"seed={seed}": replace(BASE, epochs=1, shift=1.0, learned_grid=True, seed=seed) for seed in (0, 1)
    }
    with pytest.raises(
        ConfigError, match=r"^learned_grid: expected False for images that are drawn by chance, got True"
    ):
        sweep(tmp_path / "none", few_digits, distorted, ("seed",))
    assert not (tmp_path / "none").exists()
    assert looked == [500]
    plain = {"seed=2": replace(BASE, epochs=1, seed=2)}
    sweep(tmp_path / "run", few_digits, {**distorted, **plain}, ("seed",))
    assert "2 of 3 combinations cannot be, and are left out: learned_grid: " in capsys.readouterr().out
    assert [row["seed"] for row in table(tmp_path / "run")] == ["2"]


def test_each_has_its_images_on_a_learned_grid_or_not(few_digits, tmp_path, monkeypatch, capsys):
    asked = {
        f"learned_grid={value}": replace(BASE, epochs=1, shift=1.0, learned_grid=value) for value in (False, True)
    }
    grids, real = [], sweeper.members.prepare

    def prepare(config, dataset, *more):
        grids.append(dataset.grid)
        return real(config, dataset, *more)

    monkeypatch.setattr(sweeper.members, "prepare", prepare)
    sweep(tmp_path / "run", few_digits, asked, ("learned_grid",))
    assert [grid is None for grid in grids] == [True, False]
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("data: ")]
    assert [line.endswith(", distorted on the grid that they show") for line in told] == [False, True]


def test_the_epochs_asked_for_and_those_done_have_a_column_each_and_none_at_all_is_no_network(few_digits, tmp_path):
    asked = {f"epochs={epochs}": replace(BASE, epochs=epochs) for epochs in (0, 1)}
    sweep(tmp_path / "run", few_digits, asked, ("epochs",))
    rows = table(tmp_path / "run")
    assert [(row["epochs"], row["epochs_done"], row["end"]) for row in rows] == [
        ("0", "0", "done"),
        ("1", "1", "done"),
    ]
    with pytest.warns(RunWarning, match=r"run: of 2 networks, 1 of no epochs: left out$"):
        assert sweep_directory.run_dirs(tmp_path / "run") == [tmp_path / "run" / "epochs=1"]


def test_one_whose_last_checkpoint_is_torn_is_trained_to_its_end_again(whole, copy, few_digits):
    (copy / "hidden=5-seed=0" / "checkpoint-000003.npz").write_bytes(b"torn")
    with pytest.warns(RunWarning, match="trying the one before it"):
        sweep(copy, few_digits)
    assert_same(copy, whole)


def test_another_flag_or_other_data_are_refused_before_anything_is_written(copy, few_digits):
    before = {path: path.read_bytes() for path in copy.rglob("*.*")}
    other = {name: replace(config, batch_size=8) for name, config in MEMBERS.items()}
    with pytest.raises(ConfigError, match=r"^batch_size: expected 7, with which .*6-seed=0 was begun, got 8"):
        sweep(copy, few_digits, other)
    with pytest.raises(RunError, match="expected train-images-idx3-ubyte of SHA-256"):
        sweep(copy, None)
    assert {path: path.read_bytes() for path in copy.rglob("*.*")} == before


def test_networks_that_are_no_longer_asked_for_are_named_and_stay(copy, few_digits):
    fewer = {name: config for name, config in MEMBERS.items() if config.seed == 0}
    with pytest.warns(
        RunWarning, match=r"copy: hidden=\d-seed=1, hidden=\d-seed=1 stay, but are no longer in its table$"
    ):
        sweep(copy, few_digits, fewer)
    assert {row["run"] for row in table(copy)} == set(fewer)
    assert all((copy / name / "test.json").exists() for name in MEMBERS)


def test_a_member_goes_on_without_a_warning_however_few_are_left(copy, few_digits):
    """Each is whole on one device, whatever the number of devices."""
    (copy / "hidden=5-seed=0" / "test.json").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RunWarning)
        sweep(copy, few_digits)
    assert run_directory.read_config(copy / "hidden=5-seed=0")["environment"]["devices"] == ["cpu"]


def test_a_wrong_option_leaves_no_folder(few_digits, tmp_path):
    with pytest.raises(ConfigError, match="batch_size: expected at most the 500 training examples, got 501"):
        sweep(tmp_path / "run", few_digits, {"large": replace(BASE, batch_size=501)})
    assert not (tmp_path / "run").exists()


def test_what_is_left_out_is_told_in_one_line(few_digits, tmp_path, capsys):
    reasons = {f"seed={seed}": f"momentum: no {seed % 5}" for seed in range(20)}
    members = {"seed=20": replace(BASE, epochs=0)}
    told = sweeper.Told(members, {"seed=20": {"seed": 20}}, few_digits, "", lambda config: "", reasons)
    sweeper.sweep(told, tmp_path / "run", StopRequest())
    assert (
        "\n20 of 21 combinations cannot be, and are left out: "
        "momentum: no 0; momentum: no 1; momentum: no 2; and 2 reasons more\nsweep: "
    ) in capsys.readouterr().out


def test_a_second_writer_of_the_sweep_is_refused(copy, few_digits):
    with sweep_directory.opened(copy), pytest.raises(RunError, match="only writer"):
        sweep(copy, few_digits)


def test_a_folder_of_somebody_else_or_of_a_run_is_left_alone(tmp_path, few_digits, trained_run):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match=r"expected the folder of a sweep or an empty one, got .* thesis\.tex in it"):
        sweep(tmp_path, few_digits)
    assert os.listdir(tmp_path) == ["thesis.tex"]
    with pytest.raises(RunError, match="expected the folder of a sweep, got that of a run"):
        sweep(trained_run, few_digits)


def test_a_sweep_that_has_lost_its_flags_is_told_so(copy, few_digits):
    (copy / "flags.txt").unlink()
    message = f"^{copy}/flags.txt: expected the flags of the sweep, one a line, got no such file$"
    with pytest.raises(RunError, match=message):
        sweep(copy, few_digits)


def test_a_sweep_is_no_run(copy, few_digits):
    with pytest.raises(RunError, match="expected a run directory or an empty one"):
        trainer.train(BASE, few_digits, copy, "", StopRequest())
    with pytest.raises(RunError, match=f"^{copy}: expected the directory of one run, got that of a sweep of them"):
        run_directory.read_config(copy)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff"])
def test_a_damaged_table_is_one_error(copy, content):
    (copy / "sweep.csv").write_bytes(content)
    with pytest.raises(RunError, match=r"sweep\.csv: expected a table of networks|expected a sweep with a network"):
        sweep_directory.run_dirs(copy)


def test_those_that_trained_on_the_validation_images_are_not_chosen_by_them(few_digits, tmp_path, capsys):
    sweep(tmp_path / "run", few_digits, {"seed=0": replace(BASE, train_on_all=True, epochs=1)}, ())
    out = capsys.readouterr().out
    assert out.endswith("\n\nnone is the best by validation: --train_on_all trains on the validation images too\n")
    assert "1/1  seed=0: 1 epoch, " in out


def test_no_epochs_are_a_test_alone(few_digits, tmp_path, capsys):
    sweep(tmp_path / "run", few_digits, {"seed=0": replace(BASE, epochs=0)}, ())
    assert "1/1  seed=0: no epochs, " in capsys.readouterr().out
    sweep(tmp_path / "run", few_digits, {"seed=0": replace(BASE, epochs=0)}, ())


PRIVATE = replace(BASE, batch_size=50, noise_multiplier=2.0, clip_norm=1.0, delta=1e-3)


@pytest.mark.slow
def test_a_private_network_is_the_run_of_its_flags_and_secret(few_digits, tmp_path, capsys, monkeypatch):
    name, ours, alone = "noise_multiplier=2.0", tmp_path / "sweep" / "noise_multiplier=2.0", tmp_path / "alone"
    members = {"noise_multiplier=0.0": replace(BASE, epochs=1), name: PRIVATE}
    with monkeypatch.context() as patched, pytest.raises(Stopped):
        sweep(tmp_path / "sweep", few_digits, members, ("noise_multiplier",), AfterSaves(patched, 3))
    sweep(tmp_path / "sweep", few_digits, members, ("noise_multiplier",))
    monkeypatch.setattr(run_writer.secret, "fresh", (ours / "secret.key").read_bytes)
    trainer.train(PRIVATE, few_digits, alone, "", StopRequest())
    (arrays, rows, test), (expected, expected_rows, expected_test) = left_by(ours), left_by(alone)
    for leaf in ("params.W1", "params.b1", "params.W2", "params.b2"):
        saved, of_one = (files["checkpoint-000003.npz"][leaf] for files in (arrays, expected))
        np.testing.assert_allclose(saved, of_one, rtol=0, atol=1e-6)
    assert test == expected_test
    assert [row["epsilon"] for row in rows] == [row["epsilon"] for row in expected_rows]
    assert [row["privacy_epsilon"] for row in table(tmp_path / "sweep")] == ["", str(rows[-1]["epsilon"])]
    assert (ours / "secret.key").stat().st_mode & 0o077 == 0
    out = capsys.readouterr().out
    assert "privacy: ε " in out
    assert re.search(r"noise_multiplier  epochs  validation errors     loss +ε  test errors +time\n", out)


@pytest.mark.slow
def test_a_private_network_that_has_lost_its_secret_stops_no_other(few_digits, tmp_path, monkeypatch):
    members = {f"seed={seed}": replace(PRIVATE, seed=seed, epochs=1) for seed in (0, 1)}
    with monkeypatch.context() as patched, pytest.raises(Stopped):
        sweep(tmp_path / "sweep", few_digits, members, ("seed",), AfterSaves(patched, 1))
    (tmp_path / "sweep" / "seed=0" / "test.json").unlink()
    (tmp_path / "sweep" / "seed=0" / "secret.key").unlink()
    with pytest.raises(RunError, match=r"1 of 2 that could not be: .*secret\.key: expected the 32 bytes that"):
        sweep(tmp_path / "sweep", few_digits, members, ("seed",))
    assert [row["end"] for row in table(tmp_path / "sweep")] == ["", "done"]
