"""Whether the database, its log and the log's index are still those that were opened.

Who writes to a file that was deleted or replaced writes into the void, and what it has committed nobody else sees.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable

from store.backends import LOOK_SECONDS
from store.backends.sqlite_network import check_no_log
from store.errors import StorageError
from store.file_status import status_of, unreachable

Inode = tuple[int, int]


class Place:
    """Of one engine. `is_open` says whether the process has a connection with a log open."""

    def __init__(self, path: str, inode: Inode | None, is_open: Callable[[], bool], *, network: bool) -> None:
        self._path = path
        self._inode = inode
        self._is_open = is_open
        self._network = network
        self._logs: list[Inode] = []  # as long as a connection has them open
        self._looked = 0.0

    def opened(self, *, logged: bool) -> None:
        """A connection was opened: the first one with a log determines which that is."""
        if not self._is_open():
            self._logs = self._find_logs() if logged else []

    def check(self) -> None:
        """Raises: StorageError: the path names another file than the one that is open, or none."""
        if self._inode is None:
            return
        try:
            status = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            found = None
        except OSError as exc:
            raise unreachable(self._path, exc) from exc
        else:
            found = (status.st_dev, status.st_ino)
        if found != self._inode:
            raise moved(self._path, "replaced" if found else "deleted")
        if self._network:
            check_no_log(self._path)
        elif self._logs:
            self._check_logs()

    def has_foreign_log(self) -> bool:
        """Whether another database stands where this one was, and our log beside it."""
        if not self._logs:
            return False
        return _inode(self._path) not in (None, self._inode) and self._logs == self._find_logs()

    def _check_logs(self) -> None:
        """Once a second: two looks cost a write an eighth more."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        if self._logs != self._find_logs() and self._is_open():
            raise StorageError(
                f"{self._path}-wal or -shm was deleted or replaced while it was open, and others may not see what is "
                "written here: close the store in all programs, then open it again",
                errno=errno.ESTALE,
                path=self._path,
            )
        self._looked = now

    def _find_logs(self) -> list[Inode]:
        """Nobody removes these files while a connection is open; [] where one is missing."""
        found = [_inode(self._path + suffix) for suffix in ("-wal", "-shm")]
        return [inode for inode in found if inode is not None] if None not in found else []


def moved(path: str, what: str) -> StorageError:
    """The error for a file that was deleted or replaced."""
    return StorageError(
        f"{path} was {what} while it was open, so a write would go nowhere; open the store again",
        errno=errno.ENOENT if what == "deleted" else errno.ESTALE,
        path=path,
    )


def _inode(path: str) -> Inode | None:
    status = status_of(path)
    return None if status is None else (status.st_dev, status.st_ino)
