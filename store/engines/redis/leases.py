"""Leases of edits: the exclusive right to change a record, for a while. The thread of all leases renews them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import redis

from store.engines.contract import Fields
from store.engines.leases import Lease
from store.engines.polling import Polling
from store.engines.redis.errors import translated
from store.engines.redis.packing import unpack
from store.engines.redis.scripts.leases import RENEW_LEASES, TAKE_LEASE
from store.engines.redis.server import Server
from store.engines.redis.writing import leased
from store.engines.redis.writing_steps import encoded
from store.errors import Corrupt, StorageError, StoreError
from store.rows.row import Row
from store.system import running
from store.system.clock import awake_or_not, steady_clock

MOST_LEASES = 1000  # of a namespace, before those that have ended are removed
MOST_BYTES = 2**17  # of a record that comes with its lease; a larger one may not be needed, or not all of it
TAKEN, ABSENT = 0, 2  # what the script answers: another client has the lease; there is no record


class EditLeases:
    """The leases of one transaction. A lost one does no harm: the commit compares what the transaction has read."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lease: Lease | None = None

    @property
    def owner(self) -> bytes:
        """By which the server knows the transaction; b"" if it has no lease."""
        return b"" if self._lease is None else self._lease.owner.bytes

    def take(self, namespace: str, names: Sequence[str], timeout: float, holder: object) -> dict[str, Row | None]:
        """Get them all, in one order; they are given back at the latest when `holder` is collected.

        Returns the records as they were then, None for a name that has none; without those that are large or damaged.

        Raises: LockTimeout.
        """
        self.give_back()  # of a transaction that an interrupt ended
        lease = self._lease = Lease(self._server.keys(namespace).leases, [], holder)
        end = steady_clock() + timeout
        found: dict[str, Row | None] = {}
        for name in sorted(set(names)):
            state, *rows = self._take(lease, name, namespace, timeout, end)
            if state == ABSENT:
                found[name] = None
            for packed in rows:
                with suppress(Corrupt):  # it is raised where the record is read
                    found[name] = unpack(packed, namespace, name, Fields.ROW)
        return found

    def _take(self, lease: Lease, name: str, namespace: str, timeout: float, end: float) -> list[Any]:
        server, polling, key = self._server, Polling(), encoded(name)
        assert lease.names is not None
        keys, is_first = server.keys(namespace), not lease.names
        lease.names.append(key)  # before it is taken: an interrupt may come in between
        seconds = server.leases.seconds
        wanted = server.id, key, lease.owner.bytes, seconds, MOST_LEASES, MOST_BYTES, int(not is_first)
        try:
            ends = awake_or_not() + seconds
            while (answer := server.run(TAKE_LEASE, (keys.leases, keys.rows, keys.meta), wanted))[0] == TAKEN:
                left = end - steady_clock()
                if left <= 0:
                    raise leased(name, namespace, timeout, server.shown)
                running.sleep(polling.next(left))
                ends = awake_or_not() + seconds
        except redis.ResponseError as exc:
            raise translated(exc, server.shown) from exc
        if is_first:
            lease.ends = ends
            self._keep(lease)
        return list(answer)

    def _keep(self, lease: Lease) -> None:
        try:
            self._server.leases.keep(lease)
        except StorageError:
            pass  # no thread can be started now; the lease is not renewed, and the commit compares

    def ended_by_write(self, names: Iterable[str]) -> None:
        """The script that wrote those names has ended their leases."""
        if self._lease is not None and self._lease.names is not None:
            written = set(map(encoded, names))
            self._lease.names[:] = [name for name in self._lease.names if name not in written]

    def give_back(self) -> None:
        """Give them back; if the server cannot be reached, they end by themselves."""
        lease, self._lease = self._lease, None
        if lease is None or not lease.is_own():  # that of the process which this one was forked from
            return
        self._server.leases.forget(lease)
        if lease.names:
            try:
                self._server.run(RENEW_LEASES, (lease.key,), (lease.owner.bytes, 0, *lease.names))
            except (StoreError, redis.ResponseError):
                pass
