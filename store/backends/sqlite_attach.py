"""From a path to its engine: making and recognising files, one engine per real file, forks and exits."""

from __future__ import annotations

import atexit
import errno
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TypeVar
from weakref import ref

from store.backends import sqlite_schema as schema
from store.backends import sqlite_statements as sql
from store.backends import wal_index
from store.backends.sqlite_connection import Connect, connect, has_log, probe, reader, writer
from store.backends.sqlite_engine import Engine, lost
from store.backends.sqlite_errors import SQLITE_ERRORS
from store.backends.sqlite_network import in_network_mode, in_use, network_reader, network_writer, set_journal
from store.backends.sqlite_place import Inode
from store.backends.sqlite_slot import wait
from store.errors import Corrupt, LockTimeout, NotAStore, ReadOnly, StorageError, StoreError, StoreNotFound
from store.locking import Hold, WriterLock

T = TypeVar("T")

FORK_SECONDS = 1.0  # how long a fork waits for the statements and transactions of other threads
OPENING_SECONDS = 10.0  # and for one that is opening a connection, which is soon done

_engines: dict[tuple[Inode, bool], Engine] = {}
_engines_lock = threading.RLock()  # never while a connection is opened: a collection then may close a store
_closing: list[tuple[Engine, int]] = []  # no longer in _engines, not closed yet; and the thread that closes it
_lost_files: set[Inode] = set()  # in a forked child: those that the parent was using
_kept_for_ever: list[sqlite3.Connection] = []


class Lease:
    """Keeps an engine open until it is given back to `detach`, or is gone: an interrupt may lose it on any way.

    Made under _engines_lock, so that nobody closes the engine meanwhile.
    """

    __slots__ = ("__weakref__", "engine", "is_open")

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        engine.leases[id(self)] = ref(self)  # raises StoreClosed where the engine is a closed handle's
        self.is_open = True

    def __del__(self) -> None:
        if getattr(self, "is_open", False):  # else it came to nothing
            detach(self)


def attach(path: str, *, mode: str, timeout: float) -> Lease:
    """The engine of the file at `path`, made as `mode` ("r" "w" "c" "n") says; give it back to `detach`.

    Raises:
        StoreNotFound, NotAStore, ReadOnly, StorageError, LockTimeout.
    """
    if path == ":memory:":
        return _attach_memory()
    path = os.path.realpath(path)
    read_only = mode == "r"
    while True:
        inode = _inode(path)
        if inode is None and mode in "rw":
            raise StoreNotFound(f'there is no store at {path}; mode="c" makes one', errno=errno.ENOENT, path=path)
        if inode in _lost_files:
            raise lost(path)
        lease = _known(inode, read_only) if inode is not None else None
        if lease is not None:
            return lease
        network = in_network_mode(path)
        with _leaving_no_trace(path):
            connect_ = _prepare(path, read_only=read_only, network=network, timeout=timeout)
        inode = _inode(path)
        if inode is not None:  # else deleted again at this very moment
            return _adopt(Engine(path, inode, connect_, read_only=read_only, network=network))


def retain(engine: Engine) -> Lease:
    """The same engine for another handle, which gives it back too."""
    with _engines_lock:
        return Lease(engine)


def detach(lease: Lease) -> None:
    """Give an engine back; the last one to do so closes its connections. And those that an interrupt left."""
    lease.is_open = False
    lease.engine.leases.pop(id(lease), None)
    mine = threading.get_ident()
    with _engines_lock:
        for key, engine in list(_engines.items()):
            if not engine.is_used():
                _closing.append((engine, mine))
                del _engines[key]
    for entry in list(_closing):
        if entry[1] == mine:
            entry[0].close()
            with suppress(ValueError):  # a collection in between closed it
                _closing.remove(entry)


def is_in_transaction() -> bool:
    """Whether this thread is in a transaction of any file."""
    return any(engine.is_in_transaction() for engine in _every_engine())


def is_store(path: str) -> bool:
    """Whether the file at `path` bears our mark."""
    try:
        with wal_index.opening():
            conn = probe(path)
            if conn is None:
                return False
            with closing(conn):
                return schema.read_mark(conn)[0] == schema.APPLICATION_ID
    except SQLITE_ERRORS:
        return False


def is_attached(inode: Inode) -> bool:
    """Whether this process has the file open: nothing but SQLite may then open it, or rather close it."""
    return inode in _lost_files or any(engine.inode == inode for engine in _every_engine())


def is_open(path: str) -> bool:
    """Whether this process has the file at `path` open as a store."""
    inode = _inode(os.path.realpath(path))
    return inode is not None and any(engine.inode == inode for engine in _every_engine())


