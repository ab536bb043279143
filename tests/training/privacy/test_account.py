"""ε against closed forms, quadrature, bounds from both sides, and what was published."""

import sys
from math import exp

import numpy as np
import pytest
from scipy import integrate, optimize
from scipy.stats import norm

pytest.importorskip("dp_accounting", reason="needs the extra [privacy]")

from dp_accounting.pld import privacy_loss_distribution

from jaxmlp.extras import MissingExtra
from jaxmlp.training.config import Config, ConfigError
from jaxmlp.training.privacy import account
from jaxmlp.training.privacy.account import Account, account_of, epsilon_text, noise_multiplier_for

ABOVE = 1.005  # an ε may be half a per cent too high, and never too low


def solved(delta_of, delta):
    return optimize.brentq(lambda epsilon: delta_of(epsilon) - delta, 0, 100, xtol=1e-12)


@pytest.mark.parametrize(("sigma", "steps"), [(4.0, 1), (1.0, 1), (20.0, 100), (5.0, 400), (200.0, 1)])
def test_without_sampling_it_is_the_gaussian_mechanism(sigma, steps):
    """T steps with σ are one with σ/√T. Balle and Wang 2018, theorem 8."""
    s = sigma / np.sqrt(steps)

    def delta_of(epsilon):
        return norm.cdf(1 / (2 * s) - epsilon * s) - exp(epsilon) * norm.cdf(-1 / (2 * s) - epsilon * s)

    exact = solved(delta_of, 1e-5)
    assert exact <= Account(sigma, 1.0, steps, 1e-5).epsilon(1) <= ABOVE * exact


@pytest.mark.parametrize(("sigma", "q"), [(1.0, 0.1), (0.7, 0.02), (2.0, 0.5), (5.0, 0.01), (10.0, 0.01)])
def test_one_step_on_a_sample_by_quadrature(sigma, q):
    """The larger of both directions: one example more, and one less."""

    def with_it(x):
        return (1 - q) * norm.pdf(x, 0, sigma) + q * norm.pdf(x, 1, sigma)

    def without(x):
        return norm.pdf(x, 0, sigma)

    def delta_of(epsilon):
        grid = np.linspace(-15 * sigma, 15 * sigma + 1, 200_001)
        p, r = with_it(grid), without(grid)
        return max(integrate.simpson(np.maximum(a - exp(epsilon) * b, 0), grid) for a, b in ((p, r), (r, p)))

    exact = solved(delta_of, 1e-5)
    assert exact * (1 - 1e-6) <= Account(sigma, q, 1, 1e-5).epsilon(1) <= ABOVE * exact


@pytest.mark.parametrize(("sigma", "q", "steps"), [(20.0, 0.01, 1000), (10.0, 0.004, 2500), (20.0, 0.001, 5000)])
def test_many_steps_that_tell_little_each(sigma, q, steps):
    """Against losses ten times as fine, which bound ε from above too."""
    finer = privacy_loss_distribution.from_gaussian_mechanism(
        sigma, sampling_prob=q, value_discretization_interval=q / sigma / 100
    )
    bound = finer.self_compose(steps).get_epsilon_for_delta(1e-5)
    assert bound * (1 - 1e-6) <= Account(sigma, q, steps, 1e-5).epsilon(1) <= ABOVE * bound


PROBES = [
    (4096, 5.98, 10, 0.5065),
    (4096, 4.51, 20, 1.0119),
    (2048, 1.66, 15, 1.983),
    (2048, 1.27, 15, 2.982),
    (2048, 0.91, 30, 7.975),
]


@pytest.mark.parametrize(("batch_size", "sigma", "epochs", "expected"), PROBES)
def test_whole_runs_are_pinned(batch_size, sigma, epochs, expected):
    assert run_of(batch_size, sigma, epochs).epsilon(epochs) == pytest.approx(expected, rel=5e-4)


def run_of(batch_size, sigma, epochs, examples=60_000):
    return account_of(Config(batch_size=batch_size, noise_multiplier=sigma, clip_norm=1.0, delta=1e-5), examples)


@pytest.mark.slow
@pytest.mark.parametrize(("batch_size", "sigma", "epochs", "expected"), PROBES[1:4])
def test_whole_runs_from_above_and_from_below(batch_size, sigma, epochs, expected):
    """An optimistic estimate on a finer grid is below the exact figure, by construction."""
    run = run_of(batch_size, sigma, epochs)
    epsilon = run.epsilon(epochs)
    below = privacy_loss_distribution.from_gaussian_mechanism(
        sigma,
        sampling_prob=batch_size / 60_000,
        pessimistic_estimate=False,
        use_connect_dots=False,
        value_discretization_interval=1e-5,
    ).self_compose(epochs * round(60_000 / batch_size))
    lower = below.get_epsilon_for_delta(1e-5)
    assert lower <= epsilon <= ABOVE * lower


def test_what_was_published():
    """Abadi et al. 2016, section 3: q = 0.01, σ = 4, δ = 1e-5, by bounds of moments, which are looser."""
    for steps, published in ((10_000, 1.26), (40_000, 2.55)):
        assert 0.7 * published < Account(4.0, 0.01, steps, 1e-5).epsilon(1) <= published


def test_epsilon_grows_with_the_epochs_from_nothing():
    run = run_of(600, 1.1, 3)
    epsilons = [run.epsilon(epochs) for epochs in range(4)]
    assert epsilons[0] == 0
    assert epsilons == sorted(set(epsilons))


def config_for(epochs, **more):
    return Config(batch_size=2048, epochs=epochs, noise_multiplier=1.0, clip_norm=1.0, delta=1e-5, **more)


@pytest.mark.slow
@pytest.mark.parametrize("target", [0.5, 3.0, 8.0])
def test_a_target_is_met_by_the_least_noise(target):
    sigma = noise_multiplier_for(target, config_for(15), 60_000)
    assert run_of(2048, sigma, 15).epsilon(15) <= target < run_of(2048, sigma - 0.001, 15).epsilon(15)


@pytest.mark.parametrize(("target", "epochs"), [(1e-6, 1), pytest.param(1e6, 1, marks=pytest.mark.slow), (1.0, 0)])
def test_a_target_out_of_reach_is_refused(target, epochs):
    with pytest.raises(ConfigError, match=r"^target_epsilon: expected a number from .* to .*, got "):
        noise_multiplier_for(target, config_for(epochs), 60_000)


def test_it_is_read_as_rounded_up():
    assert epsilon_text(2.98201) == "ε 2.983"
    assert epsilon_text(0.5) == "ε 0.500"


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dp_accounting.pld", None)
    account._of_one_step.cache_clear()
    with pytest.raises(MissingExtra, match=r"^private training needs the extra \[privacy\]: pip install 'jaxmlp\["):
        run_of(600, 1.0, 1).epsilon(1)
