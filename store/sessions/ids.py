"""Ids of sessions, the tags of their users, and the names of records, which are made of hashes of both.

| an id | its record's name |
|---|---|
| 43 characters, of 256 random bits | the hash of the id |
| given to `create(id=…)` | the hash of the id |
| 43 characters, a dot and the tag of a user | the tag, a dot and the hash of the whole id |

A tag is the id of a key, and the keyed hash of the user's name by that key. The sessions of a user are the records
whose names begin with a tag of that user: there is no index beside them that could lack one of them.
"""

from __future__ import annotations

import re
import secrets
from hashlib import blake2b
from typing import Any, TypeGuard

from store.opened.sentinels import Unset
from store.trust.keys.key import ID_BYTES, UNKEYED
from store.trust.keys.ring import Keyring

# Do not change: they make the names of records on disk.
_ID_BYTES = 32
_TAG_BYTES = 16
_DOMAIN = b"store.sessions"  # the hash of the same text for another purpose is a different one
_USERS = b"store.users.v1"  # and that of a user's name too

_ID_LENGTH = len(secrets.token_urlsafe(_ID_BYTES))
_TAGGED_LENGTH = _ID_LENGTH + 1 + 2 * (ID_BYTES + _TAG_BYTES)
_TAGGED = re.compile(rf"[\w-]{{{_ID_LENGTH}}}\.([0-9a-f]{{{2 * (ID_BYTES + _TAG_BYTES)}}})", re.ASCII)
_GIVEN = re.compile(r"[\w-]{32,128}", re.ASCII)
_DISTINCT = 6  # characters: fewer than one in 10**12 random ids of 32 hexadecimal digits has fewer


def new_id() -> str:
    """An id that cannot be guessed, and that no command line takes for an option."""
    while (id := secrets.token_urlsafe(_ID_BYTES)).startswith("-"):
        pass
    return id


def name_of(id: Any) -> str:
    """The name of the record of an id. What cannot be an id gets the name of a random one: all take the same time."""
    tag = tag_of(id)
    if tag:
        return f"{tag}.{_hash(id)}"
    return _hash(id if _is_well_formed(id) else secrets.token_urlsafe(_ID_BYTES))


def tag_of(id: Any) -> str:
    """The tag that an id has at its end, empty where it has none."""
    if not isinstance(id, str) or str.__len__(id) != _TAGGED_LENGTH:
        return ""
    found = _TAGGED.fullmatch(id)
    return found[1] if found else ""


def hash_in(name: str) -> str:
    """The hash of an id, out of its record's name: that without the tag of a user."""
    return name.rpartition(".")[2]


def check_given(id: str) -> str:
    """An id that the program brings. Raises: TypeError, ValueError: it cannot be an id; neither shows it."""
    if not isinstance(id, str):
        raise TypeError(f"an id is text, not {type(id).__name__}")
    if not _is_given(id):
        raise ValueError(
            "an id has 32 to 128 characters of A-Z, a-z, 0-9, _ and -, at random, as `secrets.token_urlsafe(32)` "
            "does; leave id out to get one"
        )
    return id


def check_user(user: str) -> str:
    """The name of a user. Raises: TypeError, ValueError."""
    if not isinstance(user, str):
        raise TypeError(f"user is text, not {type(user).__name__}: pass str(…) of a number, the same everywhere")
    if not user:
        raise ValueError("user is empty; leave it out for a session of nobody")
    return user


class UserTags:
    """The tags of users, by the keys of a program."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def id_for(self, user: str | None) -> str:
        """A new id for a session of that user, of nobody for None."""
        if user is None:
            return new_id()
        key = self._keyring.sealing_key()
        return f"{new_id()}.{self._tag(UNKEYED if key is None else key.id, check_user(user))}"

    def id_after(self, id: object, user: str | Unset | None) -> str:
        """A new id in place of `id`, for the same user unless another one is named."""
        if not isinstance(user, Unset):
            return self.id_for(user)
        tag = tag_of(id)
        return f"{new_id()}.{tag}" if tag else new_id()

    def name_of(self, id: object) -> str:
        """As the function. An id whose tag is of a key that was dropped is none: `prefixes` could not find it."""
        tag = tag_of(id)
        if tag and not self._has_key(bytes.fromhex(tag[: 2 * ID_BYTES])):
            return name_of(None)
        return name_of(id)

    def prefixes(self, user: str) -> list[str]:
        """What the names of all sessions of that user begin with: one text for each key, as they are now.

        That of new sessions is the last one.
        """
        self._keyring.look()
        keys = self._keyring.keys()
        ids = dict.fromkeys((UNKEYED, *(key.id for key in keys)))
        newest = self._keyring.sealing_key() if keys else None
        if newest is not None and newest.id in ids:
            ids[newest.id] = ids.pop(newest.id)
        return [f"{self._tag(key_id, user)}." for key_id in ids]

    def _has_key(self, key_id: bytes) -> bool:
        return key_id == UNKEYED or self._keyring.find(key_id) is not None

    def _tag(self, key_id: bytes, user: str) -> str:
        key = None if key_id == UNKEYED else self._keyring.find(key_id)
        secret = b"" if key is None else key.derive(_USERS)
        text = str.encode(user, "utf-8", "surrogatepass")
        return key_id.hex() + blake2b(text, key=secret, digest_size=_TAG_BYTES, person=_USERS).hexdigest()


def _hash(id: str) -> str:
    return blake2b(str.encode(id, "ascii"), digest_size=32, person=_DOMAIN).hexdigest()


def _is_well_formed(id: object) -> TypeGuard[str]:
    """Whether it is ASCII text of the shape of an id without a tag: nothing else may reach the hash."""
    if not isinstance(id, str):
        return False
    if str.__len__(id) == _ID_LENGTH:
        return str.isascii(id)
    return _is_given(id)


def _is_given(id: str) -> bool:
    """Whether it may be random text. A counter or a padded number may not."""
    return _GIVEN.fullmatch(id) is not None and len(set(str.__iter__(id))) >= _DISTINCT
