"""One whole run: load, compile, train, save, print, and at the end read the test set, once."""

from pathlib import Path

import jax
from jax.sharding import Mesh
from tqdm import tqdm

from jaxmlp.data import datasets
from jaxmlp.data.datasets import Dataset
from jaxmlp.runs import environment, lines, machines, run_writer
from jaxmlp.runs.run_writer import RunWriter, Saved
from jaxmlp.runs.stopping import StopRequest
from jaxmlp.training import devices, loop
from jaxmlp.training.augmentation import grid_of
from jaxmlp.training.config import Config
from jaxmlp.training.loop import Metrics, Program
from jaxmlp.training.privacy.account import epsilon_text


def train(
    config: Config,
    data_dir: Path | None,
    run_dir: Path | None,
    flags: str,
    stop: StopRequest,
    recipe: str = "train",
    device_count: int = 1,
) -> None:
    """Train as `config` says on the packaged MNIST, or on the four IDX files of `data_dir`, and save to `run_dir`.

    A run directory that exists is gone on with, to the same bits as if it had never stopped; without one it is a
    new runs/<time>-<recipe>. `flags` is the text of its flags.txt. The network is divided among `device_count`
    devices, for 0 among as many as are fastest. Prints to standard output: lines in a pipe, and on a terminal also
    a progress bar with the time left. Raises DataError, ConfigError, RunError, FileError,
    CheckpointError, Diverged, MachineError, and Stopped once `stop` is asked for.
    """
    dataset = datasets.load(data_dir, config.train_on_all)
    digests = {f"{name} of SHA-256": digest for name, digest in dataset.sha256.items()}
    machines.check_same({"number of devices": jax.local_device_count(), **digests})
    config.check_data(dataset.train.images.shape)
    if config.learned_grid:
        dataset = dataset._replace(grid=grid_of(dataset))
    mesh = devices.mesh_of(device_count, config)
    header = _header(config, dataset, mesh)
    run_dir = run_dir or run_writer.fresh(recipe)
    with run_writer.opened(run_dir) as writer:
        writer.claim(config, dataset.sha256, environment.describe(mesh), flags)
        print(f"{header}\nrun directory: {run_dir}", flush=True)
        examples = len(dataset.test.labels)
        if test := writer.tested(config):
            done = f"all {test['epoch']} epochs are" if test["epoch"] != 1 else "its epoch is"
            print(f"{done} done\n{_test_line(test['errors'], examples)}", flush=True)
            return
        stop.how_to_go_on = f"--run_dir={run_dir} goes on from the last epoch that was saved"
        program = loop.prepare(config, dataset, mesh, writer.secret() if config.private else None)
        print(f"compiled in {program.compile_seconds:.1f} s", flush=True)
        first = program.init()
        saved = writer.resume(first) or Saved(first, ())
        if saved.history:
            print(f"going on after epoch {len(saved.history)}", flush=True)
        stop.check(f"stopped before epoch {len(saved.history) + 1}")
        with _progress_bar(config.epochs, len(saved.history)) as bar:
            bar.set_postfix_str(f"epoch {len(saved.history) + 1} under way")
            for state, metrics in loop.fit(program, saved.state, saved.history):
                saved = Saved(state, (*saved.history, metrics))
                writer.save(saved, config)
                lines.write(bar, _epoch_line(metrics, config.epochs))
                bar.set_postfix_str(f"epoch {metrics.epoch + 1} under way", refresh=False)
                bar.update()
                stop.check(f"stopped after epoch {metrics.epoch}; --run_dir={run_dir} goes on from there")
        if loop.out_of_patience(config, saved.history):
            print(f"the best validation loss is {config.patience} epochs old: no patience for more", flush=True)
        print(_test_line(_test(writer, program, saved, examples), examples), flush=True)


def _progress_bar(epochs: int, done: int) -> "tqdm[object]":
    """On a terminal alone, and of process 0."""
    disable = None if machines.leads() else True
    return tqdm(total=epochs, initial=done, unit="epoch", leave=False, disable=disable)


def _test(writer: RunWriter, program: Program, saved: Saved, examples: int) -> int:
    """The test errors, counted, unless this run has done so already."""
    if test := writer.tested(program.config):
        return test["errors"]
    errors = int(program.test(saved.state.params).errors)
    writer.save_test(len(saved.history), errors, examples)
    return errors


def _test_line(errors: int, examples: int) -> str:
    return f"test errors: {errors} of {examples:,} ({1 - errors / examples:.2%} accuracy)"


def _header(config: Config, dataset: Dataset, mesh: Mesh) -> str:
    height, width = dataset.train.images.shape[1:]
    return "\n".join(
        [
            lines.on_devices(mesh),
            lines.data(dataset, config),
            f"network: {height * width}-{config.hidden}-{dataset.classes}, {config.phi}, seed {config.seed}",
            *([lines.privacy(config, len(dataset.train.labels))] if config.private else []),
        ]
    )


def _epoch_line(metrics: Metrics, epochs: int) -> str:
    return (
        f"epoch {metrics.epoch:>{len(str(epochs))}}/{epochs}"
        f"  train loss {metrics.train_loss:.5f}"
        f"  validation loss {metrics.validation_loss:.5f}"
        f"  validation accuracy {metrics.validation_accuracy:.2%}"
        + (f"  noise scale {metrics.noise_scale:.1f}" if metrics.noise_scale is not None else "")
        + f"  {metrics.examples_per_second:>9,.0f} examples/s"
        + (f"  {epsilon_text(metrics.epsilon)}" if metrics.epsilon is not None else "")
    )
