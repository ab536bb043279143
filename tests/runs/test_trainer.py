"""A whole run with its directory: exact resume, damage, refusals, and what the files say."""

import dataclasses
import json
import os
import shutil
import signal
import stat
from dataclasses import replace

import numpy as np
import pytest

import jaxmlp
from jaxmlp.data import datasets
from jaxmlp.inputs.view import View
from jaxmlp.network import Params
from jaxmlp.runs import checkpoint, run_directory, run_writer, storage, trainer
from jaxmlp.runs.checkpoint import CheckpointError
from jaxmlp.runs.files import FileError
from jaxmlp.runs.run import read_run
from jaxmlp.runs.run_directory import RunError, RunWarning
from jaxmlp.runs.stopping import Stopped, StopRequest
from jaxmlp.training.config import Config, ConfigError
from jaxmlp.training.epoch import State
from jaxmlp.training.loop import Metrics
from jaxmlp.training.privacy.account import account_of
from left import left_by

CONFIG = Config(hidden=6, epochs=3, batch_size=7, phi="tanh,sigmoid", learning_rate=0.5)
FLAGS = "--hidden=6\n"


PRIVATE = {"noise_multiplier": 2.0, "clip_norm": 0.5, "delta": 1e-3, "batch_size": 50, "momentum": 0.5}


class AtOnce(StopRequest):
    signum = signal.SIGTERM


class AfterOne(StopRequest):
    """Lets one epoch pass."""

    def check(self, text):
        self.signum = signal.SIGTERM if text.startswith("stopped after") else None
        super().check(text)


def train(path, few_digits, config=CONFIG, stop=None):
    trainer.train(config, few_digits, path, FLAGS, stop or StopRequest())


def same_secret(monkeypatch):
    """One for all private runs, which draw a fresh one each."""
    monkeypatch.setattr(run_writer.secret, "fresh", lambda: bytes(range(32)))


def assert_same(a, b):
    np.testing.assert_equal(left_by(a), left_by(b))


@pytest.fixture(scope="module")
def whole(few_digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "whole"
    train(path, few_digits)
    return path


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


@pytest.fixture
def untested(copy):
    """A run that was killed before it counted its test errors: a finished one reads nothing more."""
    (copy / "test.json").unlink()
    return copy


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9, "nesterov": True, "schedule": "cosine", "warmup_epochs": 1, "weight_decay": 0.01},
        {"batches_per_block": 4, "momentum": 0.5},
        {"optimizer": "adam", "learning_rate": 0.01, "schedule": "cosine", "weight_decay": 0.01},
        {"train_on_all": True, "seed": 7, "clip_norm": 0.3, "log_noise_scale": True},
        {
            "elastic": 30.0,
            "rotation": 10.0,
            "shift": 1.0,
            "distortion_end": 0.5,
            "mixup": 0.3,
            "input_dropout": 0.2,
            "momentum": 0.9,
            "deskew": True,
            "edges": True,
        },
        PRIVATE,
    ],
    ids=str,
)
def test_a_run_stopped_at_every_epoch_ends_with_the_same_bits(few_digits, tmp_path, monkeypatch, options):
    config = Config(**{**vars(CONFIG), **options})
    same_secret(monkeypatch)
    train(tmp_path / "whole", few_digits, config)
    for epoch in (1, 2, 3):
        with pytest.raises(Stopped, match=f"stopped after epoch {epoch}"):
            train(tmp_path / "pieces", few_digits, config, AfterOne())
    train(tmp_path / "pieces", few_digits, config)
    assert_same(tmp_path / "whole", tmp_path / "pieces")


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 2, 3])
@pytest.mark.parametrize("saves", [0, 1])
def test_killed_between_its_two_saves_an_epoch_leaves_the_same_best(
    whole, few_digits, tmp_path, monkeypatch, epoch, saves
):
    """Before the checkpoint and before the best alike; every epoch of this run is the best so far."""
    save = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", dies_after((epoch - 1) * 2 + saves, save))
    with pytest.raises(Stopped):
        train(tmp_path / "run", few_digits)
    monkeypatch.setattr(checkpoint, "save", save)
    train(tmp_path / "run", few_digits)
    assert_same(tmp_path / "run", whole)


def dies_after(calls, save):
    left = iter(range(calls))

    def dying(*arguments):
        if next(left, None) is None:
            raise Stopped(signal.SIGKILL, "killed")
        save(*arguments)

    return dying


