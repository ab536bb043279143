"""The command as a person types it, and as a program reads it."""

import json
import re
import shutil
from functools import partial

import numpy as np
import pytest

import jaxmlp
from jaxmlp import batch
from jaxmlp.data import datasets
from jaxmlp.inputs.deskewing import deskewed
from jaxmlp.inputs.edges import edge_maps
from jaxmlp.runs import storage
from shell import assert_one_line, run


@pytest.fixture
def evaluate(call):
    return partial(call, "evaluate")


@pytest.mark.parametrize("split", ["validation", "test"])
def test_json_holds_what_the_network_does(evaluate, trained_run, few_digits, split):
    done = evaluate(f"--run_dir={trained_run}", f"--split={split}", "--json")
    assert done.stderr == ""
    said = json.loads(done.stdout)
    params, phi = jaxmlp.load(trained_run)
    images, labels = getattr(datasets.load(few_digits), split)
    x2 = np.asarray(batch.forward(params, images.reshape(len(images), -1) / 255, phi).x2)
    predictions = x2.argmax(1)
    wrong = predictions != labels
    losses = ((x2 - np.eye(10)[labels]) ** 2).sum(1) / 2

    assert said["checkpoints"] == [str(trained_run / "checkpoint-000008.npz")]
    assert said["errors_of_each"] == [wrong.sum()]
    assert said["data"] == str(few_digits)
    assert said["split"] == split
    assert said["examples"] == len(labels)
    assert said["errors"] == wrong.sum()
    assert said["loss"] == pytest.approx(losses.mean(), rel=1e-5)
    counts = np.zeros((10, 10), int)
    for label, prediction in zip(labels, predictions, strict=True):
        counts[label, prediction] += 1
    assert said["confusion_matrix"] == counts.tolist()
    worst = [i for i in np.argsort(-losses) if wrong[i]][:10]
    assert [mistake["index"] for mistake in said["worst_mistakes"]] == worst
    for mistake in said["worst_mistakes"]:
        assert mistake["label"] == labels[mistake["index"]]
        assert mistake["prediction"] == predictions[mistake["index"]]
        assert mistake["loss"] == pytest.approx(losses[mistake["index"]], rel=1e-4)
        assert mistake["outputs"] == pytest.approx(x2[mistake["index"]].tolist(), abs=1e-5)
    if split == "test":
        assert said["errors"] == json.loads((trained_run / "test.json").read_text())["errors"]


def test_text_of_a_checkpoint_on_other_data(evaluate, trained_run):
    """One file, without its run: MNIST is the data."""
    done = evaluate(f"--checkpoint={trained_run / 'best.npz'}")
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == f"{trained_run / 'best.npz'} on MNIST"
    errors = int(lines[1].split()[2].replace(",", ""))
    assert lines[1].startswith(
        f"validation errors: {errors:,} of 10,000 ({1 - errors / 10_000:.2%} accuracy), mean loss 0."
    )
    counts = np.array([line.split()[1:] for line in lines[5:15]], int)
    assert counts.sum() == 10_000
    assert counts.trace() == 10_000 - errors
    assert len(lines) == 18 + 10
    index, label, prediction, _, *outputs = lines[18].split()
    assert label == str(datasets.load().validation.labels[int(index)])
    assert int(prediction) == np.argmax(np.array(outputs, float)) != int(label)


def test_a_file_of_parameters_and_the_data_of_a_run(evaluate, trained_run, tmp_path):
    params, _ = jaxmlp.load(trained_run)
    jaxmlp.save(tmp_path / "mine.npz", params._replace(b2=params.b2.at[4].set(100.0)), "relu,sigmoid")
    done = evaluate(f"--run_dir={trained_run}", f"--checkpoint={tmp_path / 'mine.npz'}", "--json")
    said = json.loads(done.stdout)
    assert said["examples"] == 100
    assert sum(row[4] for row in said["confusion_matrix"]) == 100


def test_a_committee(evaluate, trained_run, few_digits, tmp_path):
    """The mean of two networks' outputs; the second is the first with other output biases."""
    other = shutil.copytree(trained_run, tmp_path / "other")
    params, phi = jaxmlp.load(trained_run)
    inclined = params._replace(b2=params.b2 + np.linspace(-2, 2, 10))
    for file in other.glob("*.npz"):
        jaxmlp.save(file, inclined, "relu,sigmoid")
    done = evaluate(f"--data_dir={few_digits}", "--split=test", "--json", trained_run, other)
    assert done.stderr == ""
    said = json.loads(done.stdout)
    images, labels = datasets.load(few_digits).test
    x = images.reshape(len(images), -1) / 255
    members = [np.asarray(batch.forward(p, x, phi).x2) for p in (params, inclined)]
    mean = (members[0] + members[1]) / 2
    of_each = [np.sum(x2.argmax(1) != labels) for x2 in members]
    assert said["checkpoints"] == [str(run / "checkpoint-000008.npz") for run in (trained_run, other)]
    assert said["errors_of_each"] == of_each
    assert said["errors"] == np.sum(mean.argmax(1) != labels)
    assert said["errors"] not in of_each
    assert said["loss"] == pytest.approx(((mean - np.eye(10)[labels]) ** 2).sum(1).mean() / 2, rel=1e-5)
    text = evaluate(f"--data_dir={few_digits}", "--split=test", trained_run, other).stdout.splitlines()
    assert text[1] == f"{other / 'checkpoint-000008.npz'}: {of_each[1]} errors"
    assert text[2] == f"their committee on {few_digits}"


