"""A server that restarts, is full, paused, a replica, or loses scripts; many threads, forks and interrupts."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from interrupting import Alarm, struck
from postgres_proxy import SERVER, Link
from redis_cluster import RedisCluster
from redis_proxy import redis_proxy
from redis_replicas import Replicated
from redis_server import RedisServer, without_pauses

from store import Store
from store.errors import StorageError, StoreError

PERSISTENT = {"appendonly": "yes", "appendfsync": "always"}


class TestRestarts:
    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
    def test_between_operations(self, own_redis: Callable[..., RedisServer], how: signal.Signals) -> None:
        server = own_redis(**PERSISTENT)
        with Store[Any](server.url, timeout=60) as s:
            s["a"] = 1
            server.stop(how)
            server.start()
            assert s["a"] == 1
            server.stop(how)
            server.start()
            s["a"] = 2
            server.stop(how)
            server.start()
            with s.transaction():
                s["a"] += 1
            server.stop(how)
            server.start()
            assert s.incr("a") == 4 and s.record("a").revision == 4

    def test_operation_waits_for_it(self, own_redis: Callable[..., RedisServer]) -> None:
        server = own_redis(**PERSISTENT)
        with Store[Any](server.url, timeout=60) as s:
            s["a"] = 1
            server.kill()
            writing = threading.Thread(target=s.__setitem__, args=("a", 2))
            writing.start()
            server.start()  # in this thread: the server ends with the one that started it
            writing.join(60)
            assert s["a"] == 2 and s.record("a").revision == 2

    def test_transaction_outlives_it(self, own_redis: Callable[..., RedisServer]) -> None:
        """Nothing is held open on the server: what was read is compared at the commit."""
        server = own_redis(**PERSISTENT)
        with Store[Any](server.url, timeout=60) as s:
            s["a"] = 1
            with s.transaction():
                s["a"] += 1
                server.kill()
                server.start()
                s["b"] = s["a"]
            assert dict(s.items()) == {"a": 2, "b": 2}

    def test_server_that_is_down(self, own_redis: Callable[..., RedisServer]) -> None:
        server = own_redis(password="geheim", **PERSISTENT)
        with Store[Any](server.url, timeout=0.5) as s:
            s["a"] = 1
            server.kill()
            with without_pauses(), pytest.raises(StorageError, match="cannot be reached"):
                s["a"]
            with without_pauses(), pytest.raises(StorageError, match="nothing was written") as caught:
                s["a"] = 2
            assert "geheim" not in str(caught.value) and "geheim" not in repr(caught.value.__cause__)
            with without_pauses(), pytest.raises(StorageError, match="cannot be reached"), s.edit("a", {}):
                pytest.fail("it has no lease")
            server.start()
            assert s["a"] == 1
            s["a"] = 3

    def test_server_that_comes_back_empty_is_not_written_to(self, own_redis: Callable[..., RedisServer]) -> None:
        server = own_redis()
        with Store[Any](server.url) as s:
            s["a"] = 1
            server.kill()
            server.start()
            assert "a" not in s
            with pytest.raises(StorageError, match=r"its keys were deleted.*Close this handle and open the store again"):
                s["a"] = 2
        with Store[Any](server.url) as s:
            s["a"] = 3
            assert dict(s.items()) == {"a": 3}


def test_server_that_forgets_its_scripts(redis: RedisServer, redis_url: str) -> None:
    with Store[Any](redis_url) as s:
        s.update(a=1, b={})
        for operation in (
            lambda: s.__setitem__("a", 2), lambda: s["a"], lambda: s.update(a=3, c=1), lambda: s.incr("a"), lambda: len(s),
            lambda: list(s.items()), lambda: s.pop("c"), lambda: s.transact(lambda t: t["a"]), s.clear,
        ):  # fmt: skip
            redis.ask("SCRIPT", "FLUSH")
            operation()
        assert dict(s.items()) == {}


def test_paused_server_is_waited_for(own_redis: Callable[..., RedisServer]) -> None:
    server = own_redis()
    with Store[Any](server.url, timeout=60) as s:
        s["n"] = 0
        server.pause()
        threads = [threading.Thread(target=s.incr, args=("n",)) for _ in range(5)]
        for thread in threads:
            thread.start()
        timer = threading.Timer(0.5, server.resume)
        timer.start()
        for thread in threads:
            thread.join(60)
        timer.join()
        assert s["n"] == 5


def test_server_that_answers_after_the_client_gave_up(
    own_redis: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt on the paused server is still to be done when it goes on: one of them is, once."""
    monkeypatch.setattr("store.engines.redis.nodes.ANSWER_SECONDS", 0.2)
    server = own_redis()
    with Store[Any](server.url, timeout=60) as s:
        s["a"] = 0
        calls: list[int] = []

        def attempted() -> None:
            while len(calls) < 3:
                time.sleep(0.001)
            server.resume()

        client = s.opened.engine.handle.server.client
        take = type(client.topology.node_of(b"a")).take
        monkeypatch.setattr(
            type(client.topology.node_of(b"a")), "take", lambda node, *args: (calls.append(1), take(node, *args))[1]
        )
        server.pause()
        resuming = threading.Thread(target=attempted)
        resuming.start()
        s["a"] = 1
        resuming.join()
        for _ in range(10):
            s["b"] = 1
        assert s["a"] == 1 and s.record("a").revision == 2


