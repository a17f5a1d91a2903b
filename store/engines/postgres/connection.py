"""A session on the server, and what is sent together in one round trip."""

from __future__ import annotations

import select
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

Statement = tuple[str, "Sequence[Any] | None"]
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"  # for a session whose defaults are unknown
MOST_WAITING_BYTES = 1024 * 1024  # of writes that wait for the next statement
WRITE_BYTES = 8 * 1024  # for each one beside its size, so that at most 128 wait


class Connection(psycopg.Connection[Any]):
    """A session in autocommit mode; placeholders are `$1`, as the server has them.

    Through a pooler (`is_pooled`) each transaction may have another session of the server. Nothing is then set for a
    session or prepared in it: settings go with each transaction, and a single statement is one, in one round trip.
    """

    lock_timeout = 60.0
    taken_at = idle_since = 0.0  # for `Pool`
    is_pooled = False
    synchronous_commit: str | None = None
    waiting: tuple[Statement, ...] = ()
    """Statements that are sent with the next one, before it: BEGIN, locks, savepoints, writes of a transaction."""
    waiting_bytes = 0  # of the records that wait to be written, and something for each
    _short: psycopg.Cursor[Any] | None = None
    _poller: Any = None

    def wait_for_locks(self, seconds: float) -> None:
        """Set for how long a statement waits for a lock; 0 and less wait for a millisecond."""
        if seconds != self.lock_timeout:
            if not self.is_pooled:
                self.execute("SELECT set_config('lock_timeout', $1, false)", (milliseconds(seconds),))
            self.lock_timeout = seconds

    def execute(
        self, query: Any, params: Any = None, *, prepare: bool | None = None, binary: bool = False
    ) -> psycopg.Cursor[Any]:
        """The cursor of a statement, after those that wait for it, in one round trip."""
        waiting = self.waiting
        if waiting:
            self.forget_waiting()
            return self._execute_all((*waiting, (query, params)), prepare=prepare, binary=binary)
        if self.is_pooled and self.pgconn.transaction_status == TransactionStatus.IDLE:
            return self._execute_alone((query, params), prepare=prepare, binary=binary)
        return super().execute(query, params, prepare=prepare, binary=binary)

    def rows(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """All rows of a short answer, by a cursor that is used again: to make one takes a tenth of a short read."""
        if self.waiting or self.is_pooled:
            return self.execute(statement, values, binary=True).fetchall()
        cursor, self._short = self._short or self.cursor(binary=True), None
        rows = cursor.execute(statement, values).fetchall()
        if len(rows) <= 1:  # it keeps the answer until the next one
            self._short = cursor
        return rows

    def later(self, statement: str, values: Sequence[Any] | None = None) -> None:
        """Send a statement whose result is not needed together with the next one."""
        self.waiting = *self.waiting, (statement, values)

    def begin_later(self) -> None:
        """Begin a transaction with the next statement."""
        self.waiting = ((BEGIN, None), self._settings()) if self.is_pooled else (("BEGIN", None),)

    def write_later(self, statement: str, values: Sequence[Any], size: int) -> None:
        """Write records of that size with the next statement of the transaction, or with its COMMIT."""
        self.later(statement, values)
        self.waiting_bytes += size + WRITE_BYTES
        if self.waiting_bytes >= MOST_WAITING_BYTES:
            waiting = self.waiting
            self.forget_waiting()
            self._execute_all(waiting)

    def has_begun(self) -> bool:
        """Whether anything was sent or is to be written since `begin_later`."""
        return self.waiting_bytes > 0 or self.pgconn.transaction_status != TransactionStatus.IDLE

    def withdraw(self, statement: str) -> bool:
        """Forget a statement that is still to be sent, and those after it; False: it was sent."""
        for index, (text, _) in enumerate(self.waiting):
            if text == statement:
                self.waiting = self.waiting[:index]
                return True
        return False

    def forget_waiting(self) -> None:
        self.waiting, self.waiting_bytes = (), 0

    def forget_answer(self) -> None:
        """Free the memory of a large answer now."""
        self._short = None

    def has_news(self) -> bool:
        """Whether something lies in the socket of an idle connection: the server said goodbye."""
        if self.closed:
            return True
        if self._poller is None:
            self._poller = select.poll()
            self._poller.register(self.fileno(), select.POLLIN)
        return bool(self._poller.poll(0))

    def _execute_alone(self, statement: Statement, **how: Any) -> psycopg.Cursor[Any]:
        """Execute a statement in a transaction of its own, with its settings."""
        try:
            return self._execute_all(((BEGIN, None), self._settings(), statement), commit=True, **how)
        except BaseException:
            if self.pgconn.transaction_status in (TransactionStatus.INERROR, TransactionStatus.INTRANS):
                super().execute("ROLLBACK")
            raise

    def _execute_all(
        self, statements: Sequence[Statement], *, commit: bool = False, **how: Any
    ) -> psycopg.Cursor[Any]:
        """The cursor of the last one; where one fails, those after it are not executed.

        Its answer is read once the pipeline has ended: to read it before takes a round trip of its own.
        """
        with self.pipeline():
            for text, values in statements[:-1]:
                super().execute(text, values)
            cursor = super().execute(*statements[-1], **how)
            if commit:
                super().execute("COMMIT")
        return cursor

    def _settings(self) -> Statement:
        return SETTINGS.format("true"), (self.synchronous_commit, milliseconds(self.lock_timeout))


def milliseconds(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"


# Whatever the server's, the database's and the role's defaults are. Of a session, or of a transaction alone.
SETTINGS = (
    "SELECT set_config('default_transaction_isolation', 'read committed', {0}), "
    "set_config('search_path', 'pg_catalog', {0}), "
    "set_config('synchronous_commit', coalesce($1, "
    "CASE current_setting('synchronous_commit') WHEN 'off' THEN 'local' "
    "ELSE current_setting('synchronous_commit') END), {0}), set_config('lock_timeout', $2, {0})"
)
