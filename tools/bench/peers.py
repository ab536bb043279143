"""The contenders: the same training as jaxmlp's, the ways a user would otherwise take.

Each is prepared for a Task and gives a Run. All take float32 from the task's weights through the task's examples in
the order of the epoch, sigmoid in both layers, plain SGD on the mean of L, and add up the loss on their way. Each
holds the examples as it likes best, jaxmlp and `grad` as uint8, the others as floats made beforehand; bringing them
into the order of the epoch is part of the run, as it is part of training.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from importlib import import_module
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from jaxmlp import Params, batch
from jaxmlp.activations import sigmoid
from jaxmlp.data.datasets import Dataset, Split
from jaxmlp.training import loop
from jaxmlp.training.config import Config
from tools.bench.machine import torch_device

Floats = npt.NDArray[Any]
SEED = 0
Weights = list[Floats]  # W1 (D, K), b1, W2 (K, C), b2
# Train on the first so many examples, whole batches of them, from the task's weights.
Run = Callable[[int], Weights]


@dataclass(frozen=True)
class Task:
    hidden: int
    batch_size: int
    learning_rate: float
    pixels: npt.NDArray[np.uint8]  # (n, D)
    labels: npt.NDArray[np.uint8]  # (n,)
    weights: Weights  # float32; float64 for a reference

    def order(self, n: int) -> npt.NDArray[np.int32]:
        """The order in which the first n examples are trained on: jaxmlp's in its first epoch."""
        return loop.order(SEED, 0, n)

    @cached_property
    def floats(self) -> tuple[Floats, Floats]:
        """(pixels in [0, 1], one-hot labels) in the weights' dtype."""
        dtype = self.weights[0].dtype
        return self.pixels.astype(dtype) / dtype.type(255), np.eye(10, dtype=dtype)[self.labels]


class Contender(NamedTuple):
    name: str
    what: str
    prepare: Callable[[Task], Run]
    package: str = "jax"
    whole: bool = False  # compiles for a number of examples, so each timed run takes all of them
    same_network: bool = True


def ours(task: Task) -> Run:
    config = Config(
        hidden=task.hidden,
        batch_size=task.batch_size,
        learning_rate=task.learning_rate,
        phi="sigmoid",
        epochs=1,
        seed=SEED,
    )

    def split(n: int) -> Split:
        return Split(task.pixels[:n, None], task.labels[:n])  # images of one row: no shape is read here

    @cache
    def program(n: int) -> loop.Program:
        return loop.prepare(config, Dataset(split(n), split(10), split(10), 10, {}))

    @cache
    def first_state(n: int) -> Any:
        return jax.device_get(program(n).init())._replace(params=Params(*task.weights))  # type: ignore[arg-type]

    def run(n: int) -> Weights:
        state, _ = program(n).train(jax.tree.map(jnp.array, first_state(n)), 0)
        return [np.asarray(leaf) for leaf in state.params]

    return run


def grad_scan(task: Task) -> Run:
    B = task.batch_size

    def step(params: Params, batch_of: tuple[jax.Array, jax.Array]) -> tuple[Params, jax.Array]:
        pixels, labels = batch_of
        x, y = pixels.astype(jnp.float32) / 255, jax.nn.one_hot(labels, 10)
        return _descended(params, x, y, task.learning_rate)

    @partial(jax.jit, donate_argnums=0)
    def epoch(params: Params, pixels: jax.Array, labels: jax.Array, rows: jax.Array) -> tuple[Params, jax.Array]:
        params, losses = jax.lax.scan(
            step, params, (pixels[rows].reshape(-1, B, pixels.shape[1]), labels[rows].reshape(-1, B))
        )
        return params, jnp.mean(losses)

    @cache
    def data(n: int) -> Any:
        return jax.device_put((task.pixels[:n], task.labels[:n]))

    def run(n: int) -> Weights:
        params, _ = epoch(_params(task), *data(n), task.order(n))
        return [np.asarray(leaf) for leaf in params]

    return run


def step_loop(task: Task) -> Run:
    B = task.batch_size
    x, y = task.floats
    step = jax.jit(partial(_descended, learning_rate=task.learning_rate), donate_argnums=0)

    def run(n: int) -> Weights:
        params, total, order = _params(task), 0.0, task.order(n)
        for i in range(0, n, B):
            rows = order[i : i + B]
            params, loss = step(params, x[rows], y[rows])
            total += loss
        return [np.asarray(leaf) for leaf in params]

    return run


