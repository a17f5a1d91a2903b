"""Whether the database, its log and the log's index are still those that were opened.

Who writes to a file that was deleted or replaced writes into the void, and what it has committed nobody else sees.
"""

from __future__ import annotations

import errno
import os
from typing import Protocol

from store.engines.sqlite.engine.log_names import Inode, Names
from store.engines.sqlite.opening import companions as companions
from store.engines.sqlite.opening.network import check_no_log
from store.errors import StorageError
from store.system.file_status import unreachable


class Log(Protocol):
    """What knows the log of an engine."""

    names: Names | None


class Place:
    """Of one engine. `log` knows the names beside the database, once a connection to it was opened."""

    def __init__(self, path: str, inode: Inode | None, log: Log, *, network: bool) -> None:
        self._log = log
        self._path = path
        self._inode = inode
        self._network = network

    def check(self) -> bool:
        """Whether the log is the one that was opened, or none is open.

        Raises:
            StorageError: the path names another file than the one that is open, or none.
        """
        if self._inode is None:
            return True
        names = self._log.names
        if names is None:
            self._check_database()
            return True
        if names.unchanged() is not None:
            return True
        begun = names.begin()
        self._check_database()
        return names.check(begun)

    def unchanged(self) -> int | None:
        """`Names.unchanged`: then `check` would find nothing."""
        names = self._log.names
        return None if names is None else names.unchanged()

    def _check_database(self) -> None:
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
            companions.check_logs(self._path, writes=True)  # SQLite asks for a journal before each transaction

    def is_log_kept(self) -> bool:
        """Whether what was just committed went into the log that others read."""
        names = self._log.names
        return names is None or names.is_log_kept()

    def has_new_log(self) -> bool:
        """Whether there is a log beside a database that had none when its connections were opened."""
        names = self._log.names
        return names is not None and not names.is_known() and os.path.lexists(self._path + "-wal")

    def folded(self) -> None:
        """After a checkpoint of our own, which changed the database."""
        names = self._log.names
        if names is not None:
            names.note_folded()

    def has_foreign_log(self) -> bool:
        """Whether another database stands where this one was, and our log beside it."""
        names = self._log.names
        return names is not None and self._inode is not None and names.is_beside_another(self._inode)


def moved(path: str, what: str) -> StorageError:
    """The error for a file that was deleted or replaced."""
    return StorageError(
        f"{path} was {what} while it was open, so a write would go nowhere; open the store again",
        errno=errno.ENOENT if what == "deleted" else errno.ESTALE,
        path=path,
    )
