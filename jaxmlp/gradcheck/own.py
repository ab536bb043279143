"""Our own gradient, for every pair of activations and both dtypes: a check of an installation, and of a jaxlib.

Whether the formula is right float64 tells; in float32 the question is whether the device rounds as it should.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
import jaxlib.version
import numpy as np

from jaxmlp import batch
from jaxmlp.activations import ACTIVATIONS
from jaxmlp.gradcheck.compare import DIFFERENCES_TOLERANCE, OWN_TOLERANCE
from jaxmlp.gradcheck.question import SPREADS, Evidence, leaves_of
from jaxmlp.gradcheck.rounding import QUICKLY, Entries, Rounding, epsilon
from jaxmlp.gradcheck.verdicts import MISMATCH, judged
from jaxmlp.network import Params

ROWS_TOLERANCE = 1e-5  # of a sum in float32, relative
STEP = 1e-4
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

    def losses(*example: Any) -> jax.Array:
        return jnp.stack([batch.loss(*example, phi) for phi in phis])

    example = _example(dtype, n=6)
    gradients = jax.jit(by_hand)(*example)
    references, moves = Rounding(jax.jit(autodiff, compiler_options=QUICKLY), example, as_it_is=True).at(example)
    found = iter(zip(references, moves, strict=True))
    tolerance = OWN_TOLERANCE * epsilon(example[0].W1)
    differences = _differences(losses, example) if dtype == "float64" else []
    for number, (pair, gradient) in enumerate(zip(pairs, gradients, strict=True)):
        hands = leaves_of(gradient)
        evidence = [_evidence(hand, *next(found)) for hand in hands]
        yield _row(pair, dtype, "jax.grad", evidence, tolerance)
        if differences:
            evidence = [_evidence(hand, *slopes) for hand, slopes in zip(hands, differences[number], strict=True)]
            yield _row(pair, dtype, "differences", evidence, DIFFERENCES_TOLERANCE)


def _evidence(hand: Entries, reference: Entries, moves: Entries) -> Evidence:
    return Evidence(hand, reference, np.zeros(hand.shape), SPREADS * moves, np.ones(hand.shape, bool))


def _differences(losses: Callable[..., jax.Array], example: tuple[Any, ...]) -> list[list[tuple[Entries, Entries]]]:
    """Of each of the losses, leaf by leaf: central differences at two steps extrapolated, and their error."""
    params, *data = example
    flat, unflatten = jax.flatten_util.ravel_pytree(params)
    steps = jnp.array([STEP, -STEP, STEP / 2, -STEP / 2])
    moved = flat[None, None] + steps[:, None, None] * jnp.eye(flat.size)[None]  # one step, one entry

    at_points = jax.vmap(jax.vmap(lambda point: losses(unflatten(point), *data)))
    values = jax.jit(at_points, compiler_options=QUICKLY)(moved)
    values = np.asarray(values)
    far, near = (values[0] - values[1]) / (2 * STEP), (values[2] - values[3]) / STEP
    slopes = (4 * near - far) / 3
    errors = np.abs(slopes - near) + epsilon(flat) * values[0] / STEP
    shapes = [leaf.shape for leaf in params]
    ends = np.cumsum([leaf.size for leaf in params])[:-1]

    def leaves(column: Entries) -> list[Entries]:
        return [part.reshape(shape) for part, shape in zip(np.split(column, ends), shapes, strict=True)]

    return [
        list(zip(leaves(slope), leaves(error), strict=True))
        for slope, error in zip(slopes.T, errors.T, strict=True)
    ]


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
