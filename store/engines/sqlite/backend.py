"""The SQLite backend: the contract of `store.engines.contract`; see sqlite_reading.py for what it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine.engine import Touched
from store.engines.sqlite.engine.named_locks import HeldLock
from store.engines.sqlite.engine.pool import SYNCHRONOUS
from store.engines.sqlite.engine.reentry import is_struck, put_off
from store.engines.sqlite.engine.transaction import SqliteTransaction
from store.engines.sqlite.engine.walks import all_by_id
from store.engines.sqlite.opening.attach import attach, detach, is_in_transaction, retain
from store.engines.sqlite.reading import SqliteReading
from store.engines.sqlite.spill.files import SqliteSpill, dropped
from store.errors import Corrupt, ReadOnly, StorageError, StoreClosed
from store.rows.row import Row
from store.rows.spilled import files_of, prefix_of
from store.system.file_status import reaching
from store.system.rights import Rights

if TYPE_CHECKING:
    from store.engines.sqlite.care.compact import SqliteFreed
    from store.engines.sqlite.care.copy import Copied, Progress
    from store.engines.sqlite.engine.monitor import SqliteMonitor
    from store.engines.sqlite.spill.copying import Check


class SqliteBackend(SqliteReading):
    """One `Store`'s handle on the engine of its file."""

    # -- writing

    def put(self, row: Row, now: float) -> bytes | None:
        self._writable()
        if row.spill is None:
            values = tuple(row)  # which SQLite's module takes apart 0.8 us faster than a tuple with names
            touched = ((row.namespace, row.name),)
            changed, header = self._engine.write(sql.PUT, values, touched, len(row.body), self._timeout)
            if changed:
                return header
        self._replace(row)
        return None

    def put_many(self, rows: Sequence[Row], now: float) -> None:
        self._writable()
        size = sum(len(row.body) for row in rows)
        touched = [(row.namespace, row.name) for row in rows]
        with self.transaction():
            try:
                with self.transaction() as transaction:
                    if self._engine.write_many(sql.PUT, list(map(tuple, rows)), touched, size) < len(rows):
                        raise _SomeWereLeft
                    for row in rows:
                        self._claim(row, transaction)
            except _SomeWereLeft:
                # Undone, so that those that must be replaced take their place among the others.
                for row in rows:
                    self.put(row, now)

    def delete(self, namespace: str, name: str, now: float) -> bool:
        touched = ((namespace, name),)
        if self._write(sql.DELETE_UNSPILLED, (namespace, name, now), touched):
            return True
        if not self._one(sql.SPILL, (namespace, name), now):
            return False
        with self.transaction():
            spills = self._all(sql.SPILL, (namespace, name), now)
            if not self._write(sql.DELETE, (namespace, name, now), touched):  # it has expired
                return False
            self._drop(spills)
            return True

    def clear(self, namespace: str) -> None:
        with self.transaction():
            self._drop(self._engine.read(sql.SPILLS, (namespace,), all_by_id(self.location), 0.0, self._timeout))
            self._write(sql.CLEAR, (namespace,), None)

    def delete_rows(self, rows: Sequence[Row]) -> None:
        self._writable()
        touched = [(row.namespace, row.name) for row in rows]
        with self.transaction():
            self._engine.write_many(sql.DELETE_ROW, [(row.id, row.namespace, row.name) for row in rows], touched, 0)
            self._drop((row.namespace, row.name, row.spill) for row in rows if row.spill is not None)

    def add_sealer(self, key_id: bytes) -> None:
        known = self._engine.known_sealers
        if key_id not in known:
            self._write(sql.ADD_SEALER, (key_id,), ())
            known.add(key_id)
            transaction = self._engine.slot().settled()
            if transaction is not None:
                transaction.on_rollback(lambda: known.discard(key_id))

    def forget_sealers_but(self, key_ids: set[bytes]) -> None:
        after = b""
        while page := [key_id for (key_id,) in self._all(sql.SEALERS_AFTER, (after, sql.MOST_SEALERS), 0.0)]:
            if page[-1] <= after:
                raise Corrupt(f"{self.location}: its list of keys leads back to its beginning; recover the store")
            after = page[-1]
            forgotten = [(key_id,) for key_id in page if key_id not in key_ids]
            if forgotten:
                with self.transaction():  # in steps, between which other writers get their turn
                    self._engine.write_many(sql.FORGET_SEALER, forgotten, (), 0)
        self._engine.known_sealers &= key_ids

    def reseal(self, row: Row, before: bytes) -> bool:
        values = (row.seal, row.crc, row.id, row.namespace, row.name, before)
        return self._write(sql.RESEAL, values, ((row.namespace, row.name),)) > 0

    # -- files beside it

    @property
    def spill(self) -> SqliteSpill | None:
        return self._engine.spill

    def orphans(self) -> list[str]:
        spill = self._engine.spill
        return [] if spill is None else spill.orphans(self._timeout)

    def compact(self, progress: Callable[[int, int], None] | None) -> SqliteFreed:
        with reaching(self.location):
            from store.engines.sqlite.care.compact import compact

        self._writable()
        return compact(self._engine, self._timeout, progress)

    def backup(self, path: str, check: Check, progress: Progress | None) -> Copied:
        with reaching(self.location):
            from store.engines.sqlite.care.backup import backup

        return backup(self._engine, path, check, progress, self._timeout)

    # -- the rest

    def transaction(self, timeout: float | None = None, *, block: bool = False) -> SqliteTransaction:
        self._writable()
        return SqliteTransaction(self._engine, self._timeout if timeout is None else timeout, block=block)

    def afterwards(self, work: Callable[[], None]) -> None:
        transaction = self._engine.slot().settled()
        if transaction is None:
            work()
        else:
            transaction.outermost().after.append(work)

    def in_transaction(self) -> bool:
        return self._engine.is_in_transaction()

    def is_struck(self) -> bool:
        slot = self._engine.known_slot()
        return slot is not None and is_struck(slot)

    def put_off(self, work: Callable[[], object]) -> bool:
        slot = self._engine.known_slot()
        return slot is not None and put_off(slot, work)

    def in_transaction_of_any(self) -> bool:
        return self.in_transaction() or is_in_transaction()

    def lock(self, name: str, timeout: float) -> AbstractContextManager[HeldLock]:
        return self._engine.named_locks.hold(name, timeout)

    def take_lock(self, name: str, timeout: float) -> HeldLock:
        return self._engine.named_locks.take(name, timeout)

    def monitor(self, namespace: str) -> SqliteMonitor:
        with reaching(self.location):
            from store.engines.sqlite.engine.monitor import SqliteMonitor

        return SqliteMonitor(self._engine, namespace)

    def share(self) -> SqliteBackend:
        """Another handle on the same engine."""
        return SqliteBackend(retain(self._engine), self.location, read_only=self.read_only, timeout=self._timeout)

    def is_shared(self) -> bool:
        return self._engine.handles > 1

    def close(self) -> None:
        if not isinstance(self._engine, _Closed):
            self._engine = _Closed(self.location)  # type: ignore[assignment]
            detach(self._lease)

    def _write(self, statement: str, values: Sequence[Any], touched: Touched) -> int:
        self._writable()
        return self._engine.write(statement, values, touched, 0, self._timeout)[0]

    def _replace(self, row: Row) -> None:
        """The slower way, for a row that has files or that PUT left: what was there may have files to give up.

        A row that names the files which its record has already (it was touched, say) keeps them.
        """
        touched = ((row.namespace, row.name),)
        with self.transaction() as transaction:
            before = self._all(sql.SPILL, (row.namespace, row.name), 0.0)
            self._write(sql.DELETE_EXPIRED, (row.namespace, row.name, row.modified), touched)
            self._engine.write(sql.PUT_OVER, tuple(row), touched, len(row.body), self._timeout)
            if (row.namespace, row.name, row.spill) not in before:
                self._drop(before, but=row.spill)
                self._claim(row, transaction)

    def _claim(self, row: Row, transaction: SqliteTransaction) -> None:
        """Its files are the row's now, and no garbage any more: it may have been exported, deleted and imported."""
        if row.spill is None:
            return
        spill = self._engine.spill
        files = files_of(row.spill, prefix_of(self.store_id, row.namespace, row.name))
        if not files:  # a damaged row that was imported may say anything
            return
        if spill is None:
            raise StorageError(f"{self.location} has no files beside it; write the value again", path=self.location)
        self._engine.write_many(sql.FORGET_GARBAGE, [(file,) for file in files], (), 0)
        spill.claim(row.spill, transaction)

    def _drop(self, spills: Iterable[tuple[Any, Any, Any]], but: str | None = None) -> None:
        """Their files become garbage with the open transaction; their size brings the next checkpoint nearer."""
        files, size = dropped(self._engine, spills, but)
        if files:
            self._engine.write_many(sql.DROP, [(file,) for file in files], (), 0)
            self._engine.checkpoints.dropped(size)

    def _writable(self) -> None:
        if self.read_only:
            raise ReadOnly(
                f'{self.location} was opened with mode="r"; open it with mode="w" to write',
                path=self.location,
            )


class _SomeWereLeft(Exception):
    """Rows that may not be updated in place stand in the way of some."""


class _Closed:
    """Stands where the engine of a closed handle was."""

    def __init__(self, location: str) -> None:
        self._location = location

    def __getattr__(self, name: str) -> Any:
        raise StoreClosed(f"the store on {self._location} was closed; open it again")


def open_sqlite(
    location: str, *, mode: str, timeout: float, durability: str, rights: Rights | None = None
) -> SqliteBackend:
    """The backend for a path or ":memory:"; `mode` as for dbm, `durability` one of SYNCHRONOUS.

    A file that is made gets `rights`.
    """
    if not isinstance(durability, str) or durability not in SYNCHRONOUS:
        raise ValueError(f"unknown durability {durability!r}: one of {', '.join(SYNCHRONOUS)}")
    lease = attach(location, mode=mode, timeout=timeout, rights=rights)
    try:
        if durability == "full":
            lease.engine.sync_fully()
        return SqliteBackend(lease, location, read_only=mode == "r", timeout=timeout)
    except BaseException:
        detach(lease)
        raise
