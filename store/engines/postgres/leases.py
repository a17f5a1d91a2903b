"""How leases are kept on PostgreSQL: one statement renews all rows of a process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from store.engines.leases import Lease
from store.engines.postgres.coordination import NamedLockStatements
from store.engines.postgres.dedicated import Dedicated
from store.engines.postgres.sessions import Sessions


class PostgresLeases:
    """The contract `LeaseStatements`."""

    def __init__(self, sessions: Sessions, statements: NamedLockStatements) -> None:
        self.where = sessions.location.shown
        self._sessions = sessions
        self._statements = statements

    def connect(self) -> Dedicated:
        return Dedicated(self._sessions)

    def renew(self, session: Dedicated, leases: Sequence[Lease], seconds: float) -> Mapping[UUID, bool]:
        keys, owners = [lease.key for lease in leases], [lease.owner for lease in leases]
        renewed = {row[0] for row in session.run(self._statements.renew, (seconds, keys, owners))}
        return {owner: owner in renewed for owner in owners}

    def release(self, session: Dedicated, leases: Sequence[Lease]) -> None:
        keys, owners = [lease.key for lease in leases], [lease.owner for lease in leases]
        session.run(self._statements.release, (keys, owners))
