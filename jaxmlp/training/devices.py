"""The devices of a run, and what lies where: the one place in training that knows shardings.

A mesh has one axis, "units": the hidden units are divided among its devices, in equal parts. With them go the
columns of W1, b1, the rows of W2, and what an optimizer keeps of these. All else, the data too, every device has
whole. So F1, F2, B2, G1, G3 and G4 are each device's own affair, and F3 needs one sum over the devices a step, of
the (B, C) numbers W2ᵀx1. To divide the batch instead would take a sum of whole gradients, (D + C + 1) K numbers.

Nothing else in training mentions a device: what it writes is right on any mesh, XLA adding that sum.

Many networks side by side (members.py) lie on a mesh of another axis, "members": each of them whole on one device,
the data whole on all. Nothing is summed, and no device waits for another before all have done an epoch.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxmlp.network import Params
from jaxmlp.training.config import Config, ConfigError

Tree = Any
Spec: Any = PartitionSpec

UNITS, MEMBERS = "units", "members"

MOST_OF_A_CPU = 64  # devices, unless it has more cores: each has a copy of the data, and a thread

_constrained: Any = jax.lax.with_sharding_constraint

OF_PARAMS: Any = Params(W1=Spec(None, UNITS), b1=Spec(UNITS), W2=Spec(UNITS, None), b2=Spec())
WHOLE = Spec()


def cpu_count() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_cpu_devices(count: int) -> None:
    """Let a CPU be so many devices, one for 0. To be called before JAX looks for its devices.

    It is no more than 64, or than it has cores. A number that the environment gives, in JAX_NUM_CPU_DEVICES or
    XLA_FLAGS, stays.
    """
    config_of_jax: Any = jax.config
    given = config_of_jax.jax_num_cpu_devices >= 0 or "host_platform_device_count" in os.environ.get(
        "XLA_FLAGS", ""
    )
    if not given:
        config_of_jax.update("jax_num_cpu_devices", min(count or 1, max(MOST_OF_A_CPU, cpu_count())))


def mesh_of(count: int, config: Config) -> Mesh:
    """A mesh of so many devices of each process; for 0, of as many as are fastest.

    Raises ConfigError if there are fewer, or if the hidden units cannot be divided among them all.
    """
    of_processes = _devices_of_processes()
    processes, available = len(of_processes), min(map(len, of_processes))
    count = count or _fastest(jax.devices()[0].platform, available, processes, config)
    _check_available(count, available)
    if config.hidden % (count * processes):
        if processes > 1:
            raise ConfigError("hidden", f"a multiple of {count * processes}, the number of devices", config.hidden)
        raise ConfigError("devices", f"a divisor of hidden, which is {config.hidden}", count)
    return _mesh([own[:count] for own in of_processes], UNITS)


def members_mesh(count: int, members: int) -> Mesh:
    """A mesh for so many networks side by side: of `count` devices of each process, for 0 of all; no more than
    networks, but at least one of each process.

    Raises ConfigError if there are fewer devices.
    """
    of_processes = _devices_of_processes()
    available = min(map(len, of_processes))
    _check_available(count, available)
    each = max(1, min(count or available, -(-members // len(of_processes))))
    return _mesh([own[:each] for own in of_processes], MEMBERS)


def first_device() -> Mesh:
    """A mesh of one device: where a network lies that is whole on one, whichever it is."""
    return _mesh([jax.devices()[:1]], MEMBERS)


def _devices_of_processes() -> list[list[Any]]:
    """JAX's devices, those of each process by themselves."""
    of_processes: dict[int, list[Any]] = {}
    for device in jax.devices():
        of_processes.setdefault(device.process_index, []).append(device)
    return list(of_processes.values())


def _check_available(count: int, available: int) -> None:
    if count > available:
        raise ConfigError("devices", f"at most {available}, which is all there are", count)


def _mesh(of_processes: Sequence[Sequence[Any]], axis: str) -> Mesh:
    used = [device for own in of_processes for device in own]
    return Mesh(np.array(used), axis, axis_types=(AxisType.Auto,))


def _fastest(platform: str, available: int, processes: int, config: Config) -> int:
    """As many as divide the hidden units, but one on a CPU: its threads serve a single device better.

    Measured on 2 cores (training/README.md): two devices of one core each wait for one another at every step.
    """
    if platform == "cpu":
        return 1
    return max((n for n in range(1, available + 1) if config.hidden % (n * processes) == 0), default=1)


