"""Checkpoints: when the write-ahead log is folded into the database, and the result of the last attempt.

Only the writer checkpoints, under its lock: two checkpoints at once beside a writer could corrupt a database in
SQLite before 3.51.3 (https://www.sqlite.org/wal.html, "The WAL-Reset Bug").
"""

from __future__ import annotations

import os
import sqlite3
from typing import Protocol

from store.engines.sqlite.engine.coherence import SqliteCoherence
from store.engines.sqlite.engine.wal_index import frames_in
from store.errors import StorageError
from store.system.file_status import size_of

LOG_FRAMES = 3000  # pages in the log from which it is worth folding in; SQLite's own 1000 cost 3 us more for each set
LOOKS = 60  # at the length of the log, while this process writes as many pages as make a checkpoint worth it
LEAST_FRAMES = 25  # pages; a checkpoint of fewer, those of a few commits, would cost more than it saves
LOG_SHARE = 8  # of the free disk space; the log gets no more than an eighth of it
PAGE_BYTES = 4096
DROPPED_BYTES = 12 * 1024 * 1024  # of dropped files, from which a checkpoint is worth the space
GARBAGE_AT_ONCE = 10_000  # files that one checkpoint removes
FORCED_BYTES = 64 * 1024 * 1024  # a log this large is worth waiting for readers, briefly


class Garbage(Protocol):
    """The files that become unused once the log is folded in."""

    def collect(self, conn: sqlite3.Connection, mode: str, limit: int) -> tuple[int, int]:
        """Checkpoint in that mode, then remove up to `limit` files; returns how many it removed, and their bytes."""


class Checkpoints:
    """The checkpoints of one engine; used under the writer's lock."""

    def __init__(self, path: str, coherence: SqliteCoherence, garbage: Garbage) -> None:
        self.error: sqlite3.Error | StorageError | None = None
        """Why the last one failed, if it did; the writes are still safe in the log."""
        self._path = path
        self._coherence = coherence
        self._garbage = garbage
        self._dropped = 0  # bytes of files that become unused once the log is folded in
        self._written = 0  # pages, as this process counts them without an index
        self._next = 0  # pages that are written when the index is asked next
        self._folded = 0  # frames that were in the log at the last one
        self._room = self._frames_with_room()

    def wrote(self, rows: int, size: int) -> bool:
        """Count the rows and bytes that were written to the log; returns whether to ask if a checkpoint is due."""
        self._written += rows + size // PAGE_BYTES
        return self._written >= self._next

    def dropped(self, size: int) -> None:
        """Count the bytes of spill files that wait for a checkpoint to be removed."""
        self._dropped += size
        if self._dropped >= DROPPED_BYTES:
            self._next = 0

    def has_unfolded(self) -> bool:
        """Whether this process has written to the log since it last folded it in."""
        return self._written > 0

    def is_due(self) -> bool:
        """Whether the log has grown enough since the last checkpoint, or enough dropped files wait for one."""
        if self._written < self._next:
            return False
        if self._dropped >= DROPPED_BYTES:
            return True
        most = min(LOG_FRAMES, self._room)
        self._next = self._written + most // LOOKS
        frames = self._frames()
        if frames is None:
            return self._written >= most
        if frames < self._folded:  # the log was begun anew
            self._folded = 0
        return frames - self._folded >= most

    def run(self, conn: sqlite3.Connection, mode: str | None, files: int) -> tuple[int, int]:
        """Fold in as much as possible; a failure is kept for `stats`. Returns removed spill files and their bytes."""
        self._written = self._next = self._dropped = 0
        self._folded = self._frames() or 0
        try:
            mode = mode or ("TRUNCATE" if self.log_bytes() > FORCED_BYTES else "PASSIVE")
            gone = self._garbage.collect(conn, mode, files)
            self.error = None
        except (sqlite3.Error, StorageError) as exc:  # the commit before it stands
            self.error = exc
            return 0, 0
        finally:
            self._room = self._frames_with_room()
        return gone

    def _frames_with_room(self) -> int:
        """How many pages the log may have, so that it does not fill a small disk that has little data."""
        try:
            status = os.statvfs(os.path.dirname(self._path))
        except (AttributeError, OSError):  # Windows
            return LOG_FRAMES
        return max(LEAST_FRAMES, status.f_bavail * status.f_frsize // LOG_SHARE // PAGE_BYTES)

    def _frames(self) -> int | None:
        index = self._coherence.index()
        return None if index is None else frames_in(index)

    def log_bytes(self) -> int:
        """The size of the log."""
        return size_of(self._path + "-wal")
