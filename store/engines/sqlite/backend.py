"""The SQLite engine: implements the contract of `store.engines.contract` from its parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from store.engines.contract import DURABILITIES
from store.engines.reentry import defer, is_interrupting
from store.engines.registry import in_transaction, supported
from store.engines.sqlite.handle import Handle
from store.engines.sqlite.opening.attach import attach, detach, is_in_transaction, retain
from store.engines.sqlite.reading import Reading
from store.engines.sqlite.writing import Writing
from store.engines.transaction import HeldTransaction
from store.system.clock import wall_clock
from store.system.file_status import reaching
from store.system.rights import Rights

if TYPE_CHECKING:
    from store.engines.sqlite.care.records import SqliteCare
    from store.engines.sqlite.engine.monitor import SqliteMonitor
    from store.engines.sqlite.eviction import SqliteEviction


class SqliteEngine:
    """One `Store`'s handle on a file. Safe across threads and processes; survives a fork outside of transactions."""

    kind = "sqlite"
    keep_bytes = None
    now = staticmethod(wall_clock)

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.id, self.location = handle.id, handle.location
        engine = handle.engine
        self.coherence, self.blobs, self.locks = engine.coherence, engine.spill, engine.named_locks
        self.activity = engine.activity
        self.transactions = SqliteTransactions(handle)
        self.changes = SqliteChanges(handle)
        # Bound as attributes, not wrapped in methods, which saves a call at each read.
        reading, writing = Reading(handle), Writing(handle)
        self.get, self.scan, self.end, self.count = reading.get, reading.scan, reading.end, reading.count
        self.namespaces, self.snapshot, self.sealers = reading.namespaces, reading.snapshot, reading.sealers
        self.totals, self.usage = reading.totals, reading.usage
        self.put, self.apply, self.load = writing.put, writing.apply, writing.load
        self.clear, self.add_sealer = writing.clear, writing.add_sealer
        self.close = handle.close

    @cached_property
    def eviction(self) -> SqliteEviction:
        """Imported on first use, as few programs need it."""
        with reaching(self.location):
            from store.engines.sqlite.eviction import SqliteEviction

        return SqliteEviction(self.handle)

    @property
    def care(self) -> SqliteCare:
        """Imported on first use: most programs never need it."""
        with reaching(self.location):
            from store.engines.sqlite.care.records import SqliteCare

        return SqliteCare(self.handle)

    def share(self) -> SqliteEngine:
        """Another handle on the same file."""
        handle = self.handle
        lease = retain(handle.engine)
        return SqliteEngine(Handle(lease, handle.location, read_only=handle.read_only, timeout=handle.timeout))


class SqliteTransactions:
    """The contract `Transactions`."""

    optimistic = False

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self.shared = handle.engine
        self.begin: Callable[..., HeldTransaction] = handle.transaction

    def must_restart(self, error: BaseException) -> bool:
        return False  # there is one writer at a time

    def is_open(self) -> bool:
        return self._handle.engine.pool.is_in_transaction()

    def needs_handle(self) -> bool:
        return self._handle.engine.handles <= 1 and self.is_open()

    def afterwards(self, work: Callable[[], None]) -> None:
        transaction = self._handle.engine.connection().live_transaction()
        if transaction is None:
            work()
        else:
            transaction.outermost().after.append(work)

    def is_interrupting(self) -> bool:
        visitor = self._handle.engine.pool.known()
        return visitor is not None and is_interrupting(visitor)

    def defer(self, work: Callable[[], object]) -> bool:
        visitor = self._handle.engine.pool.known()
        return visitor is not None and defer(visitor, work)


class SqliteChanges:
    """The contract `Changes`."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def watch(self, namespace: str) -> SqliteMonitor:
        with reaching(self._handle.location):
            from store.engines.sqlite.engine.monitor import SqliteMonitor

        return SqliteMonitor(self._handle.engine, namespace)

    def watch_all(self) -> SqliteMonitor:
        return self.watch("")  # its version is that of the file

    def version_of(self, namespace: str) -> object:
        return supported(None, "sqlite", "versions of namespaces, since transactions are held")


def open_sqlite(
    location: str, *, mode: str, timeout: float, durability: str, rights: Rights | None = None
) -> SqliteEngine:
    """The engine of a path; `mode` as for dbm. A new file gets `rights`."""
    if not isinstance(durability, str) or durability not in DURABILITIES:
        raise ValueError(f"unknown durability {durability!r}: one of {', '.join(DURABILITIES)}")
    lease = attach(location, mode=mode, timeout=timeout, rights=rights)
    try:
        if durability == "full":
            lease.engine.sync_fully()
        return SqliteEngine(Handle(lease, location, read_only=mode == "r", timeout=timeout))
    except BaseException:
        detach(lease)
        raise


in_transaction.append(is_in_transaction)
