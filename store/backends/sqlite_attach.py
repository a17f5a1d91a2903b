"""From a path to its engine: making and recognising files, one engine per real file, forks and exits."""

from __future__ import annotations

import atexit
import errno
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing

from store.backends import sqlite_schema as schema
from store.backends.sqlite_connection import Connect, connect, probe, reader, writer
from store.backends.sqlite_engine import Engine, Inode
from store.backends.sqlite_errors import is_busy, timed_out, translate
from store.errors import NotAStore, ReadOnly, StorageError, StoreNotFound
from store.locking import Hold, WriterLock

FORK_SECONDS = 1.0  # how long a fork waits for another thread's statement to end

_engines: dict[tuple[Inode, bool], Engine] = {}
_engines_lock = threading.RLock()
_kept_for_ever: list[sqlite3.Connection] = []


def attach(path: str, *, mode: str, timeout: float) -> Engine:
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
        engine = _known(inode, read_only) if inode is not None else None
        if engine is not None:
            return engine
        connect_ = _prepare(path, read_only=read_only, timeout=timeout)
        inode = _inode(path)
        if inode is not None:  # else deleted again at this very moment
            return _adopt(Engine(path, inode, connect_, read_only=read_only))


def retain(engine: Engine) -> Engine:
    """The same engine for another handle, which gives it back too."""
    with _engines_lock:
        engine.handles += 1
    return engine


def detach(engine: Engine) -> None:
    """Give an engine back; the last one to do so closes its connections."""
    with _engines_lock:
        engine.handles -= 1
        if engine.handles > 0:
            return
        for key in [key for key, known in _engines.items() if known is engine]:
            del _engines[key]
    engine.close()


def is_store(path: str) -> bool:
    """Whether the file at `path` bears our mark."""
    try:
        conn = probe(path)
        if conn is None:
            return False
        with closing(conn):
            return schema.read_mark(conn)[0] == schema.APPLICATION_ID
    except sqlite3.Error:
        return False


def _known(inode: Inode, read_only: bool) -> Engine | None:
    with _engines_lock:
        engine = _engines.get((inode, read_only))
        if engine is not None:
            engine.check_not_lost()
            engine.handles += 1
        return engine


def _adopt(engine: Engine) -> Engine:
    """Make a new engine the one of its file, unless another thread was faster."""
    assert engine.inode is not None
    with _engines_lock:
        known = _engines.setdefault((engine.inode, engine.read_only), engine)
        known.handles += 1
    if known is not engine:
        engine.close()
    return known


def _attach_memory() -> Engine:
    def open_() -> sqlite3.Connection:
        conn = connect(":memory:")
        schema.migrate(conn, ":memory:")
        return conn

    engine = Engine(":memory:", None, open_, read_only=False)
    with _engines_lock:
        _engines[(id(engine), -1), False] = engine
        engine.handles += 1
    return engine


# -- files


def _prepare(path: str, *, read_only: bool, timeout: float) -> Connect:
    """Make the file a store of this release, and say how to open connections to it."""
    _check_place(path)
    if read_only:
        connect_ = reader(path)
        if not _is_current(path, connect_):
            raise NotAStore(f"{path} is empty; open it for writing once to make it a store", path=path)
        return connect_
    if not (_size(path) and _is_current(path, lambda: probe(path))):
        _make(path, timeout)
    _check_writable(path)
    return writer(path)


def _is_current(path: str, connect_: Callable[[], sqlite3.Connection | None]) -> bool:
    """Whether the file is a store of the current schema; False where it is yet to be made one.

    Raises:
        NotAStore: it is something else.
    """
    try:
        conn = connect_()
        if conn is None:  # a crash left a journal: only a writer can tell
            return False
        with closing(conn):
            mark = schema.read_mark(conn)
            if not any(mark) and schema.is_blank(conn):
                return False
            return schema.check_mark(path, *mark)
    except sqlite3.Error as exc:
        raise translate(exc, path) from exc


def _make(path: str, timeout: float) -> None:
    """Create or migrate, one process at a time."""
    lock, hold = WriterLock(path + ".lock"), Hold()
    lock.acquire(hold, lambda: None, timeout)
    try:
        with closing(connect(path, "mode=rwc")) as conn:
            schema.migrate(conn, path)
            conn.execute("PRAGMA journal_mode = WAL").fetchone()
    except sqlite3.Error as exc:
        raise (timed_out(path, timeout) if is_busy(exc) else translate(exc, path)) from exc
    finally:
        lock.release(hold)
        lock.close()


def _check_place(path: str) -> None:
    """Raises: StoreNotFound: no parent directory. StorageError: not a regular file."""
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        raise StoreNotFound(
            f"there is no directory {parent} to keep the store in; make it first",
            errno=errno.ENOENT,
            path=path,
        )
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise StorageError(
            f"{path} is a directory; a store is a file, for example {os.path.join(path, 'app.db')}",
            errno=errno.EISDIR,
            path=path,
        )
    if not stat.S_ISREG(mode):
        raise StorageError(f"{path} is not a regular file", errno=errno.EINVAL, path=path)


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
    return status.st_dev, status.st_ino


# -- fork and exit


def _before_fork() -> None:
    """SQLite's table of locks survives a fork: a connection that does must not be opened beside again."""
    _engines_lock.acquire()
    for engine in _engines.values():
        engine.park(FORK_SECONDS)


def _after_fork_in_parent() -> None:
    for engine in _engines.values():
        engine.unpark()
    _engines_lock.release()


def _after_fork_in_child() -> None:
    global _engines_lock  # noqa: PLW0603 - a lock that another thread held is held for ever here
    _engines_lock = threading.RLock()
    for engine in _engines.values():
        for conn in engine.renew():
            _keep_for_ever(conn)


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
