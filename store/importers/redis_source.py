"""Keys and values of a Redis or Valkey server, or of all primaries of a cluster, read while its programs go on.

Keys come from `SCAN` in batches, in no order, and now and then one comes twice; one that is there from beginning to
end is given at least once. Memory is bounded: lengths are asked for first, and few values are held at a time.
https://redis.io/docs/latest/commands/scan/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import redis
from redis.backoff import ExponentialBackoff
from redis.cluster import RedisCluster
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from store.errors import StorageError, StoreError
from store.importers.redis_place import PASSWORD, Place, parse

SCAN_KEYS = 500
"""How many keys the server looks at for one batch, and the most values that one request asks for."""
MAX_VALUE_BYTES = 64 * 1024 * 1024
BATCH_BYTES = 8 * 1024 * 1024  # of values that one request asks for, unless one alone is larger
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 15.0
RETRIES = 3  # of a command whose connection was lost: it only reads
_GONE, _LASTING = -2, -1  # replies of PTTL: there is no such key, it has no expiry
VANISHED = "it was deleted or its time ran out while the source was read"
_TLS = "and that the URL begins with rediss:// where it takes TLS, and only there"
RIGHTS = "+scan +strlen +pttl +get +type, in a cluster +cluster|slots +cluster|nodes +command"


class Value(NamedTuple):
    """A key, and its value: bytes, with the Unix seconds at which it expires; or the reason why it has none."""

    key: bytes
    data: bytes = b""
    expires: float | None = None
    problem: str = ""
    skipped: bool = False


class RedisSource:
    """An open server. For one thread."""

    def __init__(self, client: Any, place: Place, is_cluster: bool) -> None:
        self._client = client
        self._place = place
        self._is_cluster = is_cluster
        self.shown = place.shown
        """Its URL without the password."""

    def keys(self, pattern: str) -> Iterator[list[bytes]]:
        """The keys that fit a pattern of `SCAN`, in batches.

        Raises:
            StorageError: slots of the cluster moved meanwhile, so that keys may be missing; all others were given.
        """
        before = self._slots()
        for node in self._primaries():
            cursor = 0
            while True:
                cursor, keys = node.scan(cursor, match=pattern, count=SCAN_KEYS)
                if keys:
                    yield keys
                if cursor == 0:
                    break
        if before != self._slots() or any(moving for _, moving in before.values()):
            raise StorageError(
                f"{self.shown}: slots of the cluster moved while it was read, so some keys may be missing; wait "
                "for the end of the resharding or failover, and import again: it resumes",
                path=self.shown,
            )

    def values(self, keys: list[bytes], clock: Callable[[], float]) -> Iterator[Value]:
        """The values of these keys; `clock` tells when the request was sent that asked how long they live."""
        for at in range(0, len(keys), SCAN_KEYS):
            some = keys[at : at + SCAN_KEYS]
            asked = clock()
            replies = self._replies([call for key in some for call in (("STRLEN", key), ("PTTL", key))])
            group: dict[bytes, float | None] = {}
            size = 0
            for key, length, lives in zip(some, replies[::2], replies[1::2], strict=True):
                problem = self._problem(key, length, lives)
                if problem is not None:
                    yield problem
                    continue
                if group and size + length > BATCH_BYTES:
                    yield from self._fetched(group)
                    group, size = {}, 0
                group[key] = None if lives == _LASTING else asked + lives / 1000
                size += length
            yield from self._fetched(group)

    def _problem(self, key: bytes, length: Any, lives: Any) -> Value | None:
        """Why a key has no value to fetch."""
        if isinstance(length, redis.ResponseError) and str(length).startswith("WRONGTYPE"):
            return self._of_another_type(key)
        for reply in (length, lives):
            if isinstance(reply, Exception):
                return self._refused(key, reply)
        if lives == _GONE:
            return Value(key, problem=VANISHED, skipped=True)
        if length > MAX_VALUE_BYTES:
            return Value(key, problem=f"it has {length} bytes; at most {MAX_VALUE_BYTES} are read")
        return None

    def _of_another_type(self, key: bytes) -> Value:
        (kind,) = self._replies([("TYPE", key)])
        if isinstance(kind, Exception):
            return self._refused(key, kind)
        return Value(key, problem=f"it is a {_text(kind)}, not a string, so another program wrote it", skipped=True)

    def _fetched(self, group: dict[bytes, float | None]) -> Iterator[Value]:
        """The values of keys, which expire at those moments."""
        for (key, expires), data in zip(group.items(), self._bodies(list(group)), strict=True):
            if data is None:
                yield Value(key, problem=VANISHED, skipped=True)
            elif isinstance(data, Exception):
                yield self._refused(key, data)
            else:
                yield Value(key, data, expires)

    def _bodies(self, keys: list[bytes]) -> list[Any]:
        if self._is_cluster:  # MGET takes keys of one slot alone there
            return self._replies([("GET", key) for key in keys])
        bodies: list[Any] = self._client.mget(keys) if keys else []
        return bodies

    def _refused(self, key: bytes, reply: Exception) -> Value:
        """The record for a key that this user may not read. Raises: the reply, if it is about more than this key."""
        if not isinstance(reply, redis.exceptions.NoPermissionError) or "' command" in str(reply):
            raise reply
        text = self._place.without_secrets(str(reply))
        return Value(key, problem=f"the server refuses it: {text}; give the user its pattern (~session:*)")

    def _replies(self, calls: list[tuple[str, bytes]]) -> list[Any]:
        """The replies to commands in one round trip to each node; an error is the reply to its command."""
        if not calls:
            return []
        with self._client.pipeline(**({} if self._is_cluster else {"transaction": False})) as pipe:
            for name, key in calls:
                pipe.execute_command(name, key)
            replies: list[Any] = pipe.execute(raise_on_error=False)
        return replies

    def _primaries(self) -> list[Any]:
        """A client for each node that has keys of its own."""
        if not self._is_cluster:
            return [self._client]
        return [self._client.get_redis_connection(node) for node in self._client.get_primaries()]

    def _slots(self) -> dict[str, tuple[Any, Any]]:
        """Address of each primary → the slots that it says it has, and those on their way to or from it."""
        found = {}
        for node in self._primaries() if self._is_cluster else ():
            for address, entry in node.execute_command("CLUSTER NODES").items():
                if "myself" in entry["flags"]:
                    found[address] = (entry["slots"], entry["migrations"])
        return found


@contextmanager
def opened(url: str) -> Iterator[RedisSource]:
    """A server or cluster to read from; `url` says which.

    Raises:
        ValueError: it is no such URL. StorageError: the server cannot be reached, or refuses, or its answer is lost.
    """
    place = parse(url)
    try:
        with closing(_connected(redis.Redis, place)) as client:
            if not _is_cluster(client, place):
                yield RedisSource(client, place, False)
                return
        with closing(_connected(RedisCluster, place, require_full_coverage=True)) as cluster:
            yield RedisSource(cluster, place, True)
    except StoreError:
        raise
    except (redis.RedisError, OSError) as exc:
        error = _translated(exc, place)
        if any(secret in str(exc) for secret in place.secrets):
            raise error from None
        raise error from exc


def _connected(kind: Any, place: Place, **options: Any) -> Any:
    try:
        return kind.from_url(
            place.url,
            protocol=2,  # without HELLO, whose error cites the password where the server does not know it
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), RETRIES, (redis.ConnectionError,)),
            **{"socket_connect_timeout": CONNECT_SECONDS, "socket_timeout": ANSWER_SECONDS, **options},
        )
    except (ValueError, TypeError):
        raise ValueError("the port or a parameter in the URL has a value that redis-py does not take") from None


def _is_cluster(client: Any, place: Place) -> bool:
    """Whether the server is a node of a cluster. Raises: StorageError: it has no data."""
    try:
        reply = client.execute_command("HELLO")
        facts = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
        mode = _text({_text(name): fact for name, fact in facts.items()}.get("mode"))
    except redis.ResponseError:  # older than 6, or the user has no right to it
        mode = "cluster" if client.info("cluster").get("cluster_enabled") else "standalone"
    if mode == "sentinel":
        raise StorageError(
            f"{place.shown} is a Sentinel, which has no data; name the server (SENTINEL GET-MASTER-ADDR-BY-NAME)",
            path=place.shown,
        )
    return mode == "cluster"


def _translated(exc: Exception, place: Place) -> StorageError:
    """The error of this library for one of the client."""
    text = " ".join(place.without_secrets(str(exc)).split()) or type(exc).__name__
    return StorageError(f"{place.shown}: {_what_to_do(exc, text, place)}", path=place.shown)


def _what_to_do(exc: Exception, text: str, place: Place) -> str:
    upper = text.upper()
    if isinstance(exc, redis.AuthenticationError) or upper.startswith(
        ("NOAUTH", "WRONGPASS", "AUTHENTICATION REQUIRED")
    ):
        text = "it asks for a password" if upper.startswith("HELLO") else text
        return (
            f"the server refuses the user or the password ({text}); both are part of the URL, "
            f"redis://user:password@…, or the password is in the variable {PASSWORD}"
        )
    if isinstance(exc, redis.exceptions.NoPermissionError) or upper.startswith("NOPERM"):
        return f"the user lacks a right ({text}); an import takes {RIGHTS}, and the keys to read"
    if "DB INDEX" in upper:
        return f"the server has no database {place.database} ({text}); the number is at the end of the URL"
    if "SELECT IS NOT ALLOWED" in upper or "'DB' ARGUMENT" in upper:
        return f"a cluster has the database 0 alone ({text})"
    if isinstance(exc, RedisClusterException | redis.exceptions.ClusterError):
        return (
            f"the cluster does not answer as a whole ({text}); check that all of its nodes are up, and import again"
        )
    if isinstance(exc, redis.BusyLoadingError):
        return f"the server is still loading its data ({text}); import again when it has"
    if isinstance(exc, redis.TimeoutError):
        return (
            f"the server did not answer in time ({text}); check that it is up, {_TLS}; or raise socket_timeout there"
        )
    if isinstance(exc, redis.ConnectionError | OSError):
        return f"the server cannot be reached ({text}); check that it is up, and the host and port of the URL, {_TLS}"
    if isinstance(exc, redis.InvalidResponse):
        return f"it does not answer as a Redis server ({text}); check the host and port of the URL, {_TLS}"
    return f"the server answers with an error ({text})"


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
