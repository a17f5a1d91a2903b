"""The caches that are measured, each used as its own documentation says."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from store.cache import Cache
from store.cache.options import LEAST_BYTES

from ..peers import FRAGILE, KEPT, QUEUED, Durability, Guarantee, Pairs, guarantee_of
from ..peers.store import cache_off
from ..session import PROTOCOL
from .redis_server import PROGRAM

BASE = "diskcache Cache"
"""What ratios refer to."""
STORE = "store"
CONNECTION_BYTES = 2**17  # of a new connection, which are none of the entries': they could not be evicted
LOCK_SECONDS = 60.0  # after which others take a Redis lock of a process that died


class Place(NamedTuple):
    """Where a peer keeps its entries; `port` is that of the Redis server, where there is one."""

    folder: Path
    port: int | None


class CachePeer(Protocol):
    """One open cache. `get` and `set` are called as they are where the library has them; a miss gives None."""

    get: Callable[[str], Any]
    set: Callable[[str, Any], Any]

    def fill(self, pairs: Pairs) -> None:
        """Writes all of them in the fastest way that the library documents."""

    def size(self) -> int:
        """How large it is, in the unit in which this peer is bounded."""

    def entries(self) -> int:
        """How many entries there are."""

    def close(self) -> None: ...


Compute = Callable[[str], Any]


@dataclass(frozen=True)
class Kind:
    """One way of using a library.

    `open` takes the place and the bound, None for none. `computing` has the ways in which it computes an entry that
    is missing: what the label ends with → a function of the open cache and of what computes by name.
    """

    label: str
    durability: Durability
    open: Callable[[Place, int | None], CachePeer]
    computing: Mapping[str, Callable[[Any, Compute], Compute]] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    program: str = ""
    distribution: str = ""
    only: frozenset[str] | None = None
    turns_over: bool = True  # whether all of its entries are replaced before eviction is timed
    note: str = ""

    def missing(self) -> list[str]:
        """What it needs and is not installed here."""
        lacking = [module for module in self.modules if find_spec(module) is None]
        return lacking + ([self.program] if self.program and shutil.which(self.program) is None else [])

    def takes_part(self, operation: str) -> bool:
        return self.only is None or operation in self.only

    def version(self) -> str:
        return f"{self.distribution} {metadata.version(self.distribution)}"


class ThisStore:
    """`store.cache.Cache`, bounded by bytes, or by the number of records."""

    def __init__(self, place: Place, limit: int | None, *, by_records: bool = False, **options: Any) -> None:
        bounds = {"max_bytes": None, "max_records" if by_records else "max_bytes": limit}
        self.cache = Cache[Any](place.folder / "app.db", **bounds, **options)
        self.by_records = by_records
        self.get, self.set, self.fill, self.close = self.cache.get, self.cache.set, self.cache.set_many, self.cache.close

    def size(self) -> int:
        return len(self.cache) if self.by_records else max(LEAST_BYTES, self.cache.stats().bytes)

    def entries(self) -> int:
        return len(self.cache)


def get_or_compute(peer: ThisStore, compute: Compute) -> Compute:
    return lambda name: peer.cache.get_or_compute(name, partial(compute, name))


class DiskCache:
    """diskcache's `Cache` or `FanoutCache`, bounded by bytes. `set` is told to try again where another one writes."""

    def __init__(self, place: Place, limit: int | None, *, kind: str, **settings: Any) -> None:
        import diskcache

        self.cache = getattr(diskcache, kind)(str(place.folder / kind), size_limit=limit or 2**62, **settings)
        self.get, self.set, self.close = self.cache.get, partial(self.cache.set, retry=True), self.cache.close
        self.size = self.cache.volume

    def fill(self, pairs: Pairs) -> None:
        with self.cache.transact():
            for name, value in pairs:
                self.cache.set(name, value)

    def entries(self) -> int:
        return len(self.cache)


def memoized(peer: DiskCache, compute: Compute) -> Compute:
    return peer.cache.memoize()(compute)  # type: ignore[no-any-return]


def behind_a_barrier(peer: DiskCache, compute: Compute) -> Compute:
    """The recipe of diskcache's "Landing Page Caching": look, wait for the one who computes, look again."""
    import diskcache

    inside = diskcache.barrier(peer.cache, diskcache.Lock)(peer.cache.memoize()(compute))
    return peer.cache.memoize(expire=0)(inside)  # type: ignore[no-any-return]


class Files:
    """cachelib's cache of files, bounded by their number."""

    def __init__(self, place: Place, limit: int | None) -> None:
        from cachelib import FileSystemCache

        self.folder = place.folder / "files"
        self.cache = FileSystemCache(str(self.folder), threshold=limit or 0, default_timeout=0)
        self.get, self.set = self.cache.get, self.cache.set

    def fill(self, pairs: Pairs) -> None:
        self.cache.set_many(dict(pairs))

    def size(self) -> int:
        return max(1, sum(1 for _ in self.folder.iterdir()))

    entries = size

    def close(self) -> None:
        pass


