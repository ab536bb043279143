"""Flags that take lists: how they are read, what they ask for, and what is refused."""

import pytest

from jaxmlp.activations import ACTIVATIONS
from jaxmlp.commands import Flags
from jaxmlp.commands.flags import FlagError
from jaxmlp.commands.help import help_text
from jaxmlp.training.config import Config, ConfigError


def flags(*arguments):
    made = Flags("what it does")
    made.path("run_dir", "the runs")
    made.config(lists=True)
    made.parse(arguments)
    return made


def grid(*arguments):
    return flags(*arguments).read_grid()


def test_the_networks_are_every_combination():
    members, asked, left_out = grid("--learning_rate=0.1,0.3", "--seed=3,7:9", "--epochs=4")
    assert left_out == {}
    assert asked["learning_rate=0.3-seed=7"] == {"learning_rate": 0.3, "seed": 7}
    assert list(asked) == list(members)
    assert members == {
        f"learning_rate={rate}-seed={seed}": Config(learning_rate=rate, seed=seed, epochs=4)
        for rate in (0.1, 0.3)
        for seed in (3, 7, 8)
    }


def test_without_a_list_it_is_one_network_named_by_its_seed():
    assert grid("--hidden=7") == ({"seed=0": Config(hidden=7)}, {"seed=0": {"seed": 0}}, {})
    assert grid("--seed=0:1").members == {"seed=0": Config()}


def test_values_of_phi_hold_commas_and_are_divided_by_slashes():
    assert [c.phi for c in grid("--phi=relu,sigmoid").members.values()] == ["relu,sigmoid"]
    members, asked, _ = grid("--phi=relu,sigmoid/tanh")
    assert list(asked.values()) == [{"phi": "relu,sigmoid"}, {"phi": "tanh"}]
    assert {name: config.phi for name, config in members.items()} == {
        "phi=relu,sigmoid": "relu,sigmoid",
        "phi=tanh": "tanh",
    }


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        (["--deskew"], [True]),
        (["--nodeskew"], [False]),
        (["--deskew=false"], [False]),
        (["--deskew=false,true"], [False, True]),
        ([], [False]),
    ],
)
def test_a_switch_is_still_a_switch(arguments, values):
    assert [config.deskew for config in grid(*arguments).members.values()] == values


def test_lists_stand_in_recipes_and_flagfiles_and_what_follows_counts(tmp_path):
    (tmp_path / "some.flags").write_text("--hidden=30,100\n--optimizer=sgd,adam\n--learning_rate=0.1\n")
    members = grid(f"--flagfile={tmp_path / 'some.flags'}", "--hidden=5").members
    assert [(config.hidden, config.optimizer) for config in members.values()] == [(5, "sgd"), (5, "adam")]
    assert len(grid("--recipe=quick", "--seed=0:3").members) == 3


def test_the_flags_of_a_sweep_ask_for_the_same_again(tmp_path):
    made = flags("--phi=relu,sigmoid/tanh", "--seed=0:3", "--nesterov", "--momentum=0.5,0.9")
    (tmp_path / "flags.txt").write_text(made.flagfile())
    assert "--seed=0:3\n" in made.flagfile()
    again = flags(f"--run_dir={tmp_path}")
    assert again.read_grid() == made.read_grid()


PHI = f"one or two (hidden,output) of {', '.join(ACTIVATIONS)}"
SEED = "an integer from 0 to 4294967295"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--seed=0,x", "--seed: expected an integer from 0 to 4294967295, got 'x' in '0,x'"),
        ("--seed=ten", "--seed: expected an integer from 0 to 4294967295, got 'ten'"),
        ("--seed=0,", "--seed: expected an integer from 0 to 4294967295, got '' in '0,'"),
        ("--hidden=30,0", "--hidden: expected an integer from 1 to 100000, got '0' in '30,0'"),
        ("--phi=relu/step", f"--phi: expected {PHI}, got 'step' in 'relu/step'"),
        ("--seed=5:5", "--seed: expected 1 to 10000 values, got 0 in '5:5'"),
        ("--seed=4294967290:4294967297", f"--seed: expected {SEED}, got '4294967290:4294967297'"),
        (f"--seed=0:{10**20}", f"--seed: expected 1 to 10000 values, got {10**20} in '0:{10**20}'"),
        ("--seed=0:4294967296", "--seed: expected 1 to 10000 values, got 4294967296 in '0:4294967296'"),
        ("--seed=0:3,2", "--seed: expected each value once, got '0:3,2'"),
        ("--learning_rate=0.1,0.10", "--learning_rate: expected each value once, got '0.1,0.10'"),
        ("--learning_rate=1:3", "--learning_rate: expected a finite number > 0, got '1:3'"),
        ("--deskew=yes please", "--deskew: expected true or false, got 'yes please'"),
    ],
)
def test_a_wrong_list_is_one_line(argument, message):
    with pytest.raises(FlagError) as caught:
        grid(argument)
    assert str(caught.value) == message


def test_a_wrong_list_in_a_flagfile_names_the_file(tmp_path):
    file = tmp_path / "some.flags"
    for line in ("--seed=0,x", "--hidden=30,0"):
        file.write_text(f"{line}\n")
        with pytest.raises(FlagError, match=rf"^{line.partition('=')[0]}: expected an integer .*, in {file}$"):
            grid(f"--flagfile={file}")


def test_a_name_is_that_of_a_folder_however_many_options_are_listed(tmp_path):
    options = "learning_rate", "momentum", "weight_decay", "clip_norm", "input_dropout", "shift"
    options += "rotation", "shear", "scale"
    lists = [f"--{option}=0.123456789012345678,0.333333333333333333" for option in options]
    members = grid(*lists, "--seed=0,1").members
    assert len(members) == 2**10
    for name in members:
        (tmp_path / name).mkdir()
    longest = max(members, key=len)
    assert len(longest) == 255
    assert longest.startswith("learning_rate=0.12345678901234568-momentum=")
    again = grid(*lists, "--seed=0:9").members
    assert members.items() <= again.items()


def test_too_many_networks_are_refused_before_they_are_made():
    with pytest.raises(FlagError, match=r"^expected flags that ask for at most 10000 networks, got 100000000$"):
        grid("--seed=0:10000", "--hidden=1:10001")


def test_combinations_that_cannot_be_are_left_out_and_told_of():
    _, members, left_out = grid("--optimizer=sgd,adam", "--momentum=0,0.9")
    assert list(members) == [
        "optimizer=sgd-momentum=0.0",
        "optimizer=sgd-momentum=0.9",
        "optimizer=adam-momentum=0.0",
    ]
    assert left_out == {"optimizer=adam-momentum=0.9": "momentum: expected 0.0 with the optimizer adam, got 0.9"}
    _, members, left_out = grid("--epochs=1,3", "--warmup_epochs=0,2", "--seed=0,1")
    assert len(members) == 6
    assert set(left_out) == {f"epochs=1-warmup_epochs=2-seed={seed}" for seed in (0, 1)}


def test_where_none_of_the_networks_can_be_the_first_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"^momentum: expected 0\.0 with the optimizer adam, got 0\.5$"):
        grid("--optimizer=adam", "--momentum=0.5,0.9")


def test_the_help_shows_defaults_as_ever():
    text = help_text(flags())
    assert "--hidden=30: K, the number of hidden units" in text
    assert "--deskew: " in text
