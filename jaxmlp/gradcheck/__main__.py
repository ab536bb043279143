"""python -m jaxmlp.gradcheck: our own gradient, for every pair of activations and both dtypes.

Checks an installation, and a jaxlib. The exit code is 1 on a mismatch or wrong arguments, else 0.
"""

import itertools
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib.version
import numpy as np

from jaxmlp import batch
from jaxmlp.activations import ACTIVATIONS
from jaxmlp.gradcheck.compare import TOLERANCES, Leaf, Report, differences_report, leaf_on, report_on
from jaxmlp.network import Params


def main(arguments: Sequence[str]) -> int:
    """Prints the table of our own gradient. The exit code: 1 on a mismatch or wrong arguments, else 0."""
    if arguments:
        print(f"gradcheck: expected no arguments, got {' '.join(arguments)}", file=sys.stderr)
        return 1
    device = jax.devices()[0]
    versions = f"jax {jax.__version__}, jaxlib {jaxlib.version.__version__}"
    print(f"{versions}, backend {device.platform}, device {device.device_kind}")
    row = "{:<12} {:<12} {:<8} {:<12} {:<10} {:>8} {:>14}  {}".format
    print(row("hidden", "output", "dtype", "reference", "worst leaf", "‖d‖/‖g‖", "max|d|/max|g|", "").rstrip())
    verdicts = []
    with jax.default_matmul_precision("highest"):
        for dtype in TOLERANCES:
            with jax.enable_x64(dtype == "float64"):
                for hidden, output, report in _own_reports(dtype):
                    leaf = report.worst
                    found = leaf.name, f"{leaf.norm_ratio:.1e}", f"{leaf.max_ratio:.1e}", leaf.verdict
                    print(row(hidden, output, dtype, report.reference, *found), flush=True)
                    verdicts.append(report.ok)
        for leaf in _many_rows():
            print(f"{leaf.name}, whole against chunks: {leaf.max_ratio:.1e}  {leaf.verdict}", flush=True)
            verdicts.append(leaf.ok)
    print(f"{len(verdicts)} comparisons, {verdicts.count(False)} mismatches")
    return 0 if all(verdicts) else 1


def _own_reports(dtype: str) -> Iterator[tuple[str, str, Report]]:
    """(hidden, output, report) of `batch.loss_and_gradient` for every pair of activations."""
    phis = {(a, b): (ACTIVATIONS[a], ACTIVATIONS[b]) for a, b in itertools.product(ACTIVATIONS, repeat=2)}

    # All pairs in one program: compiled one by one they would take several times as long.
    @jax.jit
    def by_hand(*example: Any) -> dict[tuple[str, str], Params]:
        return {pair: batch.loss_and_gradient(*example, phi)[1] for pair, phi in phis.items()}

    @jax.jit
    def autodiff(*example: Any) -> dict[tuple[str, str], Params]:
        return {pair: jax.grad(batch.loss)(*example, phi) for pair, phi in phis.items()}

    params, x, y = _example(dtype, n=6)
    gradients, references = by_hand(params, x, y), autodiff(params, x, y)
    for pair, phi in phis.items():
        yield *pair, report_on("jax.grad", gradients[pair], references[pair])
        if dtype == "float64":
            yield *pair, differences_report(batch.loss, gradients[pair], params, (x, y, phi))


def _many_rows() -> Iterator[Leaf]:
    """Many rows in one jitted call against the same rows in chunks of 1,000, in float32.

    The second is what jax 0.10.2 gets wrong on CPU without a word (jax issue 39103): a small matrix times each of
    32,769 to about 43,000 rows, followed by a reduction.
    """
    params, x, y = _example("float32", n=60_000)
    chunks = [slice(start, start + 1_000) for start in range(0, 60_000, 1_000)]
    mean = np.mean([batch.loss(params, x[rows], y[rows]) for rows in chunks], dtype=np.float64)
    yield leaf_on("batch.loss of 60,000 rows", batch.loss(params, x, y), mean, TOLERANCES["float32"])

    matrix, x = params.W1[:3, :3], x[:40_000, :3]
    squared_norms = jax.jit(jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2)))
    norms = np.concatenate([squared_norms(x[rows]) for rows in chunks[:40]])
    yield leaf_on("‖matrix @ row‖² of 40,000 rows", squared_norms(x), norms, TOLERANCES["float32"])


def _example(dtype: str, n: int) -> tuple[Params, jax.Array, jax.Array]:
    """A 20-7-5 network and n examples, all random, so that no z is at 0, where relu has no derivative."""
    D, K, C = 20, 7, 5
    random = np.random.default_rng(0)
    shapes = (D, K), (K,), (K, C), (C,)
    params = Params(*(jnp.asarray(random.normal(0, 0.5, shape), dtype) for shape in shapes))
    x = jnp.asarray(random.uniform(0, 1, (n, D)), dtype)
    y = jnp.asarray(np.eye(C)[random.integers(0, C, n)], dtype)
    return params, x, y


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
