"""Run by tests/test_four_devices.py, or by hand: JAX_NUM_CPU_DEVICES=4 python -m pytest tests/four_devices."""

import jax

collect_ignore_glob = [] if jax.device_count() == 4 else ["test_*.py"]