class TestFull:
    def test_memory_of_the_server(self, own_redis: Callable[..., RedisServer]) -> None:
        server = own_redis(maxmemory="20mb")
        with Store[Any](server.url, timeout=60) as s:
            s["kept"] = 1
            s.put("old", 1, ttl=1e-6)
            with pytest.raises(StorageError, match=r"no memory left.*nothing was written.*Delete records, or raise") as caught:
                for number in range(1000):
                    s[f"large:{number}"] = os.urandom(1_000_000)
            assert caught.value.errno == 12
            server.ask("CONFIG", "SET", "maxmemory", "15mb")  # the buffer of a connection alone makes no room
            full = len(s)
            for write in (
                lambda: s.update(a=1, b=1), lambda: s.incr("kept"), lambda: s.modify("kept", lambda old: 2),
                lambda: s.transact(lambda t: t.__setitem__("kept", 2)), lambda: s.setdefault("x", 1),
            ):  # fmt: skip
                with pytest.raises(StorageError, match="no memory left"):
                    write()
            assert s["kept"] == 1 and len(s) == full  # reads go on
            assert s.purge() == 1
            del s["large:0"]
            assert s.delete_many(["large:1", "large:2"]) == 2
            s.delete_prefix("large:")
            s["kept"] = 3
            assert dict(s.items()) == {"kept": 3}
            assert server.ask("CONFIG", "SET", "maxmemory", "20mb")
            with pytest.raises(StorageError, match="no memory left"):
                for number in range(1000):
                    s[f"large:{number}"] = os.urandom(1_000_000)
            s.clear()
            s["kept"] = 4
            assert dict(s.items()) == {"kept": 4}

    def test_too_few_replicas(self, own_redis: Callable[..., RedisServer]) -> None:
        server = own_redis()
        with Store[Any](server.url, timeout=0.5) as s:
            s["a"] = 1
            server.ask("CONFIG", "SET", "min-replicas-to-write", "1")
            with without_pauses(), pytest.raises(StorageError, match="fewer replicas than its min-replicas-to-write; start them"):
                s["a"] = 2
            with without_pauses(), pytest.raises(StorageError, match="min-replicas-to-write"):
                s.clear()
            assert s["a"] == 1
            server.ask("CONFIG", "SET", "min-replicas-to-write", "0")
            s["a"] = 3
            assert s.record("a").revision == 2

    def test_clients(self, own_redis: Callable[..., RedisServer]) -> None:
        server = own_redis()
        with Store[Any](server.url) as s:
            s["a"] = 1
        admin = server.client()
        with admin:
            admin.config_set("maxclients", 1)
            with without_pauses(), pytest.raises(StorageError, match="as many clients as it takes; raise its maxclients"):
                Store(server.url, timeout=0.5)
            admin.config_set("maxclients", 100)
        Store(server.url).close()


