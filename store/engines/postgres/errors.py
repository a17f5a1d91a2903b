"""Translates the driver's errors into those of this library; SQLSTATE codes are in PostgreSQL's Appendix A."""

from __future__ import annotations

import errno
from typing import Any

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

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
_READ_ONLY = {"25006", "42501"}
_NO_TABLE = {"42P01", "3F000", "42703"}
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
        f"{where}: the server cannot be reached ({_text(error)}); nothing was written, try again when it is up, and "
        "compare the URL",
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


def translated(error: Exception, where: str) -> StoreError:
    """The error of this library for one of the driver; `where` is the location, without a password."""
    text = _text(error)
    state = getattr(error, "sqlstate", None) or ""
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
    if state in _READ_ONLY:
        return ReadOnly(f"{where}: the server permits no writing here ({text})", path=where)
    if state in _NO_TABLE:
        return NotAStore(f"{where}: the tables of the store are not as they were made ({text})", path=where)
    if state == "01000":
        return OutcomeUnknown(f"{where}: {text}", path=where)
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
