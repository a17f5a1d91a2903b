"""What a process has open while it watches: one connection, and a thread that waits there for notifications.

A notification only ends a wait early. One may be missing: no process can listen behind a pooler that hands out
sessions by transaction, or with a role that may not write the table of listeners; and a writer that began before a
listener came does not notify it. So each watch looks by itself too, and every second the thread ends its wait anyway.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from store.engines.postgres.coordination import ChangeStatements
from store.engines.postgres.dedicated import Dedicated
from store.engines.postgres.errors import DRIVER_ERRORS
from store.engines.postgres.hearing import BEAT_SECONDS, Hearing
from store.engines.postgres.sessions import Sessions
from store.engines.waking import Wake, Waking, poll
from store.errors import LockTimeout, StorageError, StoreClosed, StoreError
from store.system.clock import steady_clock

BUSY_SECONDS = 0.05  # between two ends of all waits while the store is busy
LULL_SECONDS = 0.01  # the least between two: a busy store must not keep its watches busy


class Listening:
    """The connection on which all watches of a process look, and by which they are woken. Safe across threads."""

    def __init__(self, sessions: Sessions, statements: ChangeStatements, channel: str) -> None:
        self._sessions = sessions
        self._statements = statements
        self._channel = channel
        self._session = Dedicated(sessions)
        self._waking = Waking(sessions.location.shown, self._run)
        self._hearing = self._new_hearing()
        self._is_rung = False

    def renew(self) -> None:
        """In a forked child: watch nothing, and leave the parent's connection alone."""
        self._session.abandon()
        self._waking.renew()
        self._hearing = self._new_hearing()
        self._is_rung = False

    def _new_hearing(self) -> Hearing:
        return Hearing(self._session, self._statements, self._channel)

    def attach(self, namespace: str, wake: Wake) -> int:
        """As `Waking.attach`; a notification is of any namespace."""
        return self._waking.attach(namespace, wake)

    def detach(self, number: int) -> None:
        """Call it no more; after the last one the thread closes the connection. For finalizers too."""
        self._waking.detach(number)

    def run(self, watcher: int, statement: str, values: Sequence[Any]) -> tuple[int, list[Any]]:
        """The number of the connection, and the rows of a statement, for a watch that `attach` numbered.

        Raises: LockTimeout: the server cannot be reached now. StoreClosed: the watch was detached.
        """
        with self._waking.mutex:
            if not self._waking.has(watcher):  # the thread that would close the connection may have ended
                raise StoreClosed(f"the watch on {self._sessions.location.shown} was closed; watch it again")
            try:
                rows = self._session.run(statement, values)
                number = self._session.number
                if self._hearing.hear():  # in between the rows: the thread would not find them in the socket
                    self._is_rung = True
            except (StorageError, *DRIVER_ERRORS) as exc:
                if self._session.conn is not None and not self._session.conn.closed:
                    raise
                raise LockTimeout(
                    f"the server cannot be reached now: {exc}", path=self._sessions.location.shown
                ) from exc
            if self._is_rung or self._hearing.is_due():
                self._waking.ring()
            return number, rows

    def close(self) -> None:
        """End the thread and the connection: the last handle of the process is about to be closed."""
        self._waking.close()

    # -- in the thread

    def _run(self, ear: socket.socket) -> None:
        last = steady_clock()
        while True:
            pause = BEAT_SECONDS
            with self._waking.mutex:
                if not self._waking.is_wanted:
                    self._end(ear)
                    return
                is_heard = self._listen()
                if self._hearing.is_busy:
                    pause = BUSY_SECONDS
            if is_heard or steady_clock() >= last + pause:
                self._waking.wake()
                last = steady_clock()
                poll([ear.fileno()], LULL_SECONDS)
            self._wait(ear, last + pause)

    def _listen(self) -> bool:
        """Whether notifications have arrived. With the mutex."""
        try:
            is_heard = self._is_rung
            if self._hearing.is_due():
                is_heard |= self._hearing.attend()
            is_heard |= self._hearing.hear()
        except (StoreError, *DRIVER_ERRORS):
            self._session.close()  # the next look or the next beat opens another one
            is_heard = True
        self._is_rung = False
        return is_heard

    def _wait(self, ear: socket.socket, until: float) -> None:
        """Wait until something arrives, the bell rings, or then."""
        descriptors = [ear.fileno()]
        with self._waking.mutex:
            conn = self._session.conn
            if conn is not None and not conn.closed:
                descriptors.append(conn.fileno())
            else:
                until = max(until, steady_clock() + BEAT_SECONDS)
        if ear.fileno() in poll(descriptors, max(0.0, until - steady_clock())):
            ear.recv(4096)

    def _end(self, ear: socket.socket) -> None:
        try:
            self._hearing.end()
        except StoreError:
            pass  # writers notify nobody, until the row is too old
        self._session.close()
        self._hearing = self._new_hearing()
        self._waking.end(ear)
