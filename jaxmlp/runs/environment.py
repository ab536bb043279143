"""Where a run runs: what may change the last bits of its result, which revision of the code, what JAX keeps."""

import os
import platform
import subprocess
from pathlib import Path

import jax
import jaxlib
import numpy as np
from jax.sharding import Mesh

from jaxmlp.training.devices import cpu_count

# What changes random numbers or roundings, whether set in the environment or in code.
SETTINGS = ("jax_enable_x64", "jax_default_matmul_precision", "jax_threefry_partitionable")


def keep_compiled(folder: Path) -> None:
    """Let JAX keep every program that it compiles in this folder, and take those that it finds there."""
    options = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    for name, value in options.items():
        jax.config.update(name, value)  # type: ignore[no-untyped-call]


def describe(mesh: Mesh | None = None) -> dict[str, object]:
    """Versions, the devices of the mesh or all, processors, settings and git revision (None outside a checkout)."""
    devices = mesh.devices.flatten() if mesh else jax.devices()
    return {
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": jaxlib.version.__version__,
        "numpy": np.__version__,
        "backend": devices[0].platform,
        "devices": [device.device_kind for device in devices],
        "CPU model": _cpu_model(),
        "CPU count": cpu_count(),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
        **{name: getattr(jax.config, name) for name in SETTINGS},
        "git revision": _git_revision(),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _git_revision() -> str | None:
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
