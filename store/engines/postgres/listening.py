"""What a process has open while it watches: one connection, and a thread that waits there for notifications.

A notification only ends a wait early: each watch also looks by itself, and misses nothing where none arrives. Writers
notify only while a row in the table of listeners says that somebody listens. Nobody can listen behind a pooler that
hands out sessions by transaction, nor with a role that may not write that row.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any
from uuid import uuid4

from store.engines.postgres.coordination import ChangeStatements
from store.engines.postgres.dedicated import Dedicated
from store.engines.postgres.errors import DRIVER_ERRORS
from store.engines.postgres.sessions import Sessions
from store.errors import LockTimeout, ReadOnly, StorageError, StoreError
from store.system.clock import steady_clock

REGISTERED_SECONDS = 60.0  # writers notify a process that has died for so long
REGISTER_SECONDS = REGISTERED_SECONDS / 3
RETRY_SECONDS = 1.0
LULL_SECONDS = 0.01  # between two notifications that are passed on: a busy store must not keep its watches busy
JOIN_SECONDS = 5.0

Wake = Callable[[], object]


class Listening:
    """The connection on which all watches of a process look, and by which they are woken. Safe across threads."""

    def __init__(self, sessions: Sessions, statements: ChangeStatements, channel: str) -> None:
        self._sessions = sessions
        self._statements = statements
        self._channel = channel
        self._session = Dedicated(sessions)
        self._begin()

    def renew(self) -> None:
        """In a forked child: watch nothing, and leave the parent's connection alone."""
        self._session.abandon()
        self._begin()

    def _begin(self) -> None:
        self._mutex = threading.RLock()
        self._wakes: dict[int, Wake] = {}
        self._numbers = count()
        self._thread: threading.Thread | None = None
        self._bell: socket.socket | None = None
        self._id = uuid4()
        self._heard = 0  # the number of the connection that was asked to listen
        self._hears = False
        self._is_rung = False

    def attach(self, wake: Wake) -> int:
        """Call `wake` soon after commits, in another thread, until `detach` of the returned number."""
        with self._mutex:
            number = next(self._numbers)
            self._wakes[number] = wake
            if self._thread is None:
                ear, self._bell = socket.socketpair()
                self._bell.setblocking(False)
                self._thread = threading.Thread(target=self._run, args=(ear,), name="store watching", daemon=True)
                self._thread.start()
            return number

    def detach(self, number: int) -> None:
        """Call it no more; after the last one the thread closes the connection. For finalizers too."""
        self._wakes.pop(number, None)
        if not self._wakes:
            self._ring()

    def run(self, statement: str, values: Sequence[Any]) -> tuple[int, list[Any]]:
        """The number of the connection, and the rows of a statement.

        Raises: LockTimeout: the server cannot be reached now.
        """
        with self._mutex:
            try:
                rows = self._session.run(statement, values)
            except StorageError as exc:
                if self._session.conn is not None:
                    raise
                raise LockTimeout(f"the server cannot be reached now: {exc}", path=exc.path) from exc
            number = self._session.number
            if number != self._heard or self._has_heard():
                self._ring()
            return number, rows

    def close(self) -> None:
        """End the thread and the connection: the last handle of the process is about to be closed."""
        thread = self._thread
        self._wakes.clear()
        if thread is not None and thread is not threading.current_thread():
            self._ring()
            thread.join(JOIN_SECONDS)

    def _ring(self) -> None:
        """End the thread's wait."""
        bell = self._bell
        try:
            if bell is not None:
                bell.send(b"\0")
        except OSError:  # it was rung often already, or the thread has ended
            pass

    def _has_heard(self) -> bool:
        """Whether notifications have arrived, perhaps in between the rows of a statement. With the mutex."""
        conn = self._session.conn
        if self._hears and conn is not None and any(conn.notifies(timeout=0)):
            self._is_rung = True
        return self._is_rung

    # -- in the thread

    def _run(self, ear: socket.socket) -> None:
        due = steady_clock()
        while True:
            if self._heard != self._session.number or steady_clock() >= due:
                due = steady_clock() + self._register()
            with self._mutex:
                if not self._wakes:
                    self._end(ear)
                    return
            self._wait(ear, due)
            if self._listen():
                for wake in list(self._wakes.values()):
                    wake()
                _rest(ear)

    def _register(self) -> float:
        """Listen on the connection, and tell writers so. Returns the seconds until that is due again."""
        with self._mutex:
            try:
                conn = self._session.opened()
                number = self._session.number
                if number != self._heard:
                    (row,) = self._session.run("SELECT pg_backend_pid()")
                    self._hears = row[0] == conn.info.backend_pid  # a pooler tells its clients another number
                    if self._hears:
                        self._session.run(f'LISTEN "{self._channel}"')
                    self._is_rung, self._heard = True, number  # commits before this were not heard
                if self._hears:
                    self._session.run(self._statements.register, (self._id, REGISTERED_SECONDS))
            except ReadOnly:
                self._hears = False
            except StoreError:
                return RETRY_SECONDS
            return REGISTER_SECONDS

    def _wait(self, ear: socket.socket, due: float) -> None:
        """Wait until something arrives, the bell rings, or it is due to register again."""
        poll = select.poll()
        poll.register(ear, select.POLLIN)
        with self._mutex:
            conn = self._session.conn
            if conn is not None and not conn.closed:
                poll.register(conn.fileno(), select.POLLIN)
            if self._is_rung:
                return
        for descriptor, _ in poll.poll(max(0.0, due - steady_clock()) * 1000):
            if descriptor == ear.fileno():
                ear.recv(4096)

    def _listen(self) -> bool:
        """Whether to end the waits: a notification has arrived, or with a lost connection some may be missing."""
        with self._mutex:
            try:
                self._has_heard()
            except DRIVER_ERRORS:
                self._session.close()
                self._heard = 0
            is_rung, self._is_rung = self._is_rung, False
            return is_rung

    def _end(self, ear: socket.socket) -> None:
        try:
            if self._hears and self._session.conn is not None:
                self._session.run(self._statements.unregister, (self._id,))
        except StoreError:
            pass  # writers notify nobody, until the row is too old
        self._session.close()
        bell, self._bell, self._thread, self._hears, self._heard = self._bell, None, None, False, 0
        ear.close()
        if bell is not None:
            bell.close()


def _rest(ear: socket.socket) -> None:
    """Pause before the next notification; the end of the thread does not wait for that."""
    select.select([ear], [], [], LULL_SECONDS)
