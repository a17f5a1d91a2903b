"""Whether the names beside a database still are those of the log that this process writes to.

A look at each name costs a write a sixth of its time, so the folder is looked at instead: its time of change tells of
every name that came, went or was renamed in it, and no program can set that time back.
"""

from __future__ import annotations

import os

from store.engines.capabilities import LOOK_SECONDS
from store.errors import OutcomeUnknown, StorageError
from store.system.clock import steady_clock
from store.system.descriptors import Descriptor
from store.system.file_status import status_of

Inode = tuple[int, int]
_Folder = tuple[int, int, int]  # time of change, inode, device

# How long a folder must have been as it is before the next change has another time for sure. The kernel's clock moves
# on every 1 to 10 ms; some file systems store seconds, FAT every other one.
STABLE_SECONDS = 0.05
STABLE_COARSE_SECONDS = 3.0
UNSTABLE = -1
_SECOND = 1_000_000_000


class LogFiles:
    """The write-ahead log of one database and its index, by their inodes, and the folder that has them."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._folder = os.path.dirname(path)
        self._opened: Descriptor | None = None
        self._number = -1
        self._logs: list[Inode] = []  # as long as a connection has them open
        self._database: tuple[int, ...] | None = None  # as it was when the log was last in its place
        self._seen: tuple[_Folder, float] | None = None  # the folder, and since when it has been so
        self._stable: Inode | None = None  # inode and device of a folder that is stable
        self._changed = UNSTABLE  # and its time of change
        self._looked = 0.0

    def learn(self) -> bool:
        """Remember the log that is there, which a connection has just opened; whether there is one, and the same."""
        found = self._find()
        if not self._logs and found:
            self._opened = _folder_at(self._folder)
            self._number = -1 if self._opened is None else self._opened.number
            self._logs = found
            self._note_database()
        return bool(found) and found == self._logs

    def is_known(self) -> bool:
        """Whether a connection with a log is open, or was until now."""
        return bool(self._logs)

    def forget(self) -> None:
        """The last connection is closed."""
        self._logs, self._seen, self._changed, self._number = [], None, UNSTABLE, -1
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    # -- looking

    def unchanged(self) -> int | None:
        """The folder's time of change, if no name in it has changed since `check` found all in place; else None.

        That is at most a second ago.
        """
        if self._changed != UNSTABLE and 0 <= steady_clock() - self._looked < LOOK_SECONDS:
            try:
                status = os.stat(self._folder)
            except OSError:
                return None
            if status.st_ctime_ns == self._changed and (status.st_ino, status.st_dev) == self._stable:
                return self._changed
        return None

    def begin(self) -> tuple[_Folder | None, float]:
        """Before the database and its log are looked at, for `check`."""
        return self._look_at_folder() if self._logs else None, steady_clock()

    def check(self, begun: tuple[_Folder | None, float]) -> bool:
        """Whether log and index are in place; a look at each. The database was found in its own.

        Raises:
            StorageError: that cannot be told.
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

    def is_kept(self) -> bool:
        """Whether log and index are in place, asked after each commit. Raises: OutcomeUnknown."""
        try:
            if os.fstat(self._number).st_ctime_ns == self._changed:
                return True
        except OSError:
            pass
        try:
            return self._are_in_place(self._logs)
        except StorageError as exc:
            raise OutcomeUnknown(
                f"{self._path}: a change was written, and it cannot be told whether others see it ({exc}); read the "
                "record before you write it again",
                errno=exc.errno,
                path=self._path,
            ) from exc

    def _are_in_place(self, logs: list[Inode]) -> bool:
        """Or another thread is closing the last connection just now, which takes them along after `forget`."""
        return not logs or self._find() == logs or self._logs is not logs

    def is_there(self) -> bool:
        """Whether the log is; its index may be gone."""
        return bool(self._logs) and inode_of(self._path + "-wal") == self._logs[0]

    def is_beside_another(self, inode: Inode) -> bool:
        """Whether another database stands in the place of that one, and our log beside it."""
        return bool(self._logs) and inode_of(self._path) not in (None, inode) and self._has(self._logs)

    # -- what may become of the log

    def may_be_folded(self) -> bool:
        """Whether it is the one in its place; or it was removed, and nobody has written to the database since.

        A program that did has left its own log: to unlink it, it would need the database alone, which our locks
        do not let it have. Or it has written to the database itself, which changes its time.
        """
        if self._has(self._logs):
            return True
        log = _status(self._path + "-wal")
        is_removed = log is None or (log.st_size == 0 and not self.is_there())
        return is_removed and self._database is not None and self.database_stamp() == self._database

    def note_folded(self) -> None:
        """The database was changed by ourselves, and the log is in place."""
        if self._logs and self._has(self._logs):
            self._note_database()

    def database_stamp(self) -> tuple[int, ...] | None:
        """What is at its path, and when that was changed."""
        status = _status(self._path)
        return None if status is None else (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def _note_database(self) -> None:
        self._database = self.database_stamp()

    # -- the folder

    def _look_at_folder(self) -> _Folder | None:
        """Before the names in it: a change from now on is seen, by them or by it."""
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
            self._stable, self._looked = folder[1:], now
            self._changed = folder[0]

    def _find(self) -> list[Inode]:
        """Nobody removes these files while a connection is open; [] where one is missing. Raises: StorageError."""
        log = status_of(self._path + "-wal")
        index = status_of(self._path + "-shm") if log is not None else None
        return [] if log is None or index is None else [(log.st_dev, log.st_ino), (index.st_dev, index.st_ino)]

    def _has(self, logs: list[Inode]) -> bool:
        """Whether it is these; False where that cannot be told."""
        try:
            return self._find() == logs
        except StorageError:
            return False


def inode_of(path: str) -> Inode | None:
    """Device and inode of what the path names; None where it names nothing that can be reached."""
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
    """None where it may only be searched, or cannot be opened: then each name is looked at."""
    try:
        return Descriptor(path, os.O_RDONLY | os.O_DIRECTORY)
    except (OSError, AttributeError):
        return None
