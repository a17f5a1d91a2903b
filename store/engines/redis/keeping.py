"""How leases are kept on Redis: one script for the locks of a node, one for those of an edit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

import redis

from store.engines.leases import Lease
from store.engines.redis.causes import DRIVER_ERRORS
from store.engines.redis.nodes import Node, Topology
from store.engines.redis.scripts.leases import RENEW_LEASES
from store.engines.redis.scripts.locks import KEEP_LOCKS
from store.engines.redis.scripts.script import Script
from store.errors import StorageError, StoreError
from store.system.clock import steady_clock

KEPT_SECONDS = 3600.0
"""How long the key of a lock stays after its lease: as much as the server's clock may be set back until a fence is
lower than an earlier one of its lock."""
KEYS_AT_ONCE = 500
ATTEMPT_SECONDS = 1.0  # to try again within one round, where a connection had died


class Runs(Protocol):
    """The scripts of a location, as `Server` runs them."""

    shown: str

    def run(
        self,
        script: Script,
        keys: tuple[bytes, ...],
        arguments: Callable[[bool], Sequence[Any]] | Sequence[Any],
        deadline: float | None = None,
    ) -> Any: ...


class SharedConnections:
    """The thread's session: it uses the connections that all threads use, since their number has no limit."""

    def close(self) -> None:
        """Does nothing: the server closes them."""


def stay(seconds: float) -> int:
    """The milliseconds that the key of a lock stays, if its lease lasts for so many seconds."""
    return int((seconds + KEPT_SECONDS) * 1000)


class RedisLeases:
    """The contract `LeaseStatements`. A lease with names is that of an edit, and one without that of a named lock."""

    def __init__(self, server: Runs, topology: Callable[[], Topology]) -> None:
        self.where = server.shown
        self._server = server
        self._topology = topology

    def connect(self) -> SharedConnections:
        return SharedConnections()

    def renew(self, session: SharedConnections, leases: Sequence[Lease], seconds: float) -> Mapping[UUID, bool]:
        return self._kept(leases, seconds)

    def release(self, session: SharedConnections, leases: Sequence[Lease]) -> None:
        self._kept(leases, 0)

    def _kept(self, leases: Sequence[Lease], seconds: float) -> dict[UUID, bool]:
        """By owner, whether it had the lease until now. A node that does not answer is asked once."""
        found: dict[UUID, bool] = {}
        silent: set[Node] = set()
        for node, group in self._groups(leases):
            if node in silent:
                continue
            try:
                found.update(zip((lease.owner for lease in group), self._of_group(group, seconds), strict=True))
            except (StoreError, redis.ResponseError):
                silent.add(node)
        return found

    def _groups(self, leases: Sequence[Lease]) -> Iterable[tuple[Node, list[Lease]]]:
        """The leases that one script can keep, and its node. Raises: StorageError: no node can be reached."""
        try:
            topology = self._topology()
            locks = [lease for lease in leases if lease.names is None]
            size = 1 if topology.is_cluster else KEYS_AT_ONCE
            groups = [locks[start : start + size] for start in range(0, len(locks), size)]
            groups += [[lease] for lease in leases if lease.names is not None]
            return [(topology.node_of(group[0].key), group) for group in groups]
        except DRIVER_ERRORS as exc:
            raise StorageError(f"{self.where}: {exc}", path=self.where) from exc

    def _of_group(self, group: list[Lease], seconds: float) -> list[bool]:
        deadline = steady_clock() + ATTEMPT_SECONDS
        names = group[0].names
        if names is not None:
            arguments = [group[0].owner.bytes, seconds, *names]
            return [bool(self._server.run(RENEW_LEASES, (group[0].key,), arguments, deadline))]
        arguments = [seconds, stay(seconds)]
        for lease in group:
            arguments += lease.owner.hex, lease.fence
        kept = self._server.run(KEEP_LOCKS, tuple(lease.key for lease in group), arguments, deadline)
        return list(map(bool, kept))
