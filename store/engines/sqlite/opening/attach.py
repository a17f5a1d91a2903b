"""Finds or creates the engine of a path, one per real file; handles forks and exit."""

from __future__ import annotations

import atexit
import errno
import os
import sqlite3
import threading
from contextlib import closing, suppress
from weakref import ref

from store.engines.sqlite import schema
from store.engines.sqlite.engine import shared_database, wal_index
from store.engines.sqlite.engine.engine import Engine
from store.engines.sqlite.engine.log_files import Inode
from store.engines.sqlite.engine.usability import forked
from store.engines.sqlite.errors import SQLITE_ERRORS
from store.engines.sqlite.opening.connection import files_apart, probe
from store.engines.sqlite.opening.files import leaving_no_trace, prepare
from store.engines.sqlite.opening.network import strategy_of
from store.errors import StoreNotFound
from store.system import forking
from store.system.clock import steady_clock
from store.system.file_status import status_of
from store.system.rights import Rights

FORK_SECONDS = 1.0  # how long a fork waits for the statements and transactions of other threads
OPENING_SECONDS = 10.0  # and for one that is opening a connection, which is soon done

STALE = -2  # used in place of an inode

_engines: dict[tuple[Inode, bool], Engine] = {}
_engines_lock = threading.RLock()  # not held while a connection is opened: garbage collection may close a store
_closing: list[tuple[Engine, int]] = []  # removed from _engines, not closed yet; and the closing thread
_forked_files: set[Inode] = set()  # in a forked child: files that the parent was using
_kept_for_ever: list[sqlite3.Connection] = []


class Lease:
    """Keeps an engine open until it is passed to `detach` or collected: an interrupt may drop it anywhere.

    Created under _engines_lock, so that no thread closes the engine meanwhile.
    """

    __slots__ = ("__weakref__", "engine", "is_open")

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        engine.leases[id(self)] = ref(self)  # raises StoreClosed for the engine of a closed handle
        self.is_open = True

    def __del__(self) -> None:
        if getattr(self, "is_open", False):  # otherwise `__init__` failed
            detach(self)


def attach(path: str, *, mode: str, timeout: float, rights: Rights | None = None) -> Lease:
    """A lease on the engine of the file at `path`, opened by `mode` ("r" "w" "c" "n"); pass it to `detach`.

    Raises:
        StoreNotFound, NotAStore, ReadOnly, StorageError, LockTimeout.
    """
    path = os.path.realpath(path)
    read_only = mode == "r"
    while True:
        inode = _inode(path)
        if inode is None and mode in "rw":
            raise StoreNotFound(f'there is no store at {path}; mode="c" makes one', errno=errno.ENOENT, path=path)
        if inode in _forked_files:
            raise forked(path)
        lease = _known(inode, path, read_only) if inode is not None else None
        if lease is not None:
            return lease
        strategy = strategy_of(path)
        with leaving_no_trace(path):
            opening = prepare(path, strategy, read_only=read_only, timeout=timeout, rights=rights)
        inode = _inode(path)
        if inode is not None:  # otherwise it was deleted meanwhile
            return _adopt(Engine(path, inode, opening, read_only=read_only))


def retain(engine: Engine) -> Lease:
    """Another lease on the same engine, for another handle."""
    with _engines_lock:
        return Lease(engine)


def detach(lease: Lease) -> None:
    """Release a lease; releasing the last one closes the engine. Also closes engines that an interrupt left."""
    lease.is_open = False
    lease.engine.leases.pop(id(lease), None)
    mine = threading.get_ident()
    with _engines_lock:
        for key, engine in list(_engines.items()):
            if not engine.handles:
                _closing.append((engine, mine))
                _engines.pop(key, None)  # a finalizer in between may have closed it
    for entry in list(_closing):
        if entry[1] == mine:
            try:
                entry[0].close()
            finally:
                with suppress(ValueError):  # garbage collection has closed it meanwhile
                    _closing.remove(entry)


def is_in_transaction() -> bool:
    """Whether this thread is in a transaction of any file."""
    return any(engine.pool.is_in_transaction() for engine in _every_engine())


