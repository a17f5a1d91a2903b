"""Watching by the stream of changes: what is known of it, and when all is read again."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

pytest.importorskip("redis", reason="redis-py is not installed: the engine on Redis was not tested")

from redis_replicas import Replicated

from store import Store
from store.engines.redis import changes as module
from store.engines.redis import writing
from store.engines.redis.scripts.watching import LOOK
from store.errors import LockTimeout, StorageError

SECONDS = 60.0


@pytest.fixture
def s(redis_url: str) -> Iterator[Store[Any]]:
    with Store[Any](redis_url) as opened:
        yield opened


@pytest.fixture
def monitor(s: Store[Any]) -> Iterator[Any]:
    found = s.opened.engine.changes.watch("")  # type: ignore[union-attr]
    yield found
    found.close()


def key_of(s: Store[Any], part: str, namespace: str = "") -> bytes:
    found: bytes = getattr(s.opened.engine.handle.server.keys(namespace), part)  # type: ignore[attr-defined]
    return found


def told(watch: Any) -> list[tuple[str, str]]:
    return [(change.kind, change.name) for change in watch]


class TestStream:
    def test_names_exactly_what_was_committed(self, s: Store[Any], monitor: Any) -> None:
        first = monitor.version()
        assert monitor.since(first) == set(), "nothing was ever written"
        s["a"] = 1
        assert monitor.since(first) == {"a"}
        second = monitor.version()
        with s.transaction():
            s.update(b=1, c=1)
            del s["a"]
        s.within("other")["x"] = 1
        assert monitor.version() != second
        assert monitor.since(second) == {"a", "b", "c"}
        assert monitor.since(first) == {"a", "b", "c"}
        assert monitor.since(monitor.version()) == set()
        assert monitor.since("of another monitor") is None

    def test_look_is_one_round_trip(self, s: Store[Any], monitor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        s["a"] = 1
        client = s.opened.engine.handle.server.client  # type: ignore[attr-defined]
        asked: list[Any] = []
        run = client.run
        monkeypatch.setattr(client, "run", lambda *call: (asked.append(call[0]), run(*call))[1])
        monkeypatch.setattr(client, "command", lambda *call: pytest.fail("a second round trip"))
        monitor.version()
        assert asked == [LOOK]

    def test_in_pages(self, s: Store[Any], monitor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        s["a"] = 1
        first = monitor.version()
        monkeypatch.setattr(module, "MAX_RECORDS", 7)
        names = {f"n{number}" for number in range(50)}
        s.update(dict.fromkeys(names, 1))
        del s["a"]
        assert monitor.since(first) == names | {"a"}

    def test_page_that_was_trimmed_meanwhile_is_a_gap(
        self, s: Store[Any], monitor: Any, redis: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        s["a"] = 1
        first = monitor.version()
        monkeypatch.setattr(module, "MAX_RECORDS", 7)
        s.update({f"n{number}": number for number in range(50)})
        command, key = monitor._asking.command, key_of(s, "changes")

        def trimming(*call: Any) -> Any:
            page = command(*call)
            redis.ask("XTRIM", key, "MAXLEN", 10)
            return page

        monkeypatch.setattr(monitor._asking, "command", trimming)
        assert monitor.since(first) is None

    def test_is_bounded_and_a_longer_gap_is_read_again(
        self, s: Store[Any], monitor: Any, redis: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(writing, "KEPT_CHANGES", 200)
        s.update({f"n{number:04}": number for number in range(1000)})
        with s.watch(timeout=0) as watch:
            first = monitor.version()
            for start in range(0, 1000, 100):
                s.update({f"n{number:04}": -1 for number in range(start, start + 100)})
            del s["n0500"]
            assert redis.ask("XLEN", key_of(s, "changes")) <= 200 + 100, "trimmed by whole nodes of 100 entries"
            assert monitor.since(first) is None
            expected = [("deleted" if number == 500 else "set", f"n{number:04}") for number in range(1000)]
            assert told(watch) == expected
            assert told(watch) == [], "nothing is told twice"
            s["n0001"] = 5
            assert told(watch) == [("set", "n0001")]

    def test_clear_is_a_gap(self, s: Store[Any], monitor: Any) -> None:
        s.update(a=1, b=1)
        with s.watch(timeout=0) as watch:
            first = monitor.version()
            s.clear()
            second = monitor.version()
            assert second != first and monitor.since(first) is None and monitor.since(second) == set()
            s["a"] = 1
            assert monitor.since(first) is None and monitor.since(second) == {"a"}
            assert told(watch) == [("set", "a"), ("deleted", "b")]

    def test_stream_that_was_deleted_is_a_gap(self, s: Store[Any], monitor: Any, redis: Any) -> None:
        s["a"] = 1
        first = monitor.version()
        redis.ask("DEL", key_of(s, "changes"))
        second = monitor.version()
        assert second != first and monitor.since(first) is None and monitor.since(second) is None
        s["b"] = 1
        assert monitor.since(second) is None

    def test_entry_of_the_same_id_by_another_write_is_a_gap(self, s: Store[Any], monitor: Any, redis: Any) -> None:
        """As on a replica that was promoted without the last writes, and got as many others."""
        s["a"] = 1
        key = key_of(s, "changes")
        with redis.client(decode_responses=False) as client, s.watch(timeout=0) as watch:
            before = client.dump(key)
            s["b"] = 1
            assert told(watch) == [("set", "b")]
            lost = monitor.version()
            del s["b"]
            client.restore(key, 0, before, replace=True)
            for entry in ("2-1", "3-1"):
                client.xadd(key, {"n": "c", "t": "another", "r": 1, "s": 1}, id=entry)
            assert monitor.version() != lost
            assert monitor.since(lost) is None
            assert told(watch) == [("deleted", "b")]

    def test_store_that_was_made_again_in_its_place(
        self, s: Store[Any], monitor: Any, redis_url: str, start: Any
    ) -> None:
        s["a"] = 1
        monitor.version()
        program = """
            import sys
            from store.care.destroy import destroy
            destroy(sys.argv[1])
            print("done", flush=True)
            """
        assert start(program, redis_url).hear() == "done"
        with pytest.raises(StorageError, match="destroyed"):
            monitor.version()
        again = """
            import sys
            from store import Store
            with Store(sys.argv[1]) as s:
                s["b"] = 1
                print("done", flush=True)
            """
        assert start(again, redis_url).hear() == "done"
        with pytest.raises(StorageError, match="destroyed"):
            monitor.version()


FOLLOWED = """
    import random, sys
    from store import Store
    from store.engines.redis import writing
    writing.KEPT_CHANGES = 20  # a reader that is slow has gaps
    chance = random.Random(int(sys.argv[2]))
    with Store(sys.argv[1]) as s:
        for step in range(300):
            name = f"n{chance.randrange(40)}"
            if chance.random() < 0.01:
                s.clear()
            elif chance.random() < 0.3:
                s.pop(name, None)
            else:
                s[name] = step
        s[f"end {sys.argv[2]}"] = 1
        print("done", flush=True)
        sys.stdin.readline()
        s[f"very end {sys.argv[2]}"] = 1
        print("done", flush=True)
    """


def test_copy_by_watching_is_that_of_many_writers(s: Store[Any], start: Any, redis_url: str) -> None:
    """No deletion is told of a name that was not there, and in the end no change is missing."""
    copy: dict[str, Any] = {}
    with s.watch(timeout=SECONDS) as watch:
        writers = [start(FOLLOWED, redis_url, number) for number in range(3)]
        for change in watch:
            if change.kind == "set":
                copy[change.name] = change.record
            else:
                del copy[change.name]
            if change.name.startswith("end ") and len(writers) == 3:  # the first one has; the others go on
                assert [writer.hear() for writer in writers] == ["done"] * 3
                for writer in writers:
                    writer.say()
                assert [writer.hear() for writer in writers] == ["done"] * 3
                writers = []
            if sum(name.startswith("very end") for name in copy) == 3:
                break
        watch._timeout = 0.0
        for change in watch:
            if change.kind == "set":
                copy[change.name] = change.record
            else:
                del copy[change.name]
    assert copy == {name: s.record(name) for name in s}


class TestFailover:
    @pytest.mark.heavy
    def test_promoted_replica_that_lacks_changes(self, replicated: Any) -> None:
        """No change is missed, and none is told that did not happen."""
        group: Replicated = replicated(replicas=1)
        (replica,) = group.replicas
        url = f"redis://127.0.0.1:{group.primary.port},127.0.0.1:{replica.port}/0?prefix=failover:"
        with Store[Any](url) as s, s.watch(timeout=0) as watch:
            s.update(a=1, b=1, c=1)
            assert told(watch) == [("set", "a"), ("set", "b"), ("set", "c")]
            group.wait_until_ok()
            group.cut_off(replica)
            s["lost"] = 1  # the replica never gets these two
            s["a"] = "lost"
            assert told(watch) == [("set", "a"), ("set", "lost")]
            group.primary.kill()
            replica.resume()
            group.promote()
            s["d"] = 1  # with the ids that the lost ones had
            s["b"] = 2
            assert told(watch) == [("set", "a"), ("set", "b"), ("set", "d"), ("deleted", "lost")]
            assert told(watch) == []
            s["e"] = 1
            assert told(watch) == [("set", "e")]

    @pytest.mark.heavy
    def test_replica_of_a_cluster_takes_over(self, own_cluster: Any) -> None:
        cluster = own_cluster()
        with Store[Any](f"{cluster.url}?prefix=t:", timeout=30) as s, s.watch(timeout=0, interval=0.05) as watch:
            s.update(a=1, b=1)
            primary = cluster.primary_of(key_of(s, "rows").decode())
            assert told(watch) == [("set", "a"), ("set", "b")]
            cluster.wait_until_ok()
            cluster.fail_over(primary)
            s["c"] = 1
            del s["a"]
            with s.watch(timeout=0):  # a second one begins on the new primary
                assert told(watch) == [("deleted", "a"), ("set", "c")]


@pytest.mark.heavy
def test_slot_that_moves_is_followed(own_cluster: Any) -> None:
    """MOVED and ASK end the connection that waits for entries; the looks go on."""
    cluster = own_cluster()
    with Store[Any](f"{cluster.url}?prefix=t:") as s, s.watch(timeout=0) as watch:
        s.update(a=1, b=1)
        assert told(watch) == [("set", "a"), ("set", "b")]
        slot = cluster.slot_of(key_of(s, "rows").decode())
        source = cluster.primary_of_slot(slot)
        goal = next(node for node in cluster.nodes[:3] if node is not source)
        move = cluster.begin_move(slot, goal)
        move.migrate()
        assert told(watch) == [], "by ASK"
        move.finish()
        s["c"] = 1
        assert told(watch) == [("set", "c")], "by MOVED"


def test_server_that_is_away_is_no_error_at_once(own_redis: Any) -> None:
    server = own_redis()
    with Store[Any](f"{server.url}?prefix=t:") as s:
        monitor = s.opened.engine.changes.watch("")  # type: ignore[union-attr]
        s["a"] = 1
        first = monitor.version()
        server.kill()
        with pytest.raises(LockTimeout, match="cannot be reached now"):
            monitor.version()
        server.start()
        with pytest.raises(StorageError, match="destroyed"):  # it kept nothing
            monitor.version()
        assert monitor.since(first) is None
        monitor.close()


class TestWholeStore:
    """The version of all namespaces, by the ends of their streams."""

    @pytest.fixture
    def monitor(self, s: Store[Any]) -> Iterator[Any]:
        found = s.opened.engine.changes.watch_all()  # type: ignore[union-attr]
        yield found
        found.close()

    def test_other_write_of_the_same_number_is_a_change(self, s: Store[Any], monitor: Any) -> None:
        """As after a failover to a replica without the last write."""
        s["a"] = 1
        first, changes = monitor.version(), key_of(s, "changes")
        ask = partial(s.opened.engine.handle.server.command, changes)  # type: ignore[attr-defined]
        (entry, fields), = ask("XREVRANGE", changes, "+", "-", "COUNT", 1)  # fmt: skip
        ask("DEL", changes)
        ask("XADD", changes, entry, *fields)
        assert monitor.version() == first
        fields[3] = b"another write"
        ask("DEL", changes)
        ask("XADD", changes, entry, *fields)
        assert monitor.version() != first

    def test_key_of_another_program_ends_nothing(self, s: Store[Any], monitor: Any, redis: Any) -> None:
        s.within("other")["x"] = 1
        s["a"] = 1
        for part in ("meta", "changes"):
            redis.ask("SET", key_of(s, part, "other"), "overwritten")
        before = monitor.version()
        assert monitor.version() == before
        s["a"] = 2
        assert monitor.version() != before

    def test_store_that_is_gone_or_another_one_is_an_error(self, s: Store[Any], monitor: Any) -> None:
        s["a"] = 1
        monitor.version()
        identity = s.opened.engine.handle.server.own.identity  # type: ignore[attr-defined]
        ask = partial(s.opened.engine.handle.server.command, identity)  # type: ignore[attr-defined]
        for remove in (("HSET", identity, "id", b"another store..."), ("DEL", identity)):
            kept = ask("HGET", identity, "id")
            ask(*remove)
            with pytest.raises(StorageError):
                monitor.version()
            ask("HSET", identity, "id", kept)

    def test_server_that_is_away_is_tried_again(self, s: Store[Any], monitor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        s["a"] = 1
        first = monitor.version()
        client = s.opened.engine.handle.server.client  # type: ignore[attr-defined]

        def fail(*_: Any) -> Any:
            raise ConnectionResetError("gone")

        with monkeypatch.context() as patched:
            patched.setattr(client, "run_all", fail)
            with pytest.raises(LockTimeout):
                monitor.version()
        assert monitor.version() == first

    def test_look_costs_few_round_trips(self, s: Store[Any], monitor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        for number in range(30):
            s.within(f"n{number}")["a"] = 1
        monkeypatch.setattr(module, "LOOK_SPACES", 4)
        monitor.version()
        sent: list[Any] = []
        for node in s.opened.engine.handle.server.client.topology.primaries():  # type: ignore[attr-defined]
            take = node.take
            monkeypatch.setattr(node, "take", lambda *given, take=take: sent.append(given) or take(*given))
        monitor.version()
        assert len(sent) == 3
