"""Whether the log files beside a database are still those that this process writes to.

Checking each name would add a sixth to the time of a write, so the folder is checked instead: its time of change
shows every name that was added, removed or renamed, and no program can set that time back. It is checked before a
write, so that a write that would go nowhere is not begun, and after it, so that none is acknowledged. In a row of
writes the check after one stands for the check before the next, which would take a twentieth of its time.
"""

from __future__ import annotations

import math
import os

from store.engines.capabilities import LOOK_SECONDS
from store.engines.sqlite.engine.synced_log import SyncedLog, open_log
from store.errors import StorageError
from store.system.clock import steady_clock
from store.system.descriptors import Descriptor
from store.system.file_status import status_of

Inode = tuple[int, int]
_Folder = tuple[int, int, int]  # time of change, inode, device

# How long a folder must be unchanged before the next change surely gets another time. The kernel's clock advances
# every 1 to 10 ms; some file systems store seconds, FAT every other one.
STABLE_SECONDS = 0.05
STABLE_COARSE_SECONDS = 3.0
RECENT_SECONDS = 0.001
UNSTABLE = -1
NEVER = -math.inf
_SECOND = 1_000_000_000


class LogFiles:
    """The write-ahead log of one database and its index, by their inodes, and their folder."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._folder = os.path.dirname(path)
        self._opened: Descriptor | None = None
        self._number = -1
        self._logs: list[Inode] = []  # as long as a connection has them open
        self._database: tuple[int, ...] | None = None  # its stamp when the log was last in its place
        self._seen: tuple[_Folder, float] | None = None  # the folder, and since when it is unchanged
        self._changed = UNSTABLE  # the time of change of a folder that is stable
        self._looked = 0.0
        self._kept = NEVER  # when the folder was found unchanged, if nothing else was found since
        self._sync: SyncedLog | None = None

    def learn(self) -> bool:
        """Remember the log that a connection has just opened; returns whether it exists and is the same as before."""
        found = self._find()
        if not self._logs and found:
            self._opened = _folder_at(self._folder)
            self._number = -1 if self._opened is None else self._opened.number
            self._logs = found
            self._note_database()
        return bool(found) and found == self._logs

    def is_known(self) -> bool:
        """Whether a connection with a log is open, or was until the last check."""
        return bool(self._logs)

    def to_sync(self) -> SyncedLog | None:
        """The log, open for syncing; None: there is none, or SQLite must sync it. `opening` is held."""
        if self._sync is None and self._logs:
            self._sync = open_log(self._path + "-wal", self._logs[0])
        return self._sync

    def forget(self) -> None:
        """Forget the log, since the last connection is closed."""
        self._logs, self._seen, self._changed, self._number = [], None, UNSTABLE, -1
        self._sync = None  # not closed: a thread may be syncing a commit
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    # -- looking

    def unchanged(self) -> int | None:
        """The folder's time of change, if no name in it has changed since `check` found all in place; else None.

        That is at most a second ago.
        """
        if self._changed == UNSTABLE or not 0 <= steady_clock() - self._looked < LOOK_SECONDS:
            return None
        return self._changed if self.is_undisturbed() else None

    def unchanged_lately(self) -> int | None:
        """As `unchanged`; just after it was looked at, as after a commit, the folder is not looked at again."""
        now = steady_clock()
        if 0 <= now - self._kept < RECENT_SECONDS and 0 <= now - self._looked < LOOK_SECONDS:
            return self._changed if self._changed != UNSTABLE else None
        return self.unchanged()

    def begin(self) -> tuple[_Folder | None, float]:
        """The state of the folder before the files are checked, to pass to `check`."""
        return self._look_at_folder() if self._logs else None, steady_clock()

    def check(self, begun: tuple[_Folder | None, float]) -> bool:
        """Whether log and index are in place, by a look at each; the database was found in its place.

        Raises:
            StorageError: a file cannot be checked.
        """
        logs = self._logs
        if not logs:
            return True
        database = self.database_stamp()
        if not self._are_in_place(logs):
            self._changed = UNSTABLE
            return False
        self._database = database
        self._note_stable(*begun)
        return True

    def is_undisturbed(self) -> bool:
        """Whether the folder shows that log, index and database are in place, asked after each commit.

        It is the folder that is open: the one at the path, unless a folder above it was renamed, which `check`
        notices within LOOK_SECONDS.
        """
        try:
            is_changed = os.fstat(self._number).st_ctime_ns != self._changed
        except OSError:  # it is not open, or has been closed by another thread
            is_changed = True
        self._kept = NEVER if is_changed else steady_clock()
        return not is_changed

    def is_kept(self) -> bool:
        """Whether log and index are in place, asked after a commit if the folder does not show it.

        Raises:
            StorageError: a file cannot be checked.
        """
        return self._are_in_place(self._logs)

    def _are_in_place(self, logs: list[Inode]) -> bool:
        """Whether they are; also if another thread is closing the last connection, which removes them."""
        return not logs or self._find() == logs or self._logs is not logs

    def is_there(self) -> bool:
        """Whether the log exists; its index may be gone."""
        return bool(self._logs) and inode_of(self._path + "-wal") == self._logs[0]

    def is_beside_another(self, inode: Inode) -> bool:
        """Whether another database replaced that one, with our log still beside it."""
        return bool(self._logs) and inode_of(self._path) not in (None, inode) and self._has(self._logs)

    # -- folding the log

    def may_be_folded(self) -> bool:
        """Whether the log is in its place, or was removed and the database was not written to since.

        A program that wrote since has left its own log: to unlink it, it would need exclusive access to the database,
        which our locks prevent. Or it has written to the database itself, which changes its time.
        """
        if self._has(self._logs):
            return True
        log = _status(self._path + "-wal")
        is_removed = log is None or (log.st_size == 0 and not self.is_there())
        return is_removed and self._database is not None and self.database_stamp() == self._database

    def note_folded(self) -> None:
        """Record that this process changed the database, with the log in place."""
        if self._logs and self._has(self._logs):
            self._note_database()

    def database_stamp(self) -> tuple[int, ...] | None:
        """The file at its path, and its time of change."""
        status = _status(self._path)
        return None if status is None else (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def _note_database(self) -> None:
        self._database = self.database_stamp()

    # -- the folder

    def _look_at_folder(self) -> _Folder | None:
        """The state of the folder; read before the names, so that no later change is missed."""
        if not hasattr(os, "O_DIRECTORY"):
            return None
        try:
            status = os.stat(self._folder)
            return _mark(status) if os.path.samestat(status, os.fstat(self._number)) else None
        except OSError:  # it is not open, or has been closed by another thread
            return None

    def _note_stable(self, folder: _Folder | None, now: float) -> None:
        self._changed = UNSTABLE
        if folder is None:
            self._seen = None
        elif self._seen is None or self._seen[0] != folder:
            self._seen = folder, now
        elif now - self._seen[1] >= (STABLE_SECONDS if folder[0] % _SECOND else STABLE_COARSE_SECONDS):
            self._looked, self._changed = now, folder[0]

    def _find(self) -> list[Inode]:
        """The inodes of log and index; [] if one is missing. Raises: StorageError."""
        log = status_of(self._path + "-wal")
        index = status_of(self._path + "-shm") if log is not None else None
        return [] if log is None or index is None else [(log.st_dev, log.st_ino), (index.st_dev, index.st_ino)]

    def _has(self, logs: list[Inode]) -> bool:
        """Whether log and index are these; False if that is unknown."""
        try:
            return self._find() == logs
        except StorageError:
            return False


def inode_of(path: str) -> Inode | None:
    """Device and inode of the file at the path; None if there is none or it cannot be reached."""
    status = _status(path)
    return None if status is None else (status.st_dev, status.st_ino)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _mark(status: os.stat_result) -> _Folder:
    return status.st_ctime_ns, status.st_ino, status.st_dev


def _folder_at(path: str) -> Descriptor | None:
    """The folder, opened; None if that fails, and then each name is checked."""
    try:
        return Descriptor(path, os.O_RDONLY | os.O_DIRECTORY)
    except (OSError, AttributeError):
        return None
