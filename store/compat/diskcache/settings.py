"""The settings of a cache, kept in its file as diskcache keeps them.

`size_limit`, `eviction_policy`, `cull_limit` (0: writes evict nothing), `disk_min_file_size` (from which size bytes
can be read by a handle) and `statistics` have their effect. `tag_index`, `disk_pickle_protocol` and those of SQLite
are kept and given back, and change nothing: the store chooses for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from store.cache import Policy
from store.codecs.pickle import HIGHEST_PROTOCOL
from store.mapping.store import Store

NAMESPACE = "settings"

DEFAULT_SETTINGS: dict[str, Any] = {
    "statistics": 0,
    "tag_index": 0,
    "eviction_policy": "least-recently-stored",
    "size_limit": 2**30,
    "cull_limit": 10,
    "sqlite_auto_vacuum": 1,
    "sqlite_cache_size": 2**13,
    "sqlite_journal_mode": "wal",
    "sqlite_mmap_size": 2**26,
    "sqlite_synchronous": 1,
    "disk_min_file_size": 2**15,
    "disk_pickle_protocol": HIGHEST_PROTOCOL,
}
LEAST_BYTES = 2**18
"""The smallest size limit that a file can keep; smaller ones count as this."""
METADATA = ("count", "size", "hits", "misses")
"""What `reset` computes, and no argument sets."""

EVICTION_POLICY: dict[str, Policy] = {
    "none": "none",
    "least-recently-stored": "lrw",
    "least-recently-used": "lru",
    "least-frequently-used": "lfu",
}
"""Policies by the names of diskcache, and what `store.cache` calls them."""


class Bounds(NamedTuple):
    """What settings mean for a `store.cache.Cache`, and whether its writes delete expired items in passing."""

    max_bytes: int | None
    policy: Policy
    purges: bool


class Settings:
    """The settings of one cache: those in its file, and this object's own copy of them, as attributes of it are.

    Safe across threads and processes. Another object's change is seen by `reload`, as in diskcache.
    """

    def __init__(self, stored: Callable[[], Store[Any]], given: Mapping[str, Any]) -> None:
        self._stored = stored  # a function: `close` closes the store, and the next use opens another one
        there = stored().get_many(stored().names())
        wanted = {name: value for name, value in given.items() if name not in METADATA}
        if "tag_index" in wanted:
            wanted["tag_index"] = int(bool(wanted["tag_index"]))
        self.values: dict[str, Any] = DEFAULT_SETTINGS | there | wanted
        policy_of(self.values["eviction_policy"])
        changed = {name: value for name, value in wanted.items() if name not in there or there[name] != value}
        if changed:
            stored().update(changed)

    def reload(self, name: str) -> Any:
        """The value in the file, else the default. Raises: ValueError: no such setting."""
        if name not in self.values:
            raise ValueError(f"there is no setting {name!r}: the cache has {', '.join(sorted(self.values))}")
        self.values[name] = self._stored().get(name, DEFAULT_SETTINGS.get(name))
        return self.values[name]

    def change(self, name: str, value: Any, *, in_file: bool = True) -> None:
        """Sets a value, here and in the file. Raises: ValueError: no such setting."""
        if name not in self.values:
            self.reload(name)
        if name == "eviction_policy":
            policy_of(value)
        if in_file:
            self._stored()[name] = value
        self.values[name] = value

    def bounds(self, shards: int, *, on_write: bool) -> Bounds:
        """What holds for the whole cache. `on_write`: for what writes do, without it for `cull`.

        Raises: ValueError: the policy is not one of EVICTION_POLICY.
        """
        policy = policy_of(self.values["eviction_policy"])
        if on_write and not self.values["cull_limit"]:
            return Bounds(None, "none", False)
        return Bounds(max(LEAST_BYTES, int(self.values["size_limit"] * shards)), policy, True)


def policy_of(name: Any) -> Policy:
    """The policy of that name. Raises: ValueError: it is not one of EVICTION_POLICY."""
    if name not in EVICTION_POLICY:
        raise ValueError(f"unknown eviction_policy {name!r}: one of {', '.join(EVICTION_POLICY)}")
    return EVICTION_POLICY[name]
