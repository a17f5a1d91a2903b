"""Leases: the exclusive right to change a record, for a while, which an `edit` holds."""

from __future__ import annotations

import os
from collections.abc import Sequence

import redis

from store.engines.redis.errors import translated
from store.engines.redis.scripts.leases import RENEW_LEASES, TAKE_LEASE
from store.engines.redis.server import Server
from store.engines.redis.writing import FIRST_PAUSE, LAST_PAUSE, leased
from store.engines.redis.writing_steps import encoded
from store.errors import StoreError
from store.system import running
from store.system.clock import steady_clock

LEASE_SECONDS = 30.0  # by the server's clock
MOST_LEASES = 1000  # of a namespace, before those that have ended are removed


class Leases:
    """The leases of one transaction. A lost one does no harm: the commit compares what the transaction has read."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._namespace = ""
        self._names: list[bytes] = []
        self.owner = b""

    def take(self, namespace: str, names: Sequence[str], timeout: float) -> None:
        """Get them all, in one order. Raises: LockTimeout."""
        self.owner, self._namespace = os.urandom(16), namespace
        end = steady_clock() + timeout
        for name in sorted(set(names)):
            self._take(name, timeout, end)

    def _take(self, name: str, timeout: float, end: float) -> None:
        server, pause = self._server, FIRST_PAUSE
        keys, key = server.keys(self._namespace), encoded(name)
        self._names.append(key)  # before it is taken: an interrupt may come in between
        try:
            while not server.run(TAKE_LEASE, (keys.leases,), (key, self.owner, LEASE_SECONDS, MOST_LEASES)):
                left = end - steady_clock()
                if left <= 0:
                    raise leased(name, self._namespace, timeout, server.shown)
                running.sleep(min(pause, left))
                pause = min(2 * pause, LAST_PAUSE)
        except redis.ResponseError as exc:
            raise translated(exc, server.shown) from exc

    def give_back(self) -> None:
        """Give them back; if the server cannot be reached, they end by themselves."""
        names, self._names = self._names, []
        if names:
            keys = self._server.keys(self._namespace)
            try:
                self._server.run(RENEW_LEASES, (keys.leases,), (self.owner, 0, *names))
            except (StoreError, redis.ResponseError):
                pass
