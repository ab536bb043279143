"""Attacks private training: is the ε that experiments find below the one that the account claims?

    python -m tools.audit                  2,000 runs in each of two worlds, and as many with half the noise
    python -m tools.audit --runs=20000     a sharper attack

Exit code 1 if more is found than is claimed, or if half the noise goes unnoticed.
"""

from absl import flags

from tools import arguments
from tools.audit import membership

RUNS = flags.DEFINE_integer("runs", 2000, "runs in each world", lower_bound=100)


def main(names: list[str]) -> int:
    whole, half = (membership.audit(RUNS.value, factor) for factor in (1.0, 0.5))
    print(f"claimed:                        ε = {whole.claimed:.3f} at δ = {membership.CONFIG.delta}")
    print(f"found, with a confidence of {membership.CONFIDENCE:.0%}: ε >= {whole.found:.3f}")
    print(f"found with half the noise:      ε >= {half.found:.3f}")
    return 0 if whole.found <= whole.claimed < half.found else 1


if __name__ == "__main__":
    arguments.start(main)
