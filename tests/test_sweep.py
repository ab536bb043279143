"""The command as a person types it: what it prints, and how it ends; and the other commands on its folder."""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest

from jaxmlp.runs import checkpoint
from shell import ENVIRONMENT, assert_one_line, run

sweep = partial(run, "sweep")


@pytest.fixture(scope="module")
def folder(few_digits, tmp_path_factory):
    """A sweep in a process of its own, on two devices; and what it printed. Not to be changed."""
    cwd = tmp_path_factory.mktemp("sweeps")
    options = ["--hidden=6", "--learning_rate=0.5,0.1", "--seed=0:3", "--epochs=2", "--run_dir=some"]
    done = sweep(f"--data_dir={few_digits}", *options, cwd=cwd, JAX_NUM_CPU_DEVICES="2")
    assert (done.returncode, done.stderr) == (0, "")
    return cwd / "some", done.stdout


def test_it_prints_a_line_for_each_network_the_table_and_the_best(folder, few_digits):
    result = r"2 epochs, \d+ validation errors, loss 0\.\d{5}, \d+ test errors, [\d.]+ s"
    line = rf"\d/6  learning_rate=0\.[51]-seed=[012]: {result}\n"
    row = r" +0\.[51] +[012] +2 +\d+ +0\.\d{5} +\d+ +[\d.]+ s\n"
    assert re.fullmatch(
        r"jax \S+ on cpu: cpu, cpu\n"
        r"6 networks, which differ in learning_rate, seed\n"
        r"sweep: some\n"
        r"data: 500 training, 100 validation and 200 test images of 28x28\n"
        r"6 networks 784-6-10, sigmoid, 2 at once; compiled in [\d.]+ s\n"
        rf"({line}){{6}}\n"
        r"learning_rate  seed  epochs  validation errors     loss  test errors   time\n"
        rf"({row}){{6}}\n"
        r"the best by validation is learning_rate=0\.[51]-seed=[012]; to repeat it:\n"
        rf"python -m jaxmlp\.train --hidden=6 .* --data_dir={few_digits}\n",
        folder[1],
    )


