"""Flags of a command: what is wrong is one line, recipes go by name, a run's own flags come first."""

import os
import re

import pytest

from jaxmlp.commands import Flags
from jaxmlp.commands.flags import RECIPES, FlagError, recipes
from jaxmlp.commands.help import help_text
from jaxmlp.training.config import Config


def flags(**options):
    made = Flags("what it does", **options)
    made.run_dir = made.path("run_dir", "the run")
    made.data_dir = made.path("data_dir", "the data", empty=True, absolute=True)
    made.split = made.choice("split", "the part", ("validation", "test"))
    made.json = made.switch("json", "for programs")
    made.config()
    return made


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--hidden=abc", "--hidden: expected an integer from 1 to 100000, got 'abc'"),
        ("--hidden=1.5", "--hidden: expected an integer from 1 to 100000, got '1.5'"),
        ("--learning_rate=fast", "--learning_rate: expected a finite number > 0, got 'fast'"),
        ("--learning_rate=: ", "--learning_rate: expected a finite number > 0, got ': '"),
        ("--deskew=maybe", "--deskew: expected true or false, got 'maybe'"),
        ("--split=all", "--split: expected validation or test, got 'all'"),
        ("--run_dir=", "--run_dir: expected a path, got nothing"),
        ("--run_dir=d\udce9", r"--run_dir: expected a name in UTF-8, got b'd\xe9'"),
        ("--recipe=", f"--recipe: expected one of {', '.join(recipes())}, got ''"),
        ("--recipe=fastest", f"--recipe: expected one of {', '.join(recipes())}, got 'fastest'"),
        ("--flagfile=fifo", "--flagfile: expected a file, got fifo, a folder or device"),
        ("--flagfile=none", "--flagfile: expected a readable file, got none: No such file or directory"),
        (
            "--flagfile=utf16",
            "--flagfile: expected text in UTF-8, got utf16: 'utf-8' codec can't decode byte 0xff in position 0: "
            "invalid start byte",
        ),
        (
            "--flagfile=nested",
            "--flagfile: expected text in UTF-8, got utf16: 'utf-8' codec can't decode byte 0xff in position 0: "
            "invalid start byte",
        ),
        ("--flagfile=unknown", "Unknown command line flag 'epoch'. Did you mean: epochs ?, in unknown"),
        ("--flagfile=deeper", "Unknown command line flag 'epoch'. Did you mean: epochs ?, in unknown"),
        ("--flagfile=wrong", "--hidden: expected an integer from 1 to 100000, got 'abc', in wrong"),
        (
            "--flagfile=unmarked",
            "--flagfile: expected text in UTF-8, got unmarked, which has zero bytes, as UTF-16 has",
        ),
        ("--noedges=1", "--noedges=1 does not take an argument"),
        ("--epoch=3", "Unknown command line flag 'epoch'. Did you mean: epochs ?"),
        ("epochs=3", "expected flags (--name=value) only, got 'epochs=3'"),
    ],
)
def test_a_wrong_flag_is_one_line(tmp_path, monkeypatch, argument, message):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    (tmp_path / "utf16").write_text("--epochs=1\n", "utf-16")
    (tmp_path / "nested").write_text("--epochs=1\n--flagfile=utf16\n")
    (tmp_path / "unmarked").write_text("--epochs=1\n", "utf-16-le")
    (tmp_path / "unknown").write_text("--epoch=3\n")
    (tmp_path / "deeper").write_text("--flagfile=deeper\n--flagfile=unknown\n")
    (tmp_path / "wrong").write_text("--hidden=abc\n")
    with pytest.raises(FlagError) as caught:
        flags().parse([argument])
    assert str(caught.value) == message


def test_a_value_that_only_the_config_refuses_is_said_alike():
    wrong = flags()
    wrong.parse(["--hidden=0"])
    with pytest.raises(ValueError, match=r"^hidden: expected an integer from 1 to 100000, got 0$"):
        wrong.read_config()


@pytest.mark.parametrize("argument", ["--recipe=quick", "--recipe quick", f"--flagfile={RECIPES}/quick.flags"])
def test_a_recipe_goes_by_its_name_and_what_follows_it_counts(argument):
    made = flags()
    assert made.parse([*argument.split(), "--epochs=5"]) == []
    assert made.read_config() == Config(
        hidden=128,
        phi="relu,sigmoid",
        batch_size=20,
        learning_rate=2.5,
        schedule="cosine",
        warmup_epochs=1,
        epochs=5,
    )
    assert made.recipe == "quick"
    assert flags().recipe == "train"


def test_every_recipe_has_a_name():
    assert {"quick", "nielsen30", "simard800_edges"} <= set(recipes())


def test_a_path_may_begin_at_home_and_stays_the_same_from_another_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.chdir(tmp_path)
    made = flags()
    made.parse(["--run_dir=~/runs/1", "--data_dir=here"])
    assert str(made.run_dir.value) == "/home/ada/runs/1"
    assert made.data_dir.value == tmp_path / "here"
    made.parse(["--data_dir="])
    assert made.data_dir.value is None


def test_the_flags_of_a_run_come_before_those_of_the_command_line(tmp_path):
    recorded = flags()
    recorded.parse(["--hidden=7", "--epochs=2", "--data_dir=/digits"])
    (tmp_path / "flags.txt").write_text(recorded.flagfile("data_dir"))
    made = flags()
    made.parse([f"--run_dir={tmp_path}", "--epochs=3"])
    assert made.read_config() == Config(hidden=7, epochs=3)
    assert str(made.data_dir.value) == "/digits"
    assert made.given("epochs")
    assert not made.given("data_dir")
    made.parse([f"--run_dir={tmp_path}", "--data_dir=/others"])
    assert made.given("data_dir")


def test_a_command_that_lacks_the_flags_of_a_run_passes_over_them(tmp_path):
    recorded = flags()
    recorded.parse(["--hidden=7", "--deskew"])
    (tmp_path / "flags.txt").write_text(recorded.flagfile("data_dir"))
    looks = Flags("looks at a run", operands=True, takes_run=lambda operands: True)
    run_dir = looks.path("run_dir", "the run")
    assert looks.parse([str(tmp_path), "a.png", "b.png"]) == ["a.png", "b.png"]
    assert run_dir.value == tmp_path
    assert looks.parse([f"--run_dir={tmp_path}", "a.png"]) == ["a.png"]


def test_flags_may_stand_after_operands_and_two_commands_do_not_share_them():
    one, other = flags(operands=True), flags(operands=True)
    assert one.parse(["a", "--json", "b", "--split=test"]) == ["a", "b"]
    assert (one.json.value, one.split.value) == (True, "test")
    other.parse([])
    assert (other.json.value, other.split.value) == (False, "validation")


def test_the_help_names_every_flag_once_in_its_group():
    text = help_text(flags())
    names = re.findall(r"(?m)^  --(\w+)", text)
    assert len(names) == len(set(names))
    assert {*vars(Config()), "recipe", "flagfile", "run_dir", "data_dir", "split", "json"} == set(names)
    heads = re.findall(r"(?m)^(\w+):$", text)
    assert heads == ["network", "training", "optimizer", "privacy", "inputs", "run"]
    assert "--hidden=30: K, the number of hidden units (an integer from 1 to 100000)" in text
    of_inputs = text.split("\ninputs:\n")[1].split("\nrun:\n")[0]
    assert {"deskew", "edges", "elastic", "mixup"} <= set(re.findall(r"--(\w+)", of_inputs))
    assert "momentum" not in of_inputs
