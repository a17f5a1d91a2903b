"""The connections of one process to one file: one for each thread and greenlet that uses it, opened on first use.

Lock order: a pool's `_slots_lock`, then a slot's guard.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from store import running
from store.backends import sqlite_statements as sql
from store.backends import wal_index
from store.backends.sqlite_connection import Connect, is_frozen
from store.backends.sqlite_errors import NO_SUCH_TABLE, code_of
from store.backends.sqlite_network import is_marked, other_mode
from store.backends.sqlite_place import Inode, Place, moved
from store.backends.sqlite_reentry import conflict
from store.backends.sqlite_slot import SharedSlot, Slot
from store.errors import NotAStore, StoreClosed, StoreError

ID_BYTES = 16

SYNCHRONOUS = {"normal": "NORMAL", "full": "FULL"}


class Pool:
    """Safe across threads. Before a fork `park` closes what is idle, and in the child `renew` begins anew.

    A file that was in a transaction at the fork is lost there (`check_open`). With `shared` there is one connection
    for all threads.
    """

    def __init__(self, path: str, inode: Inode | None, connect: Connect, *, network: bool) -> None:
        self.path = path
        self.inode = inode
        self.connect = connect
        self.shared = path == ":memory:"
        self.network = network and not is_frozen(connect)
        self.full_sync = False
        self.store_id = b""
        self._slots: list[Slot] = []
        self._slots_lock = threading.RLock()
        self._local = threading.local()
        self._of_greenlets: dict[int, Slot] = {}  # by their `id`
        self._place = Place(path, inode, self._has_connection, network=self.network)
        self._closed = False
        self._lost = False
        if self.shared:
            self._shared_slot = SharedSlot(self.path, self._open, self._before_close)
            self._slots.append(self._shared_slot)

    def slot(self) -> Slot:
        """The connection of the thread or greenlet that calls."""
        if self.shared:
            return self._shared_slot
        if "greenlet" in sys.modules and (greenlet := running.greenlet()) is not None:
            return self._slot_of(greenlet) or self._new_slot(greenlet)
        try:
            return self._local.slot  # type: ignore[no-any-return]
        except AttributeError:
            own = self._local.__dict__  # by `setdefault`: a signal handler may come between, and get one first
            return own.setdefault("slot", self._new_slot(own.setdefault("mark", running.Mark())))  # type: ignore[no-any-return]

    def known_slot(self) -> Slot | None:
        """The same, where the caller has used the file."""
        if self.shared:
            return self._shared_slot
        greenlet = running.greenlet()
        return getattr(self._local, "slot", None) if greenlet is None else self._slot_of(greenlet)

    def is_in_transaction(self) -> bool:
        """Whether the caller is in a transaction, or struck one. Who has not used the file gets no connection."""
        slot = self.known_slot()
        return slot is not None and (conflict(slot) is not None or slot.current() is not None)

    def _slot_of(self, greenlet: Any) -> Slot | None:
        slot = self._of_greenlets.get(id(greenlet))
        return slot if slot is not None and slot.life is not None and slot.life.is_of(greenlet) else None

    def _new_slot(self, bearer: object) -> Slot:
        """One for the thread that has that mark, or that greenlet; those of others that have ended go."""
        slot = Slot(self.path, self._open, self._before_close)
        slot.life = running.Life(bearer)
        with self._slots_lock:
            if not isinstance(bearer, running.Mark):
                self._of_greenlets[id(bearer)] = slot
            self._slots.append(slot)
            self._close_orphans(slot)
        return slot

    def _close_orphans(self, heir: Slot) -> None:
        """Under the lock. The heir gets a connection of theirs: to open one costs more than a greenlet's work."""
        for old in [old for old in self._slots if old.is_orphaned()]:
            heir.inherit(old)
            old.close()
            with suppress(ValueError):  # a signal handler came between, and closed it
                self._slots.remove(old)
            if self._of_greenlets.get(old.owner) is old:
                del self._of_greenlets[old.owner]

    def open_slot(self) -> Slot:
        """A connection that is no thread's own; give it back to `close_slot`."""
        slot = Slot(self.path, self._open, self._before_close)
        with self._slots_lock:
            self._slots.append(slot)
            self._close_orphans(slot)
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

    def _has_connection(self) -> bool:
        """Whether one is open that has read through the WAL index.

        Beside a file with a rollback journal an index may lie that nobody changes any more.
        """
        return any(slot.conn is not None and slot.logged for slot in self._slots.copy())

    def _before_close(self) -> None:
        raise NotImplementedError

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
        """Close all connections for good; a transaction that is open on one is rolled back."""
        with self._slots_lock:
            self._closed = True
            for slot in self._slots:
                slot.close()
            self._slots.clear()
        wal_index.release_unused()
        self.connect = _nowhere  # with the function goes the private copy that a reader may have

    def check_in_place(self) -> None:
        """Raises: StorageError: the path names another file than the one that is open, or none."""
        self._place.check()

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
        self._of_greenlets = {}
        self._slots = []
        if self.shared:
            self._renew_shared()
        if in_use:
            self.lose()
        return [slot.conn for slot in in_use if slot.conn is not None]

    def _renew_shared(self) -> None:
        """An in-memory database is copied by the fork, with its connection."""
        slot = self._shared_slot
        slot.guard = threading.RLock()
        slot.owner = running.ident()
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