def test_what_a_run_leaves(whole):
    assert sorted(os.listdir(whole)) == [
        "best.npz",
        "checkpoint-000002.npz",
        "checkpoint-000003.npz",
        "config.json",
        "flags.txt",
        "lock",
        "metrics.jsonl",
        "test.json",
    ]
    assert (whole / "flags.txt").read_text() == FLAGS
    assert run_directory.read_config(whole)["config"] == vars(CONFIG)
    rows = [json.loads(row) for row in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    last = checkpoint.load(whole / "checkpoint-000003.npz")
    assert (last["seed"], last["epoch"]) == (CONFIG.seed, 3)
    best = json.loads(checkpoint.load(whole / "best.npz")["history"].tobytes())[-1]
    assert best["validation_errors"] == min(row["validation_errors"] for row in rows)


@pytest.mark.parametrize("content", ["{}", "3", "[]", "", '{"epoch": 3}'])
def test_a_damaged_record_of_the_test_is_written_again(whole, copy, few_digits, content):
    (copy / "test.json").write_text(content)
    train(copy, few_digits)
    assert_same(copy, whole)


def test_a_file_named_like_a_checkpoint_is_left_alone(whole, copy, few_digits):
    shutil.copy(copy / "checkpoint-000002.npz", copy / "checkpoint-keep.npz")
    assert run_directory.newest(copy)[0] == copy / "checkpoint-000003.npz"
    train(copy, few_digits, Config(**{**vars(CONFIG), "epochs": 4}))
    assert (copy / "checkpoint-keep.npz").exists()


def test_checkpoints_are_in_the_order_of_their_epochs(copy):
    shutil.copy(copy / "checkpoint-000003.npz", copy / "checkpoint-1000000.npz")
    shutil.copy(copy / "checkpoint-000003.npz", copy / "checkpoint-999999.npz")
    assert run_directory.newest(copy)[0] == copy / "checkpoint-1000000.npz"


def test_runs_that_begin_at_once_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_writer.time, "strftime", lambda form: "20261125-120000")
    folders = [str(run_writer.fresh("quick")) for _ in range(3)]
    assert folders == [f"runs/20261125-120000-quick{more}" for more in ("", "-2", "-3")]
    assert all(os.path.isdir(folder) for folder in folders)


def test_a_finished_run_reads_the_test_set_no_more(copy, few_digits, capsys):
    (copy / "test.json").write_text('{"epoch": 3, "errors": 7, "examples": 200}')
    train(copy, few_digits)
    assert "test errors: 7 of 200" in capsys.readouterr().out


def test_more_epochs_may_be_asked_for_with_a_constant_schedule(copy, few_digits, tmp_path):
    longer = Config(**{**vars(CONFIG), "epochs": 4})
    train(copy, few_digits, longer)
    train(tmp_path / "longer", few_digits, longer)
    assert_same(copy, tmp_path / "longer")
    assert run_directory.read_config(copy)["config"]["epochs"] == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden", 7),
        ("phi", "sigmoid"),
        ("optimizer", "adam"),
        ("seed", 1),
        ("batch_size", 8),
        ("learning_rate", 1.0),
        ("elastic", 30.0),
        ("input_dropout", 0.5),
        ("deskew", True),
        ("edges", True),
    ],
)
def test_another_flag_is_refused_by_name(copy, few_digits, name, value):
    before = {p: p.read_bytes() for p in copy.iterdir()}
    with pytest.raises(ConfigError, match=f"^{name}: expected {getattr(CONFIG, name)!r}, .* begun, got {value!r}$"):
        train(copy, few_digits, Config(**{**vars(CONFIG), name: value}))
    assert {p: p.read_bytes() for p in copy.iterdir()} == before


def forget(file, names):
    """Rewrite a checkpoint without these arrays."""
    checkpoint.save(file, {name: array for name, array in checkpoint.load(file).items() if name not in names})


