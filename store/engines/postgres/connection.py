"""A session on the server, which does not wait for ever for an answer that does not come.

One file because sending, waiting and setting up are overrides of one class of the driver.
"""

from __future__ import annotations

import logging
import math
import os
import select
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Any, Protocol

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus

from store.system.clock import steady_clock

FIRST_LOOK_SECONDS = 5.0  # of a statement without an answer; then the server is asked for it over another connection
LOOK_AGAIN_SECONDS = 0.5  # after the server could not be reached

# The driver and its pool log a warning of each lost connection. The error that is raised says more, or the operation
# is repeated. Python prints warnings on stderr where no handler is set; the handlers of a program still get them.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


Statement = tuple[str, "Sequence[Any] | None"]
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"  # for a session whose defaults are unknown


class Backend(Enum):
    """What is known of the other end of a connection that does not answer."""

    WORKING = "it works on the statement, or waits for a lock"
    SILENT = "it has answered, or is gone"
    UNREACHABLE = "the server cannot be reached now"


class NoAnswer(psycopg.OperationalError):
    """The server, or the network, did not answer; the connection was closed."""


class Waiting(Protocol):
    """What waits for the server in place of the thread: an event loop."""

    def wait(self, gen: Generator[Any, Any, Any]) -> Any:
        """The result of the driver's generator. A caller that is cancelled cancels the statement on the server."""

    def finishing(self) -> AbstractContextManager[Any]:
        """A block in which the caller is not cancelled."""