@pytest.mark.slow
def test_a_network_of_edges_of_upright_digits_is_shown_such(evaluate, edges_run, trained_run, few_digits):
    images, labels = datasets.load(few_digits).test
    members = []
    for trained, seen in ((edges_run, edge_maps(deskewed(images) / 255)), (trained_run, images / 255)):
        params, phi, *_ = storage.read(trained)
        members.append(np.asarray(batch.forward(params, seen.reshape(len(seen), -1), phi).x2))
    said = json.loads(evaluate(f"--run_dir={edges_run}", "--split=test", "--json").stdout)
    assert said["errors"] == np.sum(members[0].argmax(1) != labels)
    assert said["errors"] == json.loads((edges_run / "test.json").read_text())["errors"]
    arguments = [f"--data_dir={few_digits}", "--split=test", "--json", edges_run, trained_run]
    said = json.loads(evaluate(*arguments).stdout)
    assert said["errors_of_each"] == [np.sum(x2.argmax(1) != labels) for x2 in members]
    assert said["errors"] == np.sum((members[0] + members[1]).argmax(1) != labels)


MISTAKES = {
    "no network": ([], 1, "error: --run_dir: expected a run directory, or --checkpoint and a file, got neither"),
    "a flag of training": (["--run_dir={run}", "--hidden=5"], 1, "error: Unknown command line flag 'hidden'"),
    "a committee and a run": (["--run_dir={run}", "{run}"], 1, "error: expected run directories, or --run_dir or"),
    "a committee with no run": (
        ["{run}", "{tmp}"],
        2,
        "error: {tmp}: expected a run directory, got no config.json",
    ),
    "a committee on other data": (
        ["{run}", "{run}"],
        2,
        "error: {run}: expected train-images-idx3-ubyte of SHA-256 ",
    ),
    "a committee of unequal networks": (
        ["--data_dir={digits}", "{run}", "{tmp}/more"],
        2,
        "error: the committee: expected the same number of outputs from each, got 10 and 11",
    ),
    "data that have changed": (
        ["{tmp}/changed"],
        2,
        "error: {tmp}/changed: expected train-images-idx3-ubyte of SHA-256 0, as it was begun",
    ),
    "data that have changed, by flag": (
        ["--run_dir={tmp}/changed"],
        2,
        "error: {tmp}/changed: expected train-images-idx3-ubyte of SHA-256 0, as it was begun",
    ),
    "data that have changed, of one checkpoint": (
        ["--run_dir={tmp}/changed", "--checkpoint={tmp}/changed/best.npz"],
        2,
        "error: {tmp}/changed: expected train-images-idx3-ubyte of SHA-256 0, as it was begun",
    ),
    "no run": (["--run_dir={tmp}"], 2, "error: {tmp}: expected a run directory, got no config.json"),
    "a damaged checkpoint": (
        ["--checkpoint={tmp}/cut.npz"],
        2,
        "error: {tmp}/cut.npz: expected a whole checkpoint",
    ),
    "another size": (
        ["--checkpoint={tmp}/two.npz"],
        2,
        "error: MNIST: expected images of 2 pixels, one for each input",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_and_an_exit_code(evaluate, trained_run, few_digits, tmp_path, case):
    arguments, code, line = MISTAKES[case]
    places = {"run": trained_run, "digits": few_digits, "tmp": tmp_path}
    recorded = shutil.copytree(trained_run, tmp_path / "changed") / "config.json"
    recorded.write_text(re.sub(r'("train-images-idx3-ubyte": )"\w+"', r'\1"0"', recorded.read_text()))
    for file in shutil.copytree(trained_run, tmp_path / "more").glob("*.npz"):
        jaxmlp.save(file, jaxmlp.Params(*map(np.ones, ((784, 12), 12, (12, 11), 11))), "relu,sigmoid")
    (tmp_path / "cut.npz").write_bytes((trained_run / "best.npz").read_bytes()[:-7])
    jaxmlp.save(tmp_path / "two.npz", jaxmlp.Params(*map(np.ones, ((2, 3), 3, (3, 10), 10))))
    done = evaluate(*(argument.format(**places) for argument in arguments))
    assert_one_line(done, code, line.format(**places))


def test_the_checkpoint_before_a_damaged_one_is_used_with_a_warning(trained_run, tmp_path):
    run_dir = shutil.copytree(trained_run, tmp_path / "run")
    newest = run_dir / "checkpoint-000008.npz"
    newest.write_bytes(newest.read_bytes()[:100])
    done = run("evaluate", f"--run_dir={run_dir}")
    assert done.stdout.startswith(f"{run_dir / 'checkpoint-000007.npz'} on ")
    assert done.stderr.startswith(f"warning: {newest}: expected a whole checkpoint")
    assert done.stderr.count("\n") == 1


def test_a_run_that_trained_on_the_validation_images_says_so(evaluate, trained_run, tmp_path):
    run_dir = shutil.copytree(trained_run, tmp_path / "run")
    config = run_dir / "config.json"
    config.write_text(config.read_text().replace('"train_on_all": false', '"train_on_all": true'))
    warning = f"warning: {run_dir}: trained with --train_on_all, on its validation images too\n"
    assert evaluate(f"--run_dir={run_dir}").stderr == warning
    assert evaluate(f"--run_dir={run_dir}", "--split=test").stderr == ""
