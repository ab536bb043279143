"""The account: the ε for which a run's parameters are (ε, δ)-differentially private.

Neighbouring data sets differ by one example that is added or removed, and n is public. One step is the Gaussian
mechanism on a Poisson sample. Its privacy loss distribution, made by dp-accounting, is composed with itself
(Koskela et al. 2020, arXiv:1906.03049; Doroshenko et al. 2022, Connect the dots, arXiv:2207.04380). What is
approximate in it errs upwards: its ε is never below the exact one, and at most half a per cent above.
"""

from bisect import bisect_left
from functools import cache
from math import ceil
from typing import Any, NamedTuple

from jaxmlp.extras import privacy_extra
from jaxmlp.training.config import Config, ConfigError
from jaxmlp.training.privacy.sampling import steps_per_epoch

INTERVAL = 1e-3  # between the losses in a distribution, at most
OF_A_LOSS = 0.1  # and at most this part of q/σ, the size of a step's loss

THOUSANDTHS = range(100, 100_001)  # of σ, that are looked at for a target


class Account(NamedTuple):
    """What the parameters after any number of steps tell of an example."""

    noise_multiplier: float  # σ
    sampling_rate: float  # q = B/n
    steps_per_epoch: int
    delta: float

    def epsilon(self, epochs: int) -> float:
        """ε after so many epochs. Raises MissingExtra."""
        steps = epochs * self.steps_per_epoch
        if steps == 0:
            return 0.0  # nothing has been told
        distribution = _of_one_step(self.noise_multiplier, self.sampling_rate).self_compose(steps)
        return float(distribution.get_epsilon_for_delta(self.delta))


def account_of(config: Config, examples: int) -> Account:
    """The account of a run on so many examples."""
    rate = config.batch_size / examples
    return Account(config.noise_multiplier, rate, steps_per_epoch(examples, config.batch_size), config.delta)


def epsilon_text(epsilon: float) -> str:
    """ε as people read it, rounded up: "ε 2.983"."""
    return f"ε {ceil(epsilon * 1000) / 1000:.3f}"


def noise_multiplier_for(target_epsilon: float, config: Config, examples: int) -> float:
    """The smallest σ, in thousandths, with which the ε of the whole run is at most `target_epsilon`.

    Raises MissingExtra, and ConfigError if no σ that is looked at gives that ε.
    """
    return _noise_multiplier_for(target_epsilon, account_of(config, examples), config.epochs)


@cache
def _noise_multiplier_for(target_epsilon: float, account: Account, epochs: int) -> float:
    def epsilon(thousandths: int) -> float:
        return account._replace(noise_multiplier=thousandths / 1000).epsilon(epochs)

    found = THOUSANDTHS[0] + bisect_left(THOUSANDTHS, -target_epsilon, key=lambda sigma: -epsilon(sigma))
    if found not in THOUSANDTHS[1:]:
        least, most = (epsilon(sigma) for sigma in (THOUSANDTHS[-1], THOUSANDTHS[0]))
        expected = f"a number from {least:.3g} to {most:.3g}, which a noise multiplier can give"
        raise ConfigError("target_epsilon", expected, target_epsilon)
    return found / 1000


@cache
def _of_one_step(noise_multiplier: float, sampling_rate: float) -> Any:
    """The privacy loss distribution of one step."""
    with privacy_extra():
        from dp_accounting.pld import privacy_loss_distribution
    return privacy_loss_distribution.from_gaussian_mechanism(
        noise_multiplier,
        sampling_prob=sampling_rate,
        value_discretization_interval=min(INTERVAL, OF_A_LOSS * sampling_rate / noise_multiplier),
    )
