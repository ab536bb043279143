"""Our own gradient, for every pair of activations and both dtypes: a check of an installation, and of a jaxlib.

Whether the formula is right float64 tells; in float32 the question is whether the device rounds as it should.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jaxlib.version
import numpy as np

from jaxmlp import batch
from jaxmlp.activations import ACTIVATIONS
from jaxmlp.gradcheck.compare import DIFFERENCES_TOLERANCE, OWN_TOLERANCE
from jaxmlp.gradcheck.question import SPREADS, Evidence, Question, leaves_of
from jaxmlp.gradcheck.rounding import epsilon, spread
from jaxmlp.gradcheck.verdicts import MISMATCH, judged
from jaxmlp.network import Params

ROWS_TOLERANCE = 1e-5  # of a sum in float32, relative
DTYPES = ("float32", "float64")


class Row(NamedTuple):
    hidden: str
    output: str
    dtype: str
    reference: str
    leaf: str  # the worst
    off: float  # its entry that is furthest off, over what rounding explains: up to 1 is ok
    ok: bool


def check_own(say: Callable[[str], None]) -> bool:
    """Whether all is ok; `say` gets every line of the table."""
    device = jax.devices()[0]
    say(
        f"jax {jax.__version__}, jaxlib {jaxlib.version.__version__}, "
        f"backend {device.platform}, device {device.device_kind}"
    )
    row = "{:<12} {:<12} {:<8} {:<12} {:<10} {:>14}  {}".format
    say(row("hidden", "output", "dtype", "reference", "worst leaf", "off / allowed", "").rstrip())
    verdicts = []
    with jax.default_matmul_precision("highest"):
        for dtype in DTYPES:
            with jax.enable_x64(dtype == "float64"):
                for found in own_rows(dtype):
                    say(row(*found[:5], f"{found.off:.1e}", _verdict(found.ok)))
                    verdicts.append(found.ok)
        for name, off in many_rows():
            say(f"{name}, whole against chunks: {off:.1e}  {_verdict(off <= ROWS_TOLERANCE)}")
            verdicts.append(off <= ROWS_TOLERANCE)
    say(f"{len(verdicts)} comparisons, {verdicts.count(False)} mismatches")
    return all(verdicts)


def _verdict(ok: bool) -> str:
    return "ok" if ok else "MISMATCH"


def own_rows(dtype: str) -> Iterator[Row]:
    """`batch.loss_and_gradient` for every pair of activations, with float64 on where that is the dtype."""
    pairs = [(hidden, output) for hidden in ACTIVATIONS for output in ACTIVATIONS]
    phis = [(ACTIVATIONS[hidden], ACTIVATIONS[output]) for hidden, output in pairs]

    # All pairs in one program: compiled one by one they would take several times as long.
    def by_hand(*example: Any) -> list[Params]:
        return [batch.loss_and_gradient(*example, phi)[1] for phi in phis]

    def autodiff(*example: Any) -> list[Params]:
        return [jax.grad(batch.loss)(*example, phi) for phi in phis]

    example = _example(dtype, n=6)
    gradients, references = jax.jit(by_hand)(*example), jax.jit(autodiff)(*example)
    moved = iter(spread(autodiff, example, runs=4))
    tolerance = OWN_TOLERANCE * epsilon(example[0].W1)
    for pair, phi, gradient, reference in zip(pairs, phis, gradients, references, strict=True):
        evidence = [
            Evidence(h, g, np.zeros(h.shape), SPREADS * next(moved), np.ones(h.shape, bool))
            for h, g in zip(leaves_of(gradient), leaves_of(reference), strict=True)
        ]
        yield _row(pair, dtype, "jax.grad", evidence, tolerance)
        if dtype == "float64":
            arguments = (*example, phi)
            question = Question(batch.loss, lambda *_, found=gradient: found, arguments, arguments, False, False, 0)
            differences = question.differences(arguments, [one.looked_at for one in evidence], 0)
            yield _row(pair, dtype, "differences", differences.leaves, DIFFERENCES_TOLERANCE)


def _row(pair: tuple[str, str], dtype: str, reference: str, evidence: list[Evidence], tolerance: float) -> Row:
    ratios = []
    for one in evidence:
        allowed = one.floor + tolerance * np.abs(one.reference)
        with np.errstate(all="ignore"):
            distance = np.abs(one.by_hand - one.reference)
            ratios.append(float(np.max(np.where(distance == 0, 0, distance / allowed))))
    worst = int(np.argmax(ratios))  # puts a NaN first
    ok = not any((judged(one, tolerance) == MISMATCH).any() for one in evidence) and bool(np.isfinite(ratios).all())
    return Row(*pair, dtype, reference, f".{Params._fields[worst]}", ratios[worst], ok)


def many_rows() -> Iterator[tuple[str, float]]:
    """(what, how far off relative to the largest): many rows in one jitted call against chunks of 1,000, in
    float32.

    The second is what jax 0.10.2 gets wrong on CPU without a word (jax issue 39103): a small matrix times each of
    32,769 to about 43,000 rows, followed by a reduction.
    """
    params, x, y = _example("float32", n=60_000)
    chunks = [slice(start, start + 1_000) for start in range(0, 60_000, 1_000)]
    mean = np.mean([batch.loss(params, x[rows], y[rows]) for rows in chunks], dtype=np.float64)
    yield "batch.loss of 60,000 rows", _apart(batch.loss(params, x, y), mean)

    matrix, x = params.W1[:3, :3], x[:40_000, :3]
    squared_norms = jax.jit(jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2)))
    norms = np.concatenate([squared_norms(x[rows]) for rows in chunks[:40]])
    yield "‖matrix @ row‖² of 40,000 rows", _apart(squared_norms(x), norms)


def _apart(got: Any, expected: Any) -> float:
    return float(np.max(np.abs(np.asarray(got, np.float64) - expected)) / np.max(np.abs(expected)))


def _example(dtype: str, n: int) -> tuple[Params, jax.Array, jax.Array]:
    """A 20-7-5 network and n examples, all random, so that no z is at 0, where relu has no derivative."""
    D, K, C = 20, 7, 5
    random = np.random.default_rng(0)
    shapes = (D, K), (K,), (K, C), (C,)
    params = Params(*(jnp.asarray(random.normal(0, 0.5, shape), dtype) for shape in shapes))
    x = jnp.asarray(random.uniform(0, 1, (n, D)), dtype)
    y = jnp.asarray(np.eye(C)[random.integers(0, C, n)], dtype)
    return params, x, y
