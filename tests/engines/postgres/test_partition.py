"""A network that carries nothing: no operation waits much longer than `timeout`, and nothing is written afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from postgres_proxy import CLIENT, SERVER, Proxy
from postgres_server import PostgresServer

from store import Store
from store.engines.postgres import connection
from store.engines.postgres.connection import Backend
from store.errors import LockTimeout, OutcomeUnknown, StorageError, StoreError

TIMEOUT = 2.0
BOUND = 30.0  # how long anything may take here; without deadlines of our own it would be for ever
URL = "postgresql://postgres@127.0.0.1:{}/postgres?schema={}&sslmode=disable&gssencmode=disable"


class Line:
    """A store behind a proxy, and another handle on it that does not go through it.

    Operations of `behind` end after `TIMEOUT`; while it is opened, and after a partition, they have more time.
    """

    def __init__(self, port: int, schema: str, proxy: Proxy) -> None:
        self.proxy = proxy
        self.url = URL.format(proxy.port, schema)
        self.direct = Store[Any](URL.format(port, schema))
        self.behind = Store[Any](self.url, timeout=BOUND)
        self.behind["b"] = 2  # it is connected, and the key of the seals is noted
        self.direct["a"] = 1
        self.set_timeout(TIMEOUT)

    def set_timeout(self, seconds: float) -> None:
        self.behind.opened.engine.handle.timeout = seconds
        assert self.behind["a"] == 1  # the server has been told

    def resume(self) -> None:
        """The end of the partition."""
        self.proxy.resume()
        self.behind.opened.engine.handle.timeout = BOUND


@pytest.fixture
def line(postgres: PostgresServer, postgres_url: str) -> Iterator[Line]:
    with Proxy(postgres.port) as proxy:
        opened = Line(postgres.port, postgres_url.partition("schema=")[2], proxy)
        try:
            yield opened
        finally:
            proxy.resume()
            opened.behind.close()
            opened.direct.close()


def fails(call: Callable[[], Any]) -> StoreError:
    """The error that a call ends in, within the bound."""
    begun = time.monotonic()
    with pytest.raises(StoreError) as caught:
        call()
    assert time.monotonic() - begun < BOUND
    assert "postgres@127.0.0.1" in str(caught.value)
    return caught.value


def edit(s: Store[Any]) -> None:
    with s.edit("a") as value:
        assert value == 1


def transaction(s: Store[Any]) -> None:
    with s.transaction():
        s["a"] = 2
        s["b"] = 3


CALLS: dict[str, Callable[[Store[Any]], Any]] = {
    "get": lambda s: s["a"],
    "items": lambda s: list(s.items()),
    "set": lambda s: s.__setitem__("a", 2),
    "update": lambda s: s.update(a=2, b=3),
    "delete": lambda s: s.delete("a"),
    "transaction": transaction,
    "incr": lambda s: s.incr("a"),
    "open": lambda s: Store[Any](s.opened.engine.location, timeout=TIMEOUT),
}


QUICK = ("set", "transaction", "open")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.heavy) for name in CALLS]
)
def test_operation_ends_though_nothing_is_forwarded(line: Line, name: str) -> None:
    line.proxy.stall()
    error = fails(lambda: CALLS[name](line.behind))
    assert isinstance(error, StorageError)
    assert line.direct["a"] == 1
    # A call that begins during the partition ends too, and nothing of it was sent.
    fails(lambda: line.behind["a"])
    line.resume()
    # The read comes after the end of what was on its way: that may have arrived, and comes no more.
    found = dict(line.behind.items())
    assert found == dict(line.direct.items())
    assert found == {"a": 1, "b": 2} or isinstance(error, OutcomeUnknown)
    line.behind["a"] = 5
    assert line.behind["a"] == line.direct["a"] == 5
    assert dict(line.direct.items()) == {**found, "a": 5}


def test_deadline_is_one_for_all_attempts_of_an_operation(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for the answer and that for the outcome are not added up."""
    lost = line.behind.opened.engine.handle.sessions.lost
    left, noted = [], lost.noted

    def noting(conn: Any, token: Any, namespaces: Any, deadline: float) -> Any:
        left.append(deadline - time.monotonic())
        return noted(conn, token, namespaces, deadline)

    monkeypatch.setattr(lost, "noted", noting)
    line.proxy.stall()
    fails(lambda: line.behind.__setitem__("a", 2))
    assert len(left) == 1 and left[0] < TIMEOUT / 2


def test_answer_that_is_lost_is_found_by_its_token(line: Line) -> None:
    line.proxy.plan(SERVER, 1, line.proxy.stall)  # the statement arrives, its answer does not
    error = fails(lambda: line.behind.__setitem__("a", 2))
    assert isinstance(error, OutcomeUnknown)
    assert "read the record" in str(error)
    line.resume()
    assert line.behind["a"] == line.direct["a"] == 2


