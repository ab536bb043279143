"""The attack of tools/audit finds less than the account claims, and more with half the noise."""

import numpy as np
import pytest

pytest.importorskip("dp_accounting", reason="needs the extra [privacy]")

from tools.audit import membership


@pytest.mark.slow
def test_what_an_attack_finds_is_below_what_is_claimed_and_not_with_half_the_noise():
    whole, half = (membership.audit(1000, factor) for factor in (1.0, 0.5))
    assert 0 < whole.found <= whole.claimed == half.claimed < half.found


def test_the_bound_is_that_of_the_gaussian_mechanism_at_most():
    """Two normal worlds, one deviation apart: for δ = 0.02 the exact ε is 2.0205."""
    random = np.random.default_rng(0)
    without, with_it = random.normal(0, 1, 20_000), random.normal(1, 1, 20_000)
    assert 1.5 < membership.lower_bound(with_it, without, 0.02) < 2.0205
    assert membership.lower_bound(without, without[::-1], 0.02) <= 0
