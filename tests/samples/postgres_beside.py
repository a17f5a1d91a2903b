"""Another thread that works on the same server, and whether it waits there for a lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from store import Store

SECONDS = 60.0  # until a test fails
WAITING = (
    "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
    "WHERE NOT l.granted AND a.datname = current_database()"
)


class Beside:
    """What `work` does in a thread of its own, which has its own transactions."""

    def __init__(self, server: Any, work: Callable[[], Any]) -> None:
        self._server = server
        self._work = work
        self._found: list[Any] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found.append(self._work())
        except BaseException as exc:
            self._found.append(exc)

    def waits(self, sessions: int = 1) -> None:
        """Return once so many sessions wait for a lock, this one among them."""
        deadline = time.monotonic() + SECONDS
        while self._server.execute(WAITING).fetchone()[0] < sessions:
            assert self._thread.is_alive(), f"it waited for nothing: {self._found}"
            assert time.monotonic() < deadline

    def result(self) -> Any:
        """What `work` returned, or the error that it raised, as an object."""
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        return self._found[0]


def check_unlocked(s: Store, where: str) -> None:
    """No session has a lock of a transaction: it was rolled back, or its connection was closed."""
    sessions = s.opened.engine.handle.sessions
    conn = sessions.take(SECONDS)
    try:
        deadline = time.monotonic() + SECONDS
        while conn.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() != (0,):
            assert time.monotonic() < deadline, f"a lock was kept after an interrupt at {where}"
    finally:
        sessions.put_back(conn)


@pytest.fixture
def admin(postgres: Any) -> Iterator[Any]:
    """A session of the server's owner."""
    import psycopg

    with psycopg.connect(postgres.url, autocommit=True) as conn:
        yield conn


@pytest.fixture
def beside(admin: Any) -> Iterator[Callable[[Callable[[], Any]], Beside]]:
    """`beside(work)` begins the work in another thread. All of it ends with the test."""
    begun: list[Beside] = []

    def begin(work: Callable[[], Any]) -> Beside:
        begun.append(Beside(admin, work))
        return begun[-1]

    yield begin
    for one in begun:
        one.result()
