"""Compares jaxmlp with its peers, side by side on this machine.

    python -m tools.bench                    training: seconds per 60,000 examples, by size and contender
    python -m tools.bench --costs            what each statistic and curvature costs, against autodiff
    python -m tools.bench --whole_process    from the shell to 97%, against scripts for PyTorch and scikit-learn
    python -m tools.bench --sweep            16 networks side by side, against one after another and one a core

`pip install -e '.[bench]'` brings the peers; one that is not installed is named and left out. Everything runs
interleaved, with as many threads as there are cores (`taskset` gives it fewer); figures are medians of --rounds
runs with (min-max). On a GPU, JAX and PyTorch use it, in full float32. A busy machine slows the libraries that spin
at their barriers most: how busy others kept it is printed with each table. Exit code 1 on wrong flags, or if a
contender does not compute the same: then nothing is timed.
"""

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import jax
from absl import flags

from jaxmlp.commands.start import WRONG_FLAGS, fail, guarded
from jaxmlp.data import datasets
from jaxmlp.training.config import ConfigError
from tools import arguments
from tools.bench import autodiff, costs, machine, many, processes, training
from tools.bench.peers import PEERS, Contender
from tools.bench.timing import Timing, digits

NAMES = [peer.name for peer in PEERS]

COSTS = flags.DEFINE_bool("costs", False, "time the statistics and the curvature instead of training")
WHOLE_PROCESS = flags.DEFINE_bool("whole_process", False, "time whole processes instead of training")
SWEEP = flags.DEFINE_bool("sweep", False, "time sweeps instead of training")
PEER_NAMES = flags.DEFINE_list("peers", NAMES, f"whom to compare with: some of {','.join(NAMES)}")
SIZES = flags.DEFINE_list(
    "sizes", ["30x10", "100x10", "128x128", "800x128", "800x1024", "30x1", "100x1"], "hidden units x batch size"
)
ROUNDS = flags.DEFINE_integer("rounds", 7, "how often each contender is timed", lower_bound=1)
RUN_SECONDS = flags.DEFINE_float(
    "run_seconds", 0.5, "a slower contender trains on fewer examples in a timed run", lower_bound=0.01
)
QUICK = flags.DEFINE_bool("quick", False, "a first impression: few sizes, 3 rounds of shorter runs")
JSON = flags.DEFINE_string("json", None, "also write all samples to this file")

SWEEP_SIZES = ["30x10", "100x10", "128x128"]
QUICK_SIZES, QUICK_ROUNDS, QUICK_SECONDS = ["30x10", "128x128"], 3, 0.2
COSTS_HIDDEN, QUICK_COSTS_HIDDEN = (100, 800), (100,)


def main() -> None:
    _refuse_what_would_be_ignored()
    sizes = [_size(text) for text in _unless_given(SIZES, QUICK_SIZES)]
    peers = [] if SWEEP.value else _peers()
    rounds = _unless_given(ROUNDS, QUICK_ROUNDS)
    report = Path(JSON.value) if JSON.value else None
    if report and (report.is_dir() or not report.parent.is_dir()):
        raise ConfigError("json", "a file in a folder that exists", JSON.value)
    jax.config.update("jax_default_matmul_precision", "highest")  # type: ignore[no-untyped-call]  # for a GPU

    results: dict[str, Any] = _header()
    try:
        if WHOLE_PROCESS.value:
            results["whole_process"] = _whole_process([peer.name for peer in peers], rounds)
        elif SWEEP.value:
            sizes = sizes if SIZES.present or QUICK.value else [_size(text) for text in SWEEP_SIZES]
            results["sweep"] = [_sweep(hidden, batch_size, rounds) for hidden, batch_size in sizes]
        elif COSTS.value:
            results["costs"] = _costs(rounds)
        else:
            results["training"] = _training(sizes, peers, rounds)
    except (training.Disagreement, costs.Disagreement, processes.Failed) as error:
        sys.exit(f"error: {error}")
    if report:
        report.write_text(json.dumps(results, indent=1) + "\n")


def _guarded(names: list[str]) -> None:
    if names:
        fail(f"expected flags (--name=value) only, got {names[0]!r}", WRONG_FLAGS)
    guarded(main)


def _refuse_what_would_be_ignored() -> None:
    modes: list[Any] = [
        (COSTS, [WHOLE_PROCESS, SWEEP, SIZES, PEER_NAMES, RUN_SECONDS]),
        (WHOLE_PROCESS, [SWEEP, SIZES, RUN_SECONDS]),
        (SWEEP, [PEER_NAMES, RUN_SECONDS]),
    ]
    for mode, others in modes:
        for flag in others:
            if mode.value and flag.present:
                raise ConfigError(flag.name, f"nothing with --{mode.name}", str(flag.value))


