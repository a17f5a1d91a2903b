"""A connection that is lost before any message of an operation: it is done once, and the handle goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lost_operations import BEFORE, OPERATIONS, Operation
from postgres_proxy import CLIENT, SERVER, Link, Proxy
from redis_proxy import redis_proxy, tear
from redis_server import RedisServer, without_pauses

from store import Store
from store.errors import OutcomeUnknown, StorageError

WRITES = {
    name: operation
    for name, operation in OPERATIONS.items()
    if operation.after is not None or name == "touch"
}  # fmt: skip


def _with_lock(s: Store[Any]) -> None:
    with s.lock("only"):
        s["a"] = 2


OPERATIONS_HERE = {
    **OPERATIONS,
    "delete_many": Operation(
        lambda s: s.delete_many(["a", "b", "none"]), 2, {k: v for k, v in BEFORE.items() if k not in "ab"}
    ),
    "lock": Operation(_with_lock, None, {**BEFORE, "a": 2}, {"a": 2}),
}


class Line:
    """A store behind a proxy, and another handle on it that does not go through it."""

    def __init__(self, server: RedisServer, url: str, proxy: Proxy) -> None:
        self.server = server
        self.direct = Store[Any](url)
        self.url = url.replace(str(server.port), str(proxy.port))
        self.behind = Store[Any](self.url, timeout=20)
        self.behind["again"] = 1  # from now on a write is one command
        self.proxy = proxy

    def close(self) -> None:
        self.behind.close()
        self.direct.close()

    def reset(self) -> None:
        self.direct.clear()
        self.direct.update(BEFORE)
        self.behind.get("a")  # connected

    def messages(self, call: Callable[[Store[Any]], Any]) -> dict[str, int]:
        """How many messages each side sends during a call."""
        self.reset()
        call(self.behind)  # the server has the scripts
        self.reset()
        self.proxy.count()
        call(self.behind)
        return dict(self.proxy.counts)

    def state(self) -> tuple[dict[str, Any], dict[str, int]]:
        return dict(self.direct.items()), {r.name: r.revision for r in self.direct.records() if r.revision != 1}

    def settle(self) -> None:
        """Wait until the server has done all that the proxy has sent it."""
        for link in self.proxy.ended():
            for thread in link.threads:
                thread.join(30)
        for _ in range(3):
            self.direct.get("a")


    def end_leases(self) -> None:
        """One that is taken late ends by itself, after seconds that the test does not wait for."""
        self.server.ask("DEL", self.direct.location.partition("prefix=")[2] + "{=}:leases")


@pytest.fixture
def line(redis: RedisServer, redis_url: str) -> Iterator[Line]:
    with redis_proxy(redis.port) as proxy:
        opened = Line(redis, redis_url, proxy)
        try:
            yield opened
        finally:
            proxy.resume()
            opened.close()


def check(line: Line, operation: Operation, where: str) -> None:
    result = operation.call(line.behind)
    assert result == operation.result, where
    after = BEFORE if operation.after is None else operation.after
    assert line.state() == (after, operation.revisions or {}), where
    line.behind["again"] = 1
    assert line.behind["again"] == line.direct["again"] == 1


@pytest.mark.parametrize("how", [Link.cut, tear])
@pytest.mark.parametrize("name", OPERATIONS_HERE)
def test_connection_lost_at_each_message(line: Line, how: Callable[[Link], Any], name: str) -> None:
    """Before the server has a command, in the middle of it, and after it was done, when the answer is lost."""
    operation = OPERATIONS_HERE[name]
    if name == "lock" and line.behind.opened.engine.locks is None:
        pytest.skip("the engine has no locks")
    counts = line.messages(operation.call)
    assert counts[CLIENT] >= 1 and counts[SERVER] >= 1
    for whose, messages in counts.items():
        for number in range(1, messages + 1):
            line.reset()
            line.proxy.plan(whose, number, how)
            check(line, operation, f"{name}: {how.__name__} at message {number} of the {whose}")


@pytest.mark.parametrize("name", WRITES)
def test_attempt_that_arrives_late_does_nothing(line: Line, name: str) -> None:
    """The network may deliver a command long after its connection is lost to the client, which has sent it again."""
    operation = WRITES[name]
    for number in range(1, line.messages(operation.call)[CLIENT] + 1):
        line.reset()
        line.proxy.plan(CLIENT, number, line.proxy.delay)
        result = operation.call(line.behind)
        line.behind.get("a")
        line.direct["b"] = "another client's"
        line.direct.delete("user:1")
        before = line.state(), line.direct.opened.engine.changes.version_of("")
        line.proxy.release()
        line.settle()
        line.end_leases()
        assert result == operation.result
        assert (line.state(), line.direct.opened.engine.changes.version_of("")) == before, (name, number)
        line.proxy.rearm()


def test_lost_answer_while_others_write(line: Line) -> None:
    """The write is found in the stream of changes, and what another client made of it stays."""
    line.reset()
    line.proxy.plan(SERVER, 1, lambda link: (line.direct.__setitem__("a", "newer"), link.cut())[1])
    line.behind["a"] = 2
    assert line.direct["a"] == "newer" and line.direct.record("a").revision == 3


@pytest.mark.parametrize("seconds", [100, -100])
def test_lost_answer_after_the_clock_of_this_machine_was_set(
    line: Line, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write is looked for in the stream back to its own time, by the clock of the server."""
    line.reset()
    time_before = time.time
    monkeypatch.setattr(time, "time", lambda: time_before() + seconds)
    assert abs(line.behind.opened.engine.now() - time_before()) < 10

    def others_write(link: Link) -> Any:
        line.direct["a"] = "newer"
        line.direct.update({f"n{number}": number for number in range(900)})
        return link.cut()

    line.proxy.plan(SERVER, 1, others_write)
    line.behind["a"] = 2
    assert line.direct["a"] == "newer"


