"""Notifications of commits: asking for them on a connection, and doing without while there are too many.

A transaction that notifies holds a lock of the whole server until its commit is on the disk: 8 clients wrote 0.27
times as much as without (measured on PostgreSQL 15). So writers notify only while a row in the table of listeners is
there, and a listener removes its row while its store is busy: to look several times a second is as good then.
"""

from __future__ import annotations

from math import inf
from uuid import uuid4

from store.engines.postgres.coordination import ChangeStatements
from store.engines.postgres.dedicated import Dedicated
from store.errors import StoreError
from store.system.clock import steady_clock

REGISTERED_SECONDS = 60.0  # for so long writers notify a process that has died
REGISTER_SECONDS = REGISTERED_SECONDS / 3
BEAT_SECONDS = 1.0
BUSY_CHANGES = 20  # in a beat


class Hearing:
    """Whether the server tells of commits on a connection. One thread uses it at a time."""

    def __init__(self, session: Dedicated, statements: ChangeStatements, channel: str) -> None:
        self.is_busy = False
        """Whether the store is so busy that commits do not notify."""
        self._session = session
        self._statements = statements
        self._channel = channel
        self._id = uuid4()
        self._number = 0  # of the connection that was asked to listen
        self._can_hear = False
        self._registered = 0.0
        self._beat = -inf  # not 0: a machine that has just started counts from there
        self._heard = 0  # in this beat
        self._written = 0

    def is_due(self) -> bool:
        """Whether to call `attend`: each beat, and earlier on a new connection or once too much was heard."""
        return (
            self._number != self._session.number
            or steady_clock() - self._beat >= BEAT_SECONDS
            or (self._heard > BUSY_CHANGES and not self.is_busy)
        )

    def attend(self) -> bool:
        """Listen, and have writers notify if that is worth it; returns whether earlier commits went unheard.

        Raises: StoreError: the server cannot be reached.
        """
        self._beat = steady_clock()
        self._session.opened()
        is_new = self._session.number != self._number
        try:
            if is_new:
                self._listen()
            if self._can_hear:
                self._keep_pace()
        except StoreError:  # a standby, another kind of server, or a role that may not write here
            if self._session.conn is None:
                raise
            self._can_hear = False
        return is_new

    def hear(self) -> bool:
        """Whether notifications have arrived. Raises: psycopg.Error: the connection is lost."""
        conn = self._session.conn
        if not self._can_hear or conn is None:
            return False
        arrived = sum(1 for _ in conn.notifies(timeout=0))
        self._heard += arrived
        return arrived > 0

    def end(self) -> None:
        """Have writers notify no more. Raises: StoreError."""
        if self._can_hear and self._session.conn is not None:
            self._session.run(self._statements.unregister, (self._id,))

    def _listen(self) -> None:
        session, conn = self._session, self._session.opened()
        self._number, self._registered, self.is_busy, self._can_hear = session.number, 0.0, False, False
        ((backend,),) = session.run("SELECT pg_backend_pid()")
        if backend == conn.info.backend_pid:  # a pooler gives its clients another number
            session.run(f'LISTEN "{self._channel}"')
            self._can_hear = True

    def _keep_pace(self) -> None:
        is_busy, self._heard = self._heard > BUSY_CHANGES, 0
        if self.is_busy or is_busy:
            ((written,),) = self._session.run(self._statements.written)
            is_busy = is_busy or written - self._written > BUSY_CHANGES
            self._written = written
        if is_busy and not self.is_busy:
            self._session.run(self._statements.unregister, (self._id,))
            self._registered = 0.0
        elif not is_busy and (not self._registered or self._beat - self._registered >= REGISTER_SECONDS):
            self._session.run(self._statements.register, (self._id, REGISTERED_SECONDS))
            self._registered = self._beat
        self.is_busy = is_busy
