"""Which cached reads of this process are still valid: the contract `Coherence` for one file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from mmap import mmap
from weakref import WeakValueDictionary

from store.engines.activity import Counters
from store.engines.capabilities import HEADER, CachedReads, Gap
from store.engines.sqlite.engine.ring import Ring, marker, space_of
from store.engines.sqlite.engine.ring_file import ring_of
from store.engines.sqlite.engine.wal_index import index_of, opening
from store.system.locking import WriterLock

Touched = Sequence[tuple[str, str]] | None
"""Namespace and name of all records that a statement may have changed; None: any of them."""


class Commit:
    """The contract `Commit`."""

    __slots__ = ("after", "before", "touched")

    def __init__(self, before: bytes, touched: Touched) -> None:
        self.before = before
        self.after: bytes | None = None
        self.touched = touched


class SqliteCoherence:
    """Belongs to one engine. Safe across threads; before a fork it is dropped, as its connections are.

    `is_open` returns whether the process has an open connection to the file that has read through the index: only
    then do others write to the mapped file. Without a `path` there is no map, and nothing is cached.
    """

    marker = staticmethod(marker)
    space_of = staticmethod(space_of)

    def __init__(
        self,
        path: str | None,
        writer: WriterLock,
        is_open: Callable[[], bool],
        look: Callable[[float], None],
        counters: Counters,
        *,
        read_only: bool,
    ) -> None:
        self.look = look
        self.writer = writer
        self.counters = counters
        self.looked = 0.0
        self._path = path
        self._is_open = is_open
        self._read_only = read_only
        self.mapped: mmap | None = None
        self._ring: Ring | None = None  # of changes; opened with the index
        # Weak: an interrupt may drop a store before it is unregistered.
        self._caches: WeakValueDictionary[int, CachedReads] = WeakValueDictionary()
        self._lock = threading.RLock()  # a signal handler may acquire it again in the thread that holds it

    def index(self) -> mmap | None:
        index = self.mapped
        if index is not None or self._path is None:
            return index
        # `drop` waits for our lock, and so does a thread that is about to close the last connection. `opening` is not
        # acquired first: a thread that opens a connection may close another during garbage collection and would wait
        # for this thread, which waits for it.
        with opening(), self._lock:
            if self.mapped is None and self._is_open():
                index = index_of(self._path)
                if index is not None:
                    self._ring = ring_of(self._path, writes=not self._read_only)
                self.mapped = index
            return self.mapped

    def register(self, cache: CachedReads) -> None:
        self._caches[id(cache)] = cache

    def unregister(self, cache: CachedReads) -> None:
        self._caches.pop(id(cache), None)

    # -- commits: the writer's lock is held

    def begin(self, touched: Touched) -> Commit | None:
        """A commit of our own that will come; None: changes are unknown."""
        index = self.mapped
        if index is None:
            index = self.index()
        try:
            return None if index is None else Commit(index[HEADER], touched)
        except ValueError:  # another thread closed the map, with the last connection
            return None

    def announce(self, commit: Commit) -> None:
        """Tell all processes that this commit comes now."""
        ring = self._ring
        if ring is not None:
            ring.announce(commit.before)

    def end(self, commit: Commit, *, changed: bool) -> bool:
        """Tell all processes what it touched, or that it changed nothing; returns whether that is known.

        It gets its `after` if it is the only commit since its `before`; else all caches start anew. A statement that
        changed nothing commits nothing: then any change is another process's.
        """
        index, ring = self.mapped, self._ring
        if index is None or ring is None:
            return False
        try:
            after = index[HEADER]
        except ValueError:  # as above
            return False
        if ring.confirm(commit.before, after, commit.touched if changed else None):
            commit.after = after
        return commit.after is not None

    def between(self, before: bytes, after: bytes) -> list[int] | Gap:
        ring = self._ring
        try:
            return Gap.LOST if ring is None else ring.between(before, after)
        except ValueError:
            return Gap.LOST

    # -- caches

    def drop(self) -> None:
        """Empty the caches before the last connection is closed: others may then write to another file."""
        with self._lock:
            self.mapped = self._ring = None
            for cache in self._live():
                cache.drop()

    def renew(self) -> None:
        """In a forked child: start anew, with new locks."""
        self._lock = threading.RLock()
        self.mapped = self._ring = None
        for cache in self._live():
            cache.renew()

    def _live(self) -> list[CachedReads]:
        return [cache for reference in self._caches.valuerefs() if (cache := reference()) is not None]
