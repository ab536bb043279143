"""Everything that is compiled lowers for hardware that is not here: CPUs, both makes of GPU, TPUs."""

import jax
import pytest

from tools.hardware.programs import programs

pytestmark = pytest.mark.slow

PLATFORMS = ["cpu", "cuda", "rocm", "tpu"]
ALL = list(programs(examples=1000, hidden=32, batch_size=128))


def test_there_are_as_many_as_there_were():
    assert len({program.name for program in ALL}) == len(ALL) >= 48


@pytest.mark.parametrize("program", ALL, ids=lambda program: program.name)
def test_it_lowers_for_every_platform(program):
    with jax.enable_x64(False):
        function = jax.jit(lambda *arguments: program.function(*arguments, **program.static))
        exported = jax.export.export(function, platforms=PLATFORMS)(*program.arguments)
    assert exported.platforms == tuple(PLATFORMS)
