"""Translates the driver's errors into those of this library; SQLSTATE codes are in PostgreSQL's Appendix A."""

from __future__ import annotations

import errno
from typing import Any

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from store.engines.postgres.identity import ANOTHER_STORE
from store.errors import (
    Conflict,
    LockTimeout,
    NotAStore,
    OutcomeUnknown,
    ReadOnly,
    StorageError,
    StoreClosed,
    StoreError,
)  # fmt: skip

DRIVER_ERRORS = (psycopg.Error, PoolTimeout, PoolClosed)
_AGAIN = {"40001", "40P01"}
_READ_ONLY, _NO_RIGHT = "25006", "42501"
_NO_TABLE = {"42P01", "3F000"}
_OTHER_TABLE = {"42703", "42P10"}
# Connection exceptions; a shutdown or an administrator ended it; it was idle, or its transaction took too long.
_LOST = ("08", "57P", "25P03", "25P04")
_ERRNO = {"53100": errno.ENOSPC, "53200": errno.ENOMEM, "58030": errno.EIO}


def is_disconnected(error: BaseException, conn: psycopg.Connection[Any] | None = None) -> bool:
    """Whether the connection is gone, so that another one may succeed."""
    if not isinstance(error, psycopg.Error):
        return False
    if conn is not None and conn.closed:
        return True
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state.startswith(_LOST)


def unreachable(error: Exception, where: str) -> StorageError:
    """The error for a server that cannot be connected to; nothing was sent to it."""
    return StorageError(
        f"{where}: the server cannot be reached, there is no connection ({_text(error)}); nothing was written; check "
        "that the server is up, and the host, port, database and user of the URL. Where the URL has no password "
        "(that of a pickled store has none) it comes from PGPASSWORD, PGPASSFILE or ~/.pgpass",
        path=where,
    )


def lost_in_transaction(error: Exception, where: str) -> StorageError:
    """The error for a connection that was lost before the COMMIT of a transaction was sent."""
    return StorageError(
        f"{where}: the connection was lost during the transaction ({_text(error)}); nothing of it was kept, run it "
        "again",
        path=where,
    )


def _text(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def is_overtaken(error: BaseException) -> bool:
    """Whether the server could not order a transaction among others, so that it may be run again."""
    return isinstance(error, psycopg.Error) and error.sqlstate in _AGAIN


def says_replaced(error: BaseException) -> bool:
    """Whether the tables are not those that were opened: the store was destroyed, and perhaps made anew."""
    return isinstance(error, psycopg.Error) and (error.sqlstate == ANOTHER_STORE or error.sqlstate in _NO_TABLE)


def unconfirmed(warning: str, where: str) -> OutcomeUnknown:
    """The error for a commit that stopped waiting for its standbys."""
    return OutcomeUnknown(
        f"{where}: it was committed, and can be read, but is lost if the primary is lost now: the standbys have not "
        f"confirmed it ({warning}); read it after a failover, or write it again",
        path=where,
    )


def translated(error: Exception, where: str, role: str = "") -> StoreError | ValueError:
    """The error of this library for one of the driver; `where` is the location, without a password."""
    text = _text(error)
    state = getattr(error, "sqlstate", None) or ""
    if isinstance(error, psycopg.DataError) and not state:  # the driver refused it before it was sent
        return ValueError(f"{where}: a name, a namespace and the name of a codec may not contain NUL ({text})")
    if isinstance(error, PoolClosed):
        return StoreClosed(f"the store on {where} was closed; open it again")
    if isinstance(error, PoolTimeout):
        return LockTimeout(
            f"{where}: no connection became free in time ({text}); raise pool_size in the URL, or hold fewer "
            "transactions open at once",
            path=where,
        )
    if state == "55P03":
        return LockTimeout(
            f"{where}: another writer kept the lock for longer than `timeout`; try again, shorten its transactions, "
            "or open the store with a longer timeout",
            path=where,
        )
    if state in _AGAIN:
        return Conflict(f"{where}: another transaction came first ({text}); nothing was written, run the block again")
    if state == _READ_ONLY:
        return ReadOnly(
            f'{where}: the sessions of the role "{role}" are read-only here ({text}): this server is a standby, or '
            "default_transaction_read_only is on; name the primary in the URL (target_session_attrs=read-write), or "
            'open the store with mode="r"',
            path=where,
        )
    if state == _NO_RIGHT:
        return ReadOnly(
            f'{where}: the role "{role}" lacks a right ({text}); reading takes SELECT on the tables of the store, '
            "writing takes INSERT, UPDATE and DELETE too and USAGE on the sequences, as named locks do",
            path=where,
        )
    if state == ANOTHER_STORE:
        return StorageError(
            f"{where}: the store was destroyed since it was opened here, and another one was made in its place; "
            "nothing was read or written. Close this handle and open the store again",
            path=where,
        )
    if state in _NO_TABLE:
        return StorageError(
            f"{where}: its tables were deleted or moved while it was open ({text}); open the store again",
            path=where,
            errno=errno.ENOENT,
        )
    if state in _OTHER_TABLE:
        return NotAStore(f"{where}: the tables of the store are not as they were made ({text})", path=where)
    if state == "53100":
        text = f"the server has no space left ({text}); nothing was written, free some and try again"
    if state == "57014":
        text = (
            f"the server ended the statement ({text}); nothing of it was kept. Raise statement_timeout of the role, "
            "or work on fewer records at once"
        )
    if state in _ERRNO:
        return StorageError(f"{where}: {text}", path=where, errno=_ERRNO[state])
    return StorageError(f"{where}: {text}", path=where)
