"""Locks by name, between processes, for the program's own purposes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from store.digests import blake2b
from store.errors import LockTimeout, StorageError, StoreError
from store.locking import Hold, WriterLock, nothing, unlockable

POLL_SECONDS = 0.005  # such a lock is held for long, and waited for in peace


class NamedLocks:
    """Locks by name for the program's own purposes, each on a file of its own in `folder`.

    Without a folder they exclude threads only. A thread that takes one twice gets an error: it would
    wait for itself.
    """

    def __init__(self, folder: str | None) -> None:
        self.folder = folder
        self._mine = threading.local()
        self._in_process: dict[str, WriterLock] = {}

    @contextmanager
    def hold(self, name: str, timeout: float) -> Iterator[None]:
        """Hold the lock called `name`.

        Raises:
            LockTimeout: somebody else kept it for `timeout` seconds. StoreError: this thread has it.
        """
        held: set[str] = self._mine.__dict__.setdefault("held", set())
        if name in held:
            raise StoreError(f"this thread holds the lock {name!r} already, and would wait for itself")
        take, give = self._lock(name)
        try:
            held.add(name)  # before it is taken: a signal handler that came in between would wait for its own thread
            if not take(timeout):
                raise _timed_out(name, timeout, self.folder)
            yield
        finally:
            try:
                give()  # at once: in a function of ours an interrupt could come before it
            except OSError as exc:
                raise unlockable(self.folder, exc) from exc
            finally:  # not before: a signal handler that came in between would wait for its own thread
                held.discard(name)

    def forget(self) -> None:
        """In a forked child: the locks that threads of the parent hold are not ours (filelock closes its own)."""
        self._mine = threading.local()
        self._in_process = {}

    def _lock(self, name: str) -> tuple[Callable[[float], bool], Callable[[], None]]:
        if self.folder is None:
            lock = self._in_process.setdefault(name, WriterLock(None))
            lock.is_named = True
            return self._thread_lock(lock)
        return self._file_lock(self.folder, name)

    def _thread_lock(self, lock: WriterLock) -> tuple[Callable[[float], bool], Callable[[], None]]:
        hold = Hold()

        def take(timeout: float) -> bool:
            try:
                lock.acquire(hold, nothing, timeout)
            except LockTimeout:
                return False
            return True

        return take, lambda: lock.release(hold)

    def _file_lock(self, folder: str, name: str) -> tuple[Callable[[float], bool], Callable[[], None]]:
        import filelock

        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as exc:
            raise StorageError(
                f"{folder}: cannot make the folder for named locks: {exc.strerror}; free space or see the file "
                "system's log, and try again",
                errno=exc.errno,
                path=folder,
            ) from exc
        file = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        lock = filelock.FileLock(os.path.join(folder, file + ".lock"), poll_interval=POLL_SECONDS)

        def take(timeout: float) -> bool:
            try:
                lock.acquire(timeout=timeout)
            except filelock.Timeout:
                return False
            except OSError as exc:
                raise unlockable(lock.lock_file, exc) from exc
            return True

        return take, lock.release


def _timed_out(name: str, timeout: float, folder: str | None) -> LockTimeout:
    return LockTimeout(
        f"the lock {name!r} was held by somebody else for {timeout:g} seconds; try again, or wait longer: "
        f"lock({name!r}, timeout=…)",
        path=folder,
    )
