"""The old contract on the new one, for callers that are not swapped yet."""

from __future__ import annotations

import math
from typing import Any

from store.engines.contract import LOOK_SECONDS, Delete, Fields, Order, every_row
from store.engines.registry import engines, is_in_transaction
from store.rows.row import Identity


class _NoWriter:
    holder = None


class _NoCoherence:
    writer = _NoWriter()
    looked = math.inf

    def index(self) -> None:
        return None

    def between(self, before: Any, after: Any) -> None:
        return None

    def register(self, cache: Any) -> None: ...

    def unregister(self, cache: Any) -> None: ...

    def drop(self) -> None: ...


def _alive(row: Any, now: float) -> bool:
    return row.expires is None or row.expires > now


class OldBackend:
    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self._engine = getattr(engine._handle, "engine", None)
        self.location = engine.location
        self.store_id = engine.id
        self.coherence = engine.coherence or _NoCoherence()
        self.spill = engine.blobs
        for name in ("add_sealer", "clear", "sealers"):
            setattr(self, name, getattr(engine, name))
        t = engine.transactions
        self.afterwards, self.in_transaction = t.afterwards, t.is_open
        self.is_struck, self.put_off = t.is_struck, t.put_off
        self.lock = engine.locks.hold
        self.monitor = engine.changes.watch

    def transaction(self, timeout: Any = None, *, block: bool = False) -> Any:
        return self.engine.transactions.begin(timeout, block=block)

    def _look(self, now: float) -> None:
        c = self.engine.coherence
        if c is not None and now and math.isfinite(now) and not 0 <= now - c.looked < LOOK_SECONDS:
            c.look(now)

    def get(self, namespace: str, name: str, now: float) -> Any:
        row = self.engine.get(namespace, (name,)).get(name)
        return row if row is not None and _alive(row, now) else None

    def find(self, namespace: str, name: str, now: float) -> Any:
        self._look(now)
        return self.engine.get(namespace, (name,)).get(name)

    def find_many(self, namespace: str, names: Any, now: float) -> Any:
        self._look(now)
        return list(self.engine.get(namespace, names).values())

    def exists(self, namespace: str, name: str, now: float) -> Any:
        self._look(now)
        found = self.engine.get(namespace, (name,), Fields.HEADER).get(name)
        return False if found is None else True if _alive(found, now) else None

    def count(self, namespace: str, now: float) -> int:
        self._look(now)
        return self.engine.count(namespace, now)[0]

    def count_until(self, namespace: str, now: float) -> Any:
        self._look(now)
        return self.engine.count(namespace, now)

    def last(self, namespace: str, now: float) -> Any:
        self._look(now)
        page = self.engine.scan(namespace, Order.INSERTED, reverse=True, limit=1)
        while True:
            for row in page.items:
                if _alive(row, now):
                    return row
            if page.next is None:
                return None
            page = self.engine.scan(namespace, Order.INSERTED, reverse=True, after=page.next)

    def last_id(self, namespace: str) -> Any:
        return self.engine.end(namespace)

    def page(self, namespace: str, after: int, until: int, now: float, *, reverse: bool) -> Any:
        self._look(now)
        return self.engine.scan(
            namespace, Order.INSERTED, after=None if reverse else after, until=until, reverse=reverse
        ).items

    def name_page(self, namespace: str, after: int, until: int, now: float, *, reverse: bool) -> Any:
        self._look(now)
        while True:
            page = self.engine.scan(
                namespace, Order.INSERTED, after=None if reverse else after, until=until, reverse=reverse,
                fields=Fields.LISTED,
            )  # fmt: skip
            found = [(one.id, one.name) for one in page.items if _alive(one, now)]
            if found or page.next is None:
                return found
            after, until = (after, page.next - 1) if reverse else (page.next, until)

    def all_rows(self, namespace: str, now: float) -> Any:
        self._look(now)
        return self.engine.snapshot(namespace)

    def every_row(self) -> Any:
        return every_row(self.engine)

    def names(self, namespace: str, prefix: str, after: Any, limit: int, now: float, *, reverse: bool) -> Any:
        self._look(now)
        found: list[str] = []
        while limit < 0 or len(found) < limit:
            left = 2**62 if limit < 0 else limit - len(found)
            page = self.engine.scan(
                namespace, Order.NAME, after=after, prefix=prefix, limit=left, reverse=reverse, fields=Fields.LISTED
            )
            found += [one.name for one in page.items if _alive(one, now)]
            after = page.next
            if after is None:
                break
        return found

    def header(self, namespace: str, name: str, now: float) -> Any:
        self._look(now)
        found = self.engine.get(namespace, (name,), Fields.HEADER).get(name)
        return found if found is not None and _alive(found, now) else None

    def headers(self, namespace: str, names: Any, now: float) -> Any:
        found = self.engine.get(namespace, names, Fields.HEADER)
        return [found[name] for name in sorted(found) if _alive(found[name], now)]

    def identity(self, namespace: str, name: str, now: float) -> Any:
        found = self.header(namespace, name, now)
        return None if found is None else Identity(found.id, found.created, found.revision)

    def put(self, row: Any, now: float) -> Any:
        return self.engine.put(row)

    def put_many(self, rows: Any, now: float) -> None:
        self.engine.apply(rows[0].namespace if rows else "", rows)

    def delete(self, namespace: str, name: str, now: float) -> bool:
        return self.engine.apply(namespace, [Delete(name, now=now)]).deleted > 0

    def expired(self, namespace: str, after: Any, now: float, limit: int) -> Any:
        return self.engine.scan(namespace, Order.EXPIRY, after=after, until=now, limit=limit).items

    def expiring(self, after: Any, now: float, limit: int) -> Any:
        page = (
            self.engine.scan(
                None, Order.EXPIRY, after=None if after is None else (after, None), until=now, limit=2**62
            )
            if self.engine.kind == "sqlite"
            else self.engine.scan(None, Order.EXPIRY, until=now, limit=2**62)
        )
        return [(name, True) for name in sorted({row.namespace for row in page.items})][:limit]

    def delete_rows(self, rows: Any) -> None:
        for namespace in {row.namespace for row in rows}:
            self.engine.apply(namespace, [Delete(row.name, row.stamp) for row in rows if row.namespace == namespace])

    def namespaces(self, now: float) -> Any:
        self._look(now)
        return self.engine.namespaces(now)

    def totals(self, namespace: str, now: float) -> Any:
        return self.engine.totals(namespace, now)

    def usage(self) -> Any:
        from types import SimpleNamespace

        u = self.engine.usage()
        return SimpleNamespace(
            file_bytes=u.data_bytes, wal_bytes=u.log_bytes, wal_pinned_bytes=u.log_pinned_bytes,
            wal_pinned_by=u.log_pinned_by, checkpoint_error=u.log_error,
        )  # fmt: skip

    def row(self, id_: int) -> Any:
        return next((row for row in every_row(self.engine) if row.id == id_), None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine.care, name)

    def in_transaction_of_any(self) -> bool:
        return is_in_transaction()

    def share(self) -> Any:
        return OldBackend(self.engine.share())

    def is_shared(self) -> bool:
        handle = self.engine._handle
        return (handle.engine.handles if hasattr(handle, "engine") else len(handle.shared.handles)) > 1

    def close(self) -> None:
        self._engine = None
        self.engine.close()


def open_old(location: str, **options: Any) -> Any:
    kind = "memory" if location == ":memory:" else "sqlite"
    return OldBackend(engines.load(kind)(location, **options))
