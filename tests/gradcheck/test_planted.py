"""Forty right gradients of ten models, none of which may be accused, and forty planted mistakes to be caught."""

from collections.abc import Callable

import jax
import pytest
from planted import RIGHT, WRONG, Case

from jaxmlp import gradcheck

DTYPES = ["float32", pytest.param("float64", marks=pytest.mark.slow)]


@pytest.fixture(autouse=True)
def x64_as_a_person_has_it(request: pytest.FixtureRequest) -> object:
    with jax.enable_x64(request.getfixturevalue("dtype") == "float64"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", RIGHT, ids=str)
def test_a_right_gradient_is_ok(case: Case, dtype: str) -> None:
    gradcheck.check(case.loss, case.gradient, *case.in_dtype(dtype))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", WRONG, ids=str)
def test_a_mistake_is_caught_and_named(case: Case, dtype: str) -> None:
    report = gradcheck.compare(case.loss, case.gradient, *case.in_dtype(dtype))
    leaf = next(leaf for leaf in report.leaves if leaf.name == f"['{case.leaf}']")
    assert leaf.verdict == "MISMATCH"
    assert (leaf.mistake.kind if leaf.mistake else "") == case.kind


@pytest.mark.parametrize("dtype", DTYPES)
def test_there_are_forty_of_each_and_thirty_are_named(dtype: str) -> None:
    assert len(RIGHT) == len(WRONG) == 40
    assert len({case.model for case in RIGHT}) == len({case.model for case in WRONG}) == 10
    assert sum(bool(case.kind) for case in WRONG) >= 30


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64"])
@pytest.mark.parametrize("model", sorted({case.model for case in RIGHT}))
def test_central_differences_agree(model: str, dtype: str) -> None:
    right = next(case for case in RIGHT if case.model == model)
    # A penalty of less than a ten-millionth of the gradient is what differences cannot see.
    wrong = [case for case in WRONG if case.model == model and case.kind != "penalty"]
    report = gradcheck.compare(right.loss, right.gradient, *right.in_dtype(dtype), differences=True)
    assert report.verdict != "MISMATCH", str(report)
    compare: Callable[..., gradcheck.Report] = gradcheck.compare
    caught = [not compare(case.loss, case.gradient, *case.in_dtype(dtype), differences=True).ok for case in wrong]
    assert all(caught)
