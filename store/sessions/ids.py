"""Ids of sessions, and the names of their records, which are hashes of the ids."""

from __future__ import annotations

import secrets
from hashlib import blake2b
from typing import TypeGuard

# Do not change: they make the names of records on disk.
_ID_BYTES = 32
_DOMAIN = b"store.sessions"  # the hash of the same text for another purpose is a different one

_ID_LENGTH = len(secrets.token_urlsafe(_ID_BYTES))


def new_id() -> str:
    """An id that cannot be guessed, and that no command line takes for an option."""
    while (id := secrets.token_urlsafe(_ID_BYTES)).startswith("-"):
        pass
    return id


def name_of(id: object) -> str:
    """The name of the record of an id. What cannot be an id gets the name of a random one: all take the same time."""
    text = id if _is_well_formed(id) else secrets.token_urlsafe(_ID_BYTES)
    return blake2b(str.encode(text, "ascii"), digest_size=32, person=_DOMAIN).hexdigest()


def _is_well_formed(id: object) -> TypeGuard[str]:
    """Whether it is ASCII text of an id's length: nothing else may reach the hash."""
    return isinstance(id, str) and str.__len__(id) == _ID_LENGTH and str.isascii(id)
