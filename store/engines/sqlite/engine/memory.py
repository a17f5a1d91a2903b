"""What is committed in a database in memory, for the threads that read while another one is in a transaction.

Such a database has one connection, and what a transaction has changed is its own thread's alone until it commits. So
with the first transaction there is a second database, which follows the first one by the same statements, after each
commit: they are bound, and what they do depends on nothing but the rows. It is read only while a transaction is open.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from store.engines.sqlite.engine.slot import RETRY_SECONDS, Fetch, Slot, row_count
from store.engines.sqlite.errors import timed_out
from store.errors import StoreError
from store.system.clock import steady_clock

T = TypeVar("T")
Statement = tuple[str, Sequence[Any]]
Statements = list[Statement | None]
"""Those of a transaction; None where it is not known whether one was done. `executemany` has a list of rows."""

BEHIND = 100  # statements that the second database may be behind, unless somebody reads it
BEHIND_BYTES = 1024 * 1024


class Committed:
    """Of one engine. Safe across threads; writes are under the writer's lock, and interrupts may strike anywhere."""

    def __init__(self, main: Slot, copy: Slot) -> None:
        self.version = 0
        """Another one with each commit, and before it."""
        self._main = main
        self._copy = copy
        self._behind: deque[Statement] = deque()  # committed, and not in the second database yet
        self._bytes = 0
        self._is_known = False  # whether the second database and those are all there is
        self._has_failed = False  # as it followed

    def read(self, statement: str, params: Sequence[Any], fetch: Fetch[T], timeout: float) -> T:
        """As `Slot.run`, for a thread that is in no transaction: what is committed, without waiting for writers."""
        deadline = steady_clock() + timeout
        while True:
            with self._main.guard:
                conn = self._main.conn
                if conn is None or not conn.in_transaction:
                    return self._main.run(statement, params, fetch, timeout)
            with self._copy.guard:
                if self._is_usable() and self._follow():
                    return self._copy.run(statement, params, fetch, timeout)
            if steady_clock() >= deadline:  # there is not memory enough for a second database
                raise timed_out(self._main.path, timeout)
            time.sleep(RETRY_SECONDS)

    # -- under the writer's lock

    def begin(self) -> None:
        """Before a transaction. Raises: StoreError: there is not memory enough for a second database."""
        with self._main.guard, self._copy.guard:
            if not self._is_usable():
                self._behind.clear()
                self._main.run("SELECT 1", (), self._copy_all, 0.0)
                self._has_failed, self._is_known = False, True

    def write(self, statement: str, params: Sequence[Any], size: int, timeout: float) -> int:
        """Run a statement that is a transaction of its own; how many rows it changed."""
        self._bytes += size
        return self.commit(lambda: self._main.run(statement, params, row_count, timeout), [(statement, params)])

    def note(self, done: Statements, run: Callable[[], T], statement: str, params: Sequence[Any], size: int) -> T:
        """Run a statement of a transaction, which is put into the list of what was done in it."""
        self._bytes += size
        done.append(None)
        found = run()
        done[-1] = statement, params
        return found

    def commit(self, commit: Callable[[], T], statements: Statements) -> T:
        """Call `commit`, which makes those statements last; gives what it gives."""
        was_known, self._is_known = self._is_known, False  # until all is noted
        self.version += 1
        found = commit()
        self.version += 1
        if was_known and None not in statements:
            self._behind.extend(statements)  # type: ignore[arg-type]
            self._is_known = True
            if len(self._behind) > BEHIND or self._bytes > BEHIND_BYTES:
                with self._copy.guard:
                    self._follow()
        return found

    # -- the second database, under its guard

    def _is_usable(self) -> bool:
        return self._is_known and not self._has_failed

    def _copy_all(self, cursor: sqlite3.Cursor) -> None:
        cursor.fetchone()
        cursor.connection.backup(self._copy.ready())

    def _follow(self) -> bool:
        """Do what is committed there as well; whether that went well: what was committed stays, anyhow."""
        if not self._behind:
            return True
        self._has_failed = True
        self._bytes = 0
        try:
            conn = self._copy.ready()
            conn.execute("BEGIN")
            while self._behind:
                statement, params = self._behind.popleft()
                (conn.executemany if isinstance(params, list) else conn.execute)(statement, params)
            conn.execute("COMMIT")
        except (sqlite3.Error, MemoryError, StoreError):
            return False  # it is made anew with the next transaction
        self._has_failed = False
        return True