def identity_at(path: str, timeout: float) -> bytes | None:
    """The id of the store at `path`, of an older schema too; None where there is nothing, or an empty file.

    Raises:
        NotAStore: it is something else, or of a later release. StoreNotFound: no parent directory. StorageError.
    """
    _check_place(path)
    if not _size(path):
        return None
    had_log = _is_beside(path)
    try:
        return _patiently(path, timeout, lambda: _identity(path))
    finally:
        _clear(path, had_log)


def _identity(path: str) -> bytes | None:
    conn = probe(path)
    if conn is None:
        raise StorageError(
            f"{path} has a journal that a crash left; open it once with its own program, and try again",
            errno=errno.EBUSY,
            path=path,
        )
    with closing(conn):
        if not schema.version_of(conn, path):
            return None
        found = conn.execute(sql.STORE_ID).fetchone()
    if found is None or not isinstance(found[0], bytes):
        raise NotAStore(f"{path} is marked as a store and has no identity; it was not touched", path=path)
    return found[0]


def _known(inode: Inode, read_only: bool) -> Lease | None:
    with _engines_lock:
        engine = _engines.get((inode, read_only))
        return None if engine is None else Lease(engine)


def _adopt(engine: Engine) -> Lease:
    """Make a new engine the one of its file, unless another thread was faster."""
    assert engine.inode is not None
    with _engines_lock:
        known = _engines.setdefault((engine.inode, engine.read_only), engine)
        lease = Lease(known)
    if known is not engine:
        engine.close()
    return lease


def _attach_memory() -> Lease:
    def open_() -> sqlite3.Connection:
        conn = connect(":memory:")
        schema.migrate(conn, ":memory:")
        return conn

    engine = Engine(":memory:", None, open_, read_only=False)
    with _engines_lock:
        _engines[(id(engine), -1), False] = engine
        return Lease(engine)


# -- files


def _prepare(path: str, *, read_only: bool, network: bool, timeout: float) -> Connect:
    """Make the file a store of this release, and say how to open connections to it."""
    _check_place(path)
    if read_only:
        connect_ = _patiently(path, timeout, lambda: network_reader(path) if network else reader(path))
        version = _patiently(path, timeout, lambda: _version(path, connect_))
        if version != schema.SCHEMA_VERSION:
            raise _not_yet(path, version)
        return connect_
    if _size(path):
        _check_writable(path)
    # To find out whether it has a WAL is to open that, which over a network only its maker does, alone.
    if network or not (_size(path) and _patiently(path, timeout, lambda: _is_complete(path))):
        _make(path, timeout, network=network)
    _check_writable(path)
    return network_writer(path) if network else writer(path)


def _patiently(path: str, timeout: float, look: Callable[[], T]) -> T:
    """What `look` makes of the file, once no other process is making, recovering or closing it.

    Raises:
        StoreError: what SQLite raised, translated.
    """
    deadline = None
    while True:
        try:
            with wal_index.opening():  # no fork meanwhile: no engine knows of that connection
                return look()
        except SQLITE_ERRORS as exc:
            deadline = wait(exc, path, deadline, timeout)


def _is_complete(path: str) -> bool:
    """Whether the file is a store of the current schema, in WAL mode: its maker may have been killed before."""
    conn = probe(path)
    if conn is None:  # a crash left a journal: only a writer can tell
        return False
    with closing(conn):
        is_current = schema.version_of(conn, path) == schema.SCHEMA_VERSION
        return is_current and conn.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def _version(path: str, connect_: Connect) -> int:
    with closing(connect_()) as conn:
        return schema.version_of(conn, path)


def _not_yet(path: str, version: int) -> StoreError:
    """The error for a file that only a writer can make what this release reads."""
    if not version:
        return NotAStore(f"{path} is empty; open it for writing once to make it a store", path=path)
    return ReadOnly(
        f"{path} was written by an earlier release (schema {version}, this one reads {schema.SCHEMA_VERSION}): open "
        "it for writing once, which brings it up to date; if it may not be changed, do so with a copy of it",
        path=path,
    )


@contextmanager
def _leaving_no_trace(path: str) -> Iterator[None]:
    """What SQLite made beside a file to look at it goes again where the file is refused.

    A connection that only reads leaves it there (https://sqlite.org/wal.html#the_wal_file); the last one that may
    write takes it along. Where something was beside the file before, nothing is done: it is somebody's.
    """
    had_log = _is_beside(path)
    try:
        yield
    except StoreError:
        _clear(path, had_log)
        raise


def _clear(path: str, had_log: bool) -> None:
    """Removes what a look at the file left beside it, where nothing was before."""
    if not had_log and _is_beside(path):
        with suppress(*SQLITE_ERRORS), wal_index.opening(), closing(connect(path)) as conn:
            conn.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()


