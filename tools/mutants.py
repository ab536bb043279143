"""Breaks the package on purpose, one mutant at a time, and shows that the tests notice.

    python tools/mutants.py                       every mutant
    python tools/mutants.py B1_drops_prime ...    some of them, by name

A mutant is one replacement in one module, made in a temporary copy of the package and its tests; the working tree
is only read. It is killed when a test of its module fails. Exit code 1 if one survives, if the tests could not run,
if the text to replace is not there exactly once, or if the package fails its tests as it is.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from absl import app, flags

JOBS = flags.DEFINE_integer("jobs", 2, "How many mutants to test at the same time.", short_name="j", lower_bound=1)

ROOT = Path(__file__).resolve().parent.parent


class Mutant(NamedTuple):
    """`old`, which stands exactly once in the module, becomes `new`."""

    name: str
    module: str  # dotted, inside the package
    old: str
    new: str
    tests: str = ""  # a file below tests/; by default the one that mirrors the module

    @property
    def source(self) -> Path:
        return Path("jaxmlp", *self.module.split(".")).with_suffix(".py")

    @property
    def test_file(self) -> Path:
        *folders, module = self.module.split(".")
        return Path("tests", self.tests) if self.tests else Path("tests", *folders, f"test_{module}.py")


ACTIVATIONS = [
    Mutant("sigmoid_prime_drops_factor", "activations", "return s * (1 - s)\n", "return s\n"),
    Mutant("sigmoid_prime_sign", "activations", "return s * (1 - s)\n", "return s * (1 + s)\n"),
    Mutant("sigmoid_second_sign", "activations", "(1 - 2 * s)", "(2 * s - 1)"),
    Mutant("sigmoid_second_factor", "activations", "(1 - 2 * s)", "(1 - s)"),
    Mutant("sigmoid_overflows", "activations", "(jax.nn.sigmoid,", "(lambda z: 1 / (1 + jnp.exp(-z)),"),
    Mutant("tanh_prime_not_squared", "activations", "jnp.tanh(b * z) ** 2)", "jnp.tanh(b * z))"),
    Mutant("tanh_prime_drops_inner", "activations", "a * b * (1 -", "a * (1 -"),
    Mutant("tanh_second_sign", "activations", "-2 * a", "2 * a"),
    Mutant("tanh_second_inner_once", "activations", "b**2", "b"),
    Mutant("scaled_tanh_constants_swapped", "activations", "(1.7159, 2 / 3)", "(2 / 3, 1.7159)"),
    Mutant("scaled_tanh_constant_rounded", "activations", "(1.7159, 2 / 3)", "(1.716, 2 / 3)"),
    Mutant("relu_prime_at_0_is_1", "activations", "(z > 0)", "(z >= 0)"),
    Mutant("relu_prime_at_0_is_half", "activations", "(z > 0).astype(z.dtype)", "jnp.heaviside(z, 0.5)"),
    Mutant("relu_differentiates_to_half", "activations", "(jax.nn.relu,", "(lambda z: jnp.maximum(z, 0),"),
    Mutant("relu_leaks", "activations", "(jax.nn.relu,", "(jax.nn.leaky_relu,"),
    Mutant("relu_prime_dtype", "activations", ".astype(z.dtype)", ".astype(jnp.float32)"),
    Mutant("softplus_overflows", "activations", "(jax.nn.softplus,", "(lambda z: jnp.log(1 + jnp.exp(z)),"),
    Mutant(
        "softplus_loses_small_values",
        "activations",
        "(jax.nn.softplus,",
        "(lambda z: jnp.maximum(z, 0) + jnp.log(1 + jnp.exp(-jnp.abs(z))),",
    ),
    Mutant("softplus_one_derivative_on", "activations", "sigmoid, _sigmoid_prime)", "sigmoid, _sigmoid_second)"),
    Mutant("identity_prime_is_z", "activations", "z: z, jnp.ones_like", "z: z, lambda z: z"),
    Mutant("pair_swapped", "activations", "return pair", "return pair[::-1]"),
    Mutant("pair_of_three", "activations", "len(pair) != 2 or ", ""),
    Mutant("compared_by_value", "activations", "eq=False", "eq=True"),
]

NETWORK = [
    Mutant("F1_drops_bias", "network", "W1.T @ x0 + b1", "W1.T @ x0"),
    Mutant("F1_sign_of_bias", "network", "W1.T @ x0 + b1", "W1.T @ x0 - b1"),
    Mutant("F1_not_transposed", "network", "W1.T @ x0", "W1 @ x0"),
    Mutant("F1_of_784_inputs", "network", "W1.T @ x0 + b1", "W1[:784].T @ x0[:784] + b1"),
    Mutant("F2_drops_phi", "network", "x1 = phi1(z1)", "x1 = z1"),
    Mutant("F2_phi_of_the_output", "network", "x1 = phi1(z1)", "x1 = phi2(z1)"),
    Mutant("F3_of_z1", "network", "W2.T @ x1 + b2", "W2.T @ z1 + b2"),
    Mutant("F3_not_transposed", "network", "W2.T @ x1", "W2 @ x1"),
    Mutant("F3_drops_bias", "network", "W2.T @ x1 + b2", "W2.T @ x1"),
    Mutant("F4_phi_of_the_hidden_layer", "network", "x2 = phi2(z2)", "x2 = phi1(z2)"),
    Mutant("F4_drops_phi", "network", "x2 = phi2(z2)", "x2 = z2"),
    Mutant("F4_stops_the_gradient", "network", "x2 = phi2(z2)", "x2 = jax.lax.stop_gradient(phi2(z2))"),
    Mutant("trace_x1_for_z1", "network", "Trace(x0, z1, x1, z2, x2)", "Trace(x0, x1, x1, z2, x2)"),
    Mutant("trace_layers_swapped", "network", "Trace(x0, z1, x1, z2, x2)", "Trace(x0, z1, x1, x2, z2)"),
    Mutant("L_drops_half", "network", "** 2) / 2", "** 2)"),
    Mutant("L_is_a_mean", "network", "jnp.sum((x2 - y)", "jnp.mean((x2 - y)"),
    Mutant("L_is_absolute", "network", "jnp.sum((x2 - y) ** 2)", "jnp.sum(jnp.abs(x2 - y))"),
    Mutant("L_of_z2", "network", "forward(params, x0, phi).x2", "forward(params, x0, phi).z2"),
    Mutant("L_ignores_phi", "network", "forward(params, x0, phi).x2", "forward(params, x0).x2"),
    Mutant("B1_sign", "network", "(x2 - y) * phi2", "(y - x2) * phi2"),
    Mutant("B1_drops_prime", "network", "(x2 - y) * phi2.prime(z2)", "x2 - y"),
    Mutant("B1_prime_of_x2", "network", "phi2.prime(z2)", "phi2.prime(x2)"),
    Mutant("B1_phi_for_prime", "network", "phi2.prime(z2)", "phi2(z2)"),
    Mutant("B1_second_for_prime", "network", "phi2.prime(z2)", "phi2.second(z2)"),
    Mutant("B1_stale_activation", "network", "phi2.prime(z2)", "phi1.prime(z2)"),
    Mutant("B1_factor_two", "network", "(x2 - y) * phi2", "2 * (x2 - y) * phi2"),
    Mutant("B1_of_z2", "network", "(x2 - y) * phi2", "(z2 - y) * phi2"),
    Mutant("B1_clipped", "network", "(x2 - y) * phi2", "jnp.clip(x2 - y, -5, 5) * phi2"),
    Mutant("B1_almost", "network", "(x2 - y) * phi2", "1.0001 * (x2 - y) * phi2"),
    Mutant(
        "B1_in_half_precision", "network", "(x2 - y) * phi2", "(x2 - y).astype('bfloat16').astype(y.dtype) * phi2"
    ),
    Mutant("B1_hides_nan", "network", "(x2 - y) * phi2", "jnp.nan_to_num(x2 - y) * phi2"),
    Mutant("B1_prime_clipped", "network", "phi2.prime(z2)", "phi2.prime(jnp.clip(z2, -5, 5))"),
    Mutant("B2_drops_prime", "network", "(params.W2 @ delta2) * phi1.prime(z1)", "params.W2 @ delta2"),
    Mutant("B2_prime_of_x1", "network", "phi1.prime(z1)", "phi1.prime(x1)"),
    Mutant("B2_stale_activation", "network", "phi1.prime(z1)", "phi2.prime(z1)"),
    Mutant("B2_transposed", "network", "params.W2 @ delta2", "params.W2.T @ delta2"),
    Mutant("B2_sign", "network", "(params.W2 @ delta2)", "-(params.W2 @ delta2)"),
    Mutant("B2_of_the_error", "network", "params.W2 @ delta2", "params.W2 @ (x2 - y)"),
    Mutant("B2_stops_the_gradient", "network", "(params.W2 @", "(jax.lax.stop_gradient(params.W2) @"),
    Mutant("B2_prime_stops_the_gradient", "network", "phi1.prime(z1)", "phi1.prime(jax.lax.stop_gradient(z1))"),
    Mutant("deltas_swapped", "network", "Deltas(delta1, delta2)", "Deltas(delta2, delta1)"),
    Mutant("deltas_both_of_the_output", "network", "Deltas(delta1, delta2)", "Deltas(delta2, delta2)"),
    Mutant("G1_of_z1", "network", "jnp.outer(x1, delta2)", "jnp.outer(z1, delta2)"),
    Mutant("G1_of_delta1", "network", "jnp.outer(x1, delta2)", "jnp.outer(x1, delta1)"),
    Mutant("G1_transposed", "network", "jnp.outer(x1, delta2)", "jnp.outer(delta2, x1)"),
    Mutant("G2_zero", "network", "b2=delta2,", "b2=jnp.zeros_like(delta2),"),
    Mutant("G2_of_delta1", "network", "b2=delta2,", "b2=delta1,"),
    Mutant("G3_sign", "network", "jnp.outer(x0, delta1)", "-jnp.outer(x0, delta1)"),
    Mutant("G3_of_delta2", "network", "jnp.outer(x0, delta1)", "jnp.outer(x0, delta2)"),
    Mutant("G3_of_x1", "network", "jnp.outer(x0, delta1)", "jnp.outer(x1, delta1)"),
    Mutant("G3_zero_column", "network", "jnp.outer(x0, delta1)", "jnp.outer(x0, delta1).at[:, 0].set(0)"),
    Mutant("G3_zero_row", "network", "jnp.outer(x0, delta1)", "jnp.outer(x0, delta1).at[-1].set(0)"),
    Mutant("G4_zero", "network", "b1=delta1,", "b1=jnp.zeros_like(delta1),"),
    Mutant("G4_sign", "network", "b1=delta1,", "b1=-delta1,"),
    Mutant(
        "forward_default_tanh", "network", "x0: jax.Array, phi: Phi = sigmoid) -> Trace", "x0, phi=layers) -> Trace"
    ),
    Mutant("backward_default_none", "network", "phi: Phi = sigmoid) -> Deltas", "phi=None) -> Deltas"),
    Mutant("init_fan_out", "network", "jnp.sqrt(inputs)", "jnp.sqrt(hidden)"),
    Mutant(
        "init_fan_out_of_W2",
        "network",
        "(hidden, outputs)) / jnp.sqrt(hidden)",
        "(hidden, outputs)) / jnp.sqrt(outputs)",
    ),
    Mutant("init_unscaled", "network", " / jnp.sqrt(inputs)", ""),
    Mutant("init_variance_for_deviation", "network", "jnp.sqrt(inputs)", "inputs"),
    Mutant(
        "init_uniform",
        "network",
        "jax.random.normal(key1, (inputs, hidden))",
        "jax.random.uniform(key1, (inputs, hidden), minval=-3**0.5, maxval=3**0.5)",
    ),
    Mutant("init_shared_key", "network", "normal(key2,", "normal(key1,"),
    Mutant("init_ignores_key", "network", "jax.random.split(key)", "jax.random.split(jax.random.key(0))"),
    Mutant("init_bias_of_ones", "network", "b1=jnp.zeros(hidden)", "b1=jnp.ones(hidden)"),
    Mutant("init_float32_only", "network", "b2=jnp.zeros(outputs)", "b2=jnp.zeros(outputs, jnp.float32)"),
    Mutant("init_default_hidden", "network", "hidden: int = 30", "hidden: int = 100"),
    Mutant("forward_unchecked", "network", "    check_inputs(params, x0)\n", "", "test_checks.py"),
    Mutant("loss_unchecked", "network", "    check_data(params, x0, y)\n", "", "test_checks.py"),
    Mutant("backward_unchecked", "network", "    check_trace(params, trace, y)\n", "", "test_checks.py"),
    Mutant("gradient_unchecked", "network", "    check_deltas(trace, deltas)\n", "", "test_checks.py"),
]

BATCH = [
    Mutant("mean_W1_is_a_sum", "batch", "x0.T @ delta1 / n", "x0.T @ delta1"),
    Mutant("mean_b1_is_a_sum", "batch", "jnp.mean(delta1, axis=0)", "jnp.sum(delta1, axis=0)"),
    Mutant("mean_W2_is_a_sum", "batch", "x1.T @ delta2 / n", "x1.T @ delta2"),
    Mutant("mean_b2_is_a_sum", "batch", "jnp.mean(delta2, axis=0)", "jnp.sum(delta2, axis=0)"),
    Mutant("n_is_D", "batch", "n = x0.shape[0]", "n = x0.shape[1]"),
    Mutant("n_less_one", "batch", "n = x0.shape[0]", "n = max(x0.shape[0] - 1, 1)"),
    Mutant("mean_W1_of_50000_examples", "batch", "x0.T @ delta1 / n", "x0[:50000].T @ delta1[:50000] / n"),
    Mutant("mean_W1_sign", "batch", "x0.T @ delta1 / n", "-x0.T @ delta1 / n"),
    Mutant("mean_W1_zero_column", "batch", "x0.T @ delta1 / n", "(x0.T @ delta1 / n).at[:, -1].set(0)"),
    Mutant("mean_W1_of_x1", "batch", "x0.T @ delta1", "x1.T @ delta1"),
    Mutant("mean_W1_transposed", "batch", "x0.T @ delta1", "(x0.T @ delta1).T"),
    Mutant("mean_W2_of_z1", "batch", "x1.T @ delta2", "z1.T @ delta2"),
    Mutant("mean_W2_of_delta1", "batch", "x1.T @ delta2", "x1.T @ delta1"),
    Mutant("mean_b1_zero", "batch", "b1=jnp.mean(delta1, axis=0)", "b1=jnp.zeros_like(delta1[0])"),
    Mutant("mean_b2_zero", "batch", "b2=jnp.mean(delta2, axis=0)", "b2=jnp.zeros_like(delta2[0])"),
    Mutant("mean_b1_over_units", "batch", "jnp.mean(delta1, axis=0)", "jnp.mean(delta1, axis=1)"),
    Mutant("mean_b2_of_the_first_example", "batch", "jnp.mean(delta2, axis=0)", "delta2[0]"),
    Mutant("loss_is_a_sum", "batch", "jnp.mean(jax.vmap", "jnp.sum(jax.vmap"),
    Mutant("loss_hides_nan", "batch", "jnp.mean(jax.vmap", "jnp.nanmean(jax.vmap"),
    Mutant("loss_is_a_median", "batch", "jnp.mean(jax.vmap", "jnp.median(jax.vmap"),
    Mutant("loss_of_z2", "batch", "(trace.x2, y))", "(trace.z2, y))"),
    Mutant(
        "loss_ignores_phi", "batch", "_mean_loss(forward(params, x, phi), y)", "_mean_loss(forward(params, x), y)"
    ),
    Mutant("forward_ignores_phi", "batch", "network.forward(params, x0, phi)", "network.forward(params, x0)"),
    Mutant(
        "backward_ignores_phi",
        "batch",
        "network.backward(params, t, target, phi)",
        "network.backward(params, t, target)",
    ),
    Mutant(
        "backward_scaled",
        "batch",
        "(trace, y)\n\n\n@jax.jit",
        "(trace._replace(x2=trace.x2 / 2), y / 2)\n\n\n@jax.jit",
    ),
    Mutant(
        "step_ignores_phi",
        "batch",
        "deltas = backward(params, trace, y, phi)",
        "deltas = backward(params, trace, y)",
    ),
    Mutant(
        "step_stops_the_gradient",
        "batch",
        "y), gradient(trace, deltas)",
        "y), gradient(trace, jax.lax.stop_gradient(deltas))",
    ),
    Mutant(
        "step_in_the_wrong_order",
        "batch",
        "return _mean_loss(trace, y), gradient(trace, deltas)",
        "return gradient(trace, deltas), _mean_loss(trace, y)",
    ),
    Mutant("phi_not_static", "batch", 'partial(jax.jit, static_argnames="phi")', "partial(jax.jit)"),
    Mutant("per_example_W1", "batch", "x0.T @ delta1 / n", "jnp.mean(jax.vmap(jnp.outer)(x0, delta1), axis=0)"),
    Mutant("per_example_W2", "batch", "x1.T @ delta2 / n", "jnp.mean(x1[:, :, None] * delta2[:, None, :], axis=0)"),
    Mutant(
        "batch_forward_unchecked",
        "batch",
        '    check_inputs(params, x, lead=BATCH, name="x")\n',
        "",
        "test_checks.py",
    ),
    Mutant(
        "batch_backward_unchecked", "batch", "    check_trace(params, trace, y, lead=BATCH)\n", "", "test_checks.py"
    ),
    Mutant(
        "batch_gradient_unchecked", "batch", "    check_deltas(trace, deltas, lead=BATCH)\n", "", "test_checks.py"
    ),
]

CHECKS = [
    Mutant("integers_pass", "checks", "jnp.issubdtype(got, jnp.floating)", "jnp.issubdtype(got, jnp.number)"),
    Mutant("any_dtype_passes", "checks", "else got == dtype", "else True"),
    Mutant("any_shape_passes", "checks", "right_shape and right_dtype", "right_dtype"),
    Mutant("empty_axes_pass", "checks", "length >= 1)\n", "length >= 0)\n"),
    Mutant("any_number_of_axes_passes", "checks", "len(array.shape) == len(shape) and all(", "all("),
    Mutant(
        "any_n_passes",
        "checks",
        '    check_array("y (one-hot)", y, (*lead, C), dtype)\n\n\ndef check_trace',
        '    check_array("y (one-hot)", y, (*("n" for _ in lead), C), dtype)\n\n\ndef check_trace',
    ),
    Mutant("any_n_passes_in_a_trace", "checks", "        lead = check_array(f", "        check_array(f"),
    Mutant("any_n_passes_in_deltas", "checks", '    lead = check_array("trace.x0"', '    check_array("trace.x0"'),
    Mutant("lists_reach_the_code", "checks", 'hasattr(array, "shape") and hasattr(array, "dtype")', "True"),
    Mutant(
        "tuples_pass_for_params",
        "checks",
        'getattr(params, "_fields", None) != ("W1", "b1", "W2", "b2")',
        "len(params) != 4",
    ),
    Mutant("b1_unchecked", "checks", '    check_array("params.b1", params.b1, (K,), dtype)\n', ""),
    Mutant("b2_unchecked", "checks", '    check_array("params.b2", params.b2, (C,), dtype)\n', ""),
    Mutant("z2_unchecked", "checks", '"z2": C, ', ""),
    Mutant(
        "delta1_unchecked",
        "checks",
        '    check_array("deltas.delta1", getattr(deltas, "delta1", None), (*lead, K), dtype)\n',
        "",
    ),
    Mutant(
        "delta2_unchecked",
        "checks",
        '    check_array("deltas.delta2", getattr(deltas, "delta2", None), (*lead, C), dtype)\n',
        "",
    ),
    Mutant(
        "x64_off_unknown",
        "checks",
        "jax.dtypes.canonicalize_dtype(array.dtype, allow_extended_dtype=True)",
        "array.dtype",
    ),
    Mutant(
        "expected_and_got_swapped",
        "checks",
        "expected {expected}, got {got} array of shape {_written(array.shape)}",
        "expected {got} array of shape {_written(array.shape)}, got {expected}",
    ),
]

MUTANTS = [*ACTIVATIONS, *NETWORK, *BATCH, *CHECKS]


class Outcome(NamedTuple):
    killed_by: str | None  # the first test that failed; None when all passed
    seconds: float
    output: str


@contextmanager
def copied_package() -> Iterator[Path]:
    """A temporary copy of what the tests of the mathematics need: the sources, without the data."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder)
        for part in ("jaxmlp", "tests"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("*.gz", "__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        yield copy


def run_tests(copy: Path, tests: list[Path], cache: Path) -> Outcome:
    """pytest in the copy, up to the first failure. Raises RuntimeError when it could not run the tests."""
    environment = os.environ | {
        "PYTHONPATH": str(copy),  # before an installed jaxmlp
        "PYTHONDONTWRITEBYTECODE": "1",
        # A mutant differs from the package in one place: nearly all that it compiles, another has compiled before.
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", "-p", "no:cacheprovider", *map(str, tests)]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    output = done.stdout + done.stderr
    failed = re.search(r"^FAILED (.+?)(?: - |$)", output, re.MULTILINE)
    if done.returncode == 0:
        return Outcome(None, seconds, output)
    if done.returncode == 1 and failed:
        return Outcome(failed[1].removeprefix("tests/"), seconds, output)
    raise RuntimeError(f"pytest exited with {done.returncode}:\n{output}")


def test_mutant(mutant: Mutant, cache: Path) -> Outcome:
    with copied_package() as copy:
        source = copy / mutant.source
        source.write_text(source.read_text("utf-8").replace(mutant.old, mutant.new), "utf-8")
        return run_tests(copy, [mutant.test_file], cache)


def chosen(names: list[str]) -> list[Mutant]:
    """The mutants of these names, or all. Raises ValueError on a name or a replacement that does not fit."""
    by_name = {mutant.name: mutant for mutant in MUTANTS}
    if len(by_name) != len(MUTANTS):
        raise ValueError("MUTANTS: expected every name once")
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise ValueError(f"unknown mutant {unknown[0]}; there are {', '.join(by_name)}")
    mutants = [by_name[name] for name in names] or MUTANTS
    for mutant in mutants:
        found = (ROOT / mutant.source).read_text("utf-8").count(mutant.old)
        if found != 1:
            raise ValueError(
                f"{mutant.name}: expected {mutant.old!r} once in {mutant.source}, got it {found} times"
            )
    return mutants


def main(argv: list[str]) -> int:
    try:
        mutants = chosen(argv[1:])
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1

    with tempfile.TemporaryDirectory(prefix="mutants-cache-") as folder, ThreadPoolExecutor(JOBS.value) as pool:
        cache = Path(folder)
        with copied_package() as copy:
            unmutated = run_tests(copy, sorted({mutant.test_file for mutant in mutants}), cache)
        if unmutated.killed_by:
            print(f"the package as it is fails {unmutated.killed_by}:\n{unmutated.output}", file=sys.stderr)
            return 1
        print(f"the package as it is: all tests pass ({unmutated.seconds:.0f} s)\n")

        start = time.perf_counter()
        survivors = []
        print(f"{'mutant':<32} {'s':>5}  killed by")
        outcomes = pool.map(lambda mutant: test_mutant(mutant, cache), mutants)
        for mutant, outcome in zip(mutants, outcomes, strict=True):
            print(
                f"{mutant.name:<32} {outcome.seconds:>5.1f}  {outcome.killed_by or 'NOTHING: it survives'}",
                flush=True,
            )
            if not outcome.killed_by:
                survivors.append(mutant.name)
    print(f"\n{len(mutants) - len(survivors)} of {len(mutants)} killed in {time.perf_counter() - start:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    app.run(main)
