"""Reading and writing records of a cache by their names, with what diskcache keeps beside the value."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from store.cache import Cache as Bounded
from store.compat.diskcache import keys
from store.compat.diskcache.markers import ENOVAL
from store.compat.diskcache.values import unpack


class Entry(NamedTuple):
    """A record: what is stored, when it expires in Unix seconds (None: never), and its tag."""

    stored: Any
    expires: float | None
    tag: Any


class Shape(NamedTuple):
    """What a call wants beside the value."""

    expire_time: bool
    tag: bool

    def of(self, result: Any, expires: float | None = None, tag: Any = None) -> Any:
        """The result, alone or in a tuple with the expiry, the tag, or both."""
        if self.expire_time and self.tag:
            return result, expires, tag
        if self.expire_time:
            return result, expires
        return (result, tag) if self.tag else result


def find(
    records: Bounded[Any], name: str, *, with_tag: bool = True, counted: bool = False, locked: bool = False
) -> Entry | None:
    """The record of a name; None where there is none. Without `with_tag` its tag is left out.

    `counted`: as a hit or miss. `locked`: inside a transaction, where it cannot change between two reads.
    """
    while True:
        try:
            stored, record = (records if counted else records.store).get_with_record(name)
            tag = tag_at(records, name) if with_tag else None
            if with_tag and not locked and records.store.record(name).version != record.version:
                continue  # it was assigned in between
        except KeyError:
            return None
        return Entry(stored, None if record.expires is None else record.expires.timestamp(), tag)


def tag_at(records: Bounded[Any], name: str) -> Any:
    """The tag of a record, as the program gave it."""
    tag = records.tag_of(name)
    return None if tag is None else keys.key_of(tag)


def tag_name(tag: Any) -> str | None:
    """The text for a tag. Raises: TypeError: it is neither text nor a number nor bytes, which diskcache takes."""
    if type(tag) is bool:
        tag = int(tag)
    if tag is None or type(tag) in (str, int, float, bytes):
        return None if tag is None else keys.name_of(tag)
    raise TypeError(f"a tag is text, a number or bytes, not {tag!r:.80}")


def key_at(records: Bounded[Any], name: str) -> Any:
    """The key of a record; ENOVAL where the record has it and is gone. Raises: Corrupt: no key has that name."""
    if not keys.is_digest(name):
        return keys.key_of(name)
    stored = records.store.get(name, ENOVAL)
    return ENOVAL if stored is ENOVAL else unpack(stored).key


def is_over(expire: float | None) -> bool:
    """Whether a record of so many seconds has expired at once."""
    return expire is not None and expire <= 0


def lifetime(expire: float | None) -> float | None:
    """The seconds as a lifetime of a store, which is None for ever."""
    return None if expire == math.inf else expire


def write(records: Bounded[Any], name: str, stored: Any, expire: float | None, tag: Any) -> None:
    """Stores a record for so many seconds; with 0 or less it has expired at once, so there is none afterwards."""
    if is_over(expire):
        records.delete(name)
    else:
        records.set(name, stored, ttl=lifetime(expire), tag=tag_name(tag))
