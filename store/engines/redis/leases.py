"""Leases of edits: the exclusive right to change a record, for a while. The thread of all leases renews them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import redis

from store.engines.leases import Lease
from store.engines.polling import Polling
from store.engines.redis.errors import translated
from store.engines.redis.scripts.leases import RENEW_LEASES, TAKE_LEASE
from store.engines.redis.server import Server
from store.engines.redis.writing import leased
from store.engines.redis.writing_steps import encoded
from store.errors import StorageError, StoreError
from store.system import running
from store.system.clock import awake_or_not, steady_clock

MOST_LEASES = 1000  # of a namespace, before those that have ended are removed


class EditLeases:
    """The leases of one transaction. A lost one does no harm: the commit compares what the transaction has read."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lease: Lease | None = None

    @property
    def owner(self) -> bytes:
        """By which the server knows the transaction; b"" if it has no lease."""
        return b"" if self._lease is None else self._lease.owner.bytes

    def take(self, namespace: str, names: Sequence[str], timeout: float, holder: object) -> None:
        """Get them all, in one order; they are given back at the latest when `holder` is collected.

        Raises: LockTimeout.
        """
        self.give_back()  # of a transaction that an interrupt ended
        lease = self._lease = Lease(self._server.keys(namespace).leases, [], holder)
        end = steady_clock() + timeout
        for name in sorted(set(names)):
            self._take(lease, name, namespace, timeout, end)

    def _take(self, lease: Lease, name: str, namespace: str, timeout: float, end: float) -> None:
        server, polling, key = self._server, Polling(), encoded(name)
        assert lease.names is not None
        is_first = not lease.names
        lease.names.append(key)  # before it is taken: an interrupt may come in between
        seconds = server.leases.seconds
        arguments = key, lease.owner.bytes, seconds, MOST_LEASES, int(not is_first)
        try:
            ends = awake_or_not() + seconds
            while not server.run(TAKE_LEASE, (lease.key,), arguments):
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
