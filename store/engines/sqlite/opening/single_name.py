"""Refuses a database with several names: SQLite finds the log by the name, so two names would have two logs.

Writes through one name are not seen through the other, and the last connection to close overwrites other writes.
"""

from __future__ import annotations

import errno
import os

from store.engines.sqlite.engine import wal_index
from store.errors import StorageError
from store.system import range_locks
from store.system.mounts import mount_of


def check_single_name(path: str, *, read_only: bool) -> None:
    """Check a path without links before it is opened. Raises: StorageError: the file has another name as well."""
    mount = mount_of(path)
    if mount is not None and mount.point == path and not mount.read_only:
        raise StorageError(
            f"{path} is a mount point: this one file is mounted here, and not the log beside it, so what is written "
            "on one side would be lost on the other; mount the folder that has the file instead",
            errno=errno.EXDEV,
            path=path,
        )
    try:
        names = os.stat(path).st_nlink
    except OSError:  # opening it says so
        return
    if names > 1 and not (read_only and _is_at_rest(path)):
        raise StorageError(
            f"{path} is one file with {names} names (hard links), each of which has a log of its own, so what is "
            "written under one would be lost under another. Close it everywhere, then give this name a file of its "
            f"own: `cp -p {path} {path}.new && mv {path}.new {path}`; or remove the other names. To copy a store "
            "that is in use, take `store backup`, not `ln`, `cp -l` or a tool that links files",
            errno=errno.EMLINK,
            path=path,
        )


def _is_at_rest(path: str) -> bool:
    """Whether no program writes to it under another name, so that a reader may use it."""
    if os.path.lexists(path + "-wal"):
        return True
    if not range_locks.AVAILABLE:
        return False
    try:
        with wal_index.opening():
            file = wal_index.hold(path)
            try:
                return range_locks.holder(file.number) is None
            finally:
                wal_index.let_go(file, at_once=True)
    except OSError:
        return False
