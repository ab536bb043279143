"""What the processes of a run do together on their hosts, where the connection breaks."""

import jax
import numpy as np
import pytest

from jaxmlp.training import devices


@pytest.mark.parametrize(
    ("together", "operation"),
    [(devices.whole, "process_allgather"), (devices.of_first_process, "broadcast_one_to_all")],
    ids=["whole", "of_first_process"],
)
def test_a_broken_connection_is_an_error_of_jax(monkeypatch, together, operation):
    """As which commands know it: JAX 0.10.1 raises a ValueError when another process is killed meanwhile."""

    def broken(*args, **kwargs):
        raise ValueError("UNKNOWN: Gloo AllGather failed: Connection reset by peer")

    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(devices.multihost_utils, operation, broken)
    tree = jax.numpy.ones(3) if together is devices.whole else np.ones(3)
    with pytest.raises(jax.errors.JaxRuntimeError, match="Connection reset by peer"):
        together(tree)
