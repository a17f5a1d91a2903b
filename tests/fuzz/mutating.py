"""Random changes of bytes that were valid; the programs beside it import it."""

from __future__ import annotations

import random
from collections.abc import Sequence


def mutate(rng: random.Random, body: bytearray, pieces: Sequence[bytes]) -> None:
    """Flip a bit, insert one of `pieces` or random bytes, remove, repeat or cut off, in place."""
    at = rng.randrange(len(body) + 1)
    kind = rng.randrange(6)
    if kind == 0 and at < len(body):
        body[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        body[at:at] = rng.choice(pieces)
    elif kind == 2:
        del body[at : at + rng.randrange(1, 6)]
    elif kind == 3:
        body[at:at] = body[at : at + rng.randrange(1, 20)] * rng.randrange(1, 4)
    elif kind == 4:
        body[at:at] = rng.randbytes(rng.randrange(1, 6))
    else:
        del body[at:]
