"""Translates SQLite's errors into those of this library."""

from __future__ import annotations

import errno
import os
import sqlite3
import time

from store.engines.sqlite.refusals import why_not_opened
from store.errors import Corrupt, LockTimeout, NotAStore, ReadOnly, StorageError, StoreClosed, StoreError
from store.system.clock import steady_clock
from store.system.file_status import WRITE_OR_READ

# Primary result codes, https://www.sqlite.org/rescode.html
_INTERRUPT = 9
_BUSY = {5, 6, 15}  # BUSY, LOCKED, PROTOCOL (the WAL's lock was contended): try again
READONLY, _IOERR, CORRUPT, _FULL, CANTOPEN, _TOOBIG, NOTADB = 8, 10, 11, 13, 14, 18, 26
RETRY_SECONDS = 0.001  # between two attempts while another program keeps the database locked
NO_SUCH_TABLE = 1  # SQLITE_ERROR: the statement does not fit the schema
READONLY_ROLLBACK = 776  # a journal must be rolled back, and this connection may not
IOERR_LOCK = 3850
_SHORT_READ = 522

SqliteError = sqlite3.Error | UnicodeDecodeError
SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""The errors of a statement. The second: SQLite's message quotes damaged bytes, which the module cannot decode."""


def code_of(error: SqliteError) -> int:
    """The primary result code, or 0 if the error comes from the module and not from SQLite."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def is_busy(error: SqliteError) -> bool:
    """Whether another connection holds a lock, so that a retry may succeed."""
    return code_of(error) in _BUSY


def busy() -> sqlite3.OperationalError:
    """SQLite's error for a database that another connection has locked."""
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_BUSY, "SQLITE_BUSY"
    return error


def is_read_only(error: SqliteError) -> bool:
    """Whether the connection cannot write: SQLite opens a file for reading if it cannot open it for writing."""
    return code_of(error) == READONLY


def is_interrupted(error: SqliteError) -> bool:
    """Whether the statement took more steps than its `Budget` allows."""
    return code_of(error) == _INTERRUPT


def is_of_text(error: SqliteError) -> bool:
    """Whether a text column contained something other than UTF-8."""
    return isinstance(error, sqlite3.OperationalError) and "Could not decode to UTF-8" in str(error)


def is_writable(path: str) -> bool:
    """Whether this user may write the file and its folder."""
    return os.access(path, os.W_OK) and os.access(os.path.dirname(path), os.W_OK)


def is_passing(error: SqliteError) -> bool:
    """Whether a retry may succeed later: the error is a lock of another connection, or of the disk."""
    return code_of(error) in _BUSY | {_IOERR, _FULL, CANTOPEN, READONLY}


def timed_out(path: str, timeout: float) -> LockTimeout:
    """The error if another program held SQLite's own lock for too long."""
    return LockTimeout(
        f"{path}: another program held the database locked for {timeout:g} seconds; try again, or open the "
        "store with a longer timeout",
        path=path,
    )


def wait(error: SqliteError, path: str, deadline: float | None, timeout: float) -> float:
    """Pause before retrying a statement for which SQLite was busy; returns the deadline of all attempts.

    Raises:
        StoreError: another error, translated, or the deadline has passed.
    """
    if not is_busy(error):
        raise translate(error, path) from error
    now = steady_clock()
    if deadline is None:
        deadline = now + timeout
    if now >= deadline:
        raise timed_out(path, timeout) from error
    time.sleep(RETRY_SECONDS)
    return deadline


def translate(error: SqliteError, path: str) -> StoreError:
    """The library's error, whose message says what happened and what to do next."""
    code = code_of(error)
    if code == _FULL:
        return _storage(error, path, errno.ENOSPC, "the disk is full: free space and try again")
    refused = why_not_opened(path) if code == CANTOPEN else None
    if refused is not None:
        return _storage(error, path, *refused)
    if getattr(error, "sqlite_errorcode", None) == _SHORT_READ:
        return _storage(
            error,
            path,
            errno.EIO,
            "a file ends where there should be more: if its log (-wal) was deleted while programs had it open, "
            "close it in all of them and open it again; else see the file system's log",
        )
    if code in (_IOERR, CANTOPEN):
        return _storage(error, path, errno.EIO, "the file system refused; see its log and try again")
    if code == _TOOBIG or isinstance(error, sqlite3.DataError):
        return _storage(
            error,
            path,
            errno.EFBIG,
            "a row may have 1,000,000,000 bytes: let larger values go to files, by a lower spill_bytes",
        )
    if getattr(error, "sqlite_errorcode", None) == READONLY_ROLLBACK:
        return _storage(error, path, errno.EROFS, 'a writer was killed: open it once with mode="w", which heals it')
    if code == READONLY:
        if is_writable(path):
            return _storage(error, path, errno.EIO, "it could only be opened for reading just now; try again")
        return ReadOnly(f"{path} cannot be written ({error}); {WRITE_OR_READ}", path=path)
    if code == NOTADB:
        return NotAStore(f"{path} is no SQLite database, and was not touched; choose another file", path=path)
    if code == CORRUPT or isinstance(error, UnicodeDecodeError) or "Could not decode to UTF-8" in str(error):
        return Corrupt(
            f"{path} is damaged, or its disk cannot be read ({error}): restore a backup, or copy what still holds to "
            "a new store (`store recover`, which gets at it even where the file does not open)"
        )
    if code == _INTERRUPT:
        return Corrupt(
            f"{path} is damaged: its pages lead round in a circle, so that a statement did not come to an end; "
            "restore a backup, or copy what still holds to a new store (`store recover`)"
        )
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return StoreClosed(f"{path} was closed while it was used; open the store again")
    return _storage(error, path, None, "SQLite failed")


def _storage(error: SqliteError, path: str, number: int | None, advice: str) -> StorageError:
    detail = f"{error} [{getattr(error, 'sqlite_errorname', type(error).__name__)}]"
    return StorageError(f"{path}: {advice} ({detail}); earlier records are unchanged", errno=number, path=path)