@pytest.mark.parametrize("whose", [CLIENT, SERVER])
def test_partition_that_ends_within_the_timeout_is_not_noticed(
    line: Line, whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "FIRST_LOOK_SECONDS", 0.1)
    line.set_timeout(BOUND)
    sessions = line.behind.opened.engine.handle.sessions
    looks = []

    def look(conn: Any, seconds: float) -> Backend:
        looks.append(seconds)
        line.proxy.resume()
        return Backend.UNREACHABLE

    conn = sessions.take(BOUND)
    conn.look = look
    sessions.put_back(conn)
    line.proxy.plan(whose, 1, line.proxy.stall)
    line.behind["a"] = 2
    assert looks
    assert line.direct.record("a").revision == 2


def test_statement_may_take_longer_than_the_timeout(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_LOOK_SECONDS", 0.5)
    line.set_timeout(2 * TIMEOUT)  # in which a look comes through on a busy machine too
    handle = line.behind.opened.engine.handle
    looks, conns = [], []

    def sleep(conn: Any, place: Any) -> Any:
        conns.append(conn)
        asked = conn.look

        def look(one: Any, seconds: float) -> Backend:
            looks.append(found := asked(one, seconds))
            return found

        conn.look = look
        return conn.execute("SELECT pg_sleep($1), 1", (TIMEOUT * 2.5,)).fetchone()[1]

    assert handle.read(sleep) == 1
    assert len(conns) == 1, "it is not given up"
    assert Backend.WORKING in looks and Backend.SILENT not in looks


def test_connection_whose_answer_was_lost_is_given_up_while_others_work(line: Line) -> None:
    """As behind a firewall that forgot one connection."""
    line.proxy.plan(SERVER, 1, line.proxy.hold)
    line.behind["a"] = 2  # committed; the token says so
    line.proxy.release()
    assert line.direct.record("a").revision == 2


def test_statement_that_arrives_late_is_not_committed(line: Line) -> None:
    """The write was tried again, so its first attempt must not come after it."""
    sessions = line.behind.opened.engine.handle.sessions
    conn = sessions.take(TIMEOUT)
    pid = conn.info.backend_pid
    sessions.put_back(conn)
    del conn
    line.proxy.plan(CLIENT, 1, line.proxy.delay)
    line.behind["a"] = 2
    line.direct["a"] = 3
    line.proxy.release()
    while line.direct.opened.engine.handle.one("SELECT true FROM pg_stat_activity WHERE pid = $1", (pid,)):
        pass  # it has got the statement, could not answer, and ended
    assert line.direct["a"] == 3 and line.direct.record("a").revision == 3


def test_fence_stops_a_write_without_the_pid(line: Line, postgres: PostgresServer) -> None:
    """Behind a pooler the session cannot be ended; its token is taken."""
    from uuid import uuid4

    import psycopg

    from store.engines.postgres.outcome import noted_by

    sessions = line.behind.opened.engine.handle.sessions
    conn = sessions.take(TIMEOUT)
    try:
        token = uuid4()
        assert noted_by(conn, sessions.statements, token, [""]) is None
        assert noted_by(conn, sessions.statements, token, [""]) is None  # asked again: the fence is no commit
        with pytest.raises(psycopg.errors.UniqueViolation):
            conn.execute(sessions.statements.delete, (sessions.lock_of(""), token, "", "a", 0.0), binary=True)
        token = uuid4()
        conn.execute(sessions.statements.delete, (sessions.lock_of(""), token, "", "a", 0.0), binary=True)
        noted = noted_by(conn, sessions.statements, token, [""])
        assert noted is not None and [tuple(row) for row in noted] == [("", "a", 1)]
    finally:
        sessions.put_back(conn)
    assert line.direct.get("a") is None


def test_write_in_progress_is_waited_for(line: Line) -> None:
    """The question about a token waits while its write waits for somebody else."""
    sessions = line.behind.opened.engine.handle.sessions
    from uuid import uuid4

    from store.engines.postgres.outcome import noted_by

    token = uuid4()
    writer, asker, answers = sessions.take(BOUND), sessions.take(BOUND), []
    try:
        writer.execute("BEGIN")
        writer.execute(sessions.statements.delete, (sessions.lock_of(""), token, "", "a", 0.0), binary=True)
        asking = threading.Thread(
            target=lambda: answers.append(noted_by(asker, sessions.statements, token, [""]))
        )
        asking.start()
        pid = asker.info.backend_pid
        while not line.direct.opened.engine.handle.one(
            "SELECT true FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'", (pid,)
        ):
            pass
        assert answers == []
        writer.execute("COMMIT")
        asking.join()
        assert [tuple(row) for row in answers[0]] == [("", "a", 1)]
    finally:
        sessions.put_back(writer)
        sessions.put_back(asker)


def test_lock_of_a_vanished_client_is_free_again(line: Line) -> None:
    """The block was lost in a partition; its backend is ended by the next connection, not after hours."""
    with pytest.raises(StorageError, match="nothing of it was kept"):
        with line.behind.transaction():
            line.behind["a"] = 2
            line.proxy.stall()
            line.behind["b"] = 3
    with pytest.raises(LockTimeout):  # the server knows nothing yet
        with Store[Any](line.direct.opened.engine.location, timeout=0.01) as impatient, impatient.transaction():
            pass
    line.resume()
    assert line.behind["a"] == 1
    with line.direct.transaction():
        line.direct["a"] = 4
    assert line.behind["a"] == 4
