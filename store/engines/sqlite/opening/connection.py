"""Opening one SQLite connection: its settings, and the ladder of ways to read a file without writing."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from urllib.parse import quote

from store.engines.sqlite.engine import wal_index
from store.engines.sqlite.errors import READONLY_ROLLBACK, code_of
from store.engines.sqlite.opening import companions as companions
from store.engines.sqlite.refusals import why_not_opened
from store.errors import StorageError
from store.system.file_status import reaching, status_of
from store.system.mounts import mount_of
from store.system.refusals import advice

BUSY_SECONDS = 0.05  # SQLite's own wait cannot be interrupted; the longer wait is a loop of ours
WAL_LIMIT_BYTES = 16 * 1024 * 1024  # what a WAL that once grew larger is cut back to when it is reset

COPY_ATTEMPTS = 10

_SUFFIXES = ("", "-wal", "-journal")
_READONLY, _CANTOPEN = 8, 14

Connect = Callable[[], sqlite3.Connection]

_apart: dict[int, tuple[int, int]] = {}  # of connections that belong to no engine: the files that they are open on
_frozen: weakref.WeakSet[Connect] = weakref.WeakSet()


def connect(path: str, query: str = "mode=rw", *, alone: bool = False, network: bool = False) -> sqlite3.Connection:
    """A bare connection to an existing file, usable from every thread, transactions begun by us.

    `alone`: it keeps every lock that it takes, and reads a log without its index.

    Raises:
        sqlite3.Error. StorageError: what lies beside the file is not what belongs there (`sqlite_companions`).
    """
    target, writes = f"file:{quote(os.fsencode(path))}?{query}", not query.startswith("mode=ro")
    is_hot = companions.check_logs(path, writes=writes)
    if is_hot and writes and companions.is_exposed(path):
        companions.check_recoverable(path)
    if is_hot or not companions.is_exposed(path):
        return _connect(target, uri=True, alone=alone)
    with companions.guarded(path, writes=writes):
        conn = _connect(target, uri=True, alone=alone)
        try:
            _settle(conn, path, writes=writes, alone=alone, network=network)
        except BaseException:
            conn.close()
            raise
    return conn


def _settle(conn: sqlite3.Connection, path: str, *, writes: bool, alone: bool, network: bool) -> None:
    """Make the first read, after which SQLite asks for no journal any more, if the database has a log.

    If it has none SQLite asks again before each transaction, unless the connection keeps its lock on the file; and
    once more when a log is given up: for that there is a journal of our own.
    """
    conn.execute("PRAGMA schema_version").fetchone()
    if not writes:
        return
    has_log = conn.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    if network or (alone and has_log):
        companions.keep_journal(path)
    elif not has_log:
        conn.execute("PRAGMA locking_mode = EXCLUSIVE").fetchone()
        conn.execute("PRAGMA schema_version").fetchone()


def _connect(target: str, *, uri: bool, alone: bool = False) -> sqlite3.Connection:
    conn = sqlite3.connect(target, uri=uri, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
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


def writer(path: str) -> Connect:
    """Opens connections that read and write."""

    def open_() -> sqlite3.Connection:
        conn = connect(path)
        conn.execute("PRAGMA wal_autocheckpoint = 0")  # checkpoints are the writer's, under its lock
        conn.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        return conn

    return open_


def probe(path: str) -> sqlite3.Connection | None:
    """A connection that can look at a file without changing it; None where only a writer can.

    That is the case when a crash left a rollback journal: a database can be read only once it is applied.
    """
    try:
        return _open_and_look(path, "mode=ro")
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode == READONLY_ROLLBACK:
            return None
        raise


def reader(path: str) -> Connect:
    """Opens connections that cannot change the database, by the first way that works:

    1. Plainly read-only, where the WAL's index (`-shm`) exists or can be made.
    2. Immutable, where the file system is mounted read-only and no WAL holds newer rows.
    3. On a private copy of database and WAL. Never immutable where anybody can write: that ignores the WAL.

    Raises:
        sqlite3.Error, StorageError: nothing worked.
    """
    try:
        _open_and_look(path, "mode=ro").close()
        return lambda: connect(path, "mode=ro")
    except sqlite3.OperationalError as exc:
        if code_of(exc) not in (_READONLY, _CANTOPEN):  # READONLY: a journal to apply, or no place for `-shm`
            raise
    if _mounted_read_only(path) and not has_log(path):
        _open_and_look(path, "mode=ro&immutable=1").close()
        return _freeze(lambda: connect(path, "mode=ro&immutable=1"))
    return private_copy(path)


def private_copy(path: str) -> Connect:
    """Opens connections to a copy of database and logs as they are now. Raises: StorageError: it cannot be made."""
    return _freeze(_on_private_copy(path))


def is_frozen(connect_: Connect) -> bool:
    """Whether its connections never see a change of the file: the second and third way of `reader`."""
    return connect_ in _frozen


def _freeze(connect_: Connect) -> Connect:
    _frozen.add(connect_)
    return connect_


def _open_and_look(path: str, query: str) -> sqlite3.Connection:
    conn = connect(path, query)
    try:
        conn.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    except BaseException:
        conn.close()
        raise
    return conn


def _on_private_copy(path: str) -> Connect:
    """Copied once, deleted with the function that opens it.

    Copying closes descriptors of the database, which would drop the locks of SQLite connections of this
    process; there are none: they would have made the `-shm` file whose absence brought us here.
    """
    import shutil  # here and below: 6 ms that few readers need
    import tempfile

    folder = tempfile.mkdtemp(prefix="store-")
    copy = os.path.join(folder, "copy.db")
    try:
        _copy_whole(path, copy)
        with closing(connect(copy)) as conn:  # applies the journal, or recovers the WAL
            conn.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    except (OSError, sqlite3.Error) as exc:
        shutil.rmtree(folder, ignore_errors=True)
        raise _unread(path, exc) from exc

    def open_() -> sqlite3.Connection:
        return connect(copy, "mode=ro")

    weakref.finalize(open_, _remove, folder, os.getpid())
    return open_


def _unread(path: str, exc: OSError | sqlite3.Error) -> StorageError:
    refused = why_not_opened(path)
    if refused is not None:
        return StorageError(f"{path}: {refused[1]} ({exc})", errno=refused[0], path=path)
    what = "see the file system's log and try again"
    return StorageError(
        f"{path} cannot be read where it lies, nor copied ({exc}); "
        f"{advice(exc, what) if isinstance(exc, OSError) else what}",
        errno=getattr(exc, "errno", None),
        path=path,
    )


def _copy_whole(path: str, copy: str) -> None:
    """Copy database and logs, all as of one moment: there is no lock here that would keep a writer out."""
    for _ in range(COPY_ATTEMPTS):
        companions.check_logs(path, writes=False)
        before = _stamps(path)
        for suffix, stamp in zip(_SUFFIXES, before, strict=True):
            if stamp is not None:
                companions.copy(path + suffix, copy + suffix)
            elif os.path.exists(copy + suffix):
                os.unlink(copy + suffix)
        if _stamps(path) == before:
            return
    raise OSError(errno.EBUSY, "it is being written all the time; try again")


def _stamps(path: str) -> list[tuple[int, ...] | None]:
    return [_stamp(path + suffix) for suffix in _SUFFIXES]


def _stamp(path: str) -> tuple[int, ...] | None:
    status = status_of(path)
    if status is None:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _remove(folder: str, owner: int) -> None:
    """Remove a private copy: its maker does, and not a child that was forked from it."""
    import shutil

    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _mounted_read_only(path: str) -> bool:
    """Whether nobody can write: not where a folder is only shown read-only here, as to a container."""
    if not (hasattr(os, "statvfs") and os.statvfs(path).f_flag & os.ST_RDONLY):
        return False
    mount = mount_of(path)
    return mount is None or mount.read_only


def has_log(path: str) -> bool:
    """Whether there is a write-ahead log with something in it."""
    status = status_of(path + "-wal")
    return status is not None and status.st_size > 0