def is_store(path: str) -> bool:
    """Whether the file at `path` has the mark of a store."""
    try:
        with wal_index.opening():
            conn = probe(os.path.realpath(path))
            if conn is None:
                return False
            with closing(conn):
                return schema.read_mark(conn)[0] == schema.APPLICATION_ID
    except SQLITE_ERRORS:
        return False


def is_attached(inode: Inode) -> bool:
    """Whether this process has the file open: then only SQLite may open and close it."""
    return inode in _forked_files or any(engine.inode == inode for engine in _every_engine())


def is_open(path: str) -> bool:
    """Whether this process has the file at `path` open as a store."""
    inode = _inode(os.path.realpath(path))
    return inode is not None and any(engine.inode == inode for engine in _every_engine())


def _known(inode: Inode, path: str, read_only: bool) -> Lease | None:
    _set_aside(inode, path)
    with _engines_lock:
        engine = _engines.get((inode, read_only))
        return None if engine is None else Lease(engine)


def _set_aside(inode: Inode, path: str) -> None:
    """Unregister engines of the file that cannot be used any more, while handles on them remain.

    All of them: SQLite has one index of the log for the whole process.
    """
    found = [engine for engine in _every_engine() if engine.inode == inode]
    stale = [engine for engine in found if engine.is_stale(path)]
    if stale:
        with _engines_lock:
            for engine in found:
                if _engines.get((inode, engine.read_only)) is engine:
                    _engines[(id(engine), STALE), engine.read_only] = _engines.pop((inode, engine.read_only))


def _adopt(engine: Engine) -> Lease:
    """Register a new engine for its file, unless another thread was faster."""
    with _engines_lock:
        known = _engines.setdefault((engine.inode, engine.read_only), engine)
        lease = Lease(known)
    if known is not engine:
        engine.close()
    return lease


def _inode(path: str) -> Inode | None:
    status = status_of(path)
    return None if status is None else (status.st_dev, status.st_ino)


# -- fork and exit


def _before_fork() -> None:
    """Close idle connections: SQLite's table of locks survives a fork, and inherited connections must not be used."""
    _engines_lock.acquire()
    deadline = steady_clock() + FORK_SECONDS
    parked = [engine.pool.park(deadline) for engine in _every_engine()]
    wal_index.park(OPENING_SECONDS)
    if not all(parked):
        import ctypes  # noqa: F401 - for the child, where an import could wait for a thread that is not there


def _after_fork_in_parent() -> None:
    wal_index.unpark()
    for engine in _every_engine():
        engine.pool.unpark()
    with suppress(RuntimeError):
        _engines_lock.release()


def _after_fork_in_child() -> None:
    global _engines_lock  # noqa: PLW0603 - a lock that another thread held is held for ever here
    _engines_lock = threading.RLock()
    engines = _every_engine()
    shared_database.renew()
    wal_index.renew()
    _closing.clear()
    _forked_files.update(files_apart())
    for engine in engines:
        for conn in engine.renew():
            _keep_for_ever(conn)
        if engine.usability.is_forked:
            _forked_files.add(engine.inode)
    for engine in engines:  # SQLite's table of locks is one for all connections to a file
        if engine.inode in _forked_files:
            engine.usability.fork()


def _every_engine() -> list[Engine]:
    return [*_engines.values(), *(engine for engine, _ in _closing.copy())]


def _keep_for_ever(conn: sqlite3.Connection) -> None:
    """Keep an inherited connection that is in a transaction: closing it here could undo the parent's transaction."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(conn))
    _kept_for_ever.append(conn)


def _at_exit() -> None:
    """Close what is idle, so that the WAL is folded into the database."""
    for engine in list(_engines.values()):
        if not engine.usability.is_forked:
            engine.pool.close_idle(FORK_SECONDS)


atexit.register(_at_exit)
forking.register(
    forking.Stage.ENGINES, before=_before_fork, in_parent=_after_fork_in_parent, in_child=_after_fork_in_child
)
