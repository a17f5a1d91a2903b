"""Translates the driver's errors into those of this library."""

from __future__ import annotations

import errno

import redis
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
)

from store.engines.redis.client import Lost, is_temporary
from store.engines.redis.nodes import DRIVER_ERRORS as _OF_DRIVER
from store.engines.redis.scripts.script import ANOTHER_STORE, NO_IDENTITY, TOO_MUCH, UNKNOWN
from store.errors import LockTimeout, OutcomeUnknown, ReadOnly, StorageError, StoreError, Unsupported

DRIVER_ERRORS = (*_OF_DRIVER, Lost)


def translated(error: Exception, where: str) -> StoreError:
    """The error of this library for one of the driver; `where` is the location, without a password."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Lost) or text.startswith(UNKNOWN):
        return OutcomeUnknown(
            f"{where}: the connection was lost after the write was sent ({text}); whether it was done is unknown. "
            "Read the records again, and repeat it if they are not as it leaves them",
            path=where,
        )
    if isinstance(error, AuthenticationError | AuthorizationError | NoPermissionError):
        return ReadOnly(
            f"{where}: the server refused the user ({text}); check user and password of the URL. The user needs all "
            "commands on the keys with the store's prefix: ACL SETUSER name on >password ~store:* &* +@all "
            "-@dangerous +info",
            path=where,
        )
    if isinstance(error, OutOfMemoryError) or text.startswith("OOM"):
        return StorageError(
            f"{where}: the server has no memory left ({text}); nothing was written. Delete records, or raise its "
            "maxmemory",
            path=where,
            errno=errno.ENOMEM,
        )
    if isinstance(error, ReadOnlyError):
        return ReadOnly(
            f"{where}: this server is a replica, and none became the primary in time ({text}); nothing was written. "
            'Name the primary in the URL, or open the store with mode="r"',
            path=where,
        )
    return _of_response(error, text, where) or StorageError(
        f"{where}: the server cannot be reached, there is no connection ({text}); nothing was written. Check that it "
        "is up, and the host, port, user and database of the URL",
        path=where,
    )


def _of_response(error: Exception, text: str, where: str) -> StoreError | None:
    if not isinstance(error, redis.ResponseError):
        return None
    if text.startswith(ANOTHER_STORE):
        return StorageError(
            f"{where}: the store was destroyed since it was opened here, or its keys were deleted, and perhaps "
            "another one was made in its place; nothing was read or written. Close this handle and open the store "
            "again",
            path=where,
            errno=errno.ENOENT,
        )
    if text.startswith(NO_IDENTITY):
        return StorageError(
            f"{where}: the store has lost its id; restore it from a backup, or remove what is left of it with `store "
            "destroy`",
            path=where,
        )
    if text.startswith(TOO_MUCH):
        return Unsupported(
            f"{where}: more than 64 MiB at once ({text}); read fewer records at a time",
            engine="redis",
            feature="more than 64 MiB at once",
        )
    if is_temporary(error):
        return LockTimeout(
            f"{where}: the server did not take the command in time ({text}); nothing was written, try again, or open "
            "the store with a longer timeout",
            path=where,
        )
    if text.startswith("WRONGTYPE"):
        text = f"a key of the store holds something else ({text}); keep the store's prefix for the store alone"
    return StorageError(f"{where}: {text}", path=where)


def is_unreachable(error: Exception) -> bool:
    """Whether no server answered."""
    return isinstance(error, redis.ConnectionError | redis.TimeoutError | RedisClusterException | OSError)
