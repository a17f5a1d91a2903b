"""Named locks between processes, for use by the program."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

from store.errors import LockTimeout, StorageError, StoreError
from store.system import running
from store.system.digests import blake2b
from store.system.lock_file import NAMED_REMEDY, unopenable
from store.system.locking import Hold, WriterLock, nothing
from store.system.rights import make_folder_beside
from store.system.waits import Waits

SUFFIX = "-locks"  # behind the name of the database
LAST_DELAY = 0.005  # seconds between two attempts: such a lock is held for long, and waited for in peace


class HeldLock:
    """A named lock that was acquired; it is released at the latest when this object is collected."""

    fence: int | None = None  # a lock of the system is lost with its process alone

    def __init__(self, lock: WriterLock, hold: Hold) -> None:
        self._lock = lock
        self._hold = hold

    def is_kept(self) -> bool:
        """Whether it still excludes others; False after a fork, and if its file was removed."""
        return self._lock.is_kept_by(self._hold)

    def release(self) -> bool:
        """Release it; returns whether it was kept until now. Does nothing if it is not held any more."""
        was_kept = self.is_kept()
        self._lock.release_and_remove(self._hold)
        return was_kept


class NamedLocks:
    """Named locks; each is a file in `folder` while it is held.

    Without a folder they exclude threads only. A thread that takes one twice gets an error: it would
    wait for itself.
    """

    def __init__(self, folder: str | None, waits: Waits | None = None) -> None:
        self.folder = folder
        self._waits = waits or Waits()
        self._mine = threading.local()
        self._mutex = threading.RLock()
        self._known: WeakValueDictionary[str, WriterLock] = WeakValueDictionary()

    @contextmanager
    def hold(self, name: str, timeout: float) -> Iterator[HeldLock]:
        """Hold the lock called `name`.

        Raises:
            LockTimeout: another holder kept it for `timeout` seconds. StoreError: this thread has it.
        """
        held: set[tuple[str, int]] = self._mine.__dict__.setdefault("held", set())
        mine = name, running.ident()  # greenlets share what is local to their thread
        if mine in held:
            raise StoreError(f"this thread holds the lock {name!r} already, and would wait for itself")
        lock, hold = self._lock(name), Hold()
        try:
            held.add(mine)  # before it is taken: a signal handler that came in between would wait for its own thread
            self._acquire(lock, hold, name, timeout)
            yield HeldLock(lock, hold)
        finally:
            try:
                lock.release_and_remove(hold)  # after an interrupt in between it goes with `hold`, and its file stays
            finally:  # not before, as above
                held.discard(mine)

    def take(self, name: str, timeout: float) -> HeldLock:
        """Acquire the lock called `name`; any thread may release it. Raises: LockTimeout."""
        lock, hold = self._lock(name), Hold(bound=False)
        self._acquire(lock, hold, name, timeout)
        return HeldLock(lock, hold)

    def _acquire(self, lock: WriterLock, hold: Hold, name: str, timeout: float) -> None:
        try:
            lock.acquire(hold, nothing, timeout)
        except LockTimeout as exc:
            raise LockTimeout(
                f"the lock {name!r} was held by somebody else for {timeout:g} seconds; try again, or wait longer: "
                f"lock({name!r}, timeout=…)",
                path=self.folder,
            ) from exc

    def forget(self) -> None:
        """In a forked child: forget the locks of the parent's threads (`system.locking` closes them)."""
        self._mine = threading.local()
        self._mutex = threading.RLock()
        self._known = WeakValueDictionary()

    def _lock(self, name: str) -> WriterLock:
        """The lock of that name, shared by all threads while one of them holds it or waits for it."""
        folder = self.folder
        path = None if folder is None else self._file(folder, name)
        database = None if folder is None else folder.removesuffix(SUFFIX)
        with self._mutex:  # `setdefault` alone could give two threads two
            lock = self._known.get(name)
            if lock is None:
                lock = self._known[name] = WriterLock(
                    path, database=database, last_delay=LAST_DELAY, is_named=True, waits=self._waits
                )
            return lock

    def _file(self, folder: str, name: str) -> str:
        try:
            make_folder_beside(folder, folder.removesuffix(SUFFIX))
            is_folder = stat.S_ISDIR(os.lstat(folder).st_mode)
        except OSError as exc:
            raise unopenable(folder, exc, "the folder of the named locks", NAMED_REMEDY) from exc
        if not is_folder:
            raise StorageError(
                f"{folder} is a link, and is not followed; move it away, and try again",
                errno=errno.ELOOP,
                path=folder,
            )
        return os.path.join(
            folder, blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest() + ".lock"
        )
