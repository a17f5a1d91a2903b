"""Counters: numbers in a cache, hits and misses, sizes, and `reset`, which reads or sets all of them.

The store counts hits and misses always, diskcache only while `stats` has turned it on. So the file has two settings
more, "hits" and "misses": what a caller sees, less what the store has counted.
"""

from __future__ import annotations

from typing import Any

from store.compat.diskcache import listing
from store.compat.diskcache.entries import find, write
from store.compat.diskcache.keys import is_digest, name_of
from store.compat.diskcache.markers import ENOVAL
from store.compat.diskcache.opened import Opened, attempt, transaction
from store.compat.diskcache.settings import METADATA
from store.compat.diskcache.values import pack, unpack

COUNTED = frozenset(METADATA)
_BOUNDING = {"size_limit", "eviction_policy", "cull_limit"}


def incr(opened: Opened, key: Any, delta: Any, default: Any, retry: bool) -> Any:
    """Adds `delta` to the value of a key; see `Cache.incr`."""
    name = name_of(key)
    if type(delta) is int and type(default) is int and not is_digest(name):
        try:
            return attempt(retry, lambda: opened.records.incr(name, delta, default=default))
        except TypeError:  # the value is no int
            pass
    with transaction(opened, retry) as records:
        entry = find(records, name, locked=True)
        if entry is None:
            if default is None:
                raise KeyError(key)
            total, left, tag = default + delta, None, None
        else:
            total, tag = unpack(entry.stored).value + delta, entry.tag
            left = None if entry.expires is None else entry.expires - records.store.opened.clock()
        stored = pack(total, False, 2**63, key if is_digest(name) else None)
        write(records, name, stored, left, tag)
    return total


def stats(opened: Opened, enable: bool, reset: bool) -> tuple[int, int]:
    """Hits and misses so far; then counting goes on, stops, or begins at zero."""
    with opened.stored().transaction():
        before = count(opened, "hits"), count(opened, "misses")
        opened.settings.change("statistics", enable)
        for name, number in zip(("hits", "misses"), (0, 0) if reset else before, strict=True):
            _set_counter(opened, name, number)
    return before


def count(opened: Opened, name: str) -> int:
    """The number of items ("count"), the bytes of their files ("size"), "hits" or "misses"."""
    records = opened.records
    if name == "count":
        return listing.count(records)
    if name == "size":
        return records.store.stats().spill_bytes
    return max(0, _offset(opened, name) + _counted(opened, name))


def volume(opened: Opened) -> int:
    """The bytes of pages in use, and of files."""
    return opened.records.stats().bytes


def reset(opened: Opened, name: str, value: Any, update: bool) -> Any:
    """Reads or sets a setting; see `Cache.reset`."""
    if name in COUNTED:
        if value is not ENOVAL:
            _set_counter(opened, name, value)
        return count(opened, name)
    if value is ENOVAL:
        before, value = opened.settings.values.get(name), opened.settings.reload(name)
    elif name == "statistics" and update:
        before = value
        stats(opened, value, False)
    else:
        before = opened.settings.values.get(name)
        opened.settings.change(name, value, in_file=update)
    if name in _BOUNDING and value != before:
        opened.reopen()
    return value


def _offset(opened: Opened, name: str) -> int:
    found = opened.stored().get(name, 0)
    return found if type(found) is int else 0


def _counted(opened: Opened, name: str) -> int:
    """What the store has counted, where counting is on."""
    if not opened.settings.values["statistics"]:
        return 0
    figures = opened.records.stats()
    return figures.hits if name == "hits" else figures.misses


def _set_counter(opened: Opened, name: str, number: int) -> None:
    """Raises: ValueError: the number is computed."""
    if name not in ("hits", "misses"):
        raise ValueError(f"{name!r} is computed and cannot be set")
    opened.stored()[name] = number - _counted(opened, name)