def test_lost_answer_and_a_clear_in_between(line: Line) -> None:
    """The stream of changes stays, so the write is found although its record is gone."""
    line.reset()
    line.proxy.plan(SERVER, 1, lambda link: (line.direct.clear(), line.direct.update(z=1), link.cut())[2])
    line.behind["a"] = 2
    assert dict(line.direct) == {"z": 1}


def test_lost_command_and_a_clear_in_between(line: Line) -> None:
    line.reset()
    line.proxy.plan(CLIENT, 1, lambda link: (line.direct.clear(), line.direct.update(z=1), link.cut())[2])
    line.behind["a"] = 2
    assert dict(line.direct) == {"z": 1, "a": 2}


def test_lost_answer_of_a_clear_and_another_clear_in_between(line: Line) -> None:
    line.reset()

    def meanwhile(link: Link) -> None:
        line.direct["b"] = 1
        line.direct.clear()
        line.direct["later"] = 1
        link.cut()

    line.proxy.plan(SERVER, 1, meanwhile)
    line.behind.clear()
    assert dict(line.direct) == {"later": 1}


def test_lost_answer_and_a_stream_that_was_cut_off(line: Line, redis: RedisServer, redis_url: str) -> None:
    line.reset()
    stream = redis_url.partition("prefix=")[2] + "{=}:changes"
    line.proxy.plan(
        SERVER, 1, lambda link: (line.direct.update(z=1), redis.ask("XTRIM", stream, "MAXLEN", 1), link.cut())[2]
    )
    with pytest.raises(OutcomeUnknown, match="Read the records again"):
        line.behind["a"] = 2
    assert line.direct["a"] == 2  # it was done
    line.behind["a"] = 3
    assert line.direct["a"] == 3


def test_server_that_does_not_answer_any_more(line: Line) -> None:
    """In the middle of a write the outcome is unknown; a read, and a write on a fresh connection, did nothing."""
    line.reset()
    with Store[Any](line.url, timeout=0.5) as s:
        s.get("a")
        ended = threading.Event()

        def end(link: Link) -> None:
            line.proxy.refuse()
            link.cut()
            ended.set()

        line.proxy.plan(SERVER, 1, end)
        with without_pauses(), pytest.raises(OutcomeUnknown, match="connection was lost after the write was sent"):
            s["a"] = 2
        assert ended.is_set()
        with without_pauses(), pytest.raises(StorageError, match="cannot be reached") as caught:
            s["a"]
        assert not isinstance(caught.value, OutcomeUnknown)
        with without_pauses(), pytest.raises(StorageError, match="nothing was written") as caught:
            s["a"] = 3
        assert not isinstance(caught.value, OutcomeUnknown)
        line.proxy.refuse(False)
        assert s["a"] == 2  # it was done
        s["a"] = 4
        assert line.direct["a"] == 4


def test_many_idle_connections_that_died_cost_one_attempt(line: Line, redis: RedisServer) -> None:
    """A thread's write does not try the dead connections of all others, one after the other."""
    line.reset()
    together = threading.Barrier(8)

    def use() -> None:
        with line.behind.transaction():
            together.wait(30)
            line.behind.get("a")

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    line.proxy.count()
    line.behind["a"] = 2
    assert line.proxy.counts[CLIENT] <= 5  # the write on a dead connection, then on a new one: CLIENT SETINFO, SELECT
    assert line.direct["a"] == 2 and line.direct.record("a").revision == 2
