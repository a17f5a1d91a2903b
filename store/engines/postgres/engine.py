"""The PostgreSQL engine: implements the contract of `store.engines.contract` from its parts."""

from __future__ import annotations

from collections.abc import Callable

from store.engines.contract import DURABILITIES
from store.engines.postgres.changes import PostgresChanges
from store.engines.postgres.handle import Handle
from store.engines.postgres.location import parse
from store.engines.postgres.locks import PostgresLocks
from store.engines.postgres.reading import Reading
from store.engines.postgres.server import Server, server_at
from store.engines.postgres.writing import Writing
from store.engines.reentry import defer, is_interrupting
from store.engines.transaction import HeldTransaction
from store.system.rights import Rights


class PostgresEngine:
    """One `Store`'s handle on a database. Safe across threads, processes, and forks outside of transactions."""

    kind = "postgresql"
    coherence = blobs = eviction = care = None

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.id, self.location = handle.sessions.id, handle.location
        self.now = handle.server.now
        self.transactions = PostgresTransactions(handle)
        self.changes = PostgresChanges(handle, handle.server.listening, handle.server.change_statements)
        self.locks = PostgresLocks(handle.server, handle.timeout)
        reading, writing = Reading(handle), Writing(handle)
        self.get, self.scan, self.end, self.count = reading.get, reading.scan, reading.end, reading.count
        self.namespaces, self.snapshot, self.sealers = reading.namespaces, reading.snapshot, reading.sealers
        self.totals, self.usage = reading.totals, reading.usage
        self.put, self.apply, self.load = writing.put, writing.apply, writing.load
        self.clear, self.add_sealer = writing.clear, writing.add_sealer
        self.close = handle.close

    def share(self) -> PostgresEngine:
        """Another handle on the same database."""
        handle = self.handle
        handle.check_open()
        return PostgresEngine(Handle(handle.server, read_only=handle.read_only, timeout=handle.timeout))


class PostgresTransactions:
    """The contract `Transactions`."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._server: Server = handle.server
        self.begin: Callable[..., HeldTransaction] = handle.transaction

    def is_open(self) -> bool:
        return self._server.is_in_transaction()

    def needs_handle(self) -> bool:
        return len(self._server.sessions.handles) <= 1 and self.is_open()

    def afterwards(self, work: Callable[[], None]) -> None:
        transaction = self._server.visitor().live_transaction()
        if transaction is None:
            work()
        else:
            transaction.outermost().after.append(work)

    def is_interrupting(self) -> bool:
        return is_interrupting(self._server.visitor())

    def defer(self, work: Callable[[], object]) -> bool:
        return defer(self._server.visitor(), work)


def open_postgres(
    location: str, *, mode: str, timeout: float, durability: str, rights: Rights | None = None
) -> PostgresEngine:
    """The engine of a URL; `mode` as for dbm. The tables are made where the mode says so."""
    if durability not in DURABILITIES:
        raise ValueError(f"unknown durability {durability!r}: one of {', '.join(DURABILITIES)}")
    server = server_at(parse(location))
    handle = Handle(server, read_only=mode == "r", timeout=timeout)
    try:
        if not server.sessions.id:
            server.sessions.prepare(mode, timeout)
    except BaseException:
        handle.close()
        raise
    return PostgresEngine(handle)
