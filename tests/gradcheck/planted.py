"""Ten models with a gradient by hand each; forty right gradients of them, and forty with a mistake planted.

Every parameter is a leaf of a dict. Most gradients take arrays of NumPy as well as of JAX. Points are random, and
some of them hard: where a gradient is truly zero, tiny, badly scaled, or where the loss has a kink.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp import batch
from jaxmlp.activations import relu, sigmoid
from jaxmlp.network import Params

PENALTY = 1e-7
STEPS, DT = 6, 0.1


class Case(NamedTuple):
    model: str
    what: str
    loss: Callable[..., Any]
    gradient: Callable[..., Any]
    arguments: tuple[Any, ...]  # in float64, of NumPy
    kind: str = ""  # of the mistake, if the report can name it
    leaf: str = ""  # where the mistake is

    def __str__(self) -> str:
        return f"{self.model}, {self.what}".replace(" ", "_")

    def in_dtype(self, dtype: str) -> tuple[Any, ...]:
        def cast(leaf: Any) -> Any:
            return jnp.asarray(leaf, dtype if jnp.issubdtype(leaf.dtype, jnp.floating) else None)

        return tuple(jax.tree.map(cast, argument) for argument in self.arguments)


def but(right: Callable[..., Any], **changes: Callable[[Any], Any]) -> Callable[..., Any]:
    """`right` with some leaves changed."""

    def wrong(*arguments: Any) -> Any:
        g = right(*arguments)
        return {**g, **{name: change(g[name]) for name, change in changes.items()}}

    return wrong


def zeroed(index: Any) -> Callable[[Any], Any]:
    return lambda leaf: (
        leaf
        * np.where(np.isin(np.arange(leaf.shape[index[0]]), index[1]), 0, 1).reshape(
            [-1 if axis == index[0] else 1 for axis in range(leaf.ndim)]
        )
    )


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Any:
    return scale * np.random.default_rng((seed, *shape)).normal(size=shape)


def in_numpy(gradient: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: gradient(*jax.tree.map(np.asarray, arguments))


# Linear regression with a small penalty


def linear_loss(p, x, y):
    e = x @ p["w"] + p["b"] - y
    return jnp.mean(e**2) / 2 + PENALTY / 2 * jnp.sum(p["w"] ** 2)


def linear_gradient(p, x, y, penalty=PENALTY, n=None):
    e = x @ p["w"] + p["b"] - y
    n = n or len(x)
    return {"w": x.T @ e / n + penalty * p["w"], "b": e.sum() / n}


def linear(scale=1.0, optimum=False):
    x, y = normal(12, 3) * np.array([scale, 1.0, 1 / scale]), normal(12)
    p = {"w": normal(3), "b": np.array(0.3)}
    if optimum:
        one = np.column_stack([x, np.ones(12)])
        penalty = 12 * PENALTY * np.diag([1, 1, 1, 0])
        best = np.linalg.solve(one.T @ one + penalty, one.T @ y)
        p = {"w": best[:3], "b": best[3]}
    return p, x, y


# Softmax regression with labels


def softmax_loss(p, x, labels):
    logits = jax.nn.log_softmax(x @ p["W"] + p["b"][None, :])
    return -jnp.mean(logits[jnp.arange(len(labels)), labels])


def softmax_gradient(p, x, labels, prime=True):
    z = x @ p["W"] + p["b"][None, :]
    e = np.e ** (z - z.max(1)[:, None])
    d = (e / e.sum(1)[:, None] - np.eye(z.shape[1])[np.asarray(labels)] * prime) / len(x)
    return {"W": x.T @ d, "b": d.sum(0)}


def softmax(scale=1.0):
    return {"W": normal(4, 4, scale=scale), "b": normal(4)}, normal(9, 4), np.arange(9) % 4


# A bias, a batch norm and its scale and shift, then a square


def norm_loss(p, x, t, axis=0):
    z = x @ p["W"] + p["b"][None, :]
    z = (z - z.mean(axis, keepdims=True)) / jnp.sqrt(z.var(axis, keepdims=True) + 1e-5)
    return jnp.mean((p["gamma"] * z + p["beta"][None, :] - t) ** 2) / 2


def norm_gradient(p, x, t, axis=0, mean_term=True, spread_term=True, eps=1e-5):
    z = x @ p["W"] + p["b"][None, :]
    deviation = (z.var(axis, keepdims=True) + eps) ** 0.5
    z = (z - z.mean(axis, keepdims=True)) / deviation
    d = (p["gamma"] * z + p["beta"][None, :] - t) / z.size
    dz = d * p["gamma"]
    d0 = dz - mean_term * dz.mean(axis, keepdims=True) - spread_term * z * (dz * z).mean(axis, keepdims=True)
    d0 = d0 / deviation
    return {"W": x.T @ d0, "b": d0.sum(0), "gamma": (d * z).sum(0)[None, :], "beta": d.sum(0)}


def norm(offset=0.0, target=1.0):
    p = {"W": normal(3, 4), "b": normal(4), "gamma": 1 + 0.1 * normal(1, 4), "beta": normal(4)}
    return p, normal(10, 3) + offset, normal(10, 4) * target


layer_loss, layer_gradient = partial(norm_loss, axis=1), partial(norm_gradient, axis=1)


# A convolution with relu


def conv_loss(p, x):
    z = jax.lax.conv(x, p["K"], (1, 1), "VALID") + p["b"][None, :, None, None]
    return jnp.sum(jnp.maximum(z, 0) ** 2) / len(x) + jnp.sum(jnp.maximum(z, 0)) / len(x)


def conv_gradient(p, x):
    K = p["K"]
    height, width = x.shape[2] - K.shape[2] + 1, x.shape[3] - K.shape[3] + 1

    def patch(i, j):
        return x[:, :, i : i + height, j : j + width]

    taps = [(i, j) for i in range(K.shape[2]) for j in range(K.shape[3])]
    z = sum(jnp.einsum("ncij,oc->noij", patch(i, j), K[:, :, i, j]) for i, j in taps) + p["b"][None, :, None, None]
    d = (2 * z * (z > 0) + (z > 0)) / len(x)
    dK = [jnp.einsum("ncij,noij->oc", patch(i, j), d) for i, j in taps]
    return {"K": jnp.stack(dK, -1).reshape(K.shape), "b": d.sum((0, 2, 3))}


def conv(bias=1.0, pixels=1.0):
    return {"K": normal(2, 3, 2, 2), "b": bias * normal(2)}, normal(4, 3, 5, 5) * pixels


# Attention of one head


def attention_loss(p, x, t):
    q, k, v = x @ p["Q"], x @ p["K"], x @ p["V"]
    a = jax.nn.softmax(q @ k.T / q.shape[1] ** 0.5, axis=1)
    return jnp.mean((a @ v - t) ** 2) / 2


def attention_gradient(p, x, t, scaled=True):
    q, k, v = x @ p["Q"], x @ p["K"], x @ p["V"]
    s = q @ k.T / q.shape[1] ** 0.5
    e = np.e ** (s - s.max(1)[:, None])
    a = e / e.sum(1)[:, None]
    d = (a @ v - t) / t.size
    da = d @ v.T
    ds = a * (da - (da * a).sum(1)[:, None]) / (q.shape[1] ** 0.5 if scaled else 1)
    return {"Q": x.T @ (ds @ k), "K": x.T @ (ds.T @ q), "V": x.T @ (a.T @ d)}


def attention(scale=1.0, keys=1.0):
    p = {"Q": normal(4, 4, seed=1), "K": keys * normal(4, 4, seed=2), "V": normal(4, 4, seed=3)}
    return p, scale * normal(6, 4), normal(6, 4, seed=4)


# A recurrent cell over seven steps


def rnn_loss(p, x, y):
    def step(h, x):
        return jnp.tanh(p["U"] @ h + p["W"] @ x + p["b"]), None

    h, _ = jax.lax.scan(step, jnp.zeros_like(p["b"]), x)
    return jnp.sum((h - y) ** 2) / 2


def rnn_gradient(p, x, y, prime=True, back=None):
    hs = [np.zeros(len(y)) * p["b"]]
    for one in x:
        hs.append(jnp.tanh(p["U"] @ hs[-1] + p["W"] @ one + p["b"]))
    dh, g = hs[-1] - y, {name: 0 * leaf for name, leaf in p.items()}
    for t in reversed(range(len(x))):
        dz = dh * (1 - hs[t + 1] ** 2 if prime else 1)
        g = {"U": g["U"] + jnp.outer(dz, hs[t]), "W": g["W"] + jnp.outer(dz, x[t]), "b": g["b"] + dz}
        dh = p["U"].T @ dz
        if back is not None and t == len(x) - back:
            break
    return g


def rnn(scale=1.0, target=None):
    p = {"U": 0.5 * scale * normal(3, 3), "W": scale * normal(3, 3, seed=1), "b": normal(3)}
    return p, normal(7, 3), normal(3, seed=5) if target is None else target


# A Gaussian likelihood with a log-scale


def gauss_loss(p, x):
    return jnp.mean(jnp.sum(((x - p["mu"][None, :]) * jnp.exp(-p["s"])[None, :]) ** 2 / 2 + p["s"][None, :], 1))


def gauss_gradient(p, x, entropy=1.0, half=1.0):
    e = (x - p["mu"][None, :]) * np.e ** -p["s"][None, :]
    return {"mu": -(e * np.e ** -p["s"][None, :]).mean(0) * half, "s": entropy - (e**2).mean(0)}


def gauss(s=0.0, optimum=False):
    x = normal(11, 4) * np.exp(s)
    p = {"mu": normal(4) * np.exp(s), "s": s + 0.3 * normal(4, seed=1)}
    if optimum:
        p = {"mu": x.mean(0), "s": np.log(x.std(0))}
    return p, x


# A damped pendulum by Euler's steps


def ode_loss(p, u, v, target):
    for _ in range(STEPS):
        u, v = u + DT * v, v - DT * (p["k"] * jnp.sin(u) + p["c"] * v)
    return jnp.sum((u - target) ** 2) / 2


def ode_gradient(p, u, v, target, damping=True, steps=STEPS):
    us, vs = [u], [v]
    for _ in range(STEPS):
        u, v = us[-1], vs[-1]
        us.append(u + DT * v)
        vs.append(v - DT * (p["k"] * jnp.sin(u) + p["c"] * v))
    du, dv = us[-1] - target, 0 * v
    g = {"k": 0 * p["k"], "c": 0 * p["c"]}
    for t in reversed(range(STEPS - steps, STEPS)):
        g = {"k": g["k"] - DT * dv * jnp.sin(us[t]), "c": g["c"] - DT * dv * vs[t]}
        du, dv = du - DT * dv * p["k"] * jnp.cos(us[t]), dv + DT * du - DT * damping * p["c"] * dv
    return g


def ode(amplitude=1.0, target=0.2):
    p = {"k": 1 + np.abs(normal(5)), "c": 0.1 + np.abs(normal(5, seed=1))}
    return p, amplitude * normal(5, seed=2), amplitude * normal(5, seed=3), target * normal(5, seed=4)


# Our own network, its two layers in a dict


def own_loss(p, x, y, phi=sigmoid):
    return batch.loss(Params(**p), x, y, phi)


def own_gradient(p, x, y, phi=sigmoid):
    return batch.loss_and_gradient(Params(**p), x, y, phi)[1]._asdict()


def own(scale=1.0, shape=(5, 4, 4), black=0):
    D, K, C = shape
    p = {"W1": scale * normal(D, K), "b1": normal(K), "W2": scale * normal(K, C, seed=1), "b2": normal(C, seed=2)}
    x, y = np.abs(normal(6, D, seed=3)), np.eye(C)[np.arange(6) % C]
    x[:black] = 0
    if black:
        p["b1"] = np.zeros(K)
    return p, x, y


def scaled(function: Callable[..., Any], factor: float) -> Callable[..., Any]:
    return lambda *arguments: jax.tree.map(lambda leaf: factor * leaf, function(*arguments))


relu_loss, relu_gradient = partial(own_loss, phi=(relu, sigmoid)), partial(own_gradient, phi=(relu, sigmoid))

RIGHT = [
    Case("linear", "as it is", linear_loss, linear_gradient, linear()),
    Case("linear", "in NumPy", linear_loss, in_numpy(linear_gradient), linear()),
    Case("linear", "columns of 1e8 and 1e-8", linear_loss, linear_gradient, linear(scale=1e8)),
    Case("linear", "at the optimum", linear_loss, linear_gradient, linear(optimum=True)),
    Case("softmax", "as it is", softmax_loss, softmax_gradient, softmax()),
    Case("softmax", "in NumPy", softmax_loss, in_numpy(softmax_gradient), softmax()),
    Case("softmax", "saturated", softmax_loss, softmax_gradient, softmax(scale=30)),
    Case("softmax", "times 1e-30", scaled(softmax_loss, 1e-30), scaled(softmax_gradient, 1e-30), softmax()),
    Case("batch norm", "as it is, a bias whose gradient is zero", norm_loss, norm_gradient, norm()),
    Case("batch norm", "in NumPy", norm_loss, in_numpy(norm_gradient), norm()),
    Case("batch norm", "inputs around 1e4", norm_loss, norm_gradient, norm(offset=1e4)),
    Case("batch norm", "targets of 1e12", norm_loss, norm_gradient, norm(target=1e12)),
    Case("layer norm", "as it is", layer_loss, layer_gradient, norm()),
    Case("layer norm", "in NumPy", layer_loss, in_numpy(layer_gradient), norm()),
    Case("layer norm", "inputs around 1e4", layer_loss, layer_gradient, norm(offset=1e4)),
    Case("layer norm", "times 1e20", scaled(layer_loss, 1e20), scaled(layer_gradient, 1e20), norm()),
    Case("convolution", "as it is", conv_loss, conv_gradient, conv()),
    Case("convolution", "black images and no bias: all at the kink", conv_loss, conv_gradient, conv(0, 0)),
    Case("convolution", "no bias, small pixels", conv_loss, conv_gradient, conv(0, 1e-6)),
    Case("convolution", "times 1e-30", scaled(conv_loss, 1e-30), scaled(conv_gradient, 1e-30), conv()),
    Case("attention", "as it is", attention_loss, attention_gradient, attention()),
    Case("attention", "in NumPy", attention_loss, in_numpy(attention_gradient), attention()),
    Case("attention", "saturated", attention_loss, attention_gradient, attention(scale=8)),
    Case(
        "attention",
        "keys of zero, queries without a gradient",
        attention_loss,
        attention_gradient,
        attention(keys=0),
    ),
    Case("rnn", "as it is", rnn_loss, rnn_gradient, rnn()),
    Case("rnn", "saturated", rnn_loss, rnn_gradient, rnn(scale=12)),
    Case("rnn", "weights of 1e-8", rnn_loss, rnn_gradient, rnn(scale=1e-8)),
    Case("rnn", "times 1e-30", scaled(rnn_loss, 1e-30), scaled(rnn_gradient, 1e-30), rnn()),
    Case("gauss", "as it is", gauss_loss, gauss_gradient, gauss()),
    Case("gauss", "at the optimum", gauss_loss, gauss_gradient, gauss(optimum=True)),
    Case("gauss", "a scale of e^20", gauss_loss, gauss_gradient, gauss(s=20.0)),
    Case("gauss", "in NumPy, a scale of e^-20", gauss_loss, in_numpy(gauss_gradient), gauss(s=-20.0)),
    Case("pendulum", "as it is", ode_loss, ode_gradient, ode()),
    Case("pendulum", "at rest", ode_loss, ode_gradient, ode(amplitude=0)),
    Case("pendulum", "swings of 1e-9", ode_loss, ode_gradient, ode(amplitude=1e-9, target=0)),
    Case("pendulum", "swings of 1e3", ode_loss, ode_gradient, ode(amplitude=1e3)),
    Case("ours", "as it is", own_loss, own_gradient, own()),
    Case("ours", "saturated", own_loss, own_gradient, own(scale=30)),
    Case("ours", "relu on black images", relu_loss, relu_gradient, own(black=6)),
    Case("ours", "relu with one black image", relu_loss, relu_gradient, own(black=1)),
]

WRONG = [
    Case(
        "linear",
        "the penalty is forgotten",
        linear_loss,
        partial(linear_gradient, penalty=0),
        linear(),
        "penalty",
        "w",
    ),
    Case(
        "linear",
        "a sum for the mean",
        linear_loss,
        partial(linear_gradient, n=1, penalty=12 * PENALTY),
        linear(),
        "sum for mean",
        "b",
    ),
    Case(
        "linear",
        "zero in a column of 1e-8",
        linear_loss,
        but(linear_gradient, w=zeroed((0, 2))),
        linear(scale=1e8),
        "entries",
        "w",
    ),
    Case(
        "linear",
        "the last example is left out",
        linear_loss,
        lambda p, x, y: linear_gradient(p, x[:-1], y[:-1]),
        linear(),
        "example left out",
        "w",
    ),
    Case(
        "softmax",
        "the sign of the bias",
        softmax_loss,
        but(softmax_gradient, b=lambda b: -b),
        softmax(),
        "sign",
        "b",
    ),
    Case(
        "softmax",
        "targets are not subtracted",
        softmax_loss,
        partial(softmax_gradient, prime=False),
        softmax(),
        "",
        "W",
    ),
    Case(
        "softmax", "transposed", softmax_loss, but(softmax_gradient, W=lambda W: W.T), softmax(), "transposed", "W"
    ),
    Case(
        "softmax",
        "a column of zeros",
        softmax_loss,
        but(softmax_gradient, W=zeroed((1, 3))),
        softmax(),
        "column",
        "W",
    ),
    Case(
        "batch norm",
        "the mean's own gradient is forgotten",
        norm_loss,
        partial(norm_gradient, mean_term=False),
        norm(),
        "",
        "W",
    ),
    Case("batch norm", "eps is forgotten", norm_loss, partial(norm_gradient, eps=0), norm(), "", "W"),
    Case(
        "batch norm",
        "gamma and beta swapped",
        norm_loss,
        lambda *a: (lambda g: {**g, "gamma": g["beta"][None, :], "beta": g["gamma"][0]})(norm_gradient(*a)),
        norm(),
        "another leaf",
        "beta",
    ),
    Case(
        "batch norm",
        "a bias that has a gradient",
        norm_loss,
        but(norm_gradient, b=lambda b: b + 1e-9),
        norm(),
        "",
        "b",
    ),
    Case(
        "layer norm",
        "the spread's own gradient is forgotten",
        layer_loss,
        partial(layer_gradient, spread_term=False),
        norm(),
        "",
        "W",
    ),
    Case(
        "layer norm",
        "the shift is not summed",
        layer_loss,
        but(layer_gradient, beta=lambda b: b[None, :] * np.full((10, 1), 0.1)),
        norm(),
        "not summed",
        "beta",
    ),
    Case(
        "layer norm",
        "half of gamma",
        layer_loss,
        but(layer_gradient, gamma=lambda g: g / 2),
        norm(),
        "factor",
        "gamma",
    ),
    Case("layer norm", "a row of zeros", layer_loss, but(layer_gradient, W=zeroed((0, 0))), norm(), "row", "W"),
    Case(
        "convolution",
        "the kernel flipped",
        conv_loss,
        but(conv_gradient, K=lambda K: K[:, :, ::-1, ::-1]),
        conv(),
        "order",
        "K",
    ),
    Case(
        "convolution",
        "the kernel transposed",
        conv_loss,
        but(conv_gradient, K=lambda K: jnp.swapaxes(K, 2, 3)),
        conv(),
        "transposed",
        "K",
    ),
    Case("convolution", "a tap of zeros", conv_loss, but(conv_gradient, K=zeroed((2, 1))), conv(), "slice", "K"),
    Case(
        "convolution",
        "an image left out",
        conv_loss,
        lambda p, x: conv_gradient(p, x[1:]),
        conv(),
        "example left out",
        "K",
    ),
    Case(
        "attention",
        "not scaled",
        attention_loss,
        partial(attention_gradient, scaled=False),
        attention(),
        "factor",
        "Q",
    ),
    Case(
        "attention",
        "queries for keys",
        attention_loss,
        lambda *a: (lambda g: {**g, "Q": g["K"], "K": g["Q"]})(attention_gradient(*a)),
        attention(),
        "another leaf",
        "Q",
    ),
    Case(
        "attention",
        "the sign of the keys",
        attention_loss,
        but(attention_gradient, K=lambda K: -K),
        attention(),
        "sign",
        "K",
    ),
    Case(
        "attention",
        "values transposed",
        attention_loss,
        but(attention_gradient, V=lambda V: V.T),
        attention(),
        "transposed",
        "V",
    ),
    Case("rnn", "cut after three steps", rnn_loss, partial(rnn_gradient, back=3), rnn(), "", "U"),
    Case(
        "rnn", "the derivative of tanh is forgotten", rnn_loss, partial(rnn_gradient, prime=False), rnn(), "", "U"
    ),
    Case("rnn", "U transposed", rnn_loss, but(rnn_gradient, U=lambda U: U.T), rnn(), "transposed", "U"),
    Case(
        "rnn", "a mean over the steps", rnn_loss, but(rnn_gradient, b=lambda b: b / 7), rnn(), "mean for sum", "b"
    ),
    Case(
        "gauss",
        "the scale's own term is forgotten",
        gauss_loss,
        partial(gauss_gradient, entropy=0),
        gauss(),
        "",
        "s",
    ),
    Case("gauss", "a factor of two", gauss_loss, partial(gauss_gradient, half=2), gauss(), "factor", "mu"),
    Case(
        "gauss",
        "the sign of the mean",
        gauss_loss,
        but(gauss_gradient, mu=lambda mu: -mu),
        gauss(s=20.0),
        "sign",
        "mu",
    ),
    Case(
        "gauss",
        "one entry of a scale of e^-20 by a thousandth",
        gauss_loss,
        but(gauss_gradient, s=lambda s: s * np.array([1, 1.001, 1, 1])),
        gauss(s=-20.0),
        "entries",
        "s",
    ),
    Case(
        "pendulum",
        "the damping is forgotten on the way back",
        ode_loss,
        partial(ode_gradient, damping=False),
        ode(),
        "",
        "k",
    ),
    Case(
        "pendulum", "the first step is forgotten", ode_loss, partial(ode_gradient, steps=STEPS - 1), ode(), "", "k"
    ),
    Case("pendulum", "half of the damping", ode_loss, but(ode_gradient, c=lambda c: c / 2), ode(), "factor", "c"),
    Case(
        "pendulum",
        "stiffness shifted by one",
        ode_loss,
        but(ode_gradient, k=lambda k: jnp.roll(k, 1)),
        ode(),
        "order",
        "k",
    ),
    Case("ours", "b1 is zero", own_loss, but(own_gradient, b1=lambda b: 0 * b), own(), "zero", "b1"),
    Case("ours", "W2 transposed", own_loss, but(own_gradient, W2=lambda W: W.T), own(), "transposed", "W2"),
    Case(
        "ours", "a sum for the mean", own_loss, but(own_gradient, W1=lambda W: 6 * W), own(), "sum for mean", "W1"
    ),
    Case("ours", "W1 by a hundredth", own_loss, but(own_gradient, W1=lambda W: 1.01 * W), own(), "factor", "W1"),
]
