"""Translates the driver's errors into those of this library; SQLSTATE codes are in PostgreSQL's Appendix A."""

from __future__ import annotations

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
_NO_TABLE = {"42P01", "3F000", "42703", "42P10"}
_LOST = ("08", "57P")  # connection exceptions; the server shuts down, or an administrator ended the session
_DISK_FULL = {"53100", "53200"}


def is_disconnected(error: BaseException) -> bool:
    """Whether the connection is gone, so that another one may succeed."""
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    state = error.sqlstate
    return state is None or state.startswith(_LOST)


def unreachable(error: Exception, where: str) -> StoreError:
    """The error of a connection that could not be made. Its SQLSTATE is unknown: libpq gives text alone."""
    text = " ".join(str(error).split()) or type(error).__name__
    return StorageError(
        f"{where}: there is no connection ({text}); check that the server is up, and the host, port, database and "
        "user of the URL. Where the URL has no password (that of a pickled store has none) it comes from PGPASSWORD, "
        "PGPASSFILE or ~/.pgpass",
        path=where,
    )


def translated(error: Exception, where: str) -> StoreError | ValueError:
    """The error of this library for one of the driver; `where` is the location, without a password."""
    text = " ".join(str(error).split()) or type(error).__name__
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
    if state in _READ_ONLY:
        return ReadOnly(f"{where}: the server permits no writing here ({text})", path=where)
    if state in _NO_TABLE:
        return NotAStore(f"{where}: the tables of the store are not as they were made ({text})", path=where)
    if state == "01000":
        return OutcomeUnknown(f"{where}: {text}", path=where)
    if state in _DISK_FULL:
        return StorageError(f"{where}: the server has no space left ({text}); nothing was written", path=where)
    return StorageError(f"{where}: {text}", path=where)
