"""Creating and recognising the file of a store, before connections to it are opened."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TypeVar

from store.engines.sqlite import schema as schema
from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine import wal_index
from store.engines.sqlite.errors import SQLITE_ERRORS, is_writable, wait
from store.engines.sqlite.opening import companions
from store.engines.sqlite.opening.connection import connect, probe
from store.engines.sqlite.opening.local import has_log, reader, writer
from store.engines.sqlite.opening.names import COPIED, USED, check_name_length
from store.engines.sqlite.opening.network import in_use, network_reader, network_writer, set_journal
from store.engines.sqlite.opening.single_name import check_single_name
from store.engines.sqlite.opening.strategy import LOCAL, NETWORK, Opening, Strategy
from store.engines.sqlite.refusals import why_not_read
from store.errors import Corrupt, LockTimeout, NotAStore, ReadOnly, StorageError, StoreError, StoreNotFound
from store.system.file_status import WRITE_OR_READ, is_there, size_of, status_of, unwritable
from store.system.locking import locked
from store.system.rights import Rights, make_database

T = TypeVar("T")

_READERS = {LOCAL: reader, NETWORK: network_reader}
_WRITERS = {LOCAL: writer, NETWORK: network_writer}


def identity_at(path: str, timeout: float) -> bytes | None:
    """The id of the store at `path`, of an older schema too; None if there is no file or an empty one.

    Raises:
        NotAStore: it is something else, or of a later release. StoreNotFound: no parent directory. StorageError.
    """
    _check_place(path)
    companions.check_own(path, writes=False)
    if not size_of(path):
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


def prepare(
    path: str, strategy: Strategy, *, read_only: bool, timeout: float, rights: Rights | None = None
) -> Opening:
    """Make the file a store of this release, and return how to open connections to it.

    A new file gets `rights`; None: those of the umask.
    """
    _check_place(path)
    check_single_name(path, read_only=read_only)
    companions.check_own(path, writes=not read_only)
    if read_only:
        opening = _patiently(path, timeout, lambda: _READERS[strategy](path))
        version = _patiently(path, timeout, lambda: _version(path, opening))
        if version != schema.SCHEMA_VERSION:
            raise _not_yet(path, version)
        return opening
    is_there = size_of(path) > 0
    check_name_length(path, USED if is_there else COPIED)
    if is_there:
        _check_writable(path)
    elif rights is not None:
        _make_empty(path, rights)
    # To find out whether it has a WAL is to open that, which over a network only its maker does, alone.
    if strategy is NETWORK or not (is_there and _patiently(path, timeout, lambda: _is_complete(path))):
        _make(path, timeout, strategy)
    _check_writable(path)
    return _WRITERS[strategy](path)


def _patiently(path: str, timeout: float, look: Callable[[], T]) -> T:
    """The result of `look` on the file, once no other process is creating, recovering or closing it.

    Raises:
        StoreError: SQLite's error, translated.
    """
    deadline = None
    while True:
        try:
            with wal_index.opening():  # no fork meanwhile: no engine knows of that connection
                return look()
        except SQLITE_ERRORS as exc:
            deadline = wait(exc, path, deadline, timeout)


def _is_complete(path: str) -> bool:
    """Whether the file is a store of the current schema in WAL mode; its creator may have been killed before that."""
    conn = probe(path)
    if conn is None:  # a crash left a journal: only a writer can tell
        return False
    with closing(conn):
        is_current = schema.version_of(conn, path) == schema.SCHEMA_VERSION
        return is_current and conn.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def _version(path: str, opening: Opening) -> int:
    with closing(opening.connect()) as conn:
        return schema.version_of(conn, path)


def _not_yet(path: str, version: int) -> StoreError:
    """The error for a file that a writer must create or migrate first."""
    if not version:
        return NotAStore(f"{path} is empty; open it for writing once to make it a store", path=path)
    return ReadOnly(
        f"{path} was written by an earlier release (schema {version}, this one reads {schema.SCHEMA_VERSION}): open "
        "it for writing once, which brings it up to date; if it may not be changed, do so with a copy of it",
        path=path,
    )


@contextmanager
def leaving_no_trace(path: str) -> Iterator[None]:
    """Remove the files that SQLite made beside a file during the check, if the file is refused.

    A connection that only reads leaves them (https://sqlite.org/wal.html#the_wal_file); the last one that may write
    removes them. If such files existed before, nothing is done: another program may use them.
    """
    had_log = _is_beside(path)
    try:
        yield
    except StoreError:
        _clear(path, had_log)
        raise


def _clear(path: str, had_log: bool) -> None:
    """Removes the files that a check left beside the file, if there were none before."""
    if not had_log and _is_beside(path):
        with suppress(StorageError, *SQLITE_ERRORS), wal_index.opening(), closing(connect(path)) as conn:
            conn.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()


def _is_beside(path: str) -> bool:
    """Whether files of SQLite are beside the file, even an empty log."""
    return is_there(path + "-wal") or is_there(path + "-shm")


def _make_empty(path: str, rights: Rights) -> None:
    try:
        make_database(path, rights)
    except PermissionError as exc:
        if rights.group is None or not os.access(os.path.dirname(path), os.W_OK | os.X_OK):
            raise unwritable(path, exc) from exc
        raise StorageError(
            f"{path} cannot be given to the group {rights.group}, and was not made: this user is not in it; name one "
            "that `id` lists, or make the store as root",
            errno=exc.errno,
            path=path,
        ) from exc
    except OSError as exc:
        raise unwritable(path, exc) from exc


def _make(path: str, timeout: float, strategy: Strategy) -> None:
    """Create or migrate, one process at a time."""
    with locked(path + ".lock", timeout):
        try:
            _patiently(path, timeout, lambda: _create(path, strategy))
        except LockTimeout as exc:
            raise (in_use(path, strategy) or exc) from exc.__cause__


def _create(path: str, strategy: Strategy) -> None:
    # In network mode a WAL is read without its index, and where nobody else has it.
    # Of an old store nobody else may have it open either: a program of the release before would go on as before.
    with closing(connect(path, "mode=rwc", alone=strategy is NETWORK or _is_old(path))) as conn:
        schema.migrate(conn, path)
        set_journal(conn, path, strategy)


def _is_old(path: str) -> bool:
    """Whether the file is a store of an earlier release."""
    conn = probe(path) if size_of(path) else None
    if conn is None:
        return False
    with closing(conn):
        return 0 < schema.read_mark(conn)[1] < schema.SCHEMA_VERSION


def _check_place(path: str) -> None:
    """Raises: StoreNotFound: no parent directory. StorageError: not a regular file. NotAStore. Corrupt: cut off."""
    parent = os.path.dirname(path)
    folder = status_of(parent)
    if folder is None or not stat.S_ISDIR(folder.st_mode):
        raise StoreNotFound(
            f"there is no directory {parent} to keep the store in; make it first",
            errno=errno.ENOENT,
            path=path,
        )
    status = status_of(path)
    if status is None:
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
    if not is_writable(path):
        refused = why_not_read(path)  # else mode="r" would be no remedy
        if refused is not None:
            raise StorageError(f"{path}: {refused[1]}", errno=refused[0], path=path)
        raise ReadOnly(
            f"{path} or its directory may not be written by this user; {WRITE_OR_READ}",
            path=path,
        )
