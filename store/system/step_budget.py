"""An end for every statement: on a damaged database, whose trees lead round in circles, SQLite never comes to one.

A sound database of so many bytes has at most so many rows, each of which takes some steps of SQLite's virtual
machine. A statement that has taken many times as many goes round in a circle, and is interrupted.
https://www.sqlite.org/c3ref/progress_handler.html
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress

STEPS = 100_000  # between two calls of the handler: about a millisecond
LEAST_CALLS = 40  # for a statement on a small database, one call with a value for each of many rows included
STEPS_PER_BYTE = 4  # ten times what the longest statement takes, SQLite's own check of records as small as they come
STEPS_PER_VALUE = 1000  # of a statement that is run for each of many rows


class Budget:
    """How many steps a statement may take on the database at a path. For one connection at a time."""

    __slots__ = ("_calls", "_ends", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._calls = LEAST_CALLS
        self._ends = [True]  # what the handler takes from the end, and answers: whether the statement ends now

    def watch(self, conn: sqlite3.Connection) -> None:
        """From now on a statement on the connection is interrupted when it takes more.

        The handler is a method of a list, and no function of ours: in a function the exception of a signal could be
        raised, which the module would take for the order to interrupt the statement, and drop.
        """
        self.grow()
        conn.set_progress_handler(self._ends.pop, STEPS)

    def begin(self, values: int = 1) -> None:
        """The next statement begins, which is run for so many values."""
        if len(self._ends) <= self._calls or values > 1:
            self._fill(self._calls + values * STEPS_PER_VALUE // STEPS)

    def grow(self) -> bool:
        """Go by the size that the files have now; whether a statement may take more steps than before."""
        size = 0
        for suffix in ("", "-wal"):
            with suppress(OSError):
                size += os.stat(self._path + suffix).st_size
        before = self._calls
        self._calls = max(before, size * STEPS_PER_BYTE // STEPS)
        self._fill(self._calls)
        return self._calls > before

    def _fill(self, calls: int) -> None:
        self._ends[:] = [True] * 2 + [False] * (calls - 1)


def watched(conn: sqlite3.Connection, path: str) -> sqlite3.Connection:
    """The connection, on which all statements together may take as much as one may."""
    Budget(path).watch(conn)
    return conn