@pytest.mark.slow
def test_the_best_is_repeated_by_its_command_and_by_its_flags(folder, few_digits, tmp_path):
    path, printed = folder
    best = re.search("the best by validation is (.*);", printed)[1]
    command = re.search("python -m jaxmlp.train (.*)\n", printed)[1].split()
    (tmp_path / "by flags").mkdir()
    for run_dir, flags in (("by command", command), ("by flags", [f"--flagfile={path / best / 'flags.txt'}"])):
        done = run("train", *flags, f"--run_dir={run_dir}", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        for file in ("checkpoint-000002.npz", "best.npz"):
            ours, theirs = (checkpoint.load(place / file) for place in (tmp_path / run_dir, path / best))
            np.testing.assert_allclose(ours["params.W1"], theirs["params.W1"], atol=1e-5)
        assert (tmp_path / run_dir / "test.json").read_text() == (path / best / "test.json").read_text()


def test_evaluate_takes_the_folder_as_their_committee(call, folder, few_digits):
    path, _ = folder
    members = [path / f"learning_rate={rate}-seed={seed}" for rate in (0.5, 0.1) for seed in range(3)]
    named = call("evaluate", "--json", f"--data_dir={few_digits}", "--split=test", *members)
    for arguments in ([path], [f"--run_dir={path}"]):
        assert call("evaluate", "--json", "--split=test", *arguments).stdout == named.stdout
    of_each = json.loads(named.stdout)["errors_of_each"]
    assert of_each == [json.loads((member / "test.json").read_text())["errors"] for member in members]


def test_report_takes_the_folder(call, folder, tmp_path):
    pytest.importorskip("matplotlib")
    copy = shutil.copytree(folder[0], tmp_path / "copy")
    done = call("report", copy)
    assert (done.stdout, done.stderr) == (f"{copy / 'report' / 'index.html'}\n", "")
    page = (copy / "report" / "index.html").read_text()
    assert "<h1>Sweep copy</h1>" in page
    assert page.count("data:image/svg+xml") == 2
    assert len(re.findall(r'<th scope="row">learning_rate=0\.[51]-seed=[012]</th>', page)) == 6


@pytest.mark.slow
def test_reports_of_several_sweeps_are_written_into_the_first_of_them(call, folder, tmp_path):
    pytest.importorskip("matplotlib")
    first, second = (shutil.copytree(folder[0], tmp_path / name) for name in ("first", "second"))
    done = call("report", "--compare", first, second)
    assert (done.stdout, done.stderr) == (f"{first / 'report' / 'comparison.html'}\n", "")
    page = (first / "report" / "comparison.html").read_text()
    assert "<h1>Runs first, second</h1>" in page
    assert len(re.findall(rf'<th scope="row">{tmp_path}/(first|second)/learning_rate=', page)) == 12
    assert not list(tmp_path.glob("*/*/report"))


def test_train_says_what_the_folder_of_a_sweep_is(call, folder):
    done = call("train", f"--run_dir={folder[0]}")
    assert_one_line(done, 2, f"error: {folder[0]}: expected the directory of one run, got that of a sweep of them")


@pytest.mark.slow
def test_predict_and_explore_take_a_member_and_say_what_a_sweep_is(call, folder):
    path, _ = folder
    assert_one_line(
        call("explore", path), 2, f"error: {path}: expected the directory of one run, got that of a sweep"
    )
    shown = call("explore", f"--run_dir={path / 'learning_rate=0.5-seed=0'}")
    assert shown.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["--seed=0:0"], 1, "--seed: expected 1 to 10000 values, got 0 in '0:0'"),
        (["--hidden=30,0"], 1, "--hidden: expected an integer from 1 to 100000, got '0' in '30,0'"),
        (["--optimizer=adam", "--momentum=0.5"], 1, "--momentum: expected 0.0 with the optimizer adam, got 0.5"),
        (["--seed=0,1", "some"], 1, "expected flags (--name=value) only, got 'some'"),
        (["--devices=2"], 1, "--devices: expected at most 1, which is all there are, got 2"),
        (["--data_dir=nowhere"], 2, "{here}/nowhere: expected a folder of four IDX files, got No such file"),
        (
            ["--run_dir=."],
            2,
            ".: expected the folder of a sweep or an empty one, got a folder with thesis.tex in it",
        ),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_and_an_exit_code_and_leaves_nothing(call, tmp_path, arguments, code, line):
    (tmp_path / "thesis.tex").touch()
    done = call("sweep", *arguments, cwd=tmp_path)
    assert_one_line(done, code, f"error: {line.format(here=tmp_path)}")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.slow
