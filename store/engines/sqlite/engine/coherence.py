"""Which cached reads of this process are still valid: the contract `Coherence` for one file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from mmap import mmap
from weakref import WeakValueDictionary

from store.engines.capabilities import CachedReads
from store.engines.sqlite.engine.wal_index import header_of, index_of, is_next, opening
from store.system.locking import WriterLock

LOG_NAMES = 2000  # records named by the remembered commits, for caches that have not followed them yet

Names = Sequence[tuple[str, str]]
Touched = Names | None
"""Namespace and name of all records that a statement may have changed; None: any of them."""


class Commits:
    """The last commits of this process, by the header before each; a cache follows them when it is read.

    So the cost of a commit does not depend on how many stores are open. Written only under the writer's lock. A
    signal handler may write during a write; an entry that is lost then only makes the cache start anew.
    """

    def __init__(self) -> None:
        self._recent: dict[bytes, tuple[bytes, Names]] = {}
        self._older: dict[bytes, tuple[bytes, Names]] = {}
        self._left = LOG_NAMES

    def add(self, before: bytes, after: bytes, touched: Names) -> None:
        self._recent[before] = after, touched
        self._left -= len(touched) + 1
        if self._left < 0:
            self._older, self._recent = self._recent, {}
            self._left = LOG_NAMES

    def between(self, before: bytes, after: bytes) -> list[Names] | None:
        """The names that changed from one header to another; None if not all commits between them are known."""
        steps: list[Names] = []
        while before != after:
            step = self._recent.get(before) or self._older.get(before)
            if step is None:
                return None
            before, touched = step
            steps.append(touched)
        return steps


class SqliteCoherence:
    """Belongs to one engine. Safe across threads; before a fork it is dropped, as its connections are.

    `is_open` returns whether the process has an open connection to the file that has read through the index: only
    then do others write to the mapped file. Without a `path` there is no map, and nothing is cached.
    """

    def __init__(
        self, path: str | None, writer: WriterLock, is_open: Callable[[], bool], look: Callable[[float], None]
    ) -> None:
        self.look = look
        self.writer = writer
        self.looked = 0.0
        self._path = path
        self._is_open = is_open
        self._index: mmap | None = None
        self._commits = Commits()
        self.between = self._commits.between
        # Weak: an interrupt may drop a store before it is unregistered.
        self._caches: WeakValueDictionary[int, CachedReads] = WeakValueDictionary()
        self._lock = threading.RLock()  # a signal handler may acquire it again in the thread that holds it

    def index(self) -> mmap | None:
        index = self._index
        if index is not None or self._path is None:
            return index
        # `drop` waits for our lock, and so does a thread that is about to close the last connection. `opening` is not
        # acquired first: a thread that opens a connection may close another during garbage collection and would wait
        # for this thread, which waits for it.
        with opening(), self._lock:
            if self._index is None and self._is_open():
                self._index = index_of(self._path)
            return self._index

    def register(self, cache: CachedReads) -> None:
        self._caches[id(cache)] = cache

    def unregister(self, cache: CachedReads) -> None:
        self._caches.pop(id(cache), None)

    def header(self) -> bytes | None:
        """The header before a commit of our own; None without caches."""
        index = self._index
        return header_of(index) if index is not None and self._caches else None

    def committed(self, before: bytes, touched: Touched) -> bytes | None:
        """Record a commit of our own that changed rows; the writer's lock is still held.

        `before`: the header just before it. If it is the only commit since, caches can follow it by dropping the
        touched names, and the new header is returned. Otherwise returns None, and caches start anew.
        """
        index = self._index
        if index is None or touched is None:
            return None
        after = header_of(index)
        if after is None or not is_next(before, after):
            return None
        self._commits.add(before, after, touched)
        return after

    def drop(self) -> None:
        """Empty the caches before the last connection is closed: others may then write to another file."""
        with self._lock:
            self._index = None
            for cache in self._live():
                cache.drop()

    def renew(self) -> None:
        """In a forked child: start anew, with new locks."""
        self._lock = threading.RLock()
        self._index = None
        for cache in self._live():
            cache.renew()

    def _live(self) -> list[CachedReads]:
        return [cache for reference in self._caches.valuerefs() if (cache := reference()) is not None]
