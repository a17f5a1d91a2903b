"""A limit of steps for every statement: on a damaged database with circular trees SQLite would run for ever.

The size of a sound database limits the number of its rows, and each takes some steps of SQLite's virtual machine. A
statement that has taken many times as many runs in a circle, and is interrupted.
https://www.sqlite.org/c3ref/progress_handler.html
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress

STEPS = 100_000  # between two calls of the handler on a small database: about a millisecond
LEAST_CALLS = 40  # for a statement on a small database
MOST_CALLS = 1000  # of a large one, on which there are more steps between two: the answers take memory
MOST_STEPS = 2**30  # between two calls: SQLite takes a C int
STEPS_PER_BYTE = 4  # ten times what the longest statement takes, SQLite's own check of records as small as they come
STEPS_PER_VALUE = 1000  # of a statement that is run for each of many rows


class Budget:
    """How many steps a statement may take on the database at a path. For one connection at a time."""

    __slots__ = ("_path", "_steps", "calls", "ends")

    def __init__(self, path: str) -> None:
        self._path = path
        self._steps = STEPS
        self.calls = LEAST_CALLS
        self.ends = [True]  # the handler pops its answers: whether to interrupt the statement now

    def watch(self, conn: sqlite3.Connection) -> None:
        """Interrupt statements on the connection that take more steps.

        The handler is a method of a list and not a Python function: a signal could raise an exception in a function,
        which the module would drop, and interrupt the statement.
        """
        steps = self._size() * STEPS_PER_BYTE
        self._steps = min(max(STEPS, steps // MOST_CALLS), MOST_STEPS)
        self.calls = max(LEAST_CALLS, steps // self._steps)
        self._fill(self.calls)
        conn.set_progress_handler(self.ends.pop, self._steps)

    def begin(self, values: int = 1) -> None:
        """Start the budget of the next statement, which is run for so many values.

        Without values there is nothing to do while there are more `ends` than `calls`.
        """
        if len(self.ends) <= self.calls or values > 1:
            self._fill(self.calls + values * STEPS_PER_VALUE // self._steps)

    def grow(self) -> bool:
        """Adapt to the current size of the files; returns whether a statement may now take more steps."""
        before = self.calls
        self.calls = max(before, self._size() * STEPS_PER_BYTE // self._steps)
        self._fill(self.calls)
        return self.calls > before

    def _size(self) -> int:
        size = 0
        for suffix in ("", "-wal"):
            with suppress(OSError):
                size += os.stat(self._path + suffix).st_size
        return size

    def _fill(self, calls: int) -> None:
        self.ends[:] = [True] * 2 + [False] * (calls - 1)


def watched(conn: sqlite3.Connection, path: str) -> sqlite3.Connection:
    """The connection, with one budget for all its statements together."""
    Budget(path).watch(conn)
    return conn
