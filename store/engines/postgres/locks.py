"""Named locks as rows with a lease and a fence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from store.engines.leased_locks import LeasedLocks
from store.engines.leases import Lease
from store.engines.postgres.errors import DRIVER_ERRORS, is_disconnected, translated
from store.engines.postgres.server import Server
from store.system.digests import blake2b

SHOWN_CHARACTERS = 200  # of a name in its row: for people, since the key is its digest


def postgres_locks(server: Server, timeout: float) -> LeasedLocks:
    """The named locks of a handle; `timeout`: seconds to wait for a connection."""
    return LeasedLocks(server.leases, PostgresLocks(server, timeout), server.visitors.current)


class PostgresLocks:
    """The contract `LockStatements`."""

    def __init__(self, server: Server, timeout: float) -> None:
        self.where = server.sessions.location.shown
        self._sessions = server.sessions
        self._statements = server.lock_statements
        self._timeout = timeout

    def key(self, name: str) -> bytes:
        return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def take(self, lease: Lease, name: str, seconds: float) -> int | None:
        data = name.encode("utf-8", "surrogatepass")
        shown = data.decode("utf-8", "backslashreplace").replace("\0", "\\0")[:SHOWN_CHARACTERS]
        found = self._run(self._statements.take, (lease.key, shown, lease.owner, seconds))
        return int(found[0][0]) if found else None

    def release(self, lease: Lease) -> bool:
        return bool(self._run(self._statements.release, ([lease.key], [lease.owner])))

    def tidy(self) -> None:
        self._run(self._statements.tidy, ())

    def _run(self, statement: str, values: Sequence[Any]) -> list[Any]:
        try:
            return self._execute(statement, values)
        except DRIVER_ERRORS as exc:
            raise translated(exc, self.where, self._sessions.role) from exc

    def _execute(self, statement: str, values: Sequence[Any]) -> list[Any]:
        again = True
        while True:
            conn = self._sessions.take(self._timeout)
            try:
                cursor = conn.execute(statement, values, binary=True)
                return [] if cursor.description is None else cursor.fetchall()
            except DRIVER_ERRORS as exc:
                if not again or not is_disconnected(exc):
                    raise
                again = False
            finally:
                self._sessions.put_back(conn)
