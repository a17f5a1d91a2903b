"""The engine of one file in one process: its connections, its writer's lock, its checkpoints.

Lock order: an engine's `_slots_lock`, then a slot's guard. The writer's lock is taken before either.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeVar
from weakref import ref

from store.backends import LOOK_SECONDS, wal_index
from store.backends import sqlite_statements as sql
from store.backends.named_locks import NamedLocks
from store.backends.sqlite_checkpoints import Checkpoints
from store.backends.sqlite_coherence import SqliteCoherence
from store.backends.sqlite_connection import Connect, is_frozen
from store.backends.sqlite_errors import NO_SUCH_TABLE, code_of
from store.backends.sqlite_network import is_marked, other_mode
from store.backends.sqlite_place import Inode, Place, moved
from store.backends.sqlite_slot import Fetch, Slot, row_count
from store.backends.sqlite_spill import GARBAGE_AT_ONCE, SqliteSpill
from store.errors import NotAStore, StoreClosed, StoreError
from store.locking import Hold, WriterLock

T = TypeVar("T")
Touched = Sequence[tuple[str, str]] | None

ID_BYTES = 16

SYNCHRONOUS = {"normal": "NORMAL", "full": "FULL"}


class Engine:
    """Runs statements for all `Store`s of this process that are on one file.

    Safe across threads (a connection for each) and processes. Before a fork `park` closes what is idle;
    in the child `renew` starts anew, and a file that was in a transaction is lost there (`check_open`).
    With `shared` there is one connection for all threads, used under the writer's lock for reads too; in `network`
    mode that lock is taken for every read as well (`sqlite_network`), but for one of a frozen copy.
    """

    def __init__(
        self, path: str, inode: Inode | None, connect: Connect, *, read_only: bool, network: bool = False
    ) -> None:
        self.path = path
        self.inode = inode
        self.read_only = read_only
        self.shared = path == ":memory:"
        self.network = network and not is_frozen(connect)
        self.exclusive = self.shared or self.network
        self.full_sync = False
        self.leases: dict[int, ref[Any]] = {}  # of those that have it open
        self.writer_lock = WriterLock(path + ".lock" if self._has_lock() else None)
        self.named_locks = NamedLocks(None if self.shared else path + "-locks")
        self.spill = None if self.shared else SqliteSpill(self)
        self.known_sealers: set[bytes] = set()
        self.store_id = b""
        self.connect = connect
        mapped = None if self.exclusive or is_frozen(connect) else path
        self.coherence = SqliteCoherence(mapped, self.writer_lock, self._has_connection)
        self.checkpoints = Checkpoints(path, self.coherence, self.spill)
        self._slots: list[Slot] = []
        self._slots_lock = threading.RLock()
        self._local = threading.local()
        self._place = Place(path, inode, self._has_connection, network=self.network)
        self._closed = False
        self._lost = False
        if self.shared:
            self._shared_slot = self._new_slot()

    def _has_lock(self) -> bool:
        """Whether there is a lock file to take.

        A reader in network mode takes that of the writers where it may; else SQLite's own locks alone keep it from
        reading while one commits. It makes none: writers of another user could not open it.
        """
        if self.read_only:
            return self.network and os.access(self.path + ".lock", os.W_OK)
        return not self.shared

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
        if self.exclusive and slot.current() is None:
            return self.exclusively(slot, statement, params, fetch, timeout)
        if slot.transaction is not None:
            slot.current()
        return slot.run(statement, params, fetch, timeout)

    def read_together(self, statements: Sequence[tuple[str, Sequence[Any]]], now: float, timeout: float) -> list[Any]:
        """All rows of several statements, as of one moment."""
        inside = self.slot().current() is not None

        def fetch(cursor: sqlite3.Cursor) -> list[Any]:
            conn = cursor.connection
            try:
                return [row for text, values in statements for row in conn.execute(text, values)]
            finally:
                if not inside:
                    conn.rollback()

        return self.read("SELECT 1" if inside else "BEGIN", (), fetch, now, timeout)

    def write(
        self, statement: str, params: Sequence[Any], touched: Touched, size: int, timeout: float
    ) -> tuple[int, bytes | None]:
        """Run a statement that changes about `size` bytes, as a transaction of its own or in the open one.

        `touched`: namespace and name of all that it can change; None: anything. Returns how many rows it changed;
        and what `Backend.put` does.
        """
        slot = self.slot()
        transaction = slot.current()
        if transaction is not None:
            transaction.check_alive()  # else the statement would be a transaction of its own
            transaction.touch(touched)
            self.checkpoints.wrote(1, size)
            return slot.run(statement, params, row_count, timeout), None
        hold = Hold()
        self.take(hold, slot, timeout)
        try:
            before, after = self.coherence.header(), None
            changed = slot.run(statement, params, row_count, timeout)
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
        transaction = slot.current()
        assert transaction is not None
        transaction.touch(touched)
        changed = slot.run_many(statement, rows)
        self.checkpoints.wrote(len(rows), size)
        return changed

    def exclusively(self, slot: Slot, statement: str, params: Sequence[Any], fetch: Fetch[T], timeout: float) -> T:
        """The same under the writer's lock, which this thread may have already."""
        if self.network and self.writer_lock.is_mine():
            return slot.run(statement, params, fetch, timeout)
        hold = Hold()
        self.take(hold, slot, timeout)
        try:
            return slot.run(statement, params, fetch, timeout)
        finally:
            self.give(hold)

    # -- the writer

    def take(self, hold: Hold, slot: Slot, timeout: float) -> None:
        """Take the writer's lock, and make sure that what will be written is still what the path names."""
        self.check_open()
        self.writer_lock.acquire(hold, slot.roll_back, timeout)
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

    def begin(self, slot: Slot, timeout: float) -> None:
        """Begin to write."""
        slot.begin(timeout)

    def committed(self, slot: Slot) -> None:
        """After each commit, the writer's lock still held."""
        if not self.shared and self.checkpoints.is_due():
            self.fold(slot)

    def fold(self, slot: Slot, mode: str | None = None, files: int = GARBAGE_AT_ONCE) -> tuple[int, int]:
        """A checkpoint, the writer's lock held. Up to so many dropped `files` go then: how many, and their bytes."""
        with slot.guard:
            if slot.conn is None:  # closed by another thread, which folds in the log as well
                return 0, 0
            return self.checkpoints.run(slot.conn, mode, files)

    # -- the file

    def _look(self, now: float) -> None:
        self.check_in_place()
        self.coherence.looked = now

    def check_in_place(self) -> None:
        """Raises: StorageError: the path names another file than the one that is open, or none."""
        self._place.check()

    # -- connections

    def slot(self) -> Slot:
        """This thread's connection."""
        if self.shared:
            return self._shared_slot
        try:
            return self._local.slot  # type: ignore[no-any-return]
        except AttributeError:
            slot = self._local.slot = self._new_slot()
            return slot

    def is_in_transaction(self) -> bool:
        """Whether this thread is in a transaction. One that has not used the file gets no connection for that."""
        slot = self._shared_slot if self.shared else getattr(self._local, "slot", None)
        return slot is not None and slot.current() is not None

    def _new_slot(self) -> Slot:
        slot = Slot(self.path, self._open, self._before_close)
        with self._slots_lock:
            for old in [old for old in self._slots if old.is_orphaned()]:
                old.close()
                self._slots.remove(old)
            self._slots.append(slot)
        return slot

    def open_slot(self) -> Slot:
        """A connection that is no thread's own; give it back to `close_slot`."""
        slot = Slot(self.path, self._open, self._before_close)
        slot.thread = None
        with self._slots_lock:
            self._slots.append(slot)
        return slot

    def close_slot(self, slot: Slot) -> None:
        """Close it for good: a statement that another thread is about to run on it raises StoreClosed."""
        with slot.guard:
            slot.close()
            slot.connect = _given_back
        with self._slots_lock:  # not before: a fork must find it for as long as it is open
            if slot in self._slots:
                self._slots.remove(slot)

    def _open(self, slot: Slot) -> sqlite3.Connection:
        self.check_open()
        self.check_in_place()
        with wal_index.opening():
            conn = self.connect()
            try:
                full = self.full_sync or self.network
                conn.execute(f"PRAGMA synchronous = {SYNCHRONOUS['full' if full else 'normal']}")
                self._check_identity(conn)
                slot.logged = conn.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
                self._check_mode(slot.logged)
                self._place.opened(logged=slot.logged and not is_frozen(self.connect))
            except BaseException:
                conn.close()
                raise
            return conn

    def _check_mode(self, logged: bool) -> None:
        """Raises: StorageError: another program uses the file in the other mode."""
        if is_frozen(self.connect) or self.shared:
            return
        if logged if self.network else not logged and is_marked(self.path):
            raise other_mode(self.path, network=self.network)

    def _check_identity(self, conn: sqlite3.Connection) -> None:
        """An inode comes back once nobody has it open: the id made with the file does not."""
        try:
            found: bytes = conn.execute(sql.STORE_ID).fetchone()[0]
        except (sqlite3.OperationalError, TypeError) as exc:
            if isinstance(exc, sqlite3.Error) and code_of(exc) != NO_SUCH_TABLE:
                raise
            raise NotAStore(
                f"{self.path} is marked as a store and lacks its tables ({exc}); restore a backup",
                path=self.path,
            ) from exc
        if not isinstance(found, bytes) or len(found) != ID_BYTES:
            raise NotAStore(f"{self.path} is marked as a store and has no identity; restore a backup", path=self.path)
        self.store_id = self.store_id or found
        if found != self.store_id:
            raise moved(self.path, "replaced")

    def identity(self, timeout: float) -> bytes:
        """The id made with the file."""
        if not self.store_id:
            self.read("SELECT 1", (), row_count, 0.0, timeout)  # opens a connection, which reads it
        return self.store_id

    def _has_connection(self) -> bool:
        """Whether one is open that has read through the WAL index.

        Beside a file with a rollback journal an index may lie that nobody changes any more.
        """
        return any(slot.conn is not None and slot.logged for slot in self._slots.copy())

    def _before_close(self) -> None:
        if not self._has_connection():
            self.coherence.drop()

    def sync_fully(self) -> None:
        """From now on a commit returns when the disk has it (`durability="full"`), on every connection."""
        with self._slots_lock:
            if not self.full_sync:
                self.full_sync = True
                for slot in self._slots:
                    slot.outdated = True

    def close_idle(self, seconds: float) -> None:
        """Close the connections that no thread is using; they open again on next use."""
        for slot in list(self._slots):
            if not self.shared and slot.guard.acquire(timeout=seconds):
                with slot.guard:
                    if slot.is_idle():
                        slot.close()
                slot.guard.release()

    def close(self) -> None:
        """Close all connections; a transaction that is open on one is rolled back."""
        if self._place.has_foreign_log():
            with suppress(StoreError):  # what it does where the database was replaced
                self.take(Hold(), self.slot(), 0.0)
        with self._slots_lock:
            self._closed = True
            for slot in self._slots:
                slot.close()
            self._slots.clear()
        wal_index.release_unused()
        if self.spill is not None:
            self.spill.forget()
        self.connect = _nowhere  # with the function goes the private copy that a reader may have
        self.writer_lock.close()

    # -- fork

    def park(self, deadline: float) -> bool:
        """Before a fork: close every connection once it is idle, and keep all of them from opening.

        Whether that was done by the deadline.
        """
        self._slots_lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
        slots = list(self._slots)
        for slot in slots:
            slot.park(deadline, close=not self.shared)
        return all(slot.parked for slot in slots)

    def unpark(self) -> None:
        """After it, in the parent."""
        for slot in list(self._slots):
            slot.unpark()
        with suppress(RuntimeError):  # the lock was not to be had
            self._slots_lock.release()

    def renew(self) -> list[sqlite3.Connection]:
        """After it, in the child: start anew. Returns the connections that were in use, which must live on."""
        in_use = [slot for slot in self._slots if not slot.parked]
        self._slots_lock = threading.RLock()
        self._local = threading.local()
        self._slots = []
        self.named_locks.forget()
        self.coherence.renew()
        if self.spill is None:
            self._renew_shared()
        else:
            self.spill.forget()
        if in_use:
            self.lose()
        return [slot.conn for slot in in_use if slot.conn is not None]

    def _renew_shared(self) -> None:
        """An in-memory database is copied by the fork, with its connection."""
        slot = self._shared_slot
        slot.guard = threading.RLock()
        slot.thread, slot.owner = threading.current_thread(), threading.get_ident()
        slot.parked = False
        self._slots = [slot]

    def lose(self) -> None:
        """In a forked child: a connection to the file was in use in the parent, and must not be touched."""
        self._lost = True

    def is_lost(self) -> bool:
        """Whether a fork in the middle of a transaction made the file unusable in this process."""
        return self._lost

    def check_open(self) -> None:
        """Raises: StoreError: this process was forked while the file was in use. StoreClosed."""
        if self._lost:
            raise lost(self.path)
        if self._closed:
            raise StoreClosed(f"{self.path} is closed; open the store again")


def _is_open(reference: ref[Any]) -> bool:
    lease = reference()
    return lease is not None and getattr(lease, "is_open", False)


def _nowhere() -> sqlite3.Connection:
    raise AssertionError("a closed engine opens no connection")


def _given_back(slot: Slot) -> sqlite3.Connection:
    raise StoreClosed(f"{slot.path}: this connection was closed")


def lost(path: str) -> StoreError:
    """What a forked child is told of a file that its parent was using at that moment."""
    return StoreError(
        f"{path} was in a transaction when this process was forked from another, and cannot be used here: "
        'fork outside of transactions, or use spawn (multiprocessing.get_context("spawn"))'
    )
