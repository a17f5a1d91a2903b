"""The engine of one file in one process: its connections, its writer's lock, its checkpoints.

Lock order: an engine's `_slots_lock`, then a slot's guard. The writer's lock is taken before either.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from weakref import ref

from store.engines.capabilities import LOOK_SECONDS
from store.engines.named_locks import SUFFIX as NAMED_LOCKS_SUFFIX
from store.engines.named_locks import NamedLocks
from store.engines.reentry import conflict, is_in_block, refuse
from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine.beside import read_beside, write_beside
from store.engines.sqlite.engine.checkpoints import Checkpoints
from store.engines.sqlite.engine.coherence import SqliteCoherence
from store.engines.sqlite.engine.log_names import Inode
from store.engines.sqlite.engine.pool import CLOSING_SECONDS, Pool
from store.engines.sqlite.engine.slot import Fetch, Slot, row_count
from store.engines.sqlite.opening.connection import Connect, is_frozen
from store.engines.sqlite.spill.files import GARBAGE_AT_ONCE, SqliteSpill
from store.errors import StorageError, StoreError
from store.system.file_status import status_of
from store.system.locking import Hold, WriterLock

T = TypeVar("T")
Touched = Sequence[tuple[str, str]] | None


def _each(cursor: sqlite3.Cursor, path: str) -> Iterable[Any]:
    """The rows of a cursor as they come."""
    return cursor


class Engine(Pool):
    """Runs statements for all `Store`s of this process that are on one file.

    Safe across threads (a connection for each) and processes. Before a fork `park` closes what is idle;
    in the child `renew` starts anew, and a file that was in a transaction is lost there (`check_open`).
    In `network` mode the writer's lock is
    taken for every read as well (`sqlite_network`), but for one of a frozen copy.
    """

    def __init__(
        self, path: str, inode: Inode | None, connect: Connect, *, read_only: bool, network: bool = False
    ) -> None:
        super().__init__(path, inode, connect, network=network)
        self.read_only = read_only
        self.leases: dict[int, ref[Any]] = {}  # of those that have it open
        self.writer_lock = WriterLock(path + ".lock" if self._has_lock() else None)
        self.writer_lock.folder = self._place.unchanged
        self.named_locks = NamedLocks(path + NAMED_LOCKS_SUFFIX)
        self.spill = SqliteSpill(self)
        self.known_sealers: set[bytes] = set()
        mapped = None if self.network or is_frozen(connect) else path
        self.coherence = SqliteCoherence(mapped, self.writer_lock, self._has_connection, self._look)
        self.checkpoints = Checkpoints(path, self.coherence, self.spill)

    def _has_lock(self) -> bool:
        """Whether there is a lock file to take.

        A reader in network mode takes that of the writers where it may; else SQLite's own locks alone keep it from
        reading while one commits. It makes none: writers of another user could not open it.
        """
        return not self.read_only or (self.network and os.access(self.path + ".lock", os.W_OK))

    @property
    def handles(self) -> int:
        """How many have it open."""
        return sum(map(_is_open, self.leases.copy().values()))

    def is_used(self) -> bool:
        """Whether anybody has it open."""
        return any(map(_is_open, self.leases.copy().values()))

    # -- statements

    def read(self, statement: str, params: Sequence[Any], fetch: Fetch[T], now: float, timeout: float) -> T:
        """Run a statement that changes nothing; no lock is taken, unless the mode asks for it."""
        if now and not 0 <= now - self.coherence.looked < LOOK_SECONDS:  # 0 = a question that has no time
            self._look(now)
        slot = self.slot()
        if (slot.operation is not None or slot.transaction is not None) and (problem := conflict(slot)):
            return read_beside(self, slot, problem, statement, params, fetch, timeout)
        before = slot.operation
        try:
            slot.operation = sys._getframe()
            inside = slot.transaction is not None and slot.settled() is not None
            if self.network and not inside:
                return self.exclusively(slot, statement, params, fetch, timeout)
            return slot.run(statement, params, fetch, timeout)
        finally:
            slot.operation = before
            if slot.put_off:
                slot.end_put_off()

    def read_together(
        self,
        statements: Sequence[tuple[str, Sequence[Any]]],
        now: float,
        timeout: float,
        walk: Callable[[sqlite3.Cursor, str], Iterable[Any]] = _each,
    ) -> list[Any]:
        """All rows of several statements, as of one moment, each taken from its cursor by `walk`."""
        slot = self.slot()
        inside = slot.current() is not None or (conflict(slot) is not None and is_in_block(slot))

        def run(conn: sqlite3.Connection, text: str, values: Sequence[Any]) -> sqlite3.Cursor:
            slot.budget.begin()
            return conn.execute(text, values)

        def fetch(cursor: sqlite3.Cursor) -> list[Any]:
            conn = cursor.connection
            try:
                return [row for text, values in statements for row in walk(run(conn, text, values), self.path)]
            finally:
                if not inside:
                    conn.rollback()

        return self.read("SELECT 1" if inside else "BEGIN", (), fetch, now, timeout)

    def write(
        self, statement: str, params: Sequence[Any], touched: Touched, size: int, timeout: float
    ) -> tuple[int, bytes | None]:
        """Run a statement that changes about `size` bytes, as a transaction of its own or in the open one.

        `touched`: namespace and name of all that it can change; None: anything. Returns how many rows it changed;
        and what `Engine.put` does.
        """
        slot = self.slot()
        if (slot.operation is not None or slot.transaction is not None) and (problem := conflict(slot)):
            return write_beside(self, slot, problem, statement, params, touched, size, timeout)
        outer = slot.operation
        try:
            slot.operation = sys._getframe()
            transaction = slot.settled()
            if transaction is None:
                return self.write_alone(slot, statement, params, touched, size, timeout)
            transaction.check_alive()  # else the statement would be a transaction of its own
            transaction.touch(touched)
            self.checkpoints.wrote(1, size)
            return slot.run(statement, params, row_count, timeout), None
        finally:
            slot.operation = outer
            if slot.put_off:
                slot.end_put_off()

    def write_alone(
        self, slot: Slot, statement: str, params: Sequence[Any], touched: Touched, size: int, timeout: float
    ) -> tuple[int, bytes | None]:
        """The same outside of transactions."""
        hold = Hold()
        self.take(hold, slot, timeout)
        try:
            before, after = self.coherence.header(), None
            changed = slot.run(statement, params, row_count, timeout)
            self.check_log()
            if changed > 0 and before is not None:
                after = self.coherence.committed(before, touched)
            self.checkpoints.wrote(1, size)
            self.committed(slot)
            return changed, after
        finally:
            self.give(hold)

    def write_many(self, statement: str, rows: Sequence[Sequence[Any]], touched: Touched, size: int) -> int:
        """Run a statement for each row, inside the transaction that is open; how many rows that changed."""
        slot = self.slot()
        refuse(slot)
        before = slot.operation
        try:
            slot.operation = sys._getframe()
            transaction = slot.settled()
            assert transaction is not None
            transaction.touch(touched)
            changed = slot.run_many(statement, rows)
            self.checkpoints.wrote(len(rows), size)
            return changed
        finally:
            slot.operation = before

    def exclusively(self, slot: Slot, statement: str, params: Sequence[Any], fetch: Fetch[T], timeout: float) -> T:
        """The same under the writer's lock, which this thread may have already."""
        if self.writer_lock.is_mine():
            return slot.run(statement, params, fetch, timeout)
        return self._holding(slot, lambda: slot.run(statement, params, fetch, timeout), timeout)

    # -- the writer

    def alone(self, work: Callable[[], T], timeout: float) -> T:
        """What `work` returns, done under the writer's lock and as one operation.

        Raises:
            InUse: the caller struck another one of this thread, which may have the lock.
        """
        slot = self.slot()
        refuse(slot)
        before = slot.operation
        try:
            slot.operation = sys._getframe()
            return self._holding(slot, work, timeout)
        finally:
            slot.operation = before
            if slot.put_off:
                slot.end_put_off()

    def _holding(self, slot: Slot, work: Callable[[], T], timeout: float) -> T:
        hold = Hold()  # in no frame that a slot refers to: that could outlive an interrupt, and the lock with it
        self.take(hold, slot, timeout)
        try:
            return work()
        finally:
            self.give(hold)

    def take(self, hold: Hold, slot: Slot, timeout: float) -> None:
        """Take the writer's lock, and make sure that what will be written is still what the path names."""
        self.check_open()
        self.writer_lock.acquire(hold, slot.roll_back, timeout)
        if self.writer_lock.seen is not None:  # the folder was looked at just now
            return
        try:
            self.check_in_place()
        except BaseException:
            self._part_from_log()
            self.give(hold)
            raise

    def _part_from_log(self) -> None:
        """Where the database was replaced, fold the log into the old one, the writer's lock held.

        It would be taken for the log of the new one, and be read as a part of it.
        """
        if self._place.has_foreign_log():
            for slot in self._slots.copy():
                with slot.guard, suppress(sqlite3.Error):
                    if slot.conn is not None and slot.logged:
                        slot.conn.execute(sql.TRUNCATE_LOG).fetchone()
                        return

    def give(self, hold: Hold) -> None:
        """Give the writer's lock back."""
        self.writer_lock.release(hold)

    def committed(self, slot: Slot) -> None:
        """After each commit, the writer's lock still held."""
        if self.checkpoints.is_due():
            self.fold(slot)

    def fold(self, slot: Slot, mode: str | None = None, files: int = GARBAGE_AT_ONCE) -> tuple[int, int]:
        """A checkpoint, the writer's lock held. Up to so many dropped `files` go then: how many, and their bytes."""
        self.check_log()
        with slot.guard:
            if slot.conn is None:  # closed by another thread, which folds in the log as well
                return 0, 0
            try:
                return self.checkpoints.run(slot.conn, mode, files)
            finally:
                self._place.folded()

    # -- the file

    def _look(self, now: float) -> None:
        self.check_in_place()
        self.follow_new_log()
        self.coherence.looked = now

    def file_bytes(self) -> int:
        """The size of the database. Raises: StorageError."""
        status = status_of(self.path)
        return 0 if status is None else status.st_size

    def identity(self, timeout: float) -> bytes:
        """The id made with the file."""
        if not self.store_id:
            self.read("SELECT 1", (), row_count, 0.0, timeout)  # opens a connection, which reads it
        return self.store_id

    def _before_close(self) -> None:
        if not self._has_connection():
            self.coherence.drop()

    def close(self) -> None:
        """Close all connections; a transaction that is open on one is rolled back.

        Raises:
            StorageError: the log was removed, with writes that were acknowledged. All is closed nevertheless.
        """
        if self._place.has_foreign_log():
            with suppress(StoreError):  # what it does where the database was replaced
                self.take(Hold(), self.slot(), 0.0)
        lost = self._close_on_lost_log()
        super().close()
        self.spill.forget()
        self.writer_lock.close()
        if lost is not None:
            raise lost

    def _close_on_lost_log(self) -> StorageError | None:
        """The error, where what was acknowledged went with the log and nobody has been told."""
        if self.read_only or self.is_lost() or not self.checkpoints.has_unfolded():
            return None
        try:
            self.check_open()
            if self._place.check():
                return None
        except StoreError:  # it has been told, or the database itself is gone
            return None
        return self.lose_log(CLOSING_SECONDS)

    def renew(self) -> list[sqlite3.Connection]:
        """In a forked child: start anew. Returns the connections that were in use, which must live on."""
        in_use = super().renew()
        self.named_locks.forget()
        self.coherence.renew()
        self.spill.renew()
        return in_use


def _is_open(reference: ref[Any]) -> bool:
    lease = reference()
    return lease is not None and getattr(lease, "is_open", False)
