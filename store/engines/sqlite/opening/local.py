"""Opening the connections to a file on a disk of this machine: to write, and to read without writing."""

from __future__ import annotations

import os
import sqlite3

from store.engines.sqlite.errors import CANTOPEN, READONLY, code_of
from store.engines.sqlite.opening import connection
from store.engines.sqlite.opening.private_copy import private_copy
from store.engines.sqlite.opening.strategy import FROZEN, LOCAL, Opening
from store.system.file_status import size_of
from store.system.mounts import mount_of

LOG_LIMIT_BYTES = 16 * 1024 * 1024  # a log or journal that grew larger is truncated to this when it is reset


def writer(path: str) -> Opening:
    """Opens connections that read and write."""

    def open_() -> sqlite3.Connection:
        conn = connection.connect(path)
        conn.execute("PRAGMA wal_autocheckpoint = 0")  # only the writer checkpoints, under its lock
        conn.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT_BYTES}")
        return conn

    return Opening(open_, LOCAL)


def reader(path: str) -> Opening:
    """Opens connections that cannot change the database, by the first way that works:

    1. Plainly read-only, where the WAL's index (`-shm`) exists or can be made.
    2. Immutable, where the file system is mounted read-only and no WAL holds newer rows.
    3. On a private copy of database and WAL. Never immutable if others can write: that ignores the WAL.

    Raises:
        sqlite3.Error, StorageError: nothing worked.
    """
    try:
        connection.open_and_look(path, "mode=ro").close()
        return Opening(lambda: connection.connect(path, "mode=ro"), LOCAL)
    except sqlite3.OperationalError as exc:
        if code_of(exc) not in (READONLY, CANTOPEN):  # READONLY: a journal to apply, or no place for `-shm`
            raise
    if _mounted_read_only(path) and not has_log(path):
        connection.open_and_look(path, "mode=ro&immutable=1").close()
        return Opening(lambda: connection.connect(path, "mode=ro&immutable=1"), FROZEN)
    return private_copy(path)


def _mounted_read_only(path: str) -> bool:
    """Whether no process can write; False if only this mount is read-only, as often in a container."""
    if not (hasattr(os, "statvfs") and os.statvfs(path).f_flag & os.ST_RDONLY):
        return False
    mount = mount_of(path)
    return mount is None or mount.read_only


def has_log(path: str) -> bool:
    """Whether there is a write-ahead log with something in it."""
    return size_of(path + "-wal") > 0
