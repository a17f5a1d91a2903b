"""Syncs the write-ahead log after commits, without the writer's lock (`durability="full"`).

SQLite itself would sync at each commit, under the lock, so that writers wait for the disk one after the other. Here
it commits without a sync (`synchronous = NORMAL`), the writer releases the lock, and syncs the log before its write
returns. While it waits for the disk, other writers commit. The threads of a process share a sync: one that begins
after a commit covers it. Each process syncs for itself, since only its own descriptor tells it of every failed write;
the kernel merges flushes of the disk that are requested at the same time.

Why that keeps the promise:

- SQLite stops reading the log at the first frame that is missing, and each sync writes the whole log. So a commit
  that is synced has all earlier commits with it.
- Before a checkpoint SQLite syncs the log, and after it the database; before the log is begun anew it syncs the new
  header (walCheckpoint and walFrames in its wal.c, also with NORMAL). So a log that was folded in meanwhile needs no
  sync. With FULL it only adds a sync to each commit and, without SQLITE_POWERSAFE_OVERWRITE, padding: `suffices`.
- A commit can be read before it is synced, by other processes too. A power cut in that moment takes it back, but no
  acknowledged write: a later one is acknowledged only together with all that it was based on.

A failed sync: Linux tells each descriptor once, and may take the pages that it could not write for written. The next
sync would report success and prove nothing (https://wiki.postgresql.org/wiki/Fsync_Errors). SQLite would take the
commit back, which is too late here. So the log is written again with its own bytes, checked first, and then synced.
If that fails too, the outcome of the write is unknown, and the next writer of this process begins with it. PostgreSQL
stops, and replays its log; we cannot stop other processes. Those that have the log open find out by their own syncs.
One that opens it after the error is not told; what it writes is safe once the log was written again.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections import deque
from contextlib import suppress
from functools import cache
from weakref import WeakValueDictionary

from store.engines.sqlite.engine.wal_index import end_of, index_of
from store.system import forking, range_locks
from store.system.descriptors import NO_SURPRISE, Descriptor, read_at, write_at
from store.system.late import late
from store.system.syncing import sync_data, sync_folder

CHUNK_BYTES = 1 << 20
_LENGTH = "store.engines.sqlite.salvage.frames:sound_length"  # imported after an error of the disk only

_logs: WeakValueDictionary[int, SyncedLog] = WeakValueDictionary()


class SyncedLog:
    """The log of one database in one process, open for syncing. Safe across threads; a forked child opens its own.

    The descriptor is opened before any commit that it syncs: one that is opened later is not told of earlier errors.
    Closing it drops no lock, as SQLite locks the database and the index only. It is closed once no thread uses it.
    """

    def __init__(self, path: str, descriptor: Descriptor) -> None:
        self._path = path
        self._descriptor = descriptor
        self._mutex = threading.RLock()  # a signal handler may write while its thread waits here
        self._begun = 0  # syncs
        self._done = 0  # the last sync of those that succeeded
        self._sound = deque([None], maxlen=1)  # empty from when one begins until it succeeds: it may have failed
        self.failed = 0
        """The errno of a sync that failed, until the log is written again: before any other write or checkpoint."""
        self._is_named = False  # whether the name of the log is on the disk too
        _logs[id(self)] = self

    def sync(self) -> None:
        """Wait until all commits that this process has made are on the disk. Raises: OSError: they may not be."""
        needed = self._begun + 1  # one that has begun already may have begun before the commit
        with self._mutex:
            if not self._sound:
                self.failed = self.failed or errno.EIO
                raise OSError(self.failed, os.strerror(self.failed), self._path)
            if self._done < needed:
                self._sync()

    def write_again(self) -> None:
        """Write the frames of the log again, then sync them; the writer's lock and SQLite's are held.

        Raises:
            OSError: the disk still fails, or the frames are not in memory any more.
        """
        with self._mutex:
            self._rewrite(self._sound_bytes())
            self._sync()
            self.failed = 0

    def forget(self) -> None:
        """In a forked child: close it if a thread of the parent was syncing it, whose frame would keep it open."""
        if self._mutex.acquire(blocking=False):  # this thread was, in a signal handler, or none: it is collected
            self._mutex.release()
        else:
            self._descriptor.close()

    def _sync(self) -> None:
        number = self._begun = self._begun + 1
        self._sound.clear()
        try:
            # One call, so that an interrupt hides no failure, and a handler that writes after a success finds it.
            self._sound.extend(map(sync_data, (self._descriptor.number,)))
            if not self._is_named:
                with suppress(PermissionError):  # the folder may not be opened; SQLite goes on as well
                    sync_folder(os.path.dirname(self._path))
        except OSError as exc:
            self.failed = exc.errno or errno.EIO
            raise
        self._is_named = True
        self._done = max(self._done, number)

    def _sound_bytes(self) -> int:
        """The length of the valid part of the log. Raises: OSError: its bytes are not those that were written."""
        index = index_of(self._path.removesuffix("-wal"))
        end = None if index is None else end_of(index)
        length = None if end is None else late(_LENGTH, self._path)(self._descriptor.number, *end)
        if length is None:
            raise OSError(errno.EIO, "the log is damaged", self._path)
        return int(length)

    def _rewrite(self, length: int) -> None:
        number, at = self._descriptor.number, 0
        while at < length:
            part = read_at(number, min(CHUNK_BYTES, length - at), at)
            if not part:
                raise OSError(errno.EIO, "the log was cut off", self._path)
            at += write_at(number, part, at)


def open_log(path: str, inode: tuple[int, int]) -> SyncedLog | None:
    """The log at `path`, if it has that inode; None: SQLite must sync it, at each commit."""
    if not suffices():
        return None
    try:
        descriptor = Descriptor(path, os.O_RDWR | NO_SURPRISE)
        status = os.fstat(descriptor.number)
    except OSError:
        return None
    return SyncedLog(path, descriptor) if (status.st_dev, status.st_ino) == inode else None


@cache
def suffices() -> bool:
    """Whether a sync after the commit does all that SQLite's own would do.

    Windows could not remove a log that is open here. And where a write may damage bytes beside it, SQLite pads each
    commit to a whole sector, with FULL only (https://www.sqlite.org/psow.html).
    """
    if not range_locks.IS_POSIX:
        return False
    conn = sqlite3.connect(":memory:")
    try:
        return ("POWERSAFE_OVERWRITE=0",) not in conn.execute("PRAGMA compile_options").fetchall()
    finally:
        conn.close()


def _forget_all() -> None:
    """In a forked child."""
    for reference in _logs.valuerefs():
        log = reference()
        if log is not None:
            log.forget()


forking.register(forking.Stage.LOCKS, in_child=_forget_all)
