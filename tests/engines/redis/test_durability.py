"""`durability="full"`: which copies a write waits for, when it is refused, and what falling short of it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("redis", reason="redis-py is not installed: the engine on Redis was not tested")

import redis
from redis_cluster import RedisCluster
from redis_proxy import redis_proxy
from redis_replicas import Replicated
from redis_server import RedisServer, briefly_confirmed

from store import Store
from store.engines.redis.confirming import Confirmation
from store.errors import Conflict, OutcomeUnknown, StorageError


def commands(server: RedisServer, name: str) -> int:
    """How many commands of that name the server has done."""
    return int(server.ask("INFO", "commandstats").get(f"cmdstat_{name}", {"calls": 0})["calls"])


class TestWithoutReplicas:
    def test_server_without_a_log_is_refused(self, own_redis: Callable[..., RedisServer]) -> None:
        server = own_redis()
        with pytest.raises(StorageError, match=r"durability=\"full\" cannot be had.*appendfsync always.*appendonly yes"):
            Store(server.url, durability="full")
        Store(server.url).close()  # the normal one
        server.ask("CONFIG", "SET", "appendonly", "yes", "appendfsync", "always")
        with Store[Any](server.url, durability="full") as s:
            s["a"] = 1

    def test_log_that_is_synced_later(self, own_redis: Callable[..., RedisServer]) -> None:
        """A server with WAITAOF is asked for its disk; one without is refused."""
        server = own_redis(appendonly="yes", appendfsync="no")
        with pytest.raises(StorageError, match=r"appendfsync (no\)|is no,).*appendfsync always"):
            Store(server.url, durability="full")
        server.ask("CONFIG", "SET", "appendfsync", "everysec")
        if has_waitaof(server):
            with Store[Any](server.url, durability="full") as s:
                s["a"] = 1
                assert commands(server, "waitaof") >= 1 and commands(server, "wait") == 0
            return
        with pytest.raises(StorageError, match=r"appendfsync is everysec.*no WAITAOF.*appendfsync always"):
            Store(server.url, durability="full")
        server.ask("CONFIG", "SET", "appendfsync", "always")
        with Store[Any](server.url, durability="full") as s:
            s["a"] = 1

    def test_user_that_may_not_ask(self, own_redis: Callable[..., RedisServer]) -> None:
        server = own_redis(appendonly="yes", appendfsync="always", users={"app": "on >secret ~* +@all -config"})
        if has_waitaof(server):
            Store(server.url_of("app:secret"), durability="full").close()
            return
        with pytest.raises(StorageError, match=r"lacks \+config\|get"):
            Store(server.url_of("app:secret"), durability="full")
        server.ask("ACL", "SETUSER", "app", "+config|get")
        Store(server.url_of("app:secret"), durability="full").close()

    def test_acknowledged_writes_outlive_a_crash(self, own_redis: Callable[..., RedisServer]) -> None:
        server = own_redis(appendonly="yes", appendfsync="always")
        with Store[Any](server.url, durability="full", timeout=60) as s:
            for number in range(100):
                s[str(number)] = number
            server.kill()
            server.start()
            assert dict(s.items()) == {str(number): number for number in range(100)}


class TestWithReplicas:
    def test_write_waits_for_one(self, replicated: Callable[..., Replicated]) -> None:
        group = replicated(replicas=2)
        one, two = group.replicas
        with Store[Any](group.url, durability="full", timeout=0.5) as s:
            s["a"] = 1
            assert commands(group.primary, "wait") >= 1
            group.cut_off(one)
            s["a"] = 2  # the other one has it
            group.cut_off(two)
            for number, write in enumerate([
                lambda: s.__setitem__("a", 3),
                lambda: s.update(b=1, c=1),
                lambda: s.modify("a", lambda old: old + 1),
                lambda: s.incr("a"),
                lambda: s.pop("b"),
                s.clear,
            ]):  # fmt: skip
                with briefly_confirmed(), pytest.raises(OutcomeUnknown, match=r"can be read.*0 of 1 replicas"):
                    write()
                assert s.get("a") == [3, 3, 4, 5, 5, None][number]  # it was written
            two.resume()
            group.wait_until_ok()
            s["a"] = 6
            one.resume()

    def test_transaction_that_falls_short_is_kept_all_the_same(
        self, replicated: Callable[..., Replicated]
    ) -> None:
        group = replicated(replicas=1)
        with Store[Any](group.url, durability="full", timeout=0.5) as s:
            s["a"] = 1
            group.cut_off(group.replicas[0])
            with briefly_confirmed(), pytest.raises(OutcomeUnknown, match="0 of 1 replicas"), s.transaction():
                s["a"] = 2
                s["b"] = 2
            assert dict(s.items()) == {"a": 2, "b": 2}
            with briefly_confirmed(), pytest.raises(OutcomeUnknown), s.edit("c", {}) as value:
                value["n"] = 1
            assert s["c"] == {"n": 1}
            group.nodes[1].resume()
            group.wait_until_ok()
            with s.transaction():
                s["b"] = 3
            assert s["b"] == 3

    def test_url_says_how_many(self, replicated: Callable[..., Replicated]) -> None:
        group = replicated(replicas=2)
        with pytest.raises(StorageError, match=r"asks for 3 replicas, and a primary has 2; start them"):
            Store(f"{group.url}?replicas=3", durability="full", timeout=0.5)
        with Store[Any](f"{group.url}?replicas=2", durability="full", timeout=0.5) as s:
            s["a"] = 1
            group.cut_off(group.replicas[0])
            with briefly_confirmed(), pytest.raises(OutcomeUnknown, match=r"[01] of 2 replicas"):
                s["a"] = 2
            group.nodes[1].resume()
            group.nodes[2].resume()
        with pytest.raises(StorageError, match="no replica confirms"):  # and it has no log
            Store(f"{group.url}?replicas=0", durability="full")

    def test_conflict_is_told_at_once(self, replicated: Callable[..., Replicated]) -> None:
        group = replicated(replicas=1)
        with Store[Any](group.url, durability="full", timeout=60) as s:
            record = s.put("a", 1)
            s["a"] = 2
            with pytest.raises(Conflict):
                s.put("a", 3, if_version=record)

    def test_normal_does_not_wait(self, replicated: Callable[..., Replicated]) -> None:
        group = replicated(replicas=1)
        with Store[Any](group.url) as s:
            s["a"] = 1  # with the name of the namespace, for which it does
            before = commands(group.primary, "wait")
            group.cut_off(group.replicas[0])
            s["a"] = 2
            s.clear()
            assert commands(group.primary, "wait") == before
            group.nodes[1].resume()

    def test_one_full_handle_makes_all_of_the_process_full(self, replicated: Callable[..., Replicated]) -> None:
        """As on a file: they share the connections, and the transactions of a thread."""
        group = replicated(replicas=1)
        with Store[Any](group.url) as s, Store[Any](group.url, durability="full"):
            before = commands(group.primary, "wait")
            s["a"] = 1
            assert commands(group.primary, "wait") > before
        with Store[Any](group.url) as s:
            s["a"] = 1
            before = commands(group.primary, "wait")
            s["a"] = 2
            assert commands(group.primary, "wait") == before

    def test_lost_answer_is_confirmed_by_the_second_attempt(self, replicated: Callable[..., Replicated]) -> None:
        """The write was done on the first connection; WAIT on the second one answers for it too."""
        from postgres_proxy import SERVER, Link

        group = replicated(replicas=1)
        (replica,) = group.replicas
        with redis_proxy(group.primary.port) as proxy:
            url = group.url.replace(str(group.primary.port), str(proxy.port))
            with Store[Any](f"{url}?socket_keepalive=1", durability="full", timeout=5) as s:
                s["a"] = 1
                waited = commands(group.primary, "wait")

                def lose(link: Link) -> None:
                    group.cut_off(replica)
                    link.cut()

                proxy.plan(SERVER, 2, lose)  # the answer to WAIT
                # The replica had the first attempt; what the second one writes is not there.
                with pytest.raises(OutcomeUnknown):
                    s["a"] = 2
                assert commands(group.primary, "wait") > waited
                assert s.record("a").revision == 2
                replica.resume()
                group.wait_until_ok()
                s["a"] = 3

    def test_promoted_replica_has_all_that_was_acknowledged(self, replicated: Callable[..., Replicated]) -> None:
        group = replicated(replicas=2)
        with Store[Any](group.url, durability="full") as s:
            for number in range(100):
                s[str(number)] = number
        group.fail_over()
        with Store[Any](group.url) as s:
            assert len(s) == 100


class TestCluster:
    def test_each_primary_has_a_replica(self, redis_cluster: RedisCluster, redis_cluster_url: str) -> None:
        with Store[Any](redis_cluster_url, durability="full") as s:
            for space in ("", "b", "c", "d", "e"):
                with s.within(space) as other:
                    other["a"] = space
            for node in redis_cluster.nodes[:3]:
                assert node.ask("INFO", "replication")["connected_slaves"] == 1
        with pytest.raises(StorageError, match="asks for 2 replicas, and a primary has 1"):
            Store(f"{redis_cluster_url}&replicas=2", durability="full", timeout=0.1)


def has_waitaof(server: RedisServer) -> bool:
    info = server.ask("INFO", "server")
    return "valkey_version" in info or info["redis_version"] >= "7.2"


@pytest.mark.parametrize(("answers", "says"), [
    ([1, [1, 0]], None),
    ([2, [1, 0]], None),
    ([0, [1, 0]], "0 of 1 replicas have confirmed it"),
    ([1, [0, 0]], "the server's disk has not confirmed it"),
    ([redis.ResponseError("UNBLOCKED force unblock"), [1, 0]], "UNBLOCKED"),
])  # fmt: skip
def test_answers_of_the_server(answers: list[Any], says: str | None) -> None:
    problem = Confirmation(1, True).missing(answers, "redis://x")
    assert (problem is None) if says is None else (says in str(problem) and "can be read" in str(problem))