class Connection(psycopg.Connection[Any]):
    """A session in autocommit mode; placeholders are `$1`, as the server has them.

    A statement may take as long as the server works on it. Where no answer comes, `look` asks the server over another
    connection whether it still does; if it cannot be reached for `patience` seconds, or knows nothing of the
    statement, this connection is closed and the statement raises `NoAnswer`.

    Through a pooler (`is_pooled`) each transaction may have another session of the server. Nothing is then set for a
    session or prepared in it: settings go with each transaction, and a single statement is one, in one round trip.
    """

    lock_timeout = 60.0
    is_pooled = False
    level: str | None = None
    """The `synchronous_commit` of the URL."""
    patience = math.inf
    deadline = math.inf
    """When a statement ends in `NoAnswer` without a question; for the connections that ask."""
    look: Callable[[Connection, float], Backend]
    backend: tuple[int, datetime] | None = None
    """The server's process and when it started; None behind a pooler, where each transaction may have another one."""
    idle_since = 0.0
    was_stalled = False
    waiting: Waiting | None = None
    is_full = False  # whether commits wait for what `durability="full"` promises
    process = 0
    unconfirmed: list[str]
    """Warnings that a commit stopped waiting for its standbys."""
    _short: psycopg.Cursor[Any] | None = None
    _poller: Any = None

    def __del__(self, *_: Any) -> None:
        """An interrupt may drop a connection that is in use; in a forked child it is the parent's."""
        if self.waiting is None and self.process == os.getpid():
            self.close()

    def together(self, *statements: Statement) -> list[Any]:
        """Run statements in one round trip; returns their cursors. The first error ends the rest."""
        if self.is_pooled and statements[0][0].startswith("BEGIN"):
            begin, *rest = statements
            cursor, _, *cursors = self._together((begin, self._settings(), *rest))
            return [cursor, *cursors]
        return self._together(statements)

    def _together(self, statements: Sequence[Statement]) -> list[Any]:
        try:
            with self.pipeline():
                return [super(Connection, self).execute(text, values) for text, values in statements]
        except psycopg.Error as exc:
            interrupt = _interrupt_before(exc)
            if interrupt is None:
                raise
            if self.pgconn.pipeline_status != PipelineStatus.OFF or self.pgconn.transaction_status not in _SETTLED:
                self.close()  # it is between two answers
            raise interrupt from None

    def finish(self, *statements: Statement) -> None:
        """Run statements that end a transaction; a caller that is cancelled meanwhile learns it afterwards."""
        with nullcontext() if self.waiting is None else self.waiting.finishing():
            if len(statements) == 1:
                self.execute(*statements[0])
            else:
                self.together(*statements)

    def wait_for_locks(self, seconds: float) -> None:
        """Set for how long a statement waits for a lock; 0 and less wait for a millisecond."""
        if seconds != self.lock_timeout:
            if not self.is_pooled:
                self.execute("SELECT set_config('lock_timeout', $1, false)", (milliseconds(seconds),))
            self.lock_timeout = seconds

    def execute(
        self, query: Any, params: Any = None, *, prepare: bool | None = None, binary: bool = False
    ) -> psycopg.Cursor[Any]:
        if self.is_pooled and self.pgconn.transaction_status == TransactionStatus.IDLE:
            return self._execute_alone((query, params), binary=binary)
        return super().execute(query, params, prepare=prepare, binary=binary)

    def rows(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """All rows of a short answer, by a cursor that is used again: to make one takes a tenth of a short read."""
        if self.is_pooled:
            return self.execute(statement, values, binary=True).fetchall()
        cursor, self._short = self._short or self.cursor(binary=True), None
        rows = cursor.execute(statement, values).fetchall()
        if len(rows) <= 1:  # it keeps the answer until the next one
            self._short = cursor
        return rows

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
            with self.pipeline():
                super().execute(BEGIN)
                super().execute(*self._settings())
                cursor = super().execute(*statement, **how)
                super().execute("COMMIT")
            return cursor
        except BaseException:
            if self.pgconn.transaction_status in (TransactionStatus.INERROR, TransactionStatus.INTRANS):
                self.finish(("ROLLBACK", None))
            raise

    def _settings(self) -> Statement:
        """The statement that sets up a transaction, whatever session it has."""
        return _SETTINGS, (self.level, self.is_full, milliseconds(self.lock_timeout))

    def set_up(self, level: str | None, *, is_full: bool, is_pooled: bool) -> None:
        """Set what the session needs, whatever the defaults of the server, the database and the role are.

        The search path is first, by a statement that calls no function: before it, any name may be somebody else's.
        The server looks after a client that vanished within half a minute; its own default is two hours, in which it
        keeps the locks.
        """
        self.level, self.is_full, self.is_pooled, self.unconfirmed = level, is_full, is_pooled, []
        self.add_notice_handler(partial(_note, self.unconfirmed))
        if is_pooled:
            self.prepare_threshold = None  # no statement is prepared by a name that another session does not know
            return
        *_, cursor = self.together(
            ("SET search_path = pg_catalog, pg_temp", ()),
            ("SET default_transaction_isolation = 'read committed'", ()),
            (_COMMIT_LEVEL, (level, is_full)),
            ("SELECT set_config('lock_timeout', $1, false)", (milliseconds(self.lock_timeout),)),
            (_KEEPALIVE, ()),
            (_RESTRICT, ()),
            (_BACKEND, ()),
        )
        pid, started = cursor.fetchone()
        if pid == self.info.backend_pid and started is not None:
            self.backend = (pid, started)

    def commit_fully(self) -> None:
        """From now on a commit waits at least for the disks of the synchronous standbys, if there are any."""
        if not self.is_pooled:
            self.execute(_COMMIT_LEVEL, (None, True))
        self.is_full = True

    def take_unconfirmed(self) -> str | None:
        """The warning of the last commit that the standbys may not have it; it is asked for once."""
        if not self.unconfirmed:
            return None
        found, self.unconfirmed[:] = " ".join(self.unconfirmed), []
        return found

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        if self.waiting is not None:
            return self.waiting.wait(self.watched(gen))
        return super().wait(self.watched(gen), *args, **kwargs)

    def watched(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The driver's generator; it is resumed with nothing every tenth of a second in which no byte comes."""
        vigil = None
        try:
            state = next(gen)
            while True:
                ready = yield state
                if ready:
                    vigil = None
                elif vigil is None:
                    vigil = _Vigil(self)
                else:
                    vigil.go_on()
                state = gen.send(ready)
        except StopIteration as end:
            return end.value
        except BaseException:
            _end(gen)
            raise

    def give_up(self, why: str) -> None:
        """Close it in the middle of a statement. Raises: NoAnswer."""
        self.was_stalled = True
        self.close()
        raise NoAnswer(why)


class _Vigil:
    """A time without an answer."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._heard = steady_clock()
        self._next = self._heard + min(FIRST_LOOK_SECONDS, conn.patience / 2)
        self._is_silent = False

    def go_on(self) -> None:
        conn, now = self._conn, steady_clock()
        if self._is_silent:  # an answer on its way has had another tenth of a second
            conn.give_up("the server does not know the statement any more whose answer this connection waits for")
        if now >= conn.deadline:
            conn.give_up("the server did not answer in time")
        if now < self._next:
            return
        left = self._heard + conn.patience - now
        found = conn.look(conn, max(left, LOOK_AGAIN_SECONDS))
        now = steady_clock()
        if found is Backend.WORKING:
            self._heard, self._next = now, now + min(FIRST_LOOK_SECONDS, conn.patience / 2)
        elif found is Backend.SILENT:
            self._is_silent = True
        elif now - self._heard >= conn.patience:
            conn.give_up(f"no answer for {conn.patience:g} seconds, and the server cannot be reached")
        else:
            self._next = now + LOOK_AGAIN_SECONDS


# "normal" is the server's own level, or that of the URL, but waits for the local disk; "full" waits for the standbys.
_LEVEL = (
    "SELECT set_config('synchronous_commit', CASE WHEN $2::boolean AND level IN ('off', 'local', 'remote_write') "
    "THEN 'on' WHEN level = 'off' THEN 'local' ELSE level END, {is_local}){more} "
    "FROM (SELECT coalesce($1::text, current_setting('synchronous_commit')) AS level) s"
)
_COMMIT_LEVEL = _LEVEL.format(is_local="false", more="")
_SETTINGS = _LEVEL.format(
    is_local="true",
    more=", set_config('search_path', 'pg_catalog, pg_temp', true), set_config('lock_timeout', $3, true)",
)
_KEEPALIVE = (
    "SELECT set_config('tcp_keepalives_idle', '15', false), set_config('tcp_keepalives_interval', '5', false), "
    "set_config('tcp_keepalives_count', '3', false)"
)
# A table could be replaced by a view after its check. Servers of 2024 and later have the setting.
_RESTRICT = (
    "SELECT set_config(name, 'view, foreign-table', false) FROM pg_settings "
    "WHERE name = 'restrict_nonsystem_relation_kind'"
)
_BACKEND = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_SETTLED = (TransactionStatus.IDLE, TransactionStatus.INTRANS, TransactionStatus.INERROR)
_WAITED_IN = (None, "SyncRepWaitForLSN")  # the server's function; texts are in its language


def milliseconds(seconds: float) -> str:
    """A time as the server's settings have it."""
    return f"{max(1, round(seconds * 1000))}ms"  # 0 would be for ever


def _end(gen: Generator[Any, Any, Any]) -> None:
    """End the driver's generator now: collected after its connection was closed, it would print an error.

    It may want to go on, and fetch the answers that are left; then it ends at the second attempt.
    """
    for _ in range(2):
        with suppress(Exception):
            gen.close()


def _interrupt_before(error: BaseException) -> BaseException | None:
    """The interrupt that made the driver fail as it ended several statements; None: there was none."""
    before: BaseException | None = error
    while before is not None and isinstance(before, Exception):
        before = before.__context__
    return before


def _note(unconfirmed: list[str], notice: Any) -> None:
    """A commit that is cancelled while it waits for a standby succeeds, with a warning."""
    if notice.sqlstate in ("01000", "57P01") and notice.source_function in _WAITED_IN:
        unconfirmed.append(str(notice.message_primary))
