"""What a figure was measured on: the processor, the versions, and how fast it multiplies float32 matrices."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.runs import environment
from tools.bench.timing import interleaved

PACKAGES = ("jax", "jaxlib", "numpy", "torch", "scikit-learn")
ROUNDS = 7

Shapes = list[tuple[int, int, int]]  # (m, k, n): an (m, k) matrix times a (k, n) one

SQUARE: Shapes = [(1024, 1024, 1024)]


def describe() -> dict[str, Any]:
    device, here = jax.devices()[0], environment.describe()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": here["CPU model"],
        "cores": here["CPU count"],
        "device": device.device_kind if device.platform != "cpu" else "cpu",
        "python": here["python"],
        "versions": {name: _version(name) for name in PACKAGES},
        "load": os.getloadavg()[0],
    }


class Bystanders:
    """What other processes, and other virtual machines on the same cores, take while this object is kept."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._others = _cpu_seconds_of_others()

    def share(self) -> float | None:
        """Of the CPU time of all cores since, 0 to 1; a few hundredths are rounding. None where it is unknown."""
        others = _cpu_seconds_of_others()
        if others is None or self._others is None:
            return None
        seconds = (time.perf_counter() - self._started) * (os.cpu_count() or 1)
        return max(0.0, (others - self._others) / seconds)


def _cpu_seconds_of_others() -> float | None:
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    user, nice, system, _, _, irq, softirq, steal, *_ = map(int, stat.read_text().split("\n")[0].split()[1:])
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])


@cache
def torch_device() -> Any:
    torch = import_module("torch")
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def sgemm(shapes: Shapes) -> dict[str, float]:
    """GFLOP/s over products of these shapes in turn, by library: NumPy, JAX and, if installed, PyTorch."""
    rng = np.random.default_rng(0)
    pairs = [tuple(rng.random(s, np.float32) for s in ((m, k), (k, n))) for m, k, n in shapes]
    flop = sum(2 * m * k * n for m, k, n in shapes)
    calls = {"numpy": _numpy_products(pairs), "jax": _jax_products(pairs)}
    if find_spec("torch"):
        calls["torch"] = _torch_products(pairs)
    timings = interleaved(calls, ROUNDS, at_least=0.02)
    return {name: flop / min(timing.samples) / 1e9 for name, timing in timings.items()}


def _numpy_products(pairs: list[Any]) -> Callable[[], object]:
    results = [a @ b for a, b in pairs]

    def products() -> None:
        for (a, b), result in zip(pairs, results, strict=True):
            np.dot(a, b, out=result)

    return products


def _jax_products(pairs: list[Any]) -> Callable[[], object]:
    on_device = jax.device_put(pairs)
    products = jax.jit(lambda pairs: [jnp.dot(a, b) for a, b in pairs])
    return lambda: [product.block_until_ready() for product in products(on_device)]


def _torch_products(pairs: list[Any]) -> Callable[[], object]:
    torch, device = import_module("torch"), torch_device()
    tensors = [tuple(torch.from_numpy(matrix).to(device) for matrix in pair) for pair in pairs]
    results = [a @ b for a, b in tensors]

    def products() -> None:
        for (a, b), result in zip(tensors, results, strict=True):
            torch.mm(a, b, out=result)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return products


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
