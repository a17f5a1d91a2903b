"""The connections of one process to one file: one for each thread and greenlet that uses it, opened on first use.

Lock order: a pool's `_slots_lock`, then a slot's guard.
"""

from __future__ import annotations

import errno
import sqlite3
import sys
import threading
from contextlib import suppress
from typing import Any

from store.engines.reentry import conflict
from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine import wal_index
from store.engines.sqlite.engine.log_names import Inode
from store.engines.sqlite.engine.place import Place, moved
from store.engines.sqlite.engine.presence import Membership
from store.engines.sqlite.engine.slot import Slot
from store.engines.sqlite.errors import NO_SUCH_TABLE, code_of
from store.engines.sqlite.opening.connection import Connect, is_frozen
from store.engines.sqlite.opening.network import is_marked, other_mode
from store.errors import NotAStore, StorageError, StoreClosed, StoreError
from store.system import running
from store.system.clock import steady_clock
from store.system.rights import regroup

ID_BYTES = 16
NO_WAIT = 0.0  # seconds
CLOSING_SECONDS = 1.0  # for a statement of another thread

SYNCHRONOUS = {"normal": "NORMAL", "full": "FULL"}


class Pool:
    """Safe across threads. Before a fork `park` closes what is idle, and in the child `renew` begins anew.

    A file that was in a transaction at the fork is lost there (`check_open`).
    """

    def __init__(self, path: str, inode: Inode | None, connect: Connect, *, network: bool) -> None:
        self.path = path
        self.inode = inode
        self.connect = connect
        self.network = network and not is_frozen(connect)
        self.full_sync = False
        self.store_id = b""
        self._slots: list[Slot] = []
        self._slots_lock = threading.RLock()
        self._local = threading.local()
        self._of_greenlets: dict[int, Slot] = {}  # by their `id`
        self._membership = Membership(self, path, None if network or is_frozen(connect) else inode)
        self._place = Place(path, inode, self._membership, network=self.network)
        self._failure = ""  # why nothing can be done any more
        self._closed = False
        self._lost = False

    def slot(self) -> Slot:
        """The connection of the thread or greenlet that calls."""
        if "greenlet" in sys.modules and (greenlet := running.greenlet()) is not None:
            return self._slot_of(greenlet) or self._new_slot(greenlet)
        try:
            return self._local.slot  # type: ignore[no-any-return]
        except AttributeError:
            own = self._local.__dict__  # by `setdefault`: a signal handler may come between, and get one first
            return own.setdefault("slot", self._new_slot(own.setdefault("mark", running.Mark())))  # type: ignore[no-any-return]

    def known_slot(self) -> Slot | None:
        """The same, where the caller has used the file."""
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
        slot = Slot(self.path, self._open, self._disconnect)
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
        slot = Slot(self.path, self._open, self._disconnect)
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
            self._membership.join()
            conn = None
            try:
                conn = self.connect()
                full = self.full_sync or self.network
                conn.execute(f"PRAGMA synchronous = {SYNCHRONOUS['full' if full else 'normal']}")
                self._check_identity(conn)
                slot.logged = conn.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
                self._check_mode(slot.logged)
                if slot.logged:
                    regroup(self.path, ("-wal", "-shm"))
                    self._membership.opened()
            except BaseException:
                self._membership.leave(conn)
                raise
            slot.conn = conn  # here, that nobody takes another one for the last
            return conn

    def _disconnect(self, conn: sqlite3.Connection) -> None:
        self._before_close()
        self._membership.leave(conn)

    def _check_mode(self, logged: bool) -> None:
        """Raises: StorageError: another program uses the file in the other mode."""
        if is_frozen(self.connect):
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

    def has_any_connection(self) -> bool:
        """Whether one is open, with a log or without."""
        return any(slot.conn is not None for slot in self._slots.copy())

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
            if slot.guard.acquire(timeout=seconds):
                with slot.guard:
                    if slot.is_idle():
                        slot.close()
                slot.guard.release()

    def fail(self, error: str) -> None:
        """From now on only this error comes of it."""
        self._failure = error

    def close_connections(self, seconds: float) -> None:
        """Close all connections, also in a transaction; one that is in a statement for longer is closed later."""
        for slot in list(self._slots):
            if slot.guard.acquire(timeout=seconds):
                with slot.guard:
                    slot.close()
                slot.guard.release()
            else:
                slot.outdated = True

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
        """Raises: StorageError: the path names another file than the one that is open, or none, or the log does."""
        if not self._place.check():
            self.lose_log(NO_WAIT)
            raise self._failed()

    def follow_new_log(self) -> None:
        """Connections to a database without a log, which a writer has given one since, are to be opened again.

        They would read it as well, without what keeps it in its place.
        """
        if self._place.has_new_log():
            for slot in self._slots.copy():
                slot.outdated = slot.conn is not None

    def check_log(self) -> None:
        """After each commit. Raises: StorageError: it went into a log that nobody else reads. OutcomeUnknown."""
        if not self._place.is_log_kept():
            self.lose_log(NO_WAIT)
            raise self._failed()

    def lose_log(self, seconds: float) -> StorageError | None:
        """The log is not ours any more: close all connections of this process, so that it can open the file again.

        Returns the error, where what was committed may have gone with the log.
        """
        return self._failed() if self._membership.lose_log(seconds) else None

    def is_stale(self, path: str) -> bool:
        """Whether the file, found at `path`, can only be used by another engine. Closes what is open of this one."""
        try:
            if not self._failure and self._place.check():
                return False
        except StorageError:
            if path == self.path:  # what ails it will ail another one too
                return False
        self.lose_log(CLOSING_SECONDS)
        return True

    # -- fork

    def park(self, deadline: float) -> bool:
        """Before a fork: close every connection once it is idle, and keep all of them from opening.

        Whether that was done by the deadline.
        """
        self._slots_lock.acquire(timeout=max(0.0, deadline - steady_clock()))
        slots = list(self._slots)
        for slot in slots:
            slot.park(deadline)
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
        self._membership.forget()
        if in_use:
            self.lose()
        return [slot.conn for slot in in_use if slot.conn is not None]

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
        if self._failure:
            raise self._failed()

    def _failed(self) -> StorageError:
        return StorageError(self._failure, errno=errno.ESTALE, path=self.path)


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
