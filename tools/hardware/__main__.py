"""Compile everything for a TPU v5e or an H100 without having one, on one device and on a mesh of four.

    pip install libtpu==0.0.41                                        212 MB, for jax 0.10.1
    python -m tools.hardware v5e
    pip install jax-cuda12-plugin==0.10.1                             462 MB once installed; no library of NVIDIA's
    python -m tools.hardware h100 clipped                             the programs with "clipped" in their names

Prints of each the seconds that it takes to compile, and the MB on a device: of arguments, of results, and of what
it needs on the way. Exit code 1 if one does not compile.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ |= {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",  # else libtpu asks Google's servers what it runs on
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # a lock that another process may have left
}

import numpy as np
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh

from jaxmlp.training.devices import UNITS
from tools.hardware.programs import Program, programs

EXAMPLES = 50_000
MB = 1e6


def devices_of(target: str) -> list[Any]:
    """Four devices that can be compiled for, and no more."""
    if target == "v5e":
        return list(topologies.get_topology_desc("v5e:2x2", platform="tpu").devices)
    config = Path(__file__).with_name("h100.txtpb").read_text()
    return list(topologies.get_topology_desc(platform="cuda", topology="1x4x1", target_config=config).devices)


def compiled(program: Program) -> str:
    """Its line of the table."""
    started = time.perf_counter()
    memory = program.lower().compile().memory_analysis()
    seconds = time.perf_counter() - started
    sizes = memory.argument_size_in_bytes, memory.output_size_in_bytes, memory.temp_size_in_bytes
    return f"{seconds:9.2f}" + "".join(f"{size / MB:11.2f}" for size in sizes)


def main() -> int:
    target, *words = sys.argv[1:] or [""]
    if target not in ("v5e", "h100"):
        print("error: expected v5e or h100, got", target or "nothing", file=sys.stderr)
        return 1
    devices = devices_of(target)
    failed = 0
    for count in (1, len(devices)):
        mesh = Mesh(np.array(devices[:count]), UNITS, axis_types=(AxisType.Auto,))
        print(f"\n{devices[0].device_kind}, {count} of them: seconds, and MB of arguments, results, temporaries")
        for program in programs(EXAMPLES, mesh=mesh):
            if any(word not in program.name for word in words):
                continue
            try:
                line = compiled(program)
            except Exception as error:
                failed += 1
                line = f"  failed: {str(error).splitlines()[0][:100]}"
            print(f"{program.name:34}{line}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
