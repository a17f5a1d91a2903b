"""Queues in a cache: values under numbers that grow at the back and shrink at the front.

Names have the order of keys (`keys.py`), so each end of a queue is the first or the last name of a range.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from store.cache import Cache as Bounded
from store.compat.diskcache.entries import Entry, Shape, find, key_at, write
from store.compat.diskcache.keys import key_of, name_of
from store.compat.diskcache.markers import ENOVAL
from store.compat.diskcache.opened import Opened, transaction
from store.compat.diskcache.values import value_of

MIDDLE, DIGITS = 500_000_000_000_000, 15
_SIDES = ("front", "back")


class Side(NamedTuple):
    """One end of a queue; the prefix names the queue."""

    prefix: str | None
    side: str

    def check(self) -> None:
        """Raises: ValueError: there is no such side."""
        if self.side not in _SIDES:
            raise ValueError(f"a queue has the sides 'front' and 'back', not {self.side!r}")

    def key(self, number: int) -> Any:
        """The key of that number."""
        return number if self.prefix is None else f"{self.prefix}-{number:0{DIGITS}}"

    def number(self, key: Any) -> Any:
        """The number of a key of this queue. Raises: ValueError: another program put a key there that has none."""
        return key if self.prefix is None else int(key.rpartition("-")[2])

    def outermost(self, records: Bounded[Any]) -> str | None:
        """The name at this end; None: the queue is empty."""
        low, high = name_of(self.key(0)), name_of(self.key(10**DIGITS - 1))
        is_back = self.side == "back"
        found = records.store.names(after=high if is_back else low, limit=1, reverse=is_back)
        return found[0] if found and low < found[0] < high else None


def push(opened: Opened, stored: Any, end: Side, expire: float | None, tag: Any, retry: bool) -> Any:
    """Stores a value one beyond the end of a queue, and returns its key."""
    end.check()
    with transaction(opened, retry) as records:
        name, number = end.outermost(records), MIDDLE
        if name is not None:
            number = end.number(key_of(name)) + (1 if end.side == "back" else -1)
        key = end.key(number)
        write(records, name_of(key), stored, expire, tag)
    return key


def pull(opened: Opened, end: Side, default: Any, shape: Shape, retry: bool) -> Any:
    """Takes the item at an end of a queue. An empty one is seen without a lock, so polling holds nobody up."""
    end.check()
    while end.outermost(opened.records) is not None:
        with transaction(opened, retry) as records:
            name = end.outermost(records)
            entry = None if name is None else find(records, name, with_tag=shape.tag, locked=True)
            if name is not None and entry is not None:
                records.delete(name)
                return _pair(shape, key_of(name), entry)
    return shape.of(default)


def peek(opened: Opened, end: Side, default: Any, shape: Shape) -> Any:
    """The item at an end of a queue."""
    end.check()
    records = opened.records
    while (name := end.outermost(records)) is not None:
        entry = find(records, name, with_tag=shape.tag)
        if entry is not None:  # else it was taken in between
            return _pair(shape, key_of(name), entry)
    return shape.of(default)


def peekitem(opened: Opened, last: bool, shape: Shape) -> Any:
    """The item that was inserted last, or first. Raises: KeyError: the cache is empty."""
    records = opened.records
    while (name := next(reversed(records.store) if last else iter(records.store), None)) is not None:
        entry = find(records, name, with_tag=shape.tag)
        key = key_at(records, name)
        if entry is not None and key is not ENOVAL:
            return _pair(shape, key, entry)
    raise KeyError("dictionary is empty")


def _pair(shape: Shape, key: Any, entry: Entry) -> Any:
    return shape.of((key, value_of(entry.stored)), entry.expires, entry.tag)