def _is_beside(path: str) -> bool:
    """Whether SQLite has something beside the file, if only an empty log."""
    return os.path.lexists(path + "-wal") or os.path.lexists(path + "-shm")


def _make(path: str, timeout: float, *, network: bool) -> None:
    """Create or migrate, one process at a time."""
    lock, hold = WriterLock(path + ".lock"), Hold()
    lock.acquire(hold, lambda: None, timeout)
    try:
        _patiently(path, timeout, lambda: _create(path, network=network))
    except LockTimeout as exc:
        raise (in_use(path, network=network) or exc) from exc.__cause__
    finally:
        lock.release(hold)
        lock.close()


def _create(path: str, *, network: bool) -> None:
    with closing(connect(path, "mode=rwc")) as conn:
        # Before the first look: in network mode a WAL is read without its index, and where nobody else has it.
        # Of an old store nobody else may have it open either: a program of the release before would go on as before.
        if network or _is_old(path):
            conn.execute("PRAGMA locking_mode = EXCLUSIVE")
        schema.migrate(conn, path)
        set_journal(conn, path, network=network)


def _is_old(path: str) -> bool:
    """Whether the file is a store of an earlier release."""
    conn = probe(path) if _size(path) else None
    if conn is None:
        return False
    with closing(conn):
        return 0 < schema.read_mark(conn)[1] < schema.SCHEMA_VERSION


def _check_place(path: str) -> None:
    """Raises: StoreNotFound: no parent directory. StorageError: not a regular file. NotAStore. Corrupt: cut off."""
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        raise StoreNotFound(
            f"there is no directory {parent} to keep the store in; make it first",
            errno=errno.ENOENT,
            path=path,
        )
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        raise StorageError(
            f"{path} is a directory; a store is a file, for example {os.path.join(path, 'app.db')}",
            errno=errno.EISDIR,
            path=path,
        )
    if not stat.S_ISREG(mode):
        raise StorageError(f"{path} is not a regular file; choose another path", errno=errno.EINVAL, path=path)
    if status.st_size == 0 and has_log(path):  # SQLite would take it for a new file, and delete the log
        raise Corrupt(
            f"{path} is empty, and its log ({path}-wal) is not: the file was cut off. It was not touched; restore a "
            "backup, or delete both files to begin anew"
        )
    if status.st_size == 1:  # SQLite takes a file of one byte for an empty one, and would overwrite it
        raise NotAStore(f"{path} is no SQLite database, and was not touched; choose another file", path=path)


def _check_writable(path: str) -> None:
    if not (os.access(path, os.W_OK) and os.access(os.path.dirname(path), os.W_OK)):
        raise ReadOnly(
            f'{path} or its directory may not be written by this user; to read only, open it with mode="r"',
            path=path,
        )


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _inode(path: str) -> Inode | None:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:  # a directory that may not be searched, a name that is too long
        raise StorageError(f"{path} cannot be reached: {exc.strerror}", errno=exc.errno, path=path) from exc
    return status.st_dev, status.st_ino


# -- fork and exit


def _before_fork() -> None:
    """SQLite's table of locks survives a fork: a connection that does must not be opened beside again."""
    _engines_lock.acquire()
    deadline = time.monotonic() + FORK_SECONDS
    parked = [engine.park(deadline) for engine in _every_engine()]
    wal_index.park(OPENING_SECONDS)
    if not all(parked):
        import ctypes  # noqa: F401 - for the child, where an import could wait for a thread that is not there


def _after_fork_in_parent() -> None:
    wal_index.unpark()
    for engine in _every_engine():
        engine.unpark()
    with suppress(RuntimeError):
        _engines_lock.release()


def _after_fork_in_child() -> None:
    global _engines_lock  # noqa: PLW0603 - a lock that another thread held is held for ever here
    _engines_lock = threading.RLock()
    engines = _every_engine()
    wal_index.renew()
    _closing.clear()
    for engine in engines:
        for conn in engine.renew():
            _keep_for_ever(conn)
        if engine.is_lost() and engine.inode is not None:
            _lost_files.add(engine.inode)
    for engine in engines:  # SQLite's table of locks is one for all connections to a file
        if engine.inode in _lost_files:
            engine.lose()


def _every_engine() -> list[Engine]:
    return [*_engines.values(), *(engine for engine, _ in _closing.copy())]


def _keep_for_ever(conn: sqlite3.Connection) -> None:
    """An inherited connection that is in a transaction is the parent's: closing it here could undo that."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(conn))
    _kept_for_ever.append(conn)


def _at_exit() -> None:
    """Close what is idle, so that the WAL is folded into the database."""
    for engine in list(_engines.values()):
        if not engine.is_lost():
            engine.close_idle(FORK_SECONDS)


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
    )
