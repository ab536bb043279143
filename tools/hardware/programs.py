"""Everything that this project compiles, by name, to be lowered or compiled for hardware that is not here.

The functions of batch.py, statistics.py, curvature.py and adversarial.py on one batch, an epoch of every kind, some
of many networks side by side, and the evaluation after it. Arguments are shapes alone.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding

from jaxmlp import activations, adversarial, batch, curvature, statistics
from jaxmlp.network import Params, init
from jaxmlp.training import devices, members
from jaxmlp.training.config import Config
from jaxmlp.training.epoch import EpochInput, Private, State, Tuning, train_epoch
from jaxmlp.training.optimizers import optimizer_of
from jaxmlp.training.privacy import noise, secret
from jaxmlp.training.privacy.sampling import Sampling
from jaxmlp.training.validation import evaluate

_shape: Any = jax.ShapeDtypeStruct

SIZE = 28, 28
D, C = 784, 10
PHI = (activations.relu, activations.sigmoid)

OF_PASSES: list[Callable[..., Any]] = [
    statistics.per_example_gradients,
    statistics.squared_norms,
    statistics.gradient_norms,
    statistics.second_moment,
    statistics.variance,
    statistics.gram,
    statistics.noise_scale,
    curvature.hessian_diagonal,
    curvature.hessian_traces,
    curvature.gauss_newton_diagonal,
    curvature.kronecker_factors,
    curvature.tangent_kernel,
]

EPOCHS: dict[str, dict[str, Any]] = {
    "sgd": {},
    "momentum": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "adam": {"optimizer": "adam", "learning_rate": 0.01},
    "a last, smaller batch": {"batch_size": 96},
    "batches of one": {"batch_size": 1},
    "blocks": {"batches_per_block": 4},
    "blocks with momentum": {"batches_per_block": 4, "momentum": 0.9},
    "clipping": {"clip_norm": 0.1},
    "private": {"noise_multiplier": 1.0, "delta": 1e-5, "clip_norm": 0.1},
    "noise scale": {"log_noise_scale": True},
    "elastic distortions": {"elastic": 38.0},
    "affine distortions": {"rotation": 15.0, "scale": 0.15, "shear": 0.2, "shift": 1.0},
    "edges": {"edges": True},
    "directions": {"directions": True, "shift": 1.0},
    "mixup": {"mixup": 0.3},
    "dropout": {"input_dropout": 0.2},
    "virtual adversarial": {"virtual_adversarial": 0.8},
}


class Program(NamedTuple):
    """`function.lower(*arguments, **static)`."""

    name: str
    function: Any
    arguments: tuple[Any, ...]
    static: dict[str, Any]

    def lower(self) -> Any:
        return self.function.lower(*self.arguments, **self.static)


def programs(
    examples: int, hidden: int = 128, batch_size: int = 128, mesh: Mesh | None = None
) -> Iterator[Program]:
    """All of them: of a batch of `batch_size`, of epochs over `examples`; on one device, or divided over a mesh."""
    params = _on(mesh, Params(_f32(D, hidden), _f32(hidden), _f32(hidden, C), _f32(C)))
    x, y = _on(mesh, (_f32(batch_size, D), _f32(batch_size, C)))
    weights = _on(mesh, _f32(batch_size))

    def program(name: str, function: Callable[..., Any], *more: Any) -> Program:
        return Program(name, jax.jit(function), (params, x, y, *more), {})

    def of_trace(name: str, function: Callable[..., Any]) -> Program:
        """`function` of the parameters, the trace, the targets and the deltas."""

        def both(p: Params, x: Any, y: Any) -> Any:
            passes = batch.passes(p, x, y, PHI)
            return function(p, passes.trace, y, passes.deltas)

        return program(name, both)

    def of_passes(function: Callable[..., Any], *more: Any, **options: Any) -> Program:
        name = " ".join([function.__name__, *options.values()])
        return program(name, lambda p, x, y, *v: function(batch.passes(p, x, y, PHI), *v, **options), *more)

    yield program("forward", lambda p, x, y: batch.forward(p, x, PHI))
    yield program("loss", lambda p, x, y: batch.loss(p, x, y, PHI))
    yield program("loss_and_gradient", lambda p, x, y: batch.loss_and_gradient(p, x, y, PHI))
    yield program("passes", lambda p, x, y: batch.passes(p, x, y, PHI))
    yield program("gradient of loss", lambda p, x, y: jax.grad(batch.loss)(p, x, y, PHI))
    yield of_trace("backward", lambda p, trace, y, _: batch.backward(p, trace, y, PHI))
    yield of_trace("gradient", lambda _p, trace, _y, deltas: batch.gradient(trace, deltas))
    for function in OF_PASSES:
        yield of_passes(function)
    yield of_passes(curvature.kronecker_factors, kind="empirical")
    yield of_passes(statistics.weighted_gradient, weights)
    yield of_passes(statistics.clipped_deltas, _on(mesh, _f32()))
    yield of_passes(statistics.clipped_gradient, _on(mesh, _f32()))
    yield of_passes(statistics.clipped_sum, _on(mesh, _f32()), _on(mesh, _shape((batch_size,), np.bool_)))
    for along in (statistics.directional, curvature.hessian_vector_product, curvature.gauss_newton_vector_product):
        yield of_passes(along, params)
    yield of_passes(adversarial.moved_inputs, y, _on(mesh, _f32()))
    for name, options in EPOCHS.items():
        config = Config(**{"hidden": hidden, "batch_size": batch_size, "phi": "relu,sigmoid", **options})
        yield _epoch(f"epoch: {name}", config, examples, params, mesh)
    for name in ("sgd", "momentum", "elastic distortions"):
        config = Config(**{"hidden": hidden, "batch_size": batch_size, "phi": "relu,sigmoid", **EPOCHS[name]})
        yield _members(f"members: {name}", config, examples, mesh)
    for edges in (False, True):
        config = Config(edges=edges, phi="relu,sigmoid")
        arguments = params, *_on(mesh, (_u8(examples, D), _u8(examples)))
        static = {"phi": config.activation, "view": config.view, "size": SIZE}
        yield Program(f"evaluation{' of edges' if edges else ''}", evaluate, arguments, static)


def _epoch(name: str, config: Config, examples: int, params: Params, mesh: Mesh | None) -> Program:
    steps = -(-examples // config.batch_size)
    rows, private = (examples,), None
    if config.private:
        sampling = Sampling.of(config, examples, bytes(secret.BYTES))
        steps, rows = sampling.steps, sampling.batches(0).rows.shape
        private = Private(_shape(rows, np.bool_), _shape((steps, len(Params._fields), noise.WORDS), np.uint32))
    state = State(params, _on(mesh, jax.eval_shape(optimizer_of(config).init, params)))
    inputs = _on(
        mesh,
        EpochInput(
            _u8(examples, D),
            _u8(examples),
            _shape(rows, np.int32),
            _f32(steps),
            jax.eval_shape(lambda: jax.random.key(0)),
            _f32(),
            private,
        ),
    )
    tuning = Tuning(mesh, config.batches_per_block or 1)
    return Program(name, train_epoch, (state, inputs), {"config": config, "tuning": tuning, "size": SIZE})


def _members(name: str, config: Config, examples: int, mesh: Mesh | None) -> Program:
    """An epoch of as many networks as a device holds at once, on each of the mesh's."""
    used = jax.devices("cpu")[:1] if mesh is None else mesh.devices.flatten()
    mesh = Mesh(np.array(used), devices.MEMBERS, axis_types=(AxisType.Auto,))
    slots = mesh.size * members.MOST_ON_A_DEVICE
    of_slots, whole = (NamedSharding(mesh, spec) for spec in (devices.Spec(devices.MEMBERS), devices.WHOLE))

    def lying(sharding: NamedSharding, tree: Any) -> Any:
        return jax.tree.map(lambda a: _shape(a.shape, a.dtype, sharding=sharding), tree)

    def of_one() -> Any:
        params = init(jax.random.key(0), D, config.hidden, C)
        steps = -(-examples // config.batch_size)
        told = jnp.zeros(examples, jnp.int32), jnp.zeros(steps, jnp.float32), jax.random.key(0), jnp.float32(0)
        return State(params, optimizer_of(config).init(params)), told

    state, told = lying(of_slots, jax.eval_shape(lambda: jax.vmap(lambda _: of_one())(jnp.arange(slots))))
    data = lying(whole, (_u8(examples, D), _u8(examples)))
    return Program(name, members.epoch_of_each(config, Tuning(), SIZE, mesh), (state, told, *data), {})


def _on(mesh: Mesh | None, tree: Any) -> Any:
    """These shapes as they lie on the mesh."""
    if mesh is None:
        return tree
    return jax.tree.map(
        lambda a, sharding: _shape(a.shape, a.dtype, sharding=sharding),
        tree,
        devices.shardings(tree, mesh),
    )


def _f32(*shape: int) -> Any:
    return _shape(shape, jnp.float32)


def _u8(*shape: int) -> Any:
    return _shape(shape, jnp.uint8)