def test_a_run_older_than_a_flag_goes_on_with_its_default(whole, untested, few_digits):
    """Its config and its checkpoints know nothing of it."""
    view = ("deskew", "directions", "edges")
    recorded = json.loads((untested / "config.json").read_text())
    for name in view:
        del recorded["config"][name]
    (untested / "config.json").write_text(json.dumps(recorded))
    (untested / "checkpoint-000003.npz").unlink()
    for file in untested.glob("*.npz"):
        forget(file, view)
    assert storage.read(untested).view == View()
    assert read_run(untested).network.view == View()
    with pytest.raises(ConfigError, match=r"^deskew: expected False, "):
        train(untested, few_digits, Config(**{**vars(CONFIG), "deskew": True}))
    train(untested, few_digits)
    np.testing.assert_equal(left_by(untested)[1:], left_by(whole)[1:])
    last = "checkpoint-000003.npz"
    np.testing.assert_equal(left_by(untested)[0][last], left_by(whole)[0][last])


@pytest.fixture
def private(few_digits, tmp_path):
    """A private run that was stopped after its first epoch."""
    path, config = tmp_path / "private", Config(**{**vars(CONFIG), **PRIVATE})
    with pytest.raises(Stopped):
        train(path, few_digits, config, AfterOne())
    return path, config


def test_a_private_run_keeps_its_secret_to_its_owner_and_out_of_its_other_files(private):
    path, _ = private
    file = path / "secret.key"
    assert stat.filemode(file.stat().st_mode) == "-rw-------"
    secret = file.read_bytes()
    assert len(secret) == 32
    for other in path.iterdir():
        content = other.read_bytes()
        assert other == file or not (secret in content or secret.hex().encode() in content)
    (row,) = map(json.loads, (path / "metrics.jsonl").read_text().splitlines())
    assert row["epsilon"] == account_of(Config(**{**vars(CONFIG), **PRIVATE}), 500).epsilon(1)


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(b"short")])
def test_without_its_secret_a_private_run_does_not_go_on(private, few_digits, damage):
    path, config = private
    damage(path / "secret.key")
    before = {file.name: file.read_bytes() for file in path.glob("*.npz")}
    expected = r"secret\.key: expected the 32 bytes that the run draws from, got (no such file|5 bytes)$"
    with pytest.raises(RunError, match=expected):
        train(path, few_digits, config)
    assert {file.name: file.read_bytes() for file in path.glob("*.npz")} == before


def test_killed_before_it_had_a_secret_a_private_run_begins(few_digits, tmp_path):
    path, config = tmp_path / "run", Config(**{**vars(CONFIG), **PRIVATE})
    with pytest.raises(Stopped):
        train(path, few_digits, config, AtOnce())
    (path / "secret.key").rename(path / "secret.key.tmp")
    train(path, few_digits, config)
    assert not (path / "secret.key.tmp").exists()


@pytest.mark.parametrize("epochs", [2, 4])
def test_another_number_of_epochs_is_another_account(private, few_digits, epochs):
    path, config = private
    with pytest.raises(ConfigError, match=f"^epochs: expected 3, with which {path} was begun, got {epochs}"):
        train(path, few_digits, replace(config, epochs=epochs))


