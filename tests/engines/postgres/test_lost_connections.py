"""A connection that is lost before any message of an operation: done once or not at all, and the handle goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lost_operations import BEFORE, OPERATIONS, Operation
from postgres_proxy import CLIENT, SERVER, Link, Proxy
from postgres_server import PostgresServer

from store import Store
from store.errors import StorageError


class Line:
    """A store behind a proxy, and another handle on it that does not go through it."""

    def __init__(self, server: PostgresServer, schema: str, proxy: Proxy, timeout: float) -> None:
        import psycopg

        url = f"postgresql://postgres@127.0.0.1:{{}}/postgres?schema={schema}&sslmode=disable&gssencmode=disable"
        self.url = url.format(proxy.port) + "&application_name=behind"
        self.direct = Store[Any](url.format(server.port))
        self.schema, self.proxy, self.port = schema, proxy, server.port
        self.timeout = timeout
        self.admin = psycopg.connect(server.url, autocommit=True)
        self.behind = Store[Any](self.url, timeout=timeout)

    def close(self) -> None:
        self.behind.close()
        self.direct.close()
        self.admin.close()

    def reset(self) -> None:
        self.direct.clear()
        self.direct.update(BEFORE)

    def messages(self, call: Callable[[Store[Any]], Any]) -> dict[str, int]:
        """How many messages each side sends during a call."""
        self.behind.get("a")
        self.proxy.count()
        call(self.behind)
        return dict(self.proxy.counts)

    def end_backends(self, link: Link) -> None:
        """Wait until they are gone: the next message then meets a closed connection."""
        self.admin.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'behind'"
        ).fetchall()

    def state(self) -> tuple[dict[str, Any], dict[str, int]]:
        return dict(self.direct.items()), {r.name: r.revision for r in self.direct.records() if r.revision != 1}


@pytest.fixture
def line(postgres: PostgresServer, postgres_url: str) -> Iterator[Line]:
    with Proxy(postgres.port) as proxy:
        opened = Line(postgres, postgres_url.partition("schema=")[2], proxy, 10.0)
        try:
            yield opened
        finally:
            proxy.resume()
            opened.close()


def check(line: Line, operation: Operation, where: str) -> bool:
    """Do it, and compare; returns whether it succeeded."""
    try:
        result = operation.call(line.behind)
    except StorageError as exc:
        assert not operation.is_single, (where, exc)
        assert "nothing of it was kept" in str(exc), (where, exc)
        assert line.state() == (BEFORE, {}), where
        done = False
    else:
        assert result == operation.result, where
        after = BEFORE if operation.after is None else operation.after
        assert line.state() == (after, operation.revisions or {}), where
        done = True
    line.behind["again"] = 1
    assert line.behind["again"] == line.direct["again"] == 1
    return done


ENDED = ("set", "incr")  # the others on request: to the client both look alike


@pytest.mark.parametrize(
    ("how", "name"),
    [("cut", name) for name in OPERATIONS]
    + [pytest.param("terminate", name, marks=[] if name in ENDED else pytest.mark.heavy) for name in OPERATIONS],
)
def test_connection_lost_before_each_message(line: Line, how: str, name: str) -> None:
    operation = OPERATIONS[name]
    action = Link.cut if how == "cut" else line.end_backends
    line.reset()
    counts = line.messages(operation.call)
    assert counts[CLIENT] >= 4 and counts[SERVER] >= 4
    tried, done = 0, 0
    for whose, messages in counts.items():
        # The statements of a block repeat; every message of short operations, and every third of long ones.
        for number in range(1, messages + 1, 1 if messages <= 20 else 3):
            line.reset()
            line.behind.get("a")  # connected, and prepared
            line.proxy.plan(whose, number, action)
            done += check(line, operation, f"{name}: {how} before message {number} of the {whose}")
            tried += 1
    assert tried > 0 and done > 0


@pytest.mark.parametrize("how", ["cut", "terminate"])
def test_connection_lost_while_opening(line: Line, how: str) -> None:
    line.reset()
    action = Link.cut if how == "cut" else line.end_backends
    line.proxy.count()
    Store[Any](line.url, timeout=10).close()
    for whose, messages in dict(line.proxy.counts).items():
        for number in range(1, messages + 1, 2):
            line.behind.close()
            line.proxy.plan(whose, number, action)
            try:
                line.behind = Store[Any](line.url, timeout=10)
            except StorageError as exc:  # the server ended it while it connected
                assert "cannot be reached" in str(exc)
                line.behind = Store[Any](line.url, timeout=10)
            assert line.behind["a"] == 1


def test_a_new_store_is_made_once_though_connections_are_lost(line: Line) -> None:
    ids, number = set(), 0
    line.proxy.count()
    while line.proxy.counts[CLIENT] >= number:  # until the plan came after the end
        number += 13
        url = line.url.replace(line.schema, f"{line.schema}_{number}")
        line.proxy.plan(CLIENT, number, Link.cut)
        try:
            try:
                made = Store[Any](url, timeout=10)
            except StorageError as exc:
                assert "cannot be reached" in str(exc)
                made = Store[Any](url, timeout=10)
            with made, Store[Any](url.replace(str(line.proxy.port), str(line.port))) as other:
                made["a"] = number
                assert other["a"] == number
                ids.add(made.opened.engine.id)
        finally:
            line.admin.execute(f'DROP SCHEMA IF EXISTS "{line.schema}_{number}" CASCADE')
    assert len(ids) == number // 13 > 3