def shardings(tree: Tree, mesh: Mesh) -> Tree:
    """How each leaf of a state, or of any tree with Params in it, lies on the mesh."""

    def of_node(node: Any) -> Any:
        specs = OF_PARAMS if isinstance(node, Params) else WHOLE
        return jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)

    return jax.tree.map(of_node, tree, is_leaf=lambda node: isinstance(node, Params))


def place(tree: Tree, mesh: Mesh) -> Tree:
    """The tree, arrays of the host or of devices and keys, as it lies on the mesh."""
    return jax.tree.map(_placed, tree, shardings(tree, mesh))


def _placed(leaf: Any, sharding: NamedSharding) -> Any:
    if isinstance(leaf, jax.Array) and leaf.sharding == sharding:
        return leaf
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = _placed(jax.random.key_data(leaf), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    array = np.asarray(leaf, jax.dtypes.canonicalize_dtype(leaf.dtype))
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def place_members(trees: Sequence[Tree], mesh: Mesh) -> Tree:
    """The trees of several networks as one, with a leading axis of members, divided among the devices of the mesh.

    There must be as many trees on each device.
    """
    sharding = NamedSharding(mesh, Spec(MEMBERS))

    def stacked(*leaves: Any) -> Any:
        is_key = jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key)
        return _placed((jnp if is_key else np).stack(leaves), sharding)

    return jax.tree.map(stacked, *trees)


def members_of(tree: Tree) -> list[Tree]:
    """The trees that `place_members` has made one of, as arrays of the host. All processes must call it."""
    copies = jax.tree.map(np.array, whole(tree))  # the device's own may be donated
    leaves, structure = jax.tree.flatten(copies)
    return [jax.tree.unflatten(structure, of_member) for of_member in zip(*leaves, strict=True)]


def of_each_member(f: Callable[..., Tree], mesh: Mesh) -> Callable[..., Tree]:
    """Inside jit: f(member, *shared), of one network, made a function of a tree as `place_members` lays it.

    `shared` every device has whole. The networks of one device go through `vmap`; a single one does not, for that
    would make other, slower products of it.
    """

    def on_device(members: Tree, *shared: Tree) -> Tree:
        if jax.tree.leaves(members)[0].shape[0] == 1:
            alone = f(jax.tree.map(lambda leaf: leaf[0], members), *shared)
            return jax.tree.map(lambda leaf: leaf[None], alone)
        return jax.vmap(f, in_axes=(0, *(None for _ in shared)))(members, *shared)

    def on_all(members: Tree, *shared: Tree) -> Tree:
        in_specs = Spec(MEMBERS), *(WHOLE for _ in shared)
        return jax.shard_map(on_device, mesh=mesh, in_specs=in_specs, out_specs=Spec(MEMBERS), check_vma=False)(
            members, *shared
        )

    return on_all


def keep_placed(tree: Tree, mesh: Mesh | None) -> Tree:
    """Inside jit: the same tree, told to lie as `place` would lay it."""
    return tree if mesh is None else _constrained(tree, shardings(tree, mesh))


def divided(batch: Tree, mesh: Mesh | None) -> Tree:
    """Inside jit: the same tree, its first axis, the examples, divided among the devices."""
    return batch if mesh is None else _constrained(batch, NamedSharding(mesh, Spec(UNITS)))


def whole(tree: Tree) -> Tree:
    """The tree, its arrays whole on this host, as its own are already. Of several processes, all must call it."""
    if jax.process_count() == 1:
        return tree

    def of_leaf(leaf: Any) -> Any:
        return leaf if isinstance(leaf, np.ndarray) else multihost_utils.process_allgather(leaf, tiled=True)

    return jax.tree.map(of_leaf, tree)


def of_first_process(tree: Tree) -> Tree:
    """Process 0's tree, of arrays on its host, on every host. All must call it, with arrays of the same shapes."""
    if jax.process_count() == 1:
        return tree

    def of_leaf(leaf: Any) -> np.ndarray:
        content = np.frombuffer(leaf.tobytes() if jax.process_index() == 0 else bytes(leaf.nbytes), np.uint8)
        told: Any = multihost_utils.broadcast_one_to_all(content)  # it sums: as a float -0.0 would become 0.0
        return np.asarray(told.view(leaf.dtype).reshape(leaf.shape))

    return jax.tree.map(of_leaf, tree)