def test_fewer_epochs_are_refused(copy, few_digits):
    with pytest.raises(ConfigError, match=f"epochs: expected 3 or more, with which {copy} was begun, got 2"):
        train(copy, few_digits, Config(**{**vars(CONFIG), "epochs": 2}))
    assert run_directory.read_config(copy)["config"]["epochs"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("option", [{"schedule": "cosine"}, {"shift": 1.0, "distortion_end": 0.5}])
def test_another_number_of_epochs_is_refused_where_a_schedule_depends_on_it(few_digits, tmp_path, option):
    config = Config(**{**vars(CONFIG), **option})
    with pytest.raises(Stopped):
        train(tmp_path / "run", few_digits, config, AtOnce())
    with pytest.raises(ConfigError, match=r"^epochs: expected 3"):
        train(tmp_path / "run", few_digits, Config(**{**vars(config), "epochs": 4}))


def test_other_data_are_refused(copy, few_digits, tmp_path):
    other = shutil.copytree(few_digits, tmp_path / "other")
    images = bytearray((other / "t10k-images-idx3-ubyte").read_bytes())
    images[-1] ^= 1
    (other / "t10k-images-idx3-ubyte").write_bytes(images)
    with pytest.raises(RunError, match=r"expected t10k-images-idx3-ubyte of SHA-256 [0-9a-f]{64}, as .*, got "):
        train(copy, other)


def test_another_machine_is_warned_of(untested, few_digits):
    said = json.loads((untested / "config.json").read_text())
    said["environment"] |= {"jaxlib": "0.0.1", "CPU count": 96, "git revision": "another"}
    (untested / "config.json").write_text(json.dumps(said))
    with pytest.warns(RunWarning) as warnings:
        train(untested, few_digits)
    jaxlib, cpus = (str(warning.message) for warning in warnings)
    assert jaxlib.startswith(f"{untested}: jaxlib was 0.0.1, is ")
    assert cpus.startswith(f"{untested}: CPU count was 96, is ")


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_serves(whole, untested, few_digits):
    last = untested / "checkpoint-000003.npz"
    last.write_bytes(last.read_bytes()[:-1000])
    (untested / "checkpoint-000004.npz.tmp").write_bytes(b"torn")
    with (untested / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "train_lo')  # a torn row
    with pytest.warns(RunWarning, match=f"^{last}: expected a whole checkpoint"):
        train(untested, few_digits)
    assert_same(whole, untested)
    assert not list(untested.glob("*.tmp"))


def test_with_no_whole_checkpoint_it_is_an_error(untested, few_digits):
    for path in untested.glob("checkpoint-*.npz"):
        path.write_bytes(b"")
    unusable = pytest.raises(CheckpointError, match="expected a checkpoint that can be used, got 2 that cannot")
    with pytest.warns(RunWarning) as warnings, unusable:
        train(untested, few_digits)
    assert len(warnings) == 2


def test_a_second_writer_is_refused(whole, few_digits):
    with run_writer.opened(whole), pytest.raises(RunError, match="only writer"):
        train(whole, few_digits)


def test_data_in_another_folder_are_found_there_from_then_on(copy, few_digits):
    trainer.train(CONFIG, few_digits, copy, f"{FLAGS}--data_dir={few_digits}\n", StopRequest())
    assert (copy / "flags.txt").read_text() == f"{FLAGS}--data_dir={few_digits}\n"


def test_a_folder_of_somebody_else_is_left_alone(tmp_path, few_digits):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match=r"expected a run directory or an empty one, got a folder with thesis\.tex"):
        train(tmp_path, few_digits)
    assert os.listdir(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize(
    "names",
    [
        ("flags.txt",),
        ("lock", "flags.txt"),
        ("lock", "thesis.tmp"),
        ("config.json",),
        ("config.json", "lock", "checkpoint-000001.npz.tmp"),
    ],
    ids=", ".join,
)
def test_nothing_of_somebody_else_is_written_or_deleted_by_a_name_like_ours(tmp_path, few_digits, names):
    for name in names:
        (tmp_path / name).write_text("{}")
    with pytest.raises(RunError, match="expected"):
        train(tmp_path, few_digits)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == dict.fromkeys(names, "{}")


def test_a_temporary_file_of_somebody_else_in_a_run_is_kept(untested, few_digits):
    (untested / "thesis.tmp").touch()
    (untested / "checkpoint-000002.npz").unlink()
    train(untested, few_digits)
    assert (untested / "thesis.tmp").exists()


def test_a_file_for_a_folder(tmp_path, few_digits):
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="expected a folder to write in, got File exists"):
        train(tmp_path / "file", few_digits)


@pytest.mark.parametrize("content", ["", "[]", '{"config": 1}'])
def test_a_damaged_config_is_one_error(copy, few_digits, content):
    (copy / "config.json").write_text(content)
    with pytest.raises(RunError, match=r"config\.json: expected "):
        train(copy, few_digits)


def test_a_run_without_its_row_file_gets_it_again(untested, whole, few_digits):
    (untested / "metrics.jsonl").unlink()
    train(untested, few_digits)
    assert_same(whole, untested)


def test_load_gives_the_parameters_of_the_newest_checkpoint(whole, copy):
    params, (hidden, output) = jaxmlp.load(whole)
    saved = checkpoint.load(whole / "checkpoint-000003.npz")
    assert all((getattr(params, leaf) == saved[f"params.{leaf}"]).all() for leaf in params._fields)
    assert (hidden, output) == (jaxmlp.activations.tanh, jaxmlp.activations.sigmoid)
    (copy / "checkpoint-000003.npz").write_bytes(b"")
    with pytest.warns(RunWarning, match="expected a whole checkpoint"):
        older, _ = jaxmlp.load(copy)
    np.testing.assert_array_equal(older.W1, checkpoint.load(copy / "checkpoint-000002.npz")["params.W1"])


def test_a_finished_run_says_so_without_compiling(whole, few_digits, capsys, monkeypatch):
    monkeypatch.setattr(trainer.loop, "prepare", lambda *arguments: pytest.fail("it was compiled"))
    errors = json.loads((whole / "test.json").read_text())["errors"]
    train(whole, few_digits)
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "all 3 epochs are done",
        f"test errors: {errors} of 200 ({1 - errors / 200:.2%} accuracy)",
    ]


