"""Who catches the planted mistakes of tests/gradcheck/planted.py, and who accuses a right gradient: side by side.

    python -m tools.gradcheck        prints the table, in Markdown

Needs PyTorch. Every checker is called with its own defaults: ours; check_grads of JAX, in reverse mode, on a
custom_vjp; gradcheck of PyTorch, which asks for float64, on an autograd.Function; and two comparisons with central
differences of step 1e-4: the relative error of the whole vector, below 1e-4, and NumPy's allclose. What raises
counts as caught, or as accused. Seconds are those of the processor, compilation included.
"""

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch
from jax.test_util import check_grads

from jaxmlp import gradcheck

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "gradcheck"))
from planted import RIGHT, WRONG, Case  # type: ignore[import-not-found]

Passes = Callable[[Case, tuple[Any, ...]], bool]

STEP, RELATIVE_ERROR = 1e-4, 1e-4


def ours(case: Case, arguments: tuple[Any, ...]) -> bool:
    return gradcheck.compare(case.loss, case.gradient, *arguments).verdict != "MISMATCH"


def by_jax(case: Case, arguments: tuple[Any, ...]) -> bool:
    params, *data = arguments

    @jax.custom_vjp
    def loss(p: Any) -> Any:
        return case.loss(p, *data)

    def backward(p: Any, cotangent: Any) -> Any:
        return (jax.tree.map(lambda leaf: cotangent * leaf, case.gradient(p, *data)),)

    loss.defvjp(lambda p: (loss(p), p), backward)
    check: Any = check_grads
    check(loss, (params,), order=1, modes=["rev"])
    return True


def by_torch(case: Case, arguments: tuple[Any, ...]) -> bool:
    params, *data = arguments
    structure: Any
    leaves, structure = jax.tree.flatten(params)

    def in_jax(tensors: Any) -> Any:
        return structure.unflatten([jax.numpy.asarray(tensor.detach().numpy()) for tensor in tensors])

    class Loss(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(context: Any, *tensors: Any) -> Any:
            context.save_for_backward(*tensors)
            return torch.tensor(float(case.loss(in_jax(tensors), *data)), dtype=tensors[0].dtype)

        @staticmethod
        def backward(context: Any, cotangent: Any) -> Any:
            gradient = case.gradient(in_jax(context.saved_tensors), *data)
            return tuple(cotangent * torch.tensor(np.array(leaf)) for leaf in jax.tree.leaves(gradient))

    tensors = [torch.tensor(np.array(leaf), requires_grad=True) for leaf in leaves]
    return bool(torch.autograd.gradcheck(Loss.apply, tensors))


def _differences(case: Case, arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    """(by hand, by central differences), each as one vector."""
    params, *data = arguments
    structure: Any
    leaves, structure = jax.tree.flatten(params)
    slopes = []
    for number, leaf in enumerate(leaves):
        for index in np.ndindex(leaf.shape):
            values = []
            for step in (STEP, -STEP):
                moved = np.array(leaf)
                moved[index] += step
                p = structure.unflatten([*leaves[:number], jax.numpy.asarray(moved), *leaves[number + 1 :]])
                values.append(float(case.loss(p, *data)))
            slopes.append((values[0] - values[1]) / (2 * STEP))
    by_hand = jax.tree.leaves(case.gradient(*arguments))
    if [np.shape(leaf) for leaf in by_hand] != [leaf.shape for leaf in leaves]:
        raise ValueError("shapes differ")
    return np.concatenate([np.ravel(leaf) for leaf in by_hand]), np.array(slopes)


def by_relative_error(case: Case, arguments: tuple[Any, ...]) -> bool:
    hand, slopes = _differences(case, arguments)
    error = np.linalg.norm(hand - slopes) / (np.linalg.norm(hand) + np.linalg.norm(slopes))
    return bool(error < RELATIVE_ERROR)


def by_allclose(case: Case, arguments: tuple[Any, ...]) -> bool:
    return bool(np.allclose(*_differences(case, arguments)))


CHECKERS: list[tuple[str, Passes, tuple[str, ...]]] = [
    ("jaxmlp.gradcheck", ours, ("float32", "float64")),
    ("jax.test_util.check_grads", by_jax, ("float32", "float64")),
    ("torch.autograd.gradcheck", by_torch, ("float64",)),
    ("central differences, relative error", by_relative_error, ("float32", "float64")),
    ("central differences, allclose", by_allclose, ("float32", "float64")),
]


def passes(checker: Passes, case: Case, dtype: str) -> bool:
    with jax.enable_x64(dtype == "float64"):
        try:
            return checker(case, case.in_dtype(dtype))
        except Exception:  # how most of them say no
            return False


def main() -> None:
    warnings.simplefilter("ignore")
    print("| checker | dtype | mistakes caught | right ones accused | seconds |")
    print("|---|---|---|---|---|")
    for name, checker, dtypes in CHECKERS:
        for dtype in dtypes:
            forget: Any = jax.clear_caches
            forget()
            start = time.process_time()
            caught = [not passes(checker, case, dtype) for case in WRONG]
            accused = [not passes(checker, case, dtype) for case in RIGHT]
            seconds = time.process_time() - start
            of = f"{sum(caught)} of {len(WRONG)} | {sum(accused)} of {len(RIGHT)}"
            print(f"| {name} | {dtype} | {of} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
