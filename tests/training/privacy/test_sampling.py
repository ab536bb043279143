"""Batches are Poisson samples: of 8,000 batches of 40 examples, every frequency within five standard errors."""

import numpy as np
import pytest

from jaxmlp.training.privacy.sampling import Sampling, steps_per_epoch

SECRET = bytes(range(32))
N, B, EPOCHS = 40, 2, 400
q = B / N
SAMPLING = Sampling(SECRET, N, B, EPOCHS)


@pytest.fixture(scope="module")
def drawn():
    """(8,000, 40), bool: who is in each batch of 400 epochs."""
    batches = [SAMPLING.batches(epoch) for epoch in range(EPOCHS)]
    rows, mask = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    present = np.zeros((len(rows), N), int)
    np.add.at(present, (np.nonzero(mask)[0], rows[mask]), 1)
    assert present.max() == 1  # nobody is in a batch twice
    return present.astype(bool)


def within_five_errors(found, expected, deviation, count):
    assert np.all(np.abs(found - expected) < 5 * deviation / np.sqrt(count))


def test_everybody_is_in_a_batch_with_the_same_probability(drawn):
    within_five_errors(drawn.mean(axis=0), q, np.sqrt(q * (1 - q)), len(drawn))


def test_the_size_of_a_batch_varies_as_that_of_independent_draws(drawn):
    sizes, variance = drawn.sum(axis=1), N * q * (1 - q)
    within_five_errors(sizes.mean(), B, np.sqrt(variance), len(sizes))
    fourth = variance * (1 + (3 * N - 6) * q * (1 - q))  # the fourth central moment of Binomial(N, q)
    within_five_errors(sizes.var(), variance, np.sqrt(fourth - variance**2), len(sizes))
    assert (sizes == 0).any()  # an empty batch is one too


def test_nobody_is_drawn_because_of_somebody_else_or_of_an_earlier_batch(drawn):
    centred = (drawn - q) / np.sqrt(q * (1 - q))
    in_one_batch = centred.T @ centred / len(drawn)
    within_five_errors(in_one_batch[~np.eye(N, dtype=bool)], 0, 1, len(drawn))
    in_the_next = centred[:-1].T @ centred[1:] / len(drawn)
    within_five_errors(in_the_next, 0, 1, len(drawn))


def test_the_batches_are_of_the_sizes_drawn_and_none_is_cut():
    few = Sampling(SECRET, N, B, 5)
    sizes = few.sizes()
    assert sizes.shape == (5, 20)
    assert len(set(sizes.ravel())) > 2
    for epoch in range(5):
        rows, mask = few.batches(epoch)
        assert rows.shape == mask.shape == (20, sizes.max())
        assert mask.sum(axis=1).tolist() == sizes[epoch].tolist()
        assert np.all(np.diff(mask.astype(int)) <= 0)  # the padding is at the end


def test_another_secret_or_epoch_is_another_draw_and_the_same_the_same():
    def who(secret, epoch):
        rows, mask = Sampling(secret, 1000, 100, 3).batches(epoch, padded=200)
        return [set(row[of_row]) for row, of_row in zip(rows, mask, strict=True)]

    assert who(SECRET, 0) == who(SECRET, 0)
    assert who(SECRET, 0) != who(SECRET, 1)
    assert who(SECRET, 0) != who(SECRET[::-1], 0)


@pytest.mark.parametrize(
    ("examples", "batch_size", "steps"), [(60_000, 600, 100), (60_000, 2048, 29), (500, 500, 1), (500, 300, 2)]
)
def test_an_epoch_has_as_many_batches_as_fit(examples, batch_size, steps):
    assert steps_per_epoch(examples, batch_size) == steps
    assert Sampling(SECRET, examples, batch_size, 1).steps == steps


def test_a_batch_of_all_is_all():
    rows, mask = Sampling(SECRET, 9, 9, 1).batches(0)
    assert mask.all()
    assert sorted(rows[0]) == list(range(9))
