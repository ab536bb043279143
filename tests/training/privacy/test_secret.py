"""Keys are functions of the secret, the purpose and the numbers, all of them."""

from hashlib import blake2b

from jaxmlp.training.privacy import secret
from jaxmlp.training.privacy.secret import derived

SECRET = bytes(range(32))


def test_a_fresh_secret_is_256_bits_that_nobody_had():
    one, other = secret.fresh(), secret.fresh()
    assert len(one) == len(other) == 32
    assert one != other


def test_every_part_decides_the_key():
    keys = [
        derived(SECRET, "noise", 1, 11),
        derived(SECRET[::-1], "noise", 1, 11),
        derived(SECRET, "batches", 1, 11),
        derived(SECRET, "noise", 11, 1),
        derived(SECRET, "noise", 111),
    ]
    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} == {16}
    assert keys[0] == blake2b(b"1 11", key=SECRET, person=b"noise", digest_size=16).digest()
