"""What a process has open while it watches: one connection, and a thread that waits there for notifications.

A notification only ends a wait early. One may be missing: no process can listen behind a pooler that hands out
sessions by transaction, or with a role that may not write the table of listeners; and a writer that began before a
listener came does not notify it. So each watch looks by itself too, and every second the thread ends its wait anyway.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from store.engines.postgres.coordination import ChangeStatements
from store.engines.postgres.dedicated import Dedicated
from store.engines.postgres.errors import DRIVER_ERRORS
from store.engines.postgres.hearing import BEAT_SECONDS, Hearing
from store.engines.postgres.sessions import Sessions
from store.errors import LockTimeout, StorageError, StoreError
from store.system.clock import steady_clock
from store.system.file_status import no_thread
from store.system.refusals import advice

BUSY_SECONDS = 0.05  # between two ends of all waits while the store is busy
LULL_SECONDS = 0.01  # the least between two: a busy store must not keep its watches busy
JOIN_SECONDS = 5.0

Wake = Callable[[], object]


class Listening:
    """The connection on which all watches of a process look, and by which they are woken. Safe across threads."""

    def __init__(self, sessions: Sessions, statements: ChangeStatements, channel: str) -> None:
        self._sessions = sessions
        self._statements = statements
        self._channel = channel
        self._session = Dedicated(sessions)
        self.renew()

    def renew(self) -> None:
        """In a forked child: watch nothing, and leave the parent's connection alone."""
        self._session.abandon()
        self._mutex = threading.RLock()
        self._wakes: dict[int, Wake] = {}
        self._numbers = count()
        self._thread: threading.Thread | None = None
        self._bell: socket.socket | None = None
        self._hearing = self._new_hearing()
        self._is_rung = False

    def _new_hearing(self) -> Hearing:
        return Hearing(self._session, self._statements, self._channel)

    def attach(self, wake: Wake) -> int:
        """Call `wake` soon after commits, in another thread, until `detach` of the returned number.

        Raises: StorageError: that thread cannot be started.
        """
        with self._mutex:
            if self._thread is None:
                self._start()  # it waits for the mutex, and finds what to wake
            number = next(self._numbers)
            self._wakes[number] = wake
            return number

    def _start(self) -> None:
        """Start the thread. Raises: StorageError: the system refuses it, or its descriptors."""
        shown = self._sessions.location.shown
        try:
            ear, bell = socket.socketpair()
        except OSError as exc:
            why = advice(exc, "try again")
            raise StorageError(
                f"{shown} cannot be watched: {exc.strerror}; {why}", errno=exc.errno, path=shown
            ) from exc
        bell.setblocking(False)
        self._bell = bell
        self._thread = threading.Thread(target=self._run, args=(ear,), name="store watching", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as exc:
            self._bell = self._thread = None
            ear.close()
            bell.close()
            raise no_thread(f"watching {shown}", exc) from exc

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

    # -- in the thread

    def _run(self, ear: socket.socket) -> None:
        last = steady_clock()
        while True:
            pause = BEAT_SECONDS
            with self._mutex:
                if not self._wakes:
                    self._end(ear)
                    return
                is_heard = self._listen()
                if self._hearing.is_busy:
                    pause = BUSY_SECONDS
            if is_heard or steady_clock() >= last + pause:
                for wake in list(self._wakes.values()):
                    wake()
                last = steady_clock()
                _poll([ear.fileno()], LULL_SECONDS)
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
        with self._mutex:
            conn = self._session.conn
            if conn is not None and not conn.closed:
                descriptors.append(conn.fileno())
            else:
                until = max(until, steady_clock() + BEAT_SECONDS)
        if ear.fileno() in _poll(descriptors, max(0.0, until - steady_clock())):
            ear.recv(4096)

    def _end(self, ear: socket.socket) -> None:
        try:
            self._hearing.end()
        except StoreError:
            pass  # writers notify nobody, until the row is too old
        self._session.close()
        bell, self._bell, self._thread, self._hearing = self._bell, None, None, self._new_hearing()
        ear.close()
        if bell is not None:
            bell.close()


def _poll(descriptors: Sequence[int], seconds: float) -> set[int]:
    """Those that have something to read, at the latest after so long."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