def test_lists_of_epsilon_are_networks_that_differ_in_it(call, few_digits, tmp_path):
    pytest.importorskip("dp_accounting")
    flags = ["--target_epsilon=2,8", "--clip_norm=1", "--delta=1e-3", "--batch_size=50", "--epochs=1", "--hidden=5"]
    done = call("sweep", f"--data_dir={few_digits}", *flags, "--run_dir=some", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 networks, which differ in target_epsilon\nprivacy: ε " in done.stdout
    rows = re.findall(r"^ +([\d.]+) +1 +\d+ +[\d.]+ +([\d.]+) +\d+ +[\d.]+ s$", done.stdout, re.M)
    (asked, epsilon), (more_asked, more_told) = [map(float, row) for row in rows]
    assert (asked, more_asked) == (2, 8)
    sigma, less_noise = map(float, re.findall(r"noise multiplier ([\d.]+)", done.stdout))
    assert sigma > less_noise
    assert 1.9 < epsilon <= 2
    assert 7 < more_told <= 8
    assert re.search("^its ε is of this network by itself: that it was chosen among 2 tells", done.stdout, re.M)
    assert sorted(path.name for path in (tmp_path / "some").glob("*=*")) == [
        "target_epsilon=2.0",
        "target_epsilon=8.0",
    ]
    again = call("sweep", "--run_dir=some", cwd=tmp_path)
    assert "2 of them done\n" in again.stdout
    both = call("sweep", "--run_dir=some", "--noise_multiplier=1", cwd=tmp_path)
    assert_one_line(both, 1, "error: --target_epsilon: expected it or --noise_multiplier, got both")
    assert call("evaluate", "some", cwd=tmp_path).returncode == 0


def test_it_is_named_by_its_recipe_and_goes_on_with_its_own_flags(call, few_digits, tmp_path):
    (tmp_path / "small.flags").write_text(f"--data_dir={few_digits}\n--hidden=5\n--epochs=1\n--seed=0,1\n")
    first = call("sweep", "--flagfile=small.flags", cwd=tmp_path)
    assert first.returncode == 0
    (path,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"\d{8}-\d{6}-sweep-small", path.name)
    again = call("sweep", f"--run_dir={path}", cwd=tmp_path)
    assert "2 networks, which differ in seed, 2 of them done\n" in again.stdout
    assert again.stdout.split("\n\n")[1:] == first.stdout.split("\n\n")[1:]


def test_if_all_diverge_it_says_so(call, few_digits, tmp_path):
    flags = ["--phi=identity", "--learning_rate=1e6,1e7", "--hidden=5", "--run_dir=run"]
    done = call("sweep", f"--data_dir={few_digits}", *flags, cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr == "error: run: every network diverged; begin anew at a lower rate\n"


# Killed and stopped, as a process.

EPOCHS = 20
OPTIONS = "--hidden=8", f"--epochs={EPOCHS}", "--momentum=0.5", "--learning_rate=0.5", "--seed=0:3"


def start(few_digits, run_dir, *program):
    command = [sys.executable, "-u", *(program or ("-m", "jaxmlp.sweep"))]
    flags = [f"--data_dir={few_digits}", f"--run_dir={run_dir}", *OPTIONS]
    environment = {**ENVIRONMENT, "JAX_NUM_CPU_DEVICES": "2"}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([*command, *flags], **pipes, text=True, env=environment)


def finish(process, told=""):
    out, err = process.communicate(told, timeout=120)
    return process.returncode, out, err


def result(run_dir):
    found = {}
    for seed in range(3):
        member = run_dir / f"seed={seed}"
        arrays = [checkpoint.load(member / name) for name in (f"checkpoint-{EPOCHS:06d}.npz", "best.npz")]
        for saved in arrays:
            del saved["history"]  # has times in it
        found[seed] = arrays, (member / "test.json").read_text()
    return found


@pytest.fixture(scope="module")
def whole(few_digits, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    assert finish(start(few_digits, run_dir))[0] == 0
    return result(run_dir)


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_bits(few_digits, tmp_path, whole, request):
    moments = random.Random(0)
    for _ in range(request.config.getoption("--kills") - 1):
        process = start(few_digits, tmp_path / "run")
        process.stdout.readline()
        time.sleep(moments.uniform(0, 2.5))
        process.kill()
        assert finish(process)[2] == ""
    code, _, err = finish(start(few_digits, tmp_path / "run"))
    assert (code, err) == (0, "")
    np.testing.assert_equal(result(tmp_path / "run"), whole)
    assert not list(tmp_path.rglob("*.tmp"))


WAITING = """
import runpy, sys
from {module} import {owner} as owner

def wait(*arguments):
    print("waiting", flush=True)
    sys.stdin.readline()
    owner.{name} = meant
    return meant(*arguments)

meant, owner.{name} = owner.{name}, wait
runpy.run_module("jaxmlp.sweep", run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "owner", "name", "signum", "code"),
    [
        ("jaxmlp.training", "members", "prepare", signal.SIGTERM, 143),  # before it compiles
        ("jaxmlp.runs.run_writer", "RunWriter", "save", signal.SIGINT, 130),  # once the first epoch is trained
    ],
)
def test_asked_to_stop_it_saves_and_says_how_to_go_on(
    few_digits, tmp_path, whole, module, owner, name, signum, code
):
    run_dir = tmp_path / "run"
    process = start(few_digits, run_dir, "-c", WAITING.format(module=module, owner=owner, name=name))
    while process.stdout.readline() != "waiting\n":
        assert process.poll() is None
    process.send_signal(signum)
    said = process.stderr.readline() + process.stderr.readline()
    assert said == "\nstopping after this epoch; once more to leave at once\n"
    got, _, err = finish(process, "go on\n")
    assert got == code
    assert f"stopped; --run_dir={run_dir} goes on from the last epochs that were saved\n" in err
    assert not list(run_dir.glob("seed=*/test.json"))
    assert finish(start(few_digits, run_dir))[0] == 0
    np.testing.assert_equal(result(run_dir), whole)