def _unless_given(flag: Any, quick: Any) -> Any:
    return quick if QUICK.value and not flag.present else flag.value


def _peers() -> list[Contender]:
    unknown = [name for name in PEER_NAMES.value if name not in NAMES]
    if unknown:
        raise ConfigError("peers", f"some of {','.join(NAMES)}", unknown[0])
    chosen = [peer for peer in PEERS if peer.name in PEER_NAMES.value]
    missing = [peer for peer in chosen if not find_spec(peer.package)]
    for peer in missing:
        print(f"left out: {peer.name}, as {peer.package} is not installed")
    return [peer for peer in chosen if peer not in missing]


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    largest = 50_000 // training.CHECKED_BATCHES
    if not found or not (int(found[1]) >= 1 and 1 <= int(found[2]) <= largest):
        raise ConfigError("sizes", f"KxB with K >= 1 and B from 1 to {largest}", repr(text))
    return int(found[1]), int(found[2])


def _header() -> dict[str, Any]:
    here = machine.describe()
    print(f"{here['cpu']}, {here['cores']} cores, device {here['device']}, load {here['load']:.1f}")
    versions = {name: version or "none" for name, version in here["versions"].items()}
    print(", ".join(f"{name} {version}" for name, version in {"python": here["python"], **versions}.items()))
    sgemm = machine.sgemm(machine.SQUARE)
    print(f"{here['date']}; SGEMM of 1024x1024, GFLOP/s: {_gflops(sgemm)}", flush=True)
    return {"machine": here, "sgemm": sgemm}


def _training(sizes: Sequence[tuple[int, int]], peers: Sequence[Contender], rounds: int) -> list[dict[str, Any]]:
    train, seconds = datasets.load().train, _unless_given(RUN_SECONDS, QUICK_SECONDS)
    print(f"\nTraining 784-K-10, sigmoid, float32; medians (min-max) of {rounds}. error: of the weights after")
    print(f"{training.CHECKED_BATCHES} batches, against float64, relative to their change. first: seconds to")
    print("prepare, compile and train on those. examples: in a timed run, scaled to 60,000.")
    if any(not peer.same_network for peer in peers):
        print("sklearn trains a softmax on the log loss, so its weights are not compared.")
    with tempfile.TemporaryDirectory(prefix="bench-inductor-") as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder  # so that torch.compile too starts from nothing
        return [_size_results(training.run(K, B, train, peers, rounds, seconds)) for K, B in sizes]


def _size_results(result: training.Result) -> dict[str, Any]:
    ours, square, best = result.rows[0], max(result.square.values()), max(result.sgemm.values())
    print(f"\nK = {result.hidden}, B = {result.batch_size}")
    _print_table(
        ["", "s per 60,000", "x jaxmlp", "first, s", "error", "examples"],
        [
            [
                row.contender.name,
                row.timing.text(),
                f"{_ratio(row.timing, ours.timing):.2f}",
                f"{row.first_seconds:.2f}",
                f"{row.error:.0e}" if row.error is not None else "-",
                f"{row.examples:,}",
            ]
            for row in result.rows
        ],
    )
    print(
        f"jaxmlp: {result.gflops:.0f} GFLOP/s, {result.gflops / square:.0%} of a 1024x1024 SGEMM ({square:.0f}), "
        f"{result.gflops / best:.0%} of the step's two large products"
    )
    print(f"those products alone, GFLOP/s: {_gflops(result.sgemm)}")
    print(f"measured{_busy(result.bystanders)}")
    for name, why in result.skipped.items():
        print(f"left out: {name}, {why}")
    sys.stdout.flush()
    rows = [
        {
            "contender": row.contender.name,
            "what": row.contender.what,
            "error": row.error,
            "first_seconds": row.first_seconds,
            "examples": row.examples,
            "ratio": _ratio(row.timing, ours.timing),
            "seconds_per_60000": row.timing.samples,
        }
        for row in result.rows
    ]
    return result._asdict() | {"rows": rows}


def _costs(rounds: int) -> list[dict[str, Any]]:
    train, hidden_sizes = datasets.load().train, QUICK_COSTS_HIDDEN if QUICK.value else COSTS_HIDDEN
    n, at_once, pairs = autodiff.N, autodiff.AT_ONCE, costs.ROUNDS_OF_PAIR * rounds
    print(f"\nOne jitted function each, forward and backward pass included; n = {n}, float32; medians of")
    print(f"{rounds} (min-max; autodiff's are in the JSON). x grad: of one loss_and_gradient, median of {pairs}")
    print(f"rounds of those two. MB: temporaries at their peak. chunked: autodiff's, {at_once} examples at a")
    print("time. *: autodiff timed in part and scaled, its MB those of the part.")
    return [_cost_results(hidden, train, rounds) for hidden in hidden_sizes]