class TestReplicas:
    def test_primary_that_became_a_replica(self, replicated: Callable[..., Replicated]) -> None:
        """The other server of the URL is asked, and reads come from no replica."""
        group = replicated(replicas=1)
        url = "redis://" + ",".join(f"127.0.0.1:{node.port}" for node in group.nodes) + "/0"
        with Store[Any](url, timeout=60) as s:
            s["a"] = 1
            group.wait_until_ok()
            old, (new,) = group.primary, group.replicas
            new.ask("REPLICAOF", "NO", "ONE")
            old.ask("REPLICAOF", "127.0.0.1", new.port)
            s["a"] = 2
            with Store[Any](new.url) as other:
                assert other["a"] == 2 and other.record("a").revision == 2
                other["a"] = 3
            assert s["a"] == 3

    def test_primary_that_is_gone(self, replicated: Callable[..., Replicated]) -> None:
        group = replicated(replicas=2)
        url = "redis://" + ",".join(f"127.0.0.1:{node.port}" for node in group.nodes) + "/0"
        with Store[Any](url, timeout=60) as s:
            s["n"] = 0
            group.wait_until_ok()
            group.primary.kill()
            counting = threading.Thread(target=s.incr, args=("n",))
            counting.start()
            group.promote()
            counting.join(60)
            assert s["n"] == 1

    @pytest.mark.parametrize("has_it", [False, True])
    @pytest.mark.parametrize("operation", [
        lambda s: s.__setitem__("n", 1), lambda s: s.incr("n"), lambda s: s.update(n=1), lambda s: s.put("n", 1),
        lambda s: s.transact(lambda t: t.__setitem__("n", t["n"] + 1)),
    ], ids=["set", "incr", "update", "put", "transaction"])  # fmt: skip
    def test_primary_that_ends_after_it_has_written(
        self, replicated: Callable[..., Replicated], has_it: bool, operation: Callable[[Store[Any]], Any]
    ) -> None:
        """Whether the replica got the write before it was promoted: in the end it was done once."""
        group = replicated(replicas=1)
        old, (new,) = group.primary, group.replicas
        with redis_proxy(old.port) as proxy:
            url = f"redis://127.0.0.1:{proxy.port},127.0.0.1:{new.port}/0"
            with Store[Any](url, timeout=60) as s:
                s["n"] = 0
                operation(s)  # now the server has the scripts
                group.wait_until_ok()
                ended = threading.Event()
                proxy.count()
                operation(s)
                answers = proxy.counts[SERVER]  # the last one is that of the write
                s["n"] = 0
                before = s.record("n").revision
                group.wait_until_ok()

                def fail_over(link: Link) -> None:
                    if has_it:
                        group.wait_until_ok()
                    old.kill()
                    new.resume()
                    ended.set()
                    link.cut()

                if not has_it:
                    group.cut_off(new)
                proxy.plan(SERVER, answers, fail_over)
                written = threading.Thread(target=operation, args=(s,))
                written.start()
                assert ended.wait(60)
                group.promote()
                written.join(60)
                assert s["n"] == 1 and s.record("n").revision == before + 1

    def test_paused_replica_stops_nobody(self, replicated: Callable[..., Replicated]) -> None:
        group = replicated(replicas=1)
        group.replicas[0].pause()
        with Store[Any](group.url) as s:
            for number in range(100):
                s["a"] = number
            assert s["a"] == 99
        group.nodes[1].resume()


