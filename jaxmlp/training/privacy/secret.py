"""The secret of a private run, and the keys that are derived from it.

Whoever knows what was drawn can subtract the noise, and knows who was in a batch, which the account takes for
unknown. A seed of 32 bits can be found by trying all, so a private run draws from 256 bits of the operating system.
"""

import secrets
from hashlib import blake2b

BYTES = 32


def fresh() -> bytes:
    """A new secret."""
    return secrets.token_bytes(BYTES)


def derived(secret: bytes, purpose: str, *numbers: int, size: int = 16) -> bytes:
    """`size` bytes for this purpose and these numbers alone: BLAKE2b with the secret as its key (RFC 7693).

    Of two keys neither tells anything of the other, nor of the secret. Raises ValueError for a purpose of more than
    16 letters.
    """
    text = " ".join(map(str, numbers))
    return blake2b(text.encode(), key=secret, person=purpose.encode(), digest_size=size).digest()
