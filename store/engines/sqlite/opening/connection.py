"""Opening one SQLite connection: the checks before, and its settings."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from store.engines.sqlite.engine import wal_index
from store.engines.sqlite.errors import READONLY_ROLLBACK
from store.engines.sqlite.opening import companions, journals
from store.system.file_status import reaching

_UNQUOTED = frozenset(b"/-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
BUSY_SECONDS = 0.05  # SQLite's own wait cannot be interrupted; the longer wait is a loop of ours

_apart: dict[int, tuple[int, int]] = {}  # of connections that belong to no engine: the files that they are open on


def connect(
    path: str, query: str = "mode=rw", *, alone: bool = False, keeps_journal: bool = False
) -> sqlite3.Connection:
    """A bare connection to an existing file, usable from every thread, without implicit transactions.

    `alone`: it keeps every lock that it takes, and reads a log without its index. `keeps_journal`: the database has
    a rollback journal, which stays.

    Raises:
        sqlite3.Error. StorageError: a file beside the database is refused (`companions`).
    """
    target, writes = f"file:{_quoted(path)}?{query}", not query.startswith("mode=ro")
    is_hot = companions.check_logs(path, writes=writes)
    if is_hot and writes and companions.is_exposed(path):
        journals.check_recoverable(path)
    if is_hot or not companions.is_exposed(path):
        return _connect(target, alone=alone)
    with journals.guarded(path, writes=writes):
        conn = _connect(target, alone=alone)
        try:
            _settle(conn, path, writes=writes, alone=alone, keeps_journal=keeps_journal)
        except BaseException:
            conn.close()
            raise
    return conn


def _settle(conn: sqlite3.Connection, path: str, *, writes: bool, alone: bool, keeps_journal: bool) -> None:
    """Make the first read; after it SQLite does not look for a journal any more, if the database has a log.

    Without a log SQLite looks again before each transaction, unless the connection keeps its lock on the file. It
    also looks when the log mode is left; for that we make a journal of our own.
    """
    conn.execute("PRAGMA schema_version").fetchone()
    if not writes:
        return
    has_log = conn.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    if keeps_journal or (alone and has_log):
        journals.keep_journal(path)
    elif not has_log:
        conn.execute("PRAGMA locking_mode = EXCLUSIVE").fetchone()
        conn.execute("PRAGMA schema_version").fetchone()


def _quoted(path: str) -> str:
    """A path in a URI, as `urllib.parse.quote` writes it; importing that takes 1.6 ms."""
    return "".join(chr(byte) if byte in _UNQUOTED else f"%{byte:02X}" for byte in os.fsencode(path))


def _connect(target: str, *, alone: bool = False) -> sqlite3.Connection:
    conn = sqlite3.connect(target, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    # The file is hostile input: no function of ours runs from its schema, no cell is trusted.
    conn.execute("PRAGMA trusted_schema = OFF")
    conn.execute("PRAGMA cell_size_check = ON")
    if sys.version_info >= (3, 12):
        conn.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
    if alone:
        conn.execute("PRAGMA locking_mode = EXCLUSIVE")
    return conn


@contextmanager
def apart(path: str, query: str = "mode=rw", *, alone: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection that belongs to no engine, for the length of the block.

    A fork does not wait for it: the file is lost to a child that is forked meanwhile (`files_apart`).
    """
    with wal_index.opening():
        conn = connect(path, query, alone=alone)
        try:
            with reaching(path):
                status = os.stat(path)
        except BaseException:
            conn.close()
            raise
        _apart[id(conn)] = status.st_dev, status.st_ino
    try:
        yield conn
    finally:
        conn.close()
        del _apart[id(conn)]


def files_apart() -> set[tuple[int, int]]:
    """The files on which connections are open that belong to no engine."""
    return set(_apart.copy().values())


def probe(path: str) -> sqlite3.Connection | None:
    """A connection that reads a file without changing it; None if only a writer can open it.

    That is the case when a crash left a rollback journal: the database can be read only once it is applied.
    """
    try:
        return open_and_look(path, "mode=ro")
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode == READONLY_ROLLBACK:
            return None
        raise


def open_and_look(path: str, query: str) -> sqlite3.Connection:
    """A connection that has read once: until then SQLite opens nothing. Raises: as `connect`."""
    conn = connect(path, query)
    try:
        conn.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    except BaseException:
        conn.close()
        raise
    return conn
