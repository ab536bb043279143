"""Data sets in the form of MNIST. Re-exports only."""

from jaxmlp.data.datasets import Dataset, Split, load
from jaxmlp.data.idx import DataError

__all__ = ["DataError", "Dataset", "Split", "load"]
