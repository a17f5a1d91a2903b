"""Leases: the exclusive right to change a record, for a while, which an `edit` holds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import redis

from store.engines.contract import Fields
from store.engines.redis.errors import translated
from store.engines.redis.packing import unpack
from store.engines.redis.scripts.leases import RENEW_LEASES, TAKE_LEASE
from store.engines.redis.server import Server
from store.engines.redis.writing import FIRST_PAUSE, LAST_PAUSE, leased
from store.engines.redis.writing_steps import encoded
from store.errors import Corrupt, StoreError
from store.rows.row import Row
from store.system import running
from store.system.clock import steady_clock

LEASE_SECONDS = 30.0  # by the server's clock
MOST_LEASES = 1000  # of a namespace, before those that have ended are removed
MOST_BYTES = 2**17  # of a record that comes with its lease; a larger one may not be needed, or not all of it
TAKEN, ABSENT = 0, 2  # what the script answers: another client has the lease; there is no record


class Leases:
    """The leases of one transaction. A lost one does no harm: the commit compares what the transaction has read."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._namespace = ""
        self._names: list[bytes] = []
        self.owner = b""

    def take(self, namespace: str, names: Sequence[str], timeout: float) -> dict[str, Row | None]:
        """Get them all, in one order. Raises: LockTimeout.

        Returns the records as they were then, None for a name that has none; without those that are large or damaged.
        """
        self.owner, self._namespace = os.urandom(16), namespace
        end = steady_clock() + timeout
        found: dict[str, Row | None] = {}
        for name in sorted(set(names)):
            state, *rows = self._take(name, timeout, end)
            if state == ABSENT:
                found[name] = None
            for packed in rows:
                with suppress(Corrupt):  # it is raised where the record is read
                    found[name] = unpack(packed, namespace, name, Fields.ROW)
        return found

    def _take(self, name: str, timeout: float, end: float) -> list[Any]:
        server, pause = self._server, FIRST_PAUSE
        keys, key = server.keys(self._namespace), encoded(name)
        self._names.append(key)  # before it is taken: an interrupt may come in between
        wanted = server.id, key, self.owner, LEASE_SECONDS, MOST_LEASES, MOST_BYTES
        try:
            while True:
                answer: list[Any] = server.run(TAKE_LEASE, (keys.leases, keys.rows, keys.meta), wanted)
                if answer[0] != TAKEN:
                    return answer
                left = end - steady_clock()
                if left <= 0:
                    raise leased(name, self._namespace, timeout, server.shown)
                running.sleep(min(pause, left))
                pause = min(2 * pause, LAST_PAUSE)
        except redis.ResponseError as exc:
            raise translated(exc, server.shown) from exc

    def committed(self, names: Iterable[str]) -> None:
        """The leases of these names are gone: the script that changed the records gave them back."""
        done = set(map(encoded, names))
        self._names = [name for name in self._names if name not in done]

    def give_back(self) -> None:
        """Give them back; if the server cannot be reached, they end by themselves."""
        names, self._names = self._names, []
        if names:
            keys = self._server.keys(self._namespace)
            try:
                self._server.run(RENEW_LEASES, (keys.leases,), (self.owner, 0, *names))
            except (StoreError, redis.ResponseError):
                pass
