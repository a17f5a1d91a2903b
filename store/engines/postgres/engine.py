"""The PostgreSQL engine: implements the contract of `store.engines.contract` from its parts."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from store.engines.contract import DURABILITIES
from store.engines.postgres.activity import PostgresActivity
from store.engines.postgres.blobs import PostgresBlobs
from store.engines.postgres.care import PostgresCare
from store.engines.postgres.changes import PostgresChanges
from store.engines.postgres.claiming import Claiming
from store.engines.postgres.handle import Handle
from store.engines.postgres.location import parse
from store.engines.postgres.locks import postgres_locks
from store.engines.postgres.reading import Reading
from store.engines.postgres.server import server_at
from store.engines.postgres.writing import Writing
from store.engines.transactions import PlaceTransactions
from store.system.rights import Rights

if TYPE_CHECKING:
    from store.engines.postgres.eviction import PostgresEviction


class PostgresEngine:
    """One `Store`'s handle on a database. Safe across threads, processes, and forks outside of transactions."""

    kind = "postgresql"
    coherence = None

    def __init__(self, handle: Handle, blobs: PostgresBlobs) -> None:
        self.handle = handle
        self.blobs = blobs
        self.care = PostgresCare(handle, blobs)
        self.id, self.location = handle.sessions.id, handle.location
        self.now = handle.server.now
        self.transactions = PlaceTransactions(handle.server, handle, self._must_restart)
        has_xids = handle.sessions.features is None or handle.sessions.features.xids
        self.changes = (
            PostgresChanges(handle, handle.server.listening, handle.server.change_statements) if has_xids else None
        )
        self.locks = postgres_locks(handle.server, handle.timeout)
        is_original = handle.sessions.features is None or handle.sessions.features.product.startswith("PostgreSQL ")
        self.activity = PostgresActivity(handle) if is_original else None
        reading = Reading(handle)
        writing = Writing(handle, reading, self.transactions)
        claiming = Claiming(handle, writing, blobs)
        self.get, self.scan, self.end, self.count = reading.get, reading.scan, reading.end, reading.count
        self.namespaces, self.snapshot, self.sealers = reading.namespaces, reading.snapshot, reading.sealers
        self.totals, self.usage = reading.totals, reading.usage
        self.put, self.apply, self.load = claiming.put, claiming.apply, claiming.load
        self.clear, self.add_sealer = writing.clear, writing.add_sealer
        self.close, self.keep_bytes = handle.close, handle.bodies.keep_bytes

    @cached_property
    def eviction(self) -> PostgresEviction:
        """Imported on first use: few programs need it."""
        from store.engines.postgres.eviction import PostgresEviction

        return PostgresEviction(self.handle)

    def _must_restart(self, error: BaseException) -> bool:
        return self.handle.server.visitors.current().must_restart(error)

    def share(self) -> PostgresEngine:
        """Another handle on the same database."""
        handle = self.handle
        handle.check_open()
        return PostgresEngine(Handle(handle.server, read_only=handle.read_only, timeout=handle.timeout), self.blobs)


def open_postgres(
    location: str, *, mode: str, timeout: float, durability: str, rights: Rights | None = None
) -> PostgresEngine:
    """The engine of a URL; `mode` as for dbm. The tables are made where the mode says so."""
    if durability not in DURABILITIES:
        raise ValueError(f"unknown durability {durability!r}: one of {', '.join(DURABILITIES)}")
    server = server_at(parse(location))
    is_first = not server.sessions.handles  # id and version may have changed since the last one was closed
    handle = Handle(server, read_only=mode == "r", timeout=timeout)
    try:
        if durability == "full":
            server.sessions.is_full = True  # for all handles of this process, as with a file
        if is_first or not server.sessions.id:
            server.prepare(mode, timeout)
        if mode != "r":
            server.sessions.require_locks()
    except BaseException:
        handle.close()
        raise
    return PostgresEngine(
        handle, PostgresBlobs(Handle(server, read_only=mode == "r", timeout=timeout, is_shared=True))
    )
