"""The advisory locks of an open transaction: of whole namespaces, of namespaces that it shares, and of a name.

A lock is taken in a statement before the one that reads: that one would not see commits that it waited for.
ROLLBACK TO SAVEPOINT releases the locks that were taken since the savepoint, so a savepoint records which there were.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg

from store.engines.postgres.connection import BEGIN, Connection, milliseconds
from store.engines.postgres.sessions import Sessions
from store.errors import LockTimeout
from store.system import running
from store.system.clock import steady_clock

# Seconds in the server's queue: the first and the longest wait. Others queue behind it, so each wait is followed by a
# pause of that length: writers keep at least half of the time, also beside a transaction that stays open for long.
FIRST_WAIT, LAST_WAIT = 0.02, 0.32
LOCK_NOT_AVAILABLE = "55P03"


class Taken(NamedTuple):
    """The namespaces that a transaction has locked."""

    whole: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()


class TransactionLocks:
    """What a transaction has locked, and how it locks more. `is_shared`: it never takes a whole namespace."""

    def __init__(self, sessions: Sessions, conn: Connection, timeout: float, *, is_shared: bool) -> None:
        self.taken = Taken()
        self.is_shared = is_shared
        self._sessions = sessions
        self._statements = sessions.statements
        self._conn = conn
        self._timeout = timeout
        self._savepoints = 0

    # -- the beginning

    def begin_shared(self, namespace: str, names: Sequence[str]) -> None:
        """Begin beside other writers of the namespace. One name excludes others that read it before they write it."""
        self._share(BEGIN, namespace, names)

    def begin_whole(self, namespaces: Sequence[str], deadline: float) -> None:
        """Begin with those namespaces excluded for all other writers."""
        self._exclude(namespaces, BEGIN, "ROLLBACK", deadline)

    # -- later

    def take(self, namespace: str) -> None:
        """Lock a namespace before it is read: whole, or shared where the transaction has no whole one."""
        whole, shared = self.taken
        if namespace in whole or namespace in shared:
            return
        if self.is_shared:
            self._share(None, namespace, ())
        else:
            self.take_whole((namespace,))

    def take_whole(self, namespaces: Sequence[str]) -> None:
        """Exclude other writers of those namespaces too; does nothing in a transaction that shares its namespace."""
        wanted = [namespace for namespace in namespaces if namespace not in self.taken.whole]
        if wanted and not self.is_shared:
            self._savepoints += 1
            name = f"locks{self._savepoints}"
            # Released only where it fails: an error in it leaves the transaction as before.
            deadline = steady_clock() + self._timeout
            self._exclude(wanted, f"SAVEPOINT {name}", f"ROLLBACK TO SAVEPOINT {name}", deadline)

    def savepoint(self, statement: str, namespace: str, names: Sequence[str]) -> None:
        """Begin a nested transaction, and lock the names that it says that it reads before it writes."""
        if namespace in self.taken.whole or not names:
            self._conn.execute(statement)
        else:
            self._share(statement, namespace, names)

    def _share(self, opening: str | None, namespace: str, names: Sequence[str]) -> None:
        steps: list[tuple[str, tuple[Any, ...]]] = [] if opening is None else [(opening, ())]
        if namespace not in self.taken.shared:
            steps.append((self._statements.lock_shared, (self._sessions.lock_of(namespace),)))
        if len(names) == 1:  # each lock takes memory of the server; several names are locked by their rows alone
            steps.append((self._statements.lock_name, (self._sessions.lock_of_name(namespace, names[0]),)))
        self._conn.together(*steps)
        self.taken = self.taken._replace(shared=self.taken.shared | {namespace})

    # -- excluding all other writers

    def _exclude(self, namespaces: Sequence[str], opening: str, closing: str, deadline: float) -> None:
        """Attempts in growing distances for half of the time, and then a place in the server's queue."""
        keys = sorted({self._sessions.lock_of(namespace) for namespace in namespaces})
        wait, patience = FIRST_WAIT, deadline - self._timeout / 2
        is_first = not self.taken.whole  # else others may wait for what it has: the server finds that out by queueing
        found = self._attempt(keys, opening, closing, None)
        while not found and (now := steady_clock()) < deadline:
            if is_first and now + wait < patience:
                found = self._attempt(keys, opening, closing, wait)
                if not found:
                    running.sleep(wait * random.uniform(0.75, 1.25))
                    wait = min(wait * 2, LAST_WAIT)
            else:
                found = self._attempt(keys, opening, closing, deadline - now)
        if not found:
            raise LockTimeout(
                f"{self._sessions.location.shown}: other writers kept {_named(namespaces)} for {self._timeout:g} "
                "seconds; try again, shorten their transactions, or open the store with a longer timeout",
                path=self._sessions.location.shown,
            )
        self.taken = self.taken._replace(whole=self.taken.whole | {*namespaces})

    def _attempt(self, keys: Sequence[int], opening: str, closing: str, seconds: float | None) -> bool:
        """Open, and lock all of them or none; `seconds` for each in the queue, None: without waiting."""
        conn, statements = self._conn, self._statements
        try:
            if seconds is None:
                _, *tries = conn.together((opening, ()), *((statements.try_lock, (key,)) for key in keys))
                found = all(_first(cursor) for cursor in tries)
            else:
                conn.together(
                    (opening, ()),
                    (statements.lock_timeout, (milliseconds(seconds),)),
                    *((statements.lock, (key,)) for key in keys),
                    (statements.lock_timeout, (milliseconds(self._timeout),)),
                )
                found = True
        except psycopg.Error as exc:
            if conn.closed:
                raise
            conn.finish((closing, None))
            if exc.sqlstate != LOCK_NOT_AVAILABLE:
                raise
            return False
        if not found:
            conn.finish((closing, None))
        return found


def _first(cursor: Any) -> bool:
    row = cursor.fetchone()
    return bool(row and row[0])


def _named(namespaces: Sequence[str]) -> str:
    return f"the namespace{'s' if len(namespaces) > 1 else ''} {', '.join(map(repr, sorted(namespaces)))}"
