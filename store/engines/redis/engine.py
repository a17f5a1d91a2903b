"""The Redis engine: implements the contract of `store.engines.contract` from its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from store.engines.contract import Applied, Change, Cursor, Fields, Load, Order, Page, Usage
from store.engines.redis.activity import RedisActivity
from store.engines.redis.care import RedisCare
from store.engines.redis.changes import RedisChanges
from store.engines.redis.handle import Handle, RedisBuffer
from store.engines.redis.locks import redis_locks
from store.engines.redis.reading import Reading
from store.engines.redis.writing import Writing
from store.engines.registry import supported
from store.engines.transactions import PlaceTransactions
from store.rows.row import Row, Total

if TYPE_CHECKING:
    from store.engines.redis.eviction import RedisEviction


class RedisEngine:
    """One `Store`'s handle on a location. Safe across threads, processes, and forks outside of transactions."""

    kind = "redis"
    coherence = blobs = snapshot = None

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.id, self.location = handle.server.id, handle.location
        self.now = handle.server.now
        self.close, self.keep_bytes = handle.close, handle.bodies.keep_bytes
        self.transactions = PlaceTransactions(handle.server, handle, self._must_restart, optimistic=True)
        self.changes = RedisChanges(handle.server, handle.check_open)
        self.locks = redis_locks(handle.server)
        self.activity = RedisActivity(handle)
        self._reading = Reading(handle.server, bodies=handle.bodies)
        self._writing = Writing(handle.server)
        self.care = RedisCare(handle, self._reading, self._writing)

    @cached_property
    def eviction(self) -> RedisEviction:
        """Imported on first use: few programs need it."""
        from store.engines.redis.eviction import RedisEviction

        return RedisEviction(self.handle)

    def _must_restart(self, error: BaseException) -> bool:
        buffer = self.handle.server.visitors.current().buffer
        return isinstance(buffer, RedisBuffer) and buffer.must_restart(error)

    # -- reading

    def get(self, namespace: str, names: Sequence[str], fields: Fields = Fields.ROW) -> dict[str, Any]:
        return self.handle.read(self._reading, lambda rows: rows.get(namespace, names, fields))

    def scan(self, namespace: str | None, order: Order, **how: Any) -> Page:
        def scan(rows: Any) -> Page:
            if namespace is None and rows is not self._reading:
                supported(None, self.kind, "reading all namespaces inside a transaction")
            page: Page = rows.scan(namespace, order, **how)
            return page

        return self.handle.read(self._reading, scan)

    def end(self, namespace: str | None) -> Cursor:
        return self.handle.read(self._reading, lambda rows: rows.end(namespace))

    def count(self, namespace: str, now: float) -> tuple[int, float]:
        return self.handle.read(self._reading, lambda rows: rows.count(namespace, now))

    def namespaces(self, now: float, after: str | None = None, limit: int | None = None) -> list[str]:
        return self.handle.read(self._reading, lambda rows: rows.namespaces(now, after, limit))

    def totals(self, namespace: str, now: float) -> list[Total]:
        self.handle.check_open()
        return self._reading.totals(namespace, now)

    def usage(self) -> Usage:
        self.handle.check_open()
        return Usage(data_bytes=self._reading.stored_bytes())

    def sealers(self) -> set[bytes]:
        self.handle.check_open()
        server = self.handle.server
        return set(server.command(server.own.sealers, b"SRANDMEMBER", server.own.sealers, 1000))

    # -- writing

    def put(self, row: Row) -> None:
        self.handle.write(
            lambda view: view.apply(row.namespace, [row]), lambda: self._writing.put(row, self.handle.timeout)
        )

    def apply(self, namespace: str, changes: Sequence[Change], *, stamps: bool = False) -> Applied:
        return self.handle.write(
            lambda view: view.apply(namespace, changes, stamps=stamps),
            lambda: self._writing.apply(namespace, changes, self.handle.timeout, stamps=stamps),
        )

    def apply_several(self, changes: Mapping[str, Sequence[Change | Load]]) -> None:
        """Changes by namespace, all or none, outside of any transaction.

        Raises: Unsupported: the namespaces are not in one slot (`keys.slot_of`). Conflict.
        """
        self.handle.check_open(is_writing=True)
        problem = self._writing.commit_several(changes, b"", self.handle.timeout)
        if problem is not None:
            raise problem

    def load(self, rows: Sequence[Row]) -> None:
        self.handle.write(lambda view: view.load(rows), lambda: self._writing.load(rows, self.handle.timeout))

    def clear(self, namespace: str) -> None:
        self.handle.write(
            lambda view: view.clear(namespace), lambda: self._writing.clear(namespace, b"", self.handle.timeout)
        )

    def add_sealer(self, key_id: bytes) -> None:
        self.handle.check_open(is_writing=True)
        self.handle.server.add_sealer(key_id)

    # -- handles

    def share(self) -> RedisEngine:
        """Another handle on the same location."""
        handle = self.handle
        handle.check_open()
        return RedisEngine(Handle(handle.server, read_only=handle.read_only, timeout=handle.timeout))