class TestCluster:
    def test_slot_that_moves_under_load(self, own_cluster: Callable[..., RedisCluster]) -> None:
        """MOVED, ASK and TRYAGAIN: each operation is done once."""
        cluster = own_cluster(replicas=0)
        key = "store:{=}:meta"
        with Store[Any](cluster.url, timeout=60) as s:
            s.update(n=0, other={})
            ended = threading.Event()
            counted: list[int] = []

            def count() -> None:
                done = 0
                while not ended.is_set():
                    s.incr("n")
                    with s.edit("other") as value:
                        value["n"] = value.get("n", 0) + 1
                    assert s.get("n") and len(s) == 2
                    done += 1
                counted.append(done)

            threads = [threading.Thread(target=count) for _ in range(3)]
            for thread in threads:
                thread.start()
            try:
                for to in (1, 2, 0, 1):
                    if cluster.nodes[to] is cluster.primary_of(key):
                        continue
                    move = cluster.begin_move(cluster.slot_of(key), cluster.nodes[to])
                    move.migrate(2)
                    time.sleep(0.05)  # operations meet the slot halfway
                    move.migrate()
                    move.finish()
            finally:
                ended.set()
                for thread in threads:
                    thread.join(60)
            assert len(counted) == 3
            assert s["n"] == s["other"]["n"] == sum(counted)

    def test_whole_cluster_is_restarted(self, own_cluster: Callable[..., RedisCluster]) -> None:
        cluster = own_cluster(replicas=0, **PERSISTENT)
        with Store[Any](cluster.url, timeout=60) as s:
            s["a"] = 1
            with s.within("other") as other:
                other["b"] = 1
            for node in cluster.nodes:
                node.kill()
            writing = threading.Thread(target=s.__setitem__, args=("a", 2))
            writing.start()
            cluster.restart()
            writing.join(60)
            assert s["a"] == 2 and s.record("a").revision == 2
            with s.within("other") as other:
                assert other["b"] == 1


# -- processes, threads, interrupts


def in_child(call: Callable[[], bool]) -> int:
    """The exit code of a forked child that calls it: 0 if it returns True."""
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            code = 0 if call() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def s(place: str) -> Iterator[Store[Any]]:
    before = {number: signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGINT)}
    with Store[Any](place, timeout=60) as opened:
        yield opened
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.slow
def test_fork_with_open_connections(s: Store[Any]) -> None:
    s["a"] = 1

    def child() -> bool:
        s["child"] = s["a"]
        s.incr("a")
        s.close()
        return True

    for number in range(1, 4):
        assert in_child(child) == 0
        assert s["a"] == number + 1 and s["child"] == number
    s["a"] = 9
    assert in_child(lambda: s["a"] == 9) == 0


def test_many_threads(s: Store[Any]) -> None:
    s["n"] = 0
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(10):
                s.incr("n")
                s[f"{number}"] = turn
                assert s[f"{number}"] == turn
                s.transact(lambda t: t.__setitem__(f"{number} pair", t[f"{number}"]))
        except StoreError as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert s["n"] == 160 and len(s) == 33


def op_transaction(s: Store[Any]) -> None:
    with s.transaction():
        s["a"] = 1
        with s.transaction():
            s["b"] = 1


def op_edit(s: Store[Any]) -> None:
    def both(t: Store[Any]) -> None:
        t["b"] = t["a"] = 1

    s.transact(both)


def op_update(s: Store[Any]) -> None:
    s.update(a=1, b=1)


# One that strikes in a finalizer or the callback of a weak reference ends there, with a warning.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("operation", [op_transaction, op_edit, op_update])
@pytest.mark.parametrize("by_thread", [False, True], ids=["timer", "thread"])
def test_interrupt_after_some_time(s: Store[Any], operation: Callable[[Store[Any]], None], by_thread: bool) -> None:
    for number in range(15):
        s.clear()
        struck(Alarm(number * 0.0003, by_thread=by_thread), lambda: operation(s))
        assert ("a" in s) == ("b" in s)
        s["next"] = number
        assert s["next"] == number


def test_greenlets(redis_url: str, start: Callable[..., Any]) -> None:
    """Greenlets of gevent are threads to a store, and wait for the server without stopping the others."""
    pytest.importorskip("gevent")
    child = start(
        """
        import sys
        from gevent import monkey
        monkey.patch_all()
        import gevent
        from store import Store
        with Store(sys.argv[1], timeout=60) as s:
            s.update(n=0, m={"n": 0})
            def work(number):
                for turn in range(4):
                    s.incr("n")
                    with s.edit("m") as value:
                        gevent.sleep(0)
                        value["n"] += 1
                    s.transact(lambda t: t.__setitem__(f"{number}", turn))
            jobs = [gevent.spawn(work, number) for number in range(20)]
            gevent.joinall(jobs, timeout=60, raise_error=True)
            print([s["n"], s["m"]["n"], len(s)])
        """.replace("from gevent import monkey", "import warnings; warnings.simplefilter('ignore')\n        from gevent import monkey"),
        redis_url,
    )
    assert child.result() == [80, 80, 22]
