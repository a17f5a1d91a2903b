"""Named locks as keys with a lease and a fence."""

from __future__ import annotations

import redis

from store.engines.leased_locks import LeasedLocks
from store.engines.leases import Lease
from store.engines.redis.errors import translated
from store.engines.redis.keeping import stay
from store.engines.redis.keys import lock_key
from store.engines.redis.scripts.locks import KEEP_LOCKS, TAKE_LOCK
from store.engines.redis.server import Server
from store.errors import OutcomeUnknown

MOST_FENCES = 10_000  # that a process remembers


def redis_locks(server: Server) -> LeasedLocks:
    """The named locks of a location."""
    return LeasedLocks(server.leases, RedisLocks(server), server.visitors.current)


class RedisLocks:
    """The contract `LockStatements`.

    A fence is the last one plus 1, or the server's time in microseconds, if that is more. So it grows also after the
    key has expired, an hour after the last lease, and after a failover to a replica that had not got the key yet.
    """

    def __init__(self, server: Server) -> None:
        self.where = server.shown
        self._server = server
        self._fences = server.fences

    def key(self, name: str) -> bytes:
        return lock_key(self._server.location.prefix, name)

    def take(self, lease: Lease, name: str, seconds: float) -> int | None:
        last = self._fences.get(lease.key, 0)
        try:
            fence = self._server.run(TAKE_LOCK, (lease.key,), (lease.owner.hex, seconds, last, stay(seconds)))
            if not fence:
                return None
            self._remember(lease.key, fence)
            self._confirm(lease, fence, seconds)
        except redis.ResponseError as exc:
            raise translated(exc, self.where) from exc
        return int(fence)

    def release(self, lease: Lease) -> bool:
        try:
            arguments = 0, stay(0), lease.owner.hex, lease.fence
            return bool(self._server.run(KEEP_LOCKS, (lease.key,), arguments)[0])
        except redis.ResponseError as exc:
            raise translated(exc, self.where) from exc

    def tidy(self) -> None:
        """Does nothing: the server removes keys that expire."""

    def _remember(self, key: bytes, fence: int) -> None:
        self._fences.pop(key, None)
        self._fences[key] = fence
        if len(self._fences) > MOST_FENCES:
            self._fences.pop(next(iter(self._fences)), None)

    def _confirm(self, lease: Lease, fence: int, seconds: float) -> None:
        """With `durability="full"` wait until replicas have the lock. Raises: OutcomeUnknown: too few have it."""
        server, confirm = self._server, self._server.confirm
        if confirm is None:
            return
        # A write of the same connection as the command that waits, since the first one may have used another.
        deadline = server.deadline()
        arguments = seconds, stay(seconds), lease.owner.hex, fence
        _, *answers = server.run(KEEP_LOCKS, (lease.key,), arguments, deadline, confirm.commands)
        if confirm.missing(answers, self.where) is not None:
            self.release(lease)
            raise OutcomeUnknown(
                f"{self.where}: too few replicas got the lock in time, so another client could get it too after a "
                "failover; it was released, try again",
                path=self.where,
            )