class Redis:
    """A Redis server without snapshots, bounded by its memory. Values are pickles, since it keeps bytes."""

    def __init__(self, place: Place, limit: int | None) -> None:
        import redis

        self.client = client = redis.Redis(host="127.0.0.1", port=place.port or 0)
        client.config_set("maxmemory", 0 if limit is None else limit + CONNECTION_BYTES)
        client.config_set("maxmemory-policy", "allkeys-lru")
        fetch, put, dumps, loads = client.get, client.set, pickle.dumps, pickle.loads

        def get(name: str) -> Any:
            body = fetch(name)
            return None if body is None else loads(body)  # type: ignore[arg-type]

        def set_(name: str, value: Any) -> None:
            put(name, dumps(value, PROTOCOL))

        self.get, self.set, self.close = get, set_, client.close

    def fill(self, pairs: Pairs) -> None:
        self.client.mset({name: pickle.dumps(value, PROTOCOL) for name, value in pairs})

    def size(self) -> int:
        return int(self.client.info("memory")["used_memory"])  # type: ignore[index]

    def entries(self) -> int:
        return int(self.client.dbsize())  # type: ignore[arg-type]


def get_and_set(peer: CachePeer, compute: Compute) -> Compute:
    """For a library that has nothing for it: each one who finds nothing computes."""

    def computed(name: str) -> Any:
        value = peer.get(name)
        if value is None:
            value = compute(name)
            peer.set(name, value)
        return value

    return computed


def under_a_redis_lock(peer: Redis, compute: Compute) -> Compute:
    """By the lock of redis-py, which looks again ten times a second as it comes."""
    look = get_and_set(peer, compute)

    def computed(name: str) -> Any:
        value = peer.get(name)
        if value is None:
            with peer.client.lock(f"lock {name}", timeout=LOCK_SECONDS):
                value = look(name)
        return value

    return computed


_DISKCACHE: dict[str, Any] = {"modules": ("diskcache",), "distribution": "diskcache"}
_BARRIER = {"memoize": memoized, "barrier": behind_a_barrier}
KINDS: tuple[Kind, ...] = (
    Kind(STORE, KEPT, ThisStore, {"get_or_compute": get_or_compute}, note="bounded by bytes; LRU, sampled"),
    Kind("store, from disk", KEPT, lambda place, limit: ThisStore(place, limit, **cache_off()), only=frozenset({"hit"}),
         note="`cache_bytes=0`"),
    Kind("store, max_records", KEPT, lambda place, limit: ThisStore(place, limit, by_records=True),
         only=frozenset({"evict"}), note="bounded by records; LRU, sampled"),
    Kind(BASE, KEPT, partial(DiskCache, kind="Cache"), _BARRIER, **_DISKCACHE,
         note="bounded by bytes; what was stored first goes"),
    Kind("diskcache Cache, LRU", KEPT, partial(DiskCache, kind="Cache", eviction_policy="least-recently-used"),
         **_DISKCACHE, only=frozenset({"hit", "evict"}), note="bounded by bytes; a hit writes when it was used"),
    Kind("diskcache FanoutCache", KEPT, partial(DiskCache, kind="FanoutCache"), _BARRIER, **_DISKCACHE,
         note="bounded by bytes; 8 files"),
    Kind("cachelib files", FRAGILE, Files, {"get and set": get_and_set}, modules=("cachelib",), distribution="cachelib",
         turns_over=False, note="bounded by entries; a file for each, all of which an eviction reads"),
    Kind("Redis", QUEUED, Redis, {"get and set": get_and_set, "lock": under_a_redis_lock}, modules=("redis",),
         program=PROGRAM, distribution="redis", note="bounded by bytes; in the memory of a server, on loopback"),
)  # fmt: skip


def present(wanted: tuple[str, ...] = ()) -> list[Kind]:
    """Those that are installed here; `wanted` are beginnings of labels, none = all."""
    chosen = [kind for kind in KINDS if not wanted or kind.label.lower().startswith(wanted)]
    return [kind for kind in chosen if not kind.missing()]


def kind_of(label: str) -> Kind:
    """The kind of that label, or the one whose label it begins with."""
    same = [kind for kind in KINDS if kind.label == label]
    return next(iter(same + [kind for kind in KINDS if label.startswith(f"{kind.label}, ")]))


def class_of(label: str) -> Guarantee:
    """What a write that returned survives, and how many processes may have it open."""
    return guarantee_of(kind_of(label).durability)