def test_patience_ends_a_run_at_the_same_epoch_however_often_it_stops(few_digits, tmp_path, capsys):
    config = dataclasses.replace(CONFIG, epochs=20, learning_rate=30.0, patience=2)
    train(tmp_path / "whole", few_digits, config)
    assert (
        "\nthe best validation loss is 2 epochs old: no patience for more\ntest errors: " in capsys.readouterr().out
    )
    history = read_run(tmp_path / "whole").history
    assert min(history, key=lambda metrics: metrics.validation_loss).epoch == len(history) - 2 < 18
    assert run_directory.read_test(tmp_path / "whole")["epoch"] == len(history)
    for _ in history:
        with pytest.raises(Stopped):
            train(tmp_path / "pieces", few_digits, config, AfterOne())
    train(tmp_path / "pieces", few_digits, config)
    assert_same(tmp_path / "whole", tmp_path / "pieces")
    with pytest.raises(ConfigError, match=r"^patience: expected 2, with which .* was begun, got 3"):
        train(tmp_path / "whole", few_digits, dataclasses.replace(config, patience=3))


def test_a_run_that_patience_has_ended_says_so_without_compiling(few_digits, tmp_path, capsys, monkeypatch):
    config = dataclasses.replace(CONFIG, epochs=20, learning_rate=30.0, patience=1)
    train(tmp_path / "run", few_digits, config)
    monkeypatch.setattr(trainer.loop, "prepare", lambda *arguments: pytest.fail("it was compiled"))
    train(tmp_path / "run", few_digits, config)
    done = run_directory.read_test(tmp_path / "run")["epoch"]
    assert f"all {done} epochs are done\n" in capsys.readouterr().out


def test_the_best_network_is_the_one_that_its_record_says(whole, few_digits):
    """What is saved as the best makes the validation errors, and the loss, of its own last row, and the fewest."""
    arrays = checkpoint.load(whole / "best.npz")
    rows = json.loads(arrays["history"].tobytes())
    images, labels = datasets.load(few_digits).validation
    W1, b1, W2, b2 = (arrays[f"params.{name}"] for name in ("W1", "b1", "W2", "b2"))
    x2 = 1 / (1 + np.exp(-(np.tanh(images.reshape(100, -1) / 255 @ W1 + b1) @ W2 + b2)))
    assert rows[-1]["validation_errors"] == np.sum(x2.argmax(axis=1) != labels)
    assert rows[-1]["validation_loss"] == pytest.approx(np.sum((x2 - np.eye(10)[labels]) ** 2) / 200, rel=1e-6)
    every = [json.loads(line)["validation_errors"] for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["validation_errors"] == min(every)


def test_a_later_epoch_that_is_worse_does_not_replace_the_best(tmp_path):
    with run_writer.opened(tmp_path / "run") as writer:
        saved = run_writer.Saved(State(Params(*(np.zeros(1) for _ in range(4))), ()), ())
        for epoch, (errors, loss) in enumerate([(9, 0.3), (5, 0.2), (7, 0.1), (5, 0.25)], 1):
            metrics = Metrics(epoch, 0.1, loss, errors, 1 - errors / 100, 1.0, 1.0)
            saved = run_writer.Saved(saved.state, (*saved.history, metrics))
            writer.save(saved, CONFIG)
    assert checkpoint.load(tmp_path / "run" / "best.npz")["epoch"] == 2


@pytest.mark.slow
def test_a_noise_scale_that_is_not_finite_is_none(tmp_path, few_digits):
    """All gradients are zero where both layers are dead: tr Σ / ‖G‖² is 0/0, which JSON has no word for."""
    config = dataclasses.replace(CONFIG, phi="relu,relu", learning_rate=1e3, log_noise_scale=True)
    train(tmp_path / "dead", few_digits, config)
    lines = (tmp_path / "dead" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert rows[-1]["noise_scale"] is None
