"""The loop offered to code: one (state, metrics) an epoch, resumable, and stopped by a loss that is not finite."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from compare import assert_close
from jaxmlp import network
from jaxmlp.data import datasets
from jaxmlp.inputs.view import View
from jaxmlp.training import loop
from jaxmlp.training.augmentation import prepared
from jaxmlp.training.config import Config, ConfigError
from jaxmlp.training.epoch import EpochInput, State, Tuning, train_epoch
from jaxmlp.training.privacy.account import account_of

CONFIG = Config(hidden=8, epochs=3, batch_size=7, momentum=0.5, schedule="cosine", warmup_epochs=1)


@pytest.fixture(scope="module")
def dataset(few_digits):
    return datasets.load(few_digits)


@pytest.fixture(scope="module")
def program(dataset):
    return loop.prepare(CONFIG, dataset)


def test_one_record_an_epoch(program):
    records = [metrics for _, metrics in loop.fit(program)]
    assert [m.epoch for m in records] == [1, 2, 3]
    assert records[-1].train_loss < records[0].train_loss
    for m in records:
        assert m.validation_accuracy == 1 - m.validation_errors / 100
        assert m.examples_per_second == pytest.approx(500 / m.seconds)


@pytest.mark.slow
def test_an_epoch_is_handed_its_own_order_rates_key_and_strength(dataset):
    """Against a loop written here: what is random comes from the seed and the number of the epoch."""
    config = Config(
        hidden=5, epochs=3, batch_size=60, input_dropout=0.3, rotation=20.0, mixup=0.5, seed=3, distortion_end=0.4
    )
    (*_, (state, _)) = loop.fit(loop.prepare(config, dataset))
    images = dataset.train.images.reshape(500, -1)
    expected = State(loop.first_params(3, 784, 5, 10), ())
    for epoch in range(3):
        inputs = EpochInput(
            images,
            dataset.train.labels,
            loop.order(3, epoch, 500),
            np.full(9, config.learning_rate, np.float32),
            jax.random.wrap_key_data(np.array([3, epoch], np.uint32), impl="threefry2x32"),
            np.float32([1, 0.7, 0.4][epoch]),
        )
        expected, _ = train_epoch(expected, inputs, config=config, size=(28, 28))
    assert_close(state.params, expected.params, 1e-5)


def record(epoch, loss):
    return loop.Metrics(epoch, 0.1, loss, 5, 0.95, 1.0, 1.0)


@pytest.mark.parametrize(
    ("patience", "losses", "expected"),
    [
        (0, [3.0, 4.0, 5.0, 6.0], False),
        (2, [], False),
        (2, [3.0, 4.0], False),
        (2, [3.0, 4.0, 5.0], True),
        (2, [3.0, 3.0, 3.0], True),  # no better is no better
        (2, [3.0, 4.0, 2.0, 4.0], False),
        (1, [3.0, 2.0, 2.5], True),
    ],
)
def test_patience_is_at_an_end_when_the_best_loss_is_so_old(patience, losses, expected):
    history = [record(epoch, loss) for epoch, loss in enumerate(losses, 1)]
    assert loop.out_of_patience(Config(patience=patience), history) == expected
    assert loop.ended(Config(patience=patience), history) == expected


def test_a_run_without_patience_for_more_ends(dataset):
    """At this rate it swings, and is never better than after its first epochs."""
    config = Config(hidden=8, epochs=20, batch_size=7, learning_rate=30.0, patience=2)
    records = [metrics for _, metrics in loop.fit(loop.prepare(config, dataset))]
    best = min(range(len(records)), key=lambda i: records[i].validation_loss)
    assert len(records) == best + 1 + 2 < 20


def test_the_record_is_of_the_state_beside_it(program, dataset):
    state, metrics = next(loop.fit(program))
    x = dataset.validation.images.reshape(100, -1) / 255
    W1, b1, W2, b2 = map(np.asarray, state.params)
    x2 = 1 / (1 + np.exp(-(1 / (1 + np.exp(-(x @ W1 + b1))) @ W2 + b2)))
    assert metrics.validation_errors == np.sum(x2.argmax(axis=1) != dataset.validation.labels)
    error = x2 - np.eye(10)[dataset.validation.labels]
    assert metrics.validation_loss == pytest.approx(np.sum(error**2) / 2 / 100)


def test_a_run_continued_from_its_state_is_the_same_run(program):
    *_, (whole, _) = loop.fit(program)
    first, record = next(loop.fit(program))
    *_, (continued, metrics) = loop.fit(program, first, [record])
    assert metrics.epoch == 3
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), whole, continued))


@pytest.mark.slow
@pytest.mark.parametrize("shown", [{}, {"directions": True}, {"edges": True}], ids=",".join)
def test_distortions_that_have_weakened_to_nothing_leave_the_last_epoch_as_it_is(dataset, shown):
    plain = Config(hidden=2, epochs=2, batch_size=100, **shown)
    distorted = Config(**{**vars(plain), "shift": 3.0, "distortion_end": 0.0})
    losses = [
        [float(program.train(program.init(), epoch)[1].loss) for epoch in (0, 1)]
        for program in (loop.prepare(config, dataset) for config in (plain, distorted))
    ]
    (first, last), (first_distorted, last_distorted) = losses
    assert last_distorted == pytest.approx(last, rel=1e-5)
    assert first_distorted != pytest.approx(first, rel=1e-5)


@pytest.mark.slow
def test_two_seeds_are_two_runs_and_one_seed_is_one(program, dataset):
    again, other = (loop.prepare(config, dataset) for config in (CONFIG, Config(**{**vars(CONFIG), "seed": 1})))
    losses = [next(loop.fit(p))[1].train_loss for p in (program, again, other)]
    assert losses[0] == losses[1] != losses[2]


def test_the_test_set_is_the_test_set(program, dataset):
    state = program.init()
    W1, b1, W2, b2 = map(np.asarray, state.params)
    hidden = 1 / (1 + np.exp(-(dataset.test.images.reshape(200, -1) / 255 @ W1 + b1)))
    assert program.test(state.params).errors == np.sum((hidden @ W2 + b2).argmax(axis=1) != dataset.test.labels)


@pytest.mark.slow
def test_the_noise_scale_is_in_the_record_if_asked_for(program, dataset):
    asked = loop.prepare(Config(**{**vars(CONFIG), "log_noise_scale": True}), dataset)
    (_, without), (_, having) = next(loop.fit(program)), next(loop.fit(asked))
    assert without.noise_scale is None
    assert having.noise_scale > 0
    assert having.train_loss == pytest.approx(without.train_loss, rel=1e-12)


def test_a_run_that_diverges_stops_at_its_epoch(dataset):
    program = loop.prepare(Config(hidden=8, phi="identity", learning_rate=1e6), dataset)
    with pytest.raises(loop.Diverged, match="epoch 1"):
        list(loop.fit(program))


def test_the_epoch_is_compiled_for_its_mesh_and_in_the_blocks_that_are_fastest(dataset, monkeypatch):
    compiled, real = [], loop.train_epoch.lower

    class Recorder:
        @staticmethod
        def lower(*arguments, tuning, **more):
            compiled.append(tuning)
            return real(*arguments, tuning=tuning, **more)

    monkeypatch.setattr(loop, "train_epoch", Recorder)
    monkeypatch.setattr(loop.blocked, "batches_per_block", lambda config, platform: 3 if platform == "cpu" else 1)
    program = loop.prepare(Config(hidden=8, batch_size=64), dataset)
    assert compiled == [Tuning(program.mesh, 3)]
    assert program.mesh.size == 1


def test_what_is_trained_on_is_made_after_its_distortion_and_what_is_scored_at_once(dataset):
    config = Config(hidden=2, directions=True, deskew=True, shift=1.0)
    view, upright = View(deskew=True, directions=True), View(deskew=True)
    got = prepared(dataset, config)
    np.testing.assert_array_equal(got.train.images, upright.prepare(dataset.train.images))
    np.testing.assert_array_equal(got.validation.images, view.prepare(dataset.validation.images))
    np.testing.assert_array_equal(got.test.images, view.prepare(dataset.test.images))
    still = prepared(dataset, replace(config, shift=0.0))
    np.testing.assert_array_equal(still.train.images, view.prepare(dataset.train.images))


def test_a_learned_grid_is_for_the_images_that_are_distorted(dataset):
    order = np.random.default_rng(0).permutation(784)
    shuffled = dataset.map_images(lambda images: images.reshape(-1, 784)[:, order].reshape(-1, 28, 28))
    config = Config(hidden=8, epochs=1, batch_size=50, shift=1.0, learned_grid=True)
    got = prepared(shuffled, config)
    want = shuffled.train.images.reshape(-1, 784)[:, got.grid].reshape(-1, 28, 28)
    np.testing.assert_array_equal(got.train.images, want)
    for ours, given in zip(got[1:3], shuffled[1:3], strict=True):
        np.testing.assert_array_equal(ours.images, given.images)
    known = shuffled._replace(grid=tuple(range(784)))
    assert prepared(known, config).grid == known.grid
    assert prepared(known, replace(config, learned_grid=False)).grid is None

    program = loop.prepare(config, shuffled)
    [(state, _)] = loop.fit(program)
    x0 = View().x0(shuffled.test.images, state.params.W1.dtype)
    x2 = jax.vmap(lambda x: network.forward(state.params, x, config.activation).x2)(x0)
    assert int(program.test(state.params).errors) == np.sum(x2.argmax(axis=1) != shuffled.test.labels)


def test_images_too_large_for_a_learned_grid_are_told(dataset):
    large = dataset.map_images(lambda images: np.zeros((len(images), 40, 41), np.uint8))
    with pytest.raises(ConfigError) as caught:
        loop.prepare(Config(shift=1.0, learned_grid=True), large)
    assert str(caught.value) == "learned_grid: expected False for images of more than 1,600 pixels, got True"


def test_upright_digits_are_trained_on_validated_and_tested(dataset):
    upright = loop.prepare(Config(**{**vars(CONFIG), "deskew": True}), dataset)
    by_hand = loop.prepare(CONFIG, dataset.map_images(View(deskew=True).prepare))
    (ours, record), (theirs, expected) = next(loop.fit(upright)), next(loop.fit(by_hand))
    assert record[:5] == expected[:5]
    assert upright.test(ours.params).loss == by_hand.test(theirs.params).loss


SECRET = bytes(range(32))
PRIVATE = Config(
    hidden=8,
    epochs=3,
    batch_size=50,
    learning_rate=0.5,
    noise_multiplier=2.0,
    clip_norm=0.5,
    delta=1e-3,
    input_dropout=0.1,
)


@pytest.fixture(scope="module")
def private(dataset):
    return loop.prepare(PRIVATE, dataset, secret=SECRET)


def test_a_private_run_learns_and_its_account_grows(private):
    records = [metrics for _, metrics in loop.fit(private)]
    assert records[-1].train_loss < records[0].train_loss
    account = account_of(PRIVATE, 500)
    assert account == (2.0, 0.1, 10, 1e-3)
    assert [m.epsilon for m in records] == [account.epsilon(epochs) for epochs in (1, 2, 3)]


def first_epoch(program):
    """(the first parameters, those after an epoch)."""
    state = program.init()
    first = np.array(state.params.W1)
    return first, np.array(program.train(state, 0)[0].params.W1)


@pytest.mark.slow
def test_the_secret_decides_a_private_run_and_the_seed_its_first_parameters_alone(private, dataset):
    first, after = first_epoch(private)
    same, again = first_epoch(loop.prepare(PRIVATE, dataset, secret=SECRET))
    np.testing.assert_array_equal((same, again), (first, after))
    seeded = loop.prepare(replace(PRIVATE, seed=1), dataset, secret=SECRET)
    assert not np.allclose(seeded.init().params.W1, first)
    state = State(*jax.tree.map(jnp.copy, private.init()))
    np.testing.assert_array_equal(np.array(seeded.train(state, 0)[0].params.W1), after)
    results = [after]
    for other in (SECRET[::-1], None, None):  # without one, each draws its own
        same, moved = first_epoch(loop.prepare(PRIVATE, dataset, secret=other))
        np.testing.assert_array_equal(same, first)
        assert not any(np.allclose(moved, earlier) for earlier in results)
        results.append(moved)


def test_a_batch_larger_than_the_data_is_refused(dataset):
    with pytest.raises(ConfigError, match=r"^batch_size: expected at most the 500 training examples, got 501"):
        loop.prepare(Config(batch_size=501), dataset)


PINNED = {
    (0, 0): [48816, 23726, 42675, 23406, 38390, 33293],
    (0, 1): [18838, 8304, 32047, 49103, 35362, 36633],
    (1, 0): [7637, 20971, 48617, 2068, 33421, 13669],
}
PINNED_W1 = [0.0044903650390497605, -0.0047180308318322105, 0.022872237515831503]
PINNED_BITS = [4070199207, 4202968722]


def test_the_order_of_an_epoch_is_pinned():
    for (seed, epoch), first in PINNED.items():
        assert loop.order(seed, epoch, 50_000)[:6].tolist() == first
    assert sorted(loop.order(0, 2, 1000).tolist()) == list(range(1000))


def test_the_first_parameters_are_distributed_as_those_of_init():
    first, other = (loop.first_params(seed, 784, 300, 10) for seed in (0, 1))
    init = network.init(jax.random.key(0), 784, 300, 10)
    for ours, theirs, others in zip(first, init, other, strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_allclose(np.std(ours), np.std(theirs), rtol=0.03)
        np.testing.assert_allclose(np.mean(ours), 0, atol=3 * np.std(theirs) / np.sqrt(theirs.size) + 1e-300)
        assert np.any(ours) == np.any(ours != others)


def test_the_first_parameters_and_the_keys_are_pinned():
    np.testing.assert_allclose(loop.first_params(0, 784, 30, 10).W1[0, :3], PINNED_W1, rtol=1e-6)
    assert jax.random.bits(loop.noise_key(0, 0), (2,), "uint32").tolist() == PINNED_BITS


def test_what_is_random_differs_between_seeds_and_between_epochs():
    keys = {tuple(jax.random.key_data(loop.noise_key(seed, epoch)).tolist()) for seed in (0, 1) for epoch in (0, 1)}
    assert len(keys) == 4
