"""What is no gradient and no loss that can be compared: one line that says what was expected and what came."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.gradcheck import arguments as given
from jaxmlp.gradcheck.question import OF_COPIES, SAME_LOSS, Question, float64, named


def check_form(question: Question, by_hand: Any) -> list[tuple[str, Any, Any]]:
    """(path, leaf of the parameters, leaf of the gradient) of all leaves. Raises ValueError if there is another."""
    structure: Any
    if by_hand is None:
        raise ValueError("gradient: expected the structure of params, got None: does the function return it?")
    expected, structure = jax.tree.flatten_with_path(question.arguments[0])
    got, got_structure = jax.tree.flatten_with_path(by_hand)
    if got_structure != structure:
        if isinstance(by_hand, tuple) and len(by_hand) == 2 and jax.tree.structure(by_hand[1]) == structure:
            hint = "; of a pair (loss, gradient) only the second"
        else:
            paths, got_paths = ({jax.tree_util.keystr(path) for path, _ in leaves} for leaves in (expected, got))
            hint = f"; missing {sorted(paths - got_paths)}, surplus {sorted(got_paths - paths)}"
        raise ValueError(f"gradient: expected the structure of params, {structure}, got {got_structure}{hint}")
    triples = []
    for (path, leaf), (_, hand) in zip(expected, got, strict=True):
        name = jax.tree_util.keystr(path)
        is_float = isinstance(hand, float) or (given.is_array(hand) and jnp.issubdtype(hand.dtype, jnp.floating))
        if not is_float:
            raise ValueError(
                f"gradient{name}: expected a floating-point array of shape {np.shape(leaf)}, "
                f"got {given.written(hand)}"
            )
        triples.append((name, leaf, hand))
    return triples


def check_loss(question: Question) -> None:
    """Raises ValueError unless the loss is a real scalar, the same if asked twice."""
    with float64():
        plain = question.without_vector(question.wide)
        copies = given.copies(plain)
        with named("loss", OF_COPIES):
            value = question.loss(*copies)
            again = question.loss(*given.copies(plain))
    if changes := given.changed(plain, copies, list(question.without_vector(tuple(question.names)))):
        raise ValueError(f"loss: expected to leave its arguments as they are, got {', '.join(changes)} changed")
    if isinstance(value, tuple | list | dict):
        raise ValueError(
            f"loss: expected a scalar, got a {type(value).__name__} of {len(value)}; "
            "of a loss with auxiliary outputs only the first"
        )
    if isinstance(value, float | int) and not isinstance(value, bool):
        value = np.asarray(value, np.float64)
    if not given.is_array(value) or value.shape != () or not jnp.issubdtype(value.dtype, jnp.floating):
        raise ValueError(f"loss: expected a real scalar, of shape (), got {given.written(value)}")
    if not np.isfinite(value):
        raise ValueError(f"loss: expected a finite value, got {float(value)}")
    if not np.isclose(value, again, rtol=SAME_LOSS, atol=0):
        raise ValueError(
            f"loss: expected the same value for the same arguments, got {float(value)} and {float(again)}"
        )