def numpy_loop(task: Task) -> Run:
    """The equations in NumPy, in place wherever an array would otherwise be made."""
    B = task.batch_size
    all_x, all_y = task.floats
    rate = all_x.dtype.type(task.learning_rate / B)
    one = all_x.dtype.type(1)

    def activate(z: Floats) -> None:
        np.negative(z, out=z)
        np.exp(z, out=z)
        z += one
        np.reciprocal(z, out=z)

    def run(n: int) -> Weights:
        W1, b1, W2, b2 = (leaf.copy() for leaf in task.weights)
        x1, delta1 = (np.empty((B, len(b1)), W1.dtype) for _ in range(2))
        x2, delta2 = (np.empty((B, len(b2)), W1.dtype) for _ in range(2))
        step1, step2, total = np.empty_like(W1), np.empty_like(W2), 0.0
        order = task.order(n)
        for i in range(0, n, B):
            rows = order[i : i + B]
            x0, y = all_x[rows], all_y[rows]
            np.dot(x0, W1, out=x1)
            x1 += b1  # F1
            activate(x1)  # F2
            np.dot(x1, W2, out=x2)
            x2 += b2  # F3
            activate(x2)  # F4
            np.subtract(x2, y, out=delta2)
            total += float(np.vdot(delta2, delta2)) / 2  # L
            delta2 *= x2
            np.subtract(one, x2, out=x2)
            delta2 *= x2  # B1
            delta2 *= rate
            np.dot(delta2, W2.T, out=delta1)
            delta1 *= x1
            np.dot(x1.T, delta2, out=step2)
            np.subtract(one, x1, out=x1)
            delta1 *= x1  # B2
            W2 -= step2  # G1
            b2 -= delta2.sum(0)  # G2
            np.dot(x0.T, delta1, out=step1)
            W1 -= step1  # G3
            b1 -= delta1.sum(0)  # G4
        return [W1, b1, W2, b2]

    return run


def torch_loop(task: Task, compiled: bool = False) -> Run:
    torch, device, B = import_module("torch"), torch_device(), task.batch_size
    inputs, outputs = task.pixels.shape[1], 10
    x, y = (torch.from_numpy(array).to(device) for array in task.floats)
    model = torch.nn.Sequential(
        torch.nn.Linear(inputs, task.hidden),
        torch.nn.Sigmoid(),
        torch.nn.Linear(task.hidden, outputs),
        torch.nn.Sigmoid(),
    ).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=task.learning_rate)

    def loss_of(x: Any, y: Any) -> Any:
        return ((model(x) - y) ** 2).sum() / (2 * B)

    if compiled:
        torch.compiler.reset()  # past its limit of recompilations it would quietly run eagerly
        loss_of = torch.compile(loss_of)

    def run(n: int) -> Weights:
        with torch.no_grad():
            for parameter, leaf in zip(model.parameters(), task.weights, strict=True):
                parameter.copy_(torch.from_numpy(leaf.T))  # a Linear holds (out, in)
        total = torch.zeros((), device=device)
        order = torch.from_numpy(task.order(n)).to(device)
        for i in range(0, n, B):
            rows = order[i : i + B]
            optimizer.zero_grad()
            loss = loss_of(x[rows], y[rows])
            loss.backward()
            optimizer.step()
            total += loss.detach()
        return [parameter.detach().cpu().numpy().T for parameter in model.parameters()]

    return run


def sklearn_fit(task: Task) -> Run:
    """One partial_fit over the examples. It is a softmax network on the log loss, from weights of its own."""
    classifier = import_module("sklearn.neural_network").MLPClassifier
    x, _ = task.floats

    def run(n: int) -> Weights:
        model = classifier(
            (task.hidden,),
            activation="logistic",
            solver="sgd",
            alpha=0.0,
            batch_size=task.batch_size,
            learning_rate_init=task.learning_rate,
            momentum=0.0,
            nesterovs_momentum=False,
            shuffle=True,
            random_state=0,
        )
        model.partial_fit(x[:n], task.labels[:n], classes=np.arange(10))
        return []

    return run


OURS = Contender("jaxmlp", "jaxmlp's epoch, as loop.prepare compiles it", ours, whole=True)
PEERS = [
    Contender("numpy", "the equations in NumPy, in place", numpy_loop, "numpy"),
    Contender("grad", "the same scan over an epoch, its gradient by jax.grad", grad_scan, whole=True),
    Contender("loop", "a Python loop over a jitted step, its gradient by jax.grad", step_loop),
    Contender("torch", "PyTorch, eager, torch.optim.SGD", torch_loop, "torch"),
    Contender("torch_compile", "PyTorch, its loss by torch.compile", partial(torch_loop, compiled=True), "torch"),
    Contender("sklearn", "scikit-learn's MLPClassifier.partial_fit", sklearn_fit, "sklearn", same_network=False),
]


def _descended(params: Params, x: jax.Array, y: jax.Array, learning_rate: float) -> tuple[Params, jax.Array]:
    loss, gradient = jax.value_and_grad(batch.loss)(params, x, y, sigmoid)
    return jax.tree.map(lambda p, g: p - learning_rate * g, params, gradient), loss


def _params(task: Task) -> Params:
    """A copy on the device, to be donated."""
    return Params(*map(jnp.array, task.weights))
