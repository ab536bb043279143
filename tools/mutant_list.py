"""The mutants: what tools/mutants.py breaks, module by module."""

from pathlib import Path
from typing import NamedTuple


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
    Mutant("squared_error_unchecked", "network", "    check_targets(x2, y)\n", "", "test_checks.py"),
    Mutant("backward_unchecked", "network", "    check_trace(params, trace, y)\n", "", "test_checks.py"),
    Mutant("gradient_unchecked", "network", "    check_deltas(trace, deltas)\n", "", "test_checks.py"),
]

BATCH = [
    Mutant("mean_W1_is_a_sum", "batch", "delta1.T @ x0 / n", "delta1.T @ x0"),
    Mutant("mean_b1_is_a_sum", "batch", "jnp.mean(delta1, axis=0)", "jnp.sum(delta1, axis=0)"),
    Mutant("mean_W2_is_a_sum", "batch", "delta2.T @ x1 / n", "delta2.T @ x1"),
    Mutant("mean_b2_is_a_sum", "batch", "jnp.mean(delta2, axis=0)", "jnp.sum(delta2, axis=0)"),
    Mutant("n_is_D", "batch", "n = x0.shape[0]", "n = x0.shape[1]"),
    Mutant("n_less_one", "batch", "n = x0.shape[0]", "n = max(x0.shape[0] - 1, 1)"),
    Mutant("mean_W1_of_50000_examples", "batch", "delta1.T @ x0 / n", "delta1[:50000].T @ x0[:50000] / n"),
    Mutant("mean_W1_sign", "batch", "delta1.T @ x0 / n", "-delta1.T @ x0 / n"),
    Mutant("mean_W1_zero_column", "batch", "(delta1.T @ x0 / n).T", "(delta1.T @ x0 / n).T.at[:, -1].set(0)"),
    Mutant("mean_W1_of_x1", "batch", "delta1.T @ x0", "delta1.T @ x1"),
    Mutant("mean_W1_transposed", "batch", "(delta1.T @ x0 / n).T", "(delta1.T @ x0 / n)"),
    Mutant("mean_W2_of_z1", "batch", "delta2.T @ x1", "delta2.T @ z1"),
    Mutant("mean_W2_of_delta1", "batch", "delta2.T @ x1", "delta1.T @ x1"),
    Mutant("mean_b1_zero", "batch", "b1=jnp.mean(delta1, axis=0)", "b1=jnp.zeros_like(delta1[0])"),
    Mutant("mean_b2_zero", "batch", "b2=jnp.mean(delta2, axis=0)", "b2=jnp.zeros_like(delta2[0])"),
    Mutant("mean_b1_over_units", "batch", "jnp.mean(delta1, axis=0)", "jnp.mean(delta1, axis=1)"),
    Mutant("mean_b2_of_the_first_example", "batch", "jnp.mean(delta2, axis=0)", "delta2[0]"),
    Mutant("loss_is_a_sum", "batch", "jnp.mean(jax.vmap", "jnp.sum(jax.vmap"),
    Mutant("loss_hides_nan", "batch", "jnp.mean(jax.vmap", "jnp.nanmean(jax.vmap"),
    Mutant("loss_is_a_median", "batch", "jnp.mean(jax.vmap", "jnp.median(jax.vmap"),
    Mutant("loss_of_z2", "batch", "(trace.x2, y))", "(trace.z2, y))"),
    Mutant(
        "loss_ignores_phi", "batch", "mean_loss(forward(params, x, phi), y)", "mean_loss(forward(params, x), y)"
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
        "return mean_loss(trace, y), gradient(trace, deltas)",
        "return gradient(trace, deltas), mean_loss(trace, y)",
    ),
    Mutant(
        "row_sums_without_the_first",
        "batch",
        "(rows, jnp.ones(rows.shape[1], rows.dtype)",
        "(rows[:, 1:], jnp.ones(rows.shape[1] - 1, rows.dtype)",
        "test_statistics.py",
    ),
    Mutant("phi_not_static", "batch", 'partial(jax.jit, static_argnames="phi")', "partial(jax.jit)"),
    Mutant("per_example_W1", "batch", "(delta1.T @ x0 / n).T", "jnp.mean(jax.vmap(jnp.outer)(x0, delta1), axis=0)"),
    Mutant("per_example_W2", "batch", "(delta2.T @ x1 / n).T", "jnp.mean(jax.vmap(jnp.outer)(x1, delta2), axis=0)"),
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
    Mutant(
        "batch_mean_loss_unchecked",
        "batch",
        "    check_targets(trace.x2, y, lead=BATCH)\n",
        "",
        "test_checks.py",
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
        'check_array("y (one-hot)", y, shape, _dtype(x2))',
        'check_array("y (one-hot)", y, (*("n" for _ in lead), shape[-1]), _dtype(x2))',
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
    Mutant(
        "v_not_checked",
        "checks",
        'check_array(f"v.{name}", getattr(v, name, None), shape, _dtype(trace.x0))',
        "pass",
        "test_curvature.py",
    ),
    Mutant(
        "other_batch_size_not_checked",
        "checks",
        "m, *_ = check_array(name, theirs",
        "_ = check_array(name, theirs",
        "test_curvature.py",
    ),
]

STATISTICS = [
    Mutant("squared_norms_without_the_input", "statistics", "W1=x0 * delta1, b1=delta1", "W1=delta1, b1=delta1"),
    Mutant("squared_norm_of_W2_from_x0", "statistics", "W2=x1 * delta2", "W2=x0 * delta2"),
    Mutant(
        "norm_of_the_scaled_deltas_not_scaled_back", "statistics", "return scale * jnp.where", "return jnp.where"
    ),
    Mutant(
        "norms_without_the_deltas_scale",
        "statistics",
        "jnp.where(size >= smallest_normal, size, 1))",
        "jnp.ones_like(size))",
    ),
    Mutant(
        "scale_from_the_hidden_deltas_alone",
        "statistics",
        "size = batch.row_sums(jnp.abs(deltas.delta1)) + batch.row_sums(jnp.abs(deltas.delta2))",
        "size = batch.row_sums(jnp.abs(deltas.delta1))",
    ),
    Mutant("zero_deltas_divided_by_zero", "statistics", "jnp.where(size >= smallest_normal, size, 1)", "size"),
    Mutant("weighted_gradient_as_a_mean", "statistics", "len(weights) * leaf", "leaf"),
    Mutant(
        "factors_on_one_layer_only",
        "statistics",
        "(factors[:, None] * delta for delta in deltas)",
        "(factors[:, None] * deltas.delta1, deltas.delta2)",
    ),
    Mutant(
        "clipping_as_a_sum",
        "statistics",
        "batch.gradient(trace, clipped_deltas(trace, deltas, max_norm))",
        "weighted_gradient(trace, clipped_deltas(trace, deltas, max_norm), jnp.ones_like(trace.x0[:, 0]))",
    ),
    Mutant(
        "every_gradient_brought_to_max_norm",
        "statistics",
        "short = norms <= max_norm",
        "short = norms == 0",
    ),
    Mutant("clipped_by_the_square_of_the_norm", "statistics", "(short, 1, norms))", "(short, 1, norms**2))"),
    Mutant(
        "a_NaN_gradient_dropped_from_the_clipped_mean",
        "statistics",
        "batch.gradient(trace, clipped_deltas(trace, deltas, max_norm))",
        "batch.gradient(trace, jax.tree.map(jnp.nan_to_num, clipped_deltas(trace, deltas, max_norm)))",
    ),
    Mutant(
        "a_NaN_max_norm_clips_nothing",
        "statistics",
        "short = norms <= max_norm",
        "short = ~(norms > max_norm)",
    ),
    Mutant("derivative_of_a_norm_of_0", "statistics", "jnp.where(zero, 1, squares)", "squares"),
    Mutant("derivative_of_a_clipped_0", "statistics", "jnp.where(short, 1, norms)", "norms"),
    Mutant(
        "second_moment_of_linear_inputs",
        "statistics",
        "batch.gradient(jax.tree.map(jnp.square, trace), jax.tree.map(jnp.square, deltas))",
        "batch.gradient(trace, jax.tree.map(jnp.square, deltas))",
    ),
    Mutant(
        "variance_not_centred", "statistics", "jnp.maximum(mean_square - mean**2, 0)", "jnp.maximum(mean_square, 0)"
    ),
    Mutant(
        "variance_may_be_negative", "statistics", "jnp.maximum(mean_square - mean**2, 0)", "(mean_square - mean**2)"
    ),
    Mutant(
        "biased_variance",
        "statistics",
        "return n / (n - 1) if n > 1 else jnp.nan",
        "return 1.0 if n > 1 else jnp.nan",
    ),
    Mutant(
        "n_1_has_variance_0",
        "statistics",
        "return n / (n - 1) if n > 1 else jnp.nan",
        "return n / (n - 1) if n > 1 else 0.0",
    ),
    Mutant(
        "Gram_matrix_without_the_first_bias",
        "statistics",
        "(trace.x0 @ their_trace.x0.T + 1)",
        "(trace.x0 @ their_trace.x0.T)",
    ),
    Mutant(
        "Gram_matrix_ignores_other_deltas",
        "statistics",
        "their_trace, their_deltas = other",
        "their_trace, their_deltas = other[0], jax.tree.map(lambda a, b: jnp.resize(a, b.shape), deltas, other[1])",
    ),
    Mutant("directional_derivative_without_a_bias", "statistics", "(trace.x1 @ V2 + v2[None])", "(trace.x1 @ V2)"),
    Mutant("noise_scale_G_2_biased", "statistics", "squared_norm = (g - S / n) * bessel", "squared_norm = g"),
    Mutant(
        "noise_scale_upside_down",
        "statistics",
        "covariance_trace / squared_norm)",
        "squared_norm / covariance_trace)",
    ),
    Mutant("noise_scale_trace_may_be_negative", "statistics", "jnp.maximum(S - g, 0) * bessel", "(S - g) * bessel"),
]

SECOND_ORDER = [
    Mutant(
        "h2_without_the_residual",
        "second_order",
        "h2 = phi2.prime(z2) ** 2 + (x2 - y) * phi2.second(z2)  # H2",
        "h2 = phi2.prime(z2) ** 2",
    ),
    Mutant(
        "h2_phi_prime_not_squared", "second_order", "h2 = phi2.prime(z2) ** 2 + (x2", "h2 = phi2.prime(z2) + (x2"
    ),
    Mutant("h1_with_W2_not_squared", "second_order", "h1 = (W2**2 @ h2)", "h1 = (W2 @ h2)"),
    Mutant("h1_without_phi_second", "second_order", " + (W2 @ delta2) * phi1.second(z1)  # H1", ""),
    Mutant(
        "h1_phi_second_of_the_output_layer",
        "second_order",
        "(W2 @ delta2) * phi1.second(z1)  # H1",
        "(W2 @ delta2) * phi2.second(z1)  # H1",
    ),
    Mutant(
        "n1_with_phi_prime_not_squared",
        "second_order",
        "h1 = (params.W2**2 @ h2) * phi1.prime(z1) ** 2  # N1",
        "h1 = (params.W2**2 @ h2) * phi1.prime(z1)  # N1",
    ),
    Mutant(
        "S_without_the_output_phi_prime",
        "second_order",
        "return phi2.prime(z2)[:, None] * params.W2.T",
        "return params.W2.T",
    ),
    Mutant(
        "R_z2_without_V2",
        "second_order",
        "Rz2 = params.W2.T @ Rx1 + v2 + V2.T @ x1",
        "Rz2 = params.W2.T @ Rx1 + v2",
    ),
    Mutant("R_z1_without_v1", "second_order", "Rz1 = V1.T @ x0 + v1", "Rz1 = V1.T @ x0"),
    Mutant("R_delta1_without_V2_delta2", "second_order", " + (V2 @ delta2) * phi1.prime(z1)", ""),
    Mutant("R_delta1_without_phi_second", "second_order", " + (W2 @ delta2) * phi1.second(z1) * Rz1", ""),
    Mutant(
        "Gauss_Newton_product_with_phi_prime_once",
        "second_order",
        "Rdelta2 = phi2.prime(z2) ** 2 * Rz2",
        "Rdelta2 = phi2.prime(z2) * Rz2",
        "test_curvature.py",
    ),
]

CURVATURE = [
    Mutant(
        "diagonal_from_x_instead_of_x2",
        "curvature",
        "batch.gradient(jax.tree.map(jnp.square, trace), h)",
        "batch.gradient(trace, h)",
    ),
    Mutant(
        "Hessian_trace_without_the_biases",
        "curvature",
        "(x0 + 1) * h1 + (x1 + 1) * h2",
        "x0 * h1 + x1 * h2",
    ),
    Mutant(
        "product_without_R_x1_delta2",
        "curvature",
        "W2=Rgradient.W2 + (deltas.delta2.T @ Rx1 / y.shape[0]).T",
        "W2=Rgradient.W2",
    ),
    Mutant("R_x1_delta2_summed", "curvature", "deltas.delta2.T @ Rx1 / y.shape[0]", "deltas.delta2.T @ Rx1"),
    Mutant("Kronecker_factor_without_the_bias_one", "curvature", "constant_values=1", "constant_values=0"),
    Mutant("Kronecker_factor_a_sum", "curvature", "return rows.T @ rows / rows.shape[0]", "return rows.T @ rows"),
    Mutant("G1_a_sum", "curvature", "G1 + S_k.T @ S_k / n", "G1 + S_k.T @ S_k"),
    Mutant("G2_with_phi_prime_once", "curvature", "jnp.mean(prime2**2, axis=0)", "jnp.mean(prime2, axis=0)"),
    Mutant("empirical_and_exact_factors_swapped", "curvature", 'if kind == "empirical"', 'if kind == "exact"'),
    Mutant(
        "tangent_kernel_without_the_second_layer",
        "curvature",
        "return layer1 + layer2[..., None] *",
        "return layer1 + 0 * layer2[..., None] *",
    ),
    Mutant(
        "tangent_kernel_couples_the_classes",
        "curvature",
        "jnp.eye(prime2.shape[1], dtype=S.dtype)",
        "jnp.ones((prime2.shape[1],) * 2, dtype=S.dtype)",
    ),
    Mutant(
        "tangent_kernel_with_its_own_phi_prime_twice",
        "curvature",
        "their_prime2.T[None]",
        "jnp.resize(prime2, their_prime2.shape).T[None]",
    ),
    Mutant("tangent_kernel_transposed_in_the_classes", "curvature", '"nkj,mlj->nkml"', '"nlj,mkj->nkml"'),
]

MIXUP = [
    Mutant("targets_not_mixed", "data.mixup", "part * y + (1 - part) * jnp.roll(y, 1, axis=0)", "y"),
    Mutant("mixed_with_the_example_after", "data.mixup", "jnp.roll(x, 1, axis=0)", "jnp.roll(x, -1, axis=0)"),
    Mutant("the_smaller_part", "data.mixup", "jnp.maximum(part, 1 - part)", "jnp.minimum(part, 1 - part)"),
    Mutant("one_part_for_the_batch", "data.mixup", "(len(x), 1), x.dtype", "(1, 1), x.dtype"),
    Mutant("parts_of_another_distribution", "data.mixup", "beta(key, alpha, alpha,", "beta(key, 1.0, alpha,"),
]

AUGMENT = [
    Mutant("noise_of_one_sign", "data.augment", "/ 2**7 - 1", "/ 2**8"),
    Mutant(
        "one_noise_for_both_directions", "data.augment", "midpoints(0), midpoints(16)", "midpoints(0), midpoints(0)"
    ),
    Mutant("noise_of_shared_bits", "data.augment", "midpoints(0), midpoints(16)", "midpoints(0), midpoints(8)"),
    Mutant("sigma_squared_forgotten", "data.augment", "(distance / sigma) ** 2", "distance**2 / sigma"),
    Mutant(
        "gaussian_of_another_sum",
        "data.augment",
        " / weight(np.arange(-radius, radius + 1)).sum()",
        " / weight(i).sum()",
    ),
    Mutant("gaussian_cut_off_early", "data.augment", "TRUNCATE = 4.0", "TRUNCATE = 3.0"),
    Mutant("smoothed_downwards_alone", "data.augment", "columns @ field @ rows", "columns @ field"),
    Mutant("alpha_on_one_direction", "data.augment", "right + distortion.alpha *", "right +"),
    Mutant("affine_part_forgotten", "data.augment", "down + distortion.alpha *", "0 * down + distortion.alpha *"),
    Mutant("rotation_in_degrees", "data.augment", "radians(distortion.rotation)", "distortion.rotation"),
    Mutant("rotation_that_shears", "data.augment", "jnp.cos(angle) * c - jnp.sin(angle) * r", "jnp.cos(angle) * c"),
    Mutant("one_factor_for_height_and_width", "data.augment", "distortion.scale * u[2]", "distortion.scale * u[1]"),
    Mutant(
        "sheared_after_scaling",
        "data.augment",
        "c = c - k * r\n    r, c = r / taller, c / wider",
        "r, c = r / taller, c / wider\n    c = c - k * r",
    ),
    Mutant(
        "turned_about_the_corner", "data.augment", "row - (height - 1) / 2, column - (width - 1) / 2", "row, column"
    ),
    Mutant("shift_is_not_undone_first", "data.augment", "r, c = row - down, column - right", "r, c = row, column"),
    Mutant("background_is_the_edge", "data.augment", 'mode="constant", cval=0)', 'mode="nearest")'),
    Mutant("nearest_pixel", "data.augment", "order=1", "order=0"),
    Mutant("sampled_the_other_way", "data.augment", "[row + down, column + right]", "[row - down, column - right]"),
    Mutant("strength_on_one_direction", "data.augment", "strength * right", "right"),
]

DESKEWING = [
    Mutant("slant_doubled", "data.deskewing", "(k * row)", "(-k * row)"),
    Mutant("slant_along_the_rows", "data.deskewing", "total(ink * row**2)", "total(ink * column**2)"),
    Mutant("rows_not_centred", "data.deskewing", "row - total(ink * row)", "row"),
    Mutant("columns_not_centred", "data.deskewing", "column - total(ink * column)", "column"),
    Mutant(
        "ink_not_weighed",
        "data.deskewing",
        "images / np.maximum(total(images, dtype=float), 1)",
        "(images > 0) / np.maximum(total(images > 0, dtype=float), 1)",
    ),
    Mutant("pixels_cut_not_rounded", "data.deskewing", "jnp.rint(", "jnp.floor("),
]

EDGES = [
    Mutant("edges_not_weighed", "data.edges", "before / 2 + here + after / 2", "before + here + after"),
    Mutant("edges_of_both_maps", "data.edges", "jax.nn.relu(edges)", "jnp.abs(edges)"),
    Mutant("edges_that_end_forgotten", "data.edges", "jnp.abs(right) - jnp.abs(down)", "right - down"),
    Mutant("diagonals_too_short", "data.edges", "2**0.5 * jnp.minimum", "jnp.minimum"),
    Mutant("diagonals_exchanged", "data.edges", "jnp.sign(right * down)", "jnp.sign(-right * down)"),
    Mutant("halved_a_pixel_on", "data.edges", "[::2]", "[1::2]"),
    Mutant("halved_by_the_mean", "data.edges", "before + 3 * here + 3 * after + second", "4 * here + 4 * after"),
]

OPTIMIZERS = [
    Mutant(
        "momentum_forgets",
        "training.optimizers",
        "momentum * v + g, velocity, gradient)\n        direction",
        "(1 - momentum) * v + g, velocity, gradient)\n        direction",
    ),
    Mutant("nesterov_ignored", "training.optimizers", " if nesterov else velocity", " if False else velocity"),
    Mutant("mean_of_other_weights", "training.optimizers", "beta1 * m + (1 - beta1) * g", "beta1 * m + g"),
    Mutant("square_of_beta1", "training.optimizers", "beta2 * s + (1 - beta2)", "beta1 * s + (1 - beta1)"),
    Mutant("one_update_behind", "training.optimizers", "beta ** t.astype", "beta ** (t + 1).astype"),
    Mutant("bias_stays", "training.optimizers", "average / (1 - beta ** t.astype(average.dtype))", "average"),
    Mutant(
        "epsilon_under_the_root",
        "training.optimizers",
        "jnp.sqrt(debiased(s, beta2)) + epsilon",
        "jnp.sqrt(debiased(s, beta2) + epsilon)",
    ),
    Mutant("biases_decay", "training.optimizers", "if weight_decay and p.ndim == 2", "if weight_decay"),
    Mutant("nothing_decays", "training.optimizers", "d + weight_decay * p", "d"),
    Mutant("uphill", "training.optimizers", "p - learning_rate * decayed", "p + learning_rate * decayed"),
    Mutant(
        "warmup_from_zero",
        "training.optimizers",
        "(steps + 1) / max(self.warmup, 1)",
        "steps / max(self.warmup, 1)",
    ),
    Mutant(
        "warmup_one_step_longer",
        "training.optimizers",
        "np.where(steps < self.warmup",
        "np.where(steps <= self.warmup",
    ),
    Mutant("a_whole_cosine", "training.optimizers", "np.cos(np.pi * progress)", "np.cos(2 * np.pi * progress)"),
    Mutant("cosine_from_the_start", "training.optimizers", "progress = (steps - self.warmup)", "progress = steps"),
]

GRADCHECK = [
    Mutant(
        "one_ratio_is_enough",
        "gradcheck.compare",
        "<= self.tolerance and self.max_ratio",
        "<= self.tolerance or self.max_ratio",
        "test_gradcheck.py",
    ),
    Mutant(
        "a_NaN_is_ok",
        "gradcheck.compare",
        "self.norm_ratio <= self.tolerance and self.max_ratio <= self.tolerance",
        "not (self.norm_ratio > self.tolerance or self.max_ratio > self.tolerance)",
        "test_gradcheck.py",
    ),
    Mutant(
        "a_leaf_is_enough", "gradcheck.compare", "return all(leaf.ok", "return any(leaf.ok", "test_gradcheck.py"
    ),
    Mutant(
        "any_gradient_of_zero", "gradcheck.compare", "0.0 if np.all(d == 0) else np.inf", "0.0", "test_gradcheck.py"
    ),
    Mutant(
        "forward_differences",
        "gradcheck.compare",
        "below[index] -= h",
        "below[index] -= 0 * h",
        "test_gradcheck.py",
    ),
    Mutant(
        "step_as_asked_for",
        "gradcheck.compare",
        "run = above[index] - below[index]",
        "run = 2.5 * h",
        "test_gradcheck.py",
    ),
    Mutant(
        "differences_in_float32",
        "gradcheck.compare",
        "jnp.asarray(leaf, jnp.float64) if",
        "jnp.asarray(leaf, jnp.float32) if",
        "test_gradcheck.py",
    ),
    Mutant(
        "precision_as_it_comes",
        "gradcheck.compare",
        'jax.default_matmul_precision("highest")',
        'jax.default_matmul_precision("default")',
        "test_gradcheck.py",
    ),
    Mutant(
        "squares_that_overflow",
        "gradcheck.compare",
        "np.linalg.norm(d / largest) / np.linalg.norm(g / largest)",
        "np.linalg.norm(d) / np.linalg.norm(g)",
        "test_gradcheck.py",
    ),
    Mutant(
        "worst_leaf_by_chance",
        "gradcheck.compare",
        "(not leaf.ok, np.nan_to_num(leaf.max_ratio, nan=np.inf))",
        "leaf.name",
        "test_gradcheck.py",
    ),
]

EPOCH = [
    Mutant("distortion_never_applied", "training.epoch", "if settings.distortion is not None", "if False"),
    Mutant("strength_ignored", "training.epoch", "settings.distortion, strength)", "settings.distortion)"),
    Mutant("mixup_never_done", "training.epoch", "if settings.mixup", "if False"),
    Mutant("strength_constant", "training.config", "epoch / max(self.epochs - 1, 1)", "0"),
    Mutant("distortion_and_mixup_share_a_key", "training.epoch", "mix(mixup_key", "mix(distortion_key"),
    Mutant("mixup_and_dropout_share_a_key", "training.epoch", "bernoulli(dropout_key", "bernoulli(mixup_key"),
    Mutant("dropout_never_done", "training.epoch", "if settings.input_dropout", "if False"),
    Mutant("dropout_without_its_factor", "training.epoch", "x /= 1 - settings.input_dropout", "x /= 1"),
    Mutant("one_key_for_every_step", "training.epoch", "keys[start:stop],", "keys[:1].repeat(stop - start),"),
    Mutant(
        "last_batch_with_the_first_key",
        "training.epoch",
        "learning_rates[-1], keys[-1]",
        "learning_rates[-1], keys[0]",
    ),
    Mutant(
        "last_batch_forgotten_in_the_loss",
        "training.epoch",
        "loss += last.loss * remaining",
        "loss += 0 * last.loss",
    ),
    Mutant("second_half_forgotten", "training.epoch", "(first + second) / 2", "first"),
    Mutant("halves_not_averaged", "training.epoch", "(first + second) / 2", "first + second"),
    Mutant("clipping_forgotten", "training.epoch", "if settings.clip_norm:", "if False:"),
    Mutant("clipping_forgotten_in_blocks", "training.blocked", "if clip_norm:", "if False:"),
    Mutant("order_ignored", "training.epoch", "images[rows], labels[rows]", "images, labels"),
    Mutant("labels_in_another_order", "training.epoch", "images[rows], labels[rows]", "images[rows], labels"),
    Mutant("every_epoch_in_one_order", "training.loop", "default_rng([seed, 1 + epoch])", "default_rng([seed, 1])"),
    Mutant(
        "every_seed_in_one_order", "training.loop", "default_rng([seed, 1 + epoch])", "default_rng([0, 1 + epoch])"
    ),
]

BLOCKED = [
    Mutant("earlier_deltas_unused", "training.blocked", "z1 = known + from_deltas @ delta1s", "z1 = known"),
    Mutant("Gram_matrix_a_sum", "training.blocked", ".reshape(S, B, S * B) / B", ".reshape(S, B, S * B)"),
    Mutant("bias_left_out_of_the_Gram_matrix", "training.blocked", " + on_b1[:, None, m:, None])", ")"),
]

MUTANTS = [
    *(*ACTIVATIONS, *NETWORK, *BATCH, *CHECKS, *STATISTICS, *SECOND_ORDER, *CURVATURE),
    *(*AUGMENT, *DESKEWING, *EDGES, *MIXUP, *OPTIMIZERS, *EPOCH, *BLOCKED, *GRADCHECK),
]