def _cost_results(hidden: int, train: datasets.Split, rounds: int) -> dict[str, Any]:
    bystanders = machine.Bystanders()
    rows, others = costs.run(hidden, train, rounds), bystanders.share()
    print(f"\n784-{hidden}-10{_busy(others)}")
    _print_table(
        ["", "ms", "x grad", "MB", "autodiff", "MB", "faster", "smaller", "chunked", "MB", "faster", "smaller"],
        [
            [
                row.name + "*" * row.in_part,
                row.ours.timing.text(1e-3),
                f"{_ratio(row.beside_gradient, row.gradient):.2f}",
                f"{row.ours.temporaries / 1e6:.1f}",
                *_against(row.autodiff, row.ours),
                *(_against(row.chunked, row.ours) if row.chunked else [""] * 4),
            ]
            for row in rows
        ],
    )
    sys.stdout.flush()
    return {
        "hidden": hidden,
        "bystanders": others,
        "rows": [
            {
                "quantity": row.name,
                "in_part": row.in_part,
                "beside_gradient_seconds": row.beside_gradient.samples,
                "gradient_seconds": row.gradient.samples,
                **{
                    f"{way}_{what}": value
                    for way, cost in (("ours", row.ours), ("autodiff", row.autodiff), ("chunked", row.chunked))
                    if cost
                    for what, value in (("seconds", cost.timing.samples), ("temporaries", cost.temporaries))
                },
            }
            for row in rows
        ],
    }


def _time(seconds: float) -> str:
    unit, size = ("ms", 1e-3) if seconds < 10 else ("s", 1.0) if seconds < 1000 else ("h", 3600.0)
    return f"{digits(seconds / size)} {unit}"


def _against(theirs: costs.Cost, ours: costs.Cost) -> list[str]:
    """Their time and temporaries, and how many times ours both are."""
    return [
        _time(theirs.timing.median),
        f"{theirs.temporaries / 1e6:,.1f}",
        f"{digits(_ratio(theirs.timing, ours.timing))}x",
        f"{digits(theirs.temporaries / ours.temporaries)}x" if ours.temporaries else "-",
    ]


def _whole_process(peers: list[str], rounds: int) -> list[dict[str, Any]]:
    print(
        "\nFrom the shell to 97% of the validation digits: imports, reading, compilation, training, test. Cached:"
    )
    print(f"compilation served from a cache. The files are in memory. Medians (min-max) of {rounds}.\n")
    bystanders = machine.Bystanders()
    rows, others = processes.run(peers, rounds), bystanders.share()
    ours = rows[0].timing
    _print_table(
        ["", "s", f"x {rows[0].name}", "test accuracy"],
        [
            [row.name, row.timing.text(), f"{_ratio(row.timing, ours):.2f}", f"{row.test_accuracy:.2%}"]
            for row in rows
        ],
    )
    print(f"measured{_busy(others)}")
    return [
        {
            "name": row.name,
            "command": row.command,
            "test_accuracy": row.test_accuracy,
            "seconds": row.timing.samples,
        }
        for row in rows
    ]


def _sweep(hidden: int, batch_size: int, rounds: int) -> dict[str, Any]:
    print(f"\n{many.NETWORKS} networks 784-{hidden}-10, batches of {batch_size}, {many.MANY} epochs: s for all of")
    print("them; s an epoch of one, without imports, compilation and test. Medians (min-max) of")
    print(f"{rounds}.\n")
    bystanders = machine.Bystanders()
    rows, others = many.run(hidden, batch_size, rounds), bystanders.share()
    ours = rows[0]
    _print_table(
        ["", "s", "x sweep", "s an epoch", "x sweep"],
        [
            [
                row.name,
                row.whole.text(),
                f"{_ratio(row.whole, ours.whole):.2f}",
                row.epoch.text(),
                f"{_ratio(row.epoch, ours.epoch):.2f}",
            ]
            for row in rows
        ],
    )
    print(f"measured{_busy(others)}", flush=True)
    samples = {row.name: {"seconds": row.whole.samples, "seconds_per_epoch": row.epoch.samples} for row in rows}
    return {"hidden": hidden, "batch_size": batch_size, "bystanders": others, "rows": samples}


def _ratio(timing: Timing, base: Timing) -> float:
    """The median over the rounds of the ratio within a round."""
    return median(a / b for a, b in zip(timing.samples, base.samples, strict=True))


def _busy(bystanders: float | None) -> str:
    return "" if bystanders is None else f"; other processes took {bystanders:.0%} of the cores meanwhile"


def _gflops(by_library: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.0f}" for name, value in by_library.items())


def _print_table(head: list[str], rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    align: list[Callable[..., str]] = [str.ljust] + [str.rjust] * (len(head) - 1)
    for row in [head, *rows]:
        print("  ".join(a(cell, width) for a, cell, width in zip(align, row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    arguments.start(_guarded)
