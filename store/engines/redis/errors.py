"""Translates the driver's errors into those of this library."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator

import redis
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    InvalidResponse,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
)

from store.engines.redis.causes import Lost, is_temporary
from store.engines.redis.scripts.script import ANOTHER_STORE, NO_IDENTITY, TOO_MUCH, UNKNOWN
from store.errors import LockTimeout, OutcomeUnknown, ReadOnly, StorageError, StoreError, Unsupported

RIGHTS = (
    "+@read +@write +@connection -@dangerous +evalsha +script|load +time +info +config|get +cluster|slots "
    "+cluster|info"
)
"""Rights that suffice. Those of the connection include WAIT; without config|get less can be said of the disk."""
_NO_RIGHTS = ("NOPERM", "The user executing the script", "ACL failure in script")
_MEANINGS: dict[type[Exception] | str, str] = {
    BusyLoadingError: "the server is still loading its data; try again, or open the store with a longer timeout",
    MasterDownError: "the replica has lost its primary, and serves nothing (replica-serve-stale-data no); name "
    "another server in the URL",
    ClusterDownError: "the cluster does not serve all its slots; start the nodes that are missing, and see CLUSTER "
    "NODES and CLUSTER INFO",
    "NOREPLICAS": "the primary has fewer replicas than its min-replicas-to-write; start them, or lower it",
    "MISCONF": "the server cannot write its disk, so it takes no writes; look after the disk and the server's log, "
    "or set stop-writes-on-bgsave-error no",
    "DENIED": "the server is in protected mode, and takes connections from its own machine only; give it a password "
    "(requirepass) and the address to listen on (bind), or set protected-mode no",
    "SELECT is not allowed": "a cluster has the database 0 only; leave it out of the URL",
    "DB index": "the server has no database of that number; give another one in the URL, such as redis://host:port/0",
    "max number of clients": "the server has as many clients as it takes; raise its maxclients",
    "WRONGTYPE": "a key of the store holds something else; keep the store's prefix for the store alone",
    NO_IDENTITY: "the store has lost its id; restore it from a backup, or remove what is left of it with `store "
    "destroy`",
}
"""The class of a refusal, or the beginning of its text → its meaning, and what to do. Nothing was done."""


def translated(error: Exception, where: str) -> StoreError:
    """The error of this library for one of the driver; `where` is the location, without a password."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Lost) or text.startswith(UNKNOWN):
        return OutcomeUnknown(
            f"{where}: the connection was lost after the write was sent ({text}); whether it was done is unknown. "
            "Read the records again, and repeat it if they are not as it leaves them",
            path=where,
        )
    return (
        _of_user(error, text, where)
        or _of_refusal(error, text, where)
        or _of_response(error, text, where)
        or _of_connection(error, text, where)
    )


def _of_user(error: Exception, text: str, where: str) -> StoreError | None:
    if isinstance(error, NoPermissionError) or text.startswith(_NO_RIGHTS):
        return ReadOnly(
            f"{where}: the user may not do that ({text}); nothing was written. These rights suffice, with the prefix "
            f"of the store for store: — ACL SETUSER name on >password ~store:* {RIGHTS}",
            path=where,
        )
    if isinstance(error, AuthenticationError | AuthorizationError):
        return ReadOnly(
            f"{where}: the server refused the user ({text}); {_user_hint(text)}: "
            "redis://user:password@host:port/0, or redis://:password@host:port/0 where there is only a password",
            path=where,
        )
    return None


def _user_hint(text: str) -> str:
    if "without any password configured" in text:
        return "it asks for no password, so leave that out of the URL, or set requirepass on the server"
    return "check user and password"


def _of_refusal(error: Exception, text: str, where: str) -> StoreError | None:
    for sign, meaning in _MEANINGS.items():
        if text.removeprefix("ERR ").startswith(sign) if isinstance(sign, str) else isinstance(error, sign):
            return StorageError(f"{where}: {meaning} ({text}); nothing was written", path=where)
    return None


def _of_response(error: Exception, text: str, where: str) -> StoreError | None:
    if not isinstance(error, redis.ResponseError):
        return None
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
    if text.startswith(ANOTHER_STORE):
        return StorageError(
            f"{where}: the store was destroyed since it was opened here, or its keys were deleted, and perhaps "
            "another one was made in its place; nothing was read or written. Close this handle and open the store "
            "again",
            path=where,
            errno=errno.ENOENT,
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
    return StorageError(f"{where}: the server refused the command ({text}); nothing was written", path=where)


def _of_connection(error: Exception, text: str, where: str) -> StoreError:
    if isinstance(error, InvalidResponse):
        return StorageError(
            f"{where}: what answers there is no Redis or Valkey server ({text}); check host and port of the URL",
            path=where,
        )
    if any(isinstance(cause, ssl.SSLError) for cause in _causes(error)) or "SSL" in text:
        return StorageError(
            f"{where}: there is no TLS connection ({text}); nothing was written. If the server has no TLS on this "
            "port, use redis://; else give its authority with ?ssl_ca_certs=file, and a client's certificate, where "
            "it asks for one, with ssl_certfile= and ssl_keyfile=",
            path=where,
        )
    is_tls = where.startswith(("rediss:", "valkeys:"))
    hint = ""
    if is_tls:  # a server that takes the greeting of TLS for the beginning of a command waits for its end
        hint = "; if it has no TLS on this port, use redis://"
    elif _is_ended(text):
        hint = ", and that a Redis or Valkey server answers there; if it speaks TLS, use rediss://"
    return StorageError(
        f"{where}: the server cannot be reached, there is no connection ({text}); nothing was written. Check that it "
        f"is up, and the host and port of the URL{hint}",
        path=where,
    )


def _is_ended(text: str) -> bool:
    """Whether the other side ended the connection: as a server does with TLS, or one of another protocol."""
    return any(word in text.lower() for word in ("closed by server", "reset by peer", "broken pipe"))


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


_SOUND = {
    "next": "N not below the highest score in the key :order beside it",
    "version": "N not below the first number of the last id in the stream :changes beside it",
}


def damaged(field: str, key: bytes, where: str) -> StorageError:
    """The error for a field of `meta` that is no number of ours, or a stream with entries beyond the version."""
    shown = key.decode("utf-8", "backslashreplace")
    if field == "changes":
        return StorageError(
            f"{where}: the stream {shown!r} has an entry that is newer than the namespace, so another program wrote "
            "to it; nothing was written. Delete that key: no record is lost, and watches read all of them again",
            path=where,
        )
    return StorageError(
        f"{where}: the field {field!r} of the key {shown!r} is not a number that this library writes, so another "
        f"program changed it; nothing was written. Set it with HSET to {_SOUND.get(field, '0')}",
        path=where,
    )


def disordered(key: bytes, where: str) -> StorageError:
    """The error for an index of names that does not lead from one to the next."""
    shown = key.decode("utf-8", "backslashreplace")
    return StorageError(
        f"{where}: the names in the key {shown!r} are out of order, since another program gave one of them a score: "
        "`store verify` names it; set its score with ZADD to 0",
        path=where,
    )


def is_unreachable(error: Exception) -> bool:
    """Whether no server answered."""
    return isinstance(error, redis.ConnectionError | redis.TimeoutError | RedisClusterException | OSError)
