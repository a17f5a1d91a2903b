"""Named locks on Redis: leases by the server's clock, fences, and how one is lost. Time passes by commands."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from children import Start
from redis_replicas import Replicated
from threads import in_thread

from store import Store
from store.errors import LockTimeout, OutcomeUnknown, StorageError, StoreError
from store.opened.locks import Lock

pytest.importorskip("redis")
SECONDS = 60
HOUR = 3600

HOLDER = """
    import sys
    from store import Store
    with Store(sys.argv[1]) as s, s.lock("job") as lock:
        print(lock.fence, flush=True)
        input()
    print("1")
    """


@pytest.fixture
def s(url: str) -> Iterator[Store[Any]]:
    with Store[Any](url) as opened:
        yield opened


def server_of(s: Store[Any]) -> Any:
    return s.opened.engine.handle.server  # type: ignore[attr-defined]


def leases(s: Store[Any]) -> Any:
    return s.opened.engine.locks.leases  # type: ignore[union-attr]


@pytest.fixture
def ask(s: Store[Any]) -> Callable[..., Any]:
    """`ask("HGET", "owner")` is a command on the key of the lock `job`, as an operator would give it."""

    def run(command: str, *arguments: Any, name: str = "job") -> Any:
        server = server_of(s)
        key = f"{server.location.prefix}{{@{name}}}:lock".encode()
        return server.command(key, command, key, *arguments)

    return run


def held(s: Store[Any], name: str = "job") -> Lock:
    lock = s.lock(name)
    assert lock.acquire(timeout=0)
    return lock


def fence_of(lock: Lock) -> int:
    assert lock.fence is not None
    return lock.fence


def renewed(s: Store[Any]) -> bool:
    """Renew all leases now, as the thread does."""
    return bool(leases(s)._renew(None))


class TestFence:
    def test_grows_with_each_holder(self, s: Store[Any], url: str, start: Start) -> None:
        fences = []
        for _ in range(3):
            with s.lock("job") as lock:
                fences.append(fence_of(lock))
        holder = start(HOLDER, url)
        fences.append(int(holder.hear()))
        holder.say()
        assert holder.result() == 1
        assert fences == sorted(set(fences))
        assert abs(fences[-1] / 1e6 - time.time()) < HOUR

    def test_grows_after_the_key_has_expired(self, s: Store[Any], url: str, start: Start, ask: Any) -> None:
        first = held(s)
        fence = fence_of(first)
        first.release()
        ask("DEL")
        holder = start(HOLDER, url)
        assert int(holder.hear()) > fence
        holder.say()
        assert holder.result() == 1

    def test_grows_although_the_clock_of_the_server_was_set_back(self, s: Store[Any], ask: Any) -> None:
        held(s).release()
        ahead = int(time.time() * 1e6) + 10**12
        ask("HSET", "fence", ahead)
        lock = held(s)
        assert fence_of(lock) == ahead + 1
        lock.release()
        ask("DEL")
        assert fence_of(held(s)) == ahead + 2, "this process remembers it"

    def test_that_processes_remember_are_bounded(self, s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        from store.engines.redis import locks as module

        monkeypatch.setattr(module, "MOST_FENCES", 3)
        for name in "abcabcdef":
            held(s, name).release()
        assert len(server_of(s).fences) == 3

    def test_is_kept_for_an_hour_and_then_forgotten(self, s: Store[Any], ask: Any) -> None:
        lock = held(s)
        assert HOUR * 1000 < ask("PTTL") <= (HOUR + 30) * 1000
        lock.release()
        assert ask("HKEYS") == [b"fence"]
        assert (HOUR - SECONDS) * 1000 < ask("PTTL") <= HOUR * 1000

    def test_is_not_forgotten_by_a_holder_that_gave_up(self, s: Store[Any], ask: Any) -> None:
        """An interrupt came before it knew its fence."""
        lock = held(s)
        fence = fence_of(lock)
        (lease,) = leases(s)._held.values()
        lease.fence = 0
        lock.release()
        assert int(ask("HGET", "fence")) == fence


class TestLease:
    def test_of_a_killed_process_ends_by_the_clock_of_the_server(
        self, s: Store[Any], url: str, start: Start, ask: Any
    ) -> None:
        holder = start(HOLDER, url)
        fence = int(holder.hear())
        holder.kill()
        assert not s.lock("job").acquire(timeout=0), "its lease lasts"
        assert 0 < float(ask("HGET", "until")) - server_of(s).now() <= 30
        ask("HSET", "until", 1)
        assert fence_of(held(s)) > fence

    def test_is_renewed_by_one_script_for_all_that_can_be_in_one(
        self, s: Store[Any], ask: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        locks = [held(s, name) for name in "abc"]
        for name in "abc":
            ask("HSET", "until", 1, name=name)
        server = server_of(s)
        runs: list[Any] = []
        run = server.run
        monkeypatch.setattr(server, "run", lambda *given: (runs.append(given), run(*given))[1])
        assert renewed(s)
        assert len(runs) == (3 if server.client.topology.is_cluster else 1)
        assert all(float(ask("HGET", "until", name=name)) > server.now() + 20 for name in "abc")
        assert all(lock.locked() for lock in locks)

    def test_is_renewed_by_a_thread(self, s: Store[Any], ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from store.engines import leases as module

        done = threading.Event()
        renew = module.Leases._renew

        def renew_and_tell(self: Any, session: Any) -> bool:
            is_done = renew(self, session)
            if self._held:
                done.set()
            return is_done

        monkeypatch.setattr(module.Leases, "_renew", renew_and_tell)
        monkeypatch.setattr(module, "RENEWALS", 3000)
        lock = held(s)
        done.clear()
        ask("HSET", "until", 1)
        assert done.wait(SECONDS)
        done.clear()
        assert done.wait(SECONDS), "and again"
        assert float(ask("HGET", "until")) > server_of(s).now() and lock.locked()
        lock.release()

    def test_that_lapsed_is_lost_here_even_if_nobody_took_it(self, s: Store[Any]) -> None:
        lock = held(s)
        (lease,) = leases(s)._held.values()
        lease.ends = 0.0  # the server was away for too long
        assert (lock.locked(), lock.lost) == (False, True)
        assert renewed(s)
        assert (lock.locked(), lock.lost) == (False, True), "what was lost once stays lost"
        with pytest.raises(StoreError, match="was lost"):
            lock.release()

    @pytest.mark.parametrize("when", ["renewal", "release"])
    def test_that_another_one_took_is_lost(self, s: Store[Any], url: str, start: Start, ask: Any, when: str) -> None:
        lock = held(s)
        ask("HSET", "until", 1)
        holder = start(HOLDER, url)
        assert int(holder.hear()) > fence_of(lock)
        if when == "renewal":
            assert renewed(s)
            assert (lock.locked(), lock.lost, repr(lock)) == (False, True, "<Lock 'job' lost>")
        with pytest.raises(StoreError, match="was lost"):
            lock.release()
        assert not s.lock("job").acquire(timeout=0), "the other one holds it still"
        holder.say()
        assert holder.result() == 1

    def test_that_a_failover_lost_is_put_back_by_the_next_renewal(self, s: Store[Any], ask: Any) -> None:
        lock = held(s)
        fence = fence_of(lock)
        ask("DEL")
        assert renewed(s)
        assert lock.locked() and int(ask("HGET", "fence")) == fence and ask("PTTL") > HOUR * 1000
        assert not s.lock("job").acquire(timeout=0)
        ask("DEL")
        lock.release()
        assert int(ask("HGET", "fence")) == fence, "the next holder has a higher one"

    def test_that_was_released_is_not_put_back(self, s: Store[Any], ask: Any) -> None:
        """By a renewal that was on its way meanwhile."""
        lock = held(s)
        (lease,) = leases(s)._held.values()
        lock.release()
        leases(s)._held[lease.owner] = lease
        assert renewed(s)
        assert ask("HKEYS") == [b"fence"] and leases(s)._held == {}

    def test_outlives_a_failed_renewal(self, s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        lock = held(s)

        def fail(*_: Any) -> None:
            raise StorageError("away")

        monkeypatch.setattr(server_of(s), "run", fail)
        assert not renewed(s)
        monkeypatch.undo()
        assert lock.locked() and renewed(s)
        lock.release()

    def test_of_other_nodes_is_renewed_while_one_is_silent(
        self, redis_cluster_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Store[Any](redis_cluster_url) as s:
            server = server_of(s)
            locks = {name: held(s, name) for name in "abcdefghijkl"}
            node_of = {name: server.client.topology.node_of(f"{server.location.prefix}{{@{name}}}".encode()) for name in locks}
            silent = node_of["a"]
            assert {node is silent for node in node_of.values()} == {True, False}
            asked = []
            run = server.run

            def partly(script: Any, keys: Any, *given: Any) -> Any:
                if server.client.topology.node_of(keys[0]) is silent:
                    asked.append(keys)
                    raise StorageError("silent")
                return run(script, keys, *given)

            monkeypatch.setattr(server, "run", partly)
            before = {lease.owner: lease.ends for lease in leases(s)._held.values()}
            assert not renewed(s), "it tries again soon"
            monkeypatch.undo()
            assert len(asked) == 1, "the node is waited for once"
            later = sum(lease.ends > before[lease.owner] for lease in leases(s)._held.values())
            assert later == sum(node is not silent for node in node_of.values())
            assert all(lock.locked() for lock in locks.values())


class TestHolding:
    def test_attempt_at_a_held_lock_writes_nothing(self, s: Store[Any], ask: Any) -> None:
        lock = held(s)
        before = ask("HGETALL"), ask("PEXPIRETIME")
        assert not s.lock("job").acquire(timeout=0.01)
        assert (ask("HGETALL"), ask("PEXPIRETIME")) == before
        lock.release()

    def test_answer_that_was_lost_is_not_another_holder(self, s: Store[Any]) -> None:
        from store.engines.leases import Lease
        from store.engines.redis.locks import RedisLocks

        statements = RedisLocks(server_of(s))
        lease, other = Lease(statements.key("job")), Lease(statements.key("job"))
        fence = statements.take(lease, "job", 30)
        assert fence and statements.take(lease, "job", 30) == fence and statements.take(other, "job", 30) is None
        assert statements.release(lease) and not statements.release(lease)

    def test_inside_a_transaction_it_is_no_part_of_it(self, s: Store[Any], ask: Any) -> None:
        with pytest.raises(ZeroDivisionError), s.transaction():
            lock = held(s)
            assert ask("HEXISTS", "owner")
            1 / 0
        assert lock.locked()
        lock.release()

    def test_waiting_ends_with_a_release_in_this_process(self, s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        from store.engines import polling as module

        monkeypatch.setattr(module, "FIRST_PAUSE", 3600.0)
        lock, waits = held(s), threading.Event()
        wait = leases(s).wait
        monkeypatch.setattr(leases(s), "wait", lambda seconds: (waits.set(), wait(seconds)))
        got: list[Any] = []
        thread = threading.Thread(target=lambda: got.append(s.lock("job").acquire(timeout=SECONDS)))
        thread.start()
        assert waits.wait(SECONDS)
        lock.release()
        thread.join(SECONDS)
        assert got == [True]

    def test_thread_that_cannot_be_started_leaves_the_lock_free(
        self, s: Store[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refused)
            for take in (s.lock("job").acquire, s.lock("job").__enter__):
                with pytest.raises(StorageError, match=r"named locks on .*no thread could be started"):
                    take()
        held(s).release()

    def test_last_close_releases_all(self, url: str, s: Store[Any], ask: Any) -> None:
        with Store[Any](f"{url}&health_check_interval=0") as other:  # another location to this process
            lock = held(other)
            assert ask("HEXISTS", "owner")
        assert not ask("HEXISTS", "owner")
        assert lock.lost

    def test_any_text_is_a_name(self, s: Store[Any]) -> None:
        for name in ["", "a/b", "é", "}", "{}", "{@a}:lock", " \n", "x" * 65536]:
            with s.lock(name):
                assert isinstance(in_thread(lambda name=name: s.lock(name, 0).__enter__()), LockTimeout)

    def test_program_that_ends_without_closing_leaves_no_lease(self, s: Store[Any], url: str, start: Start) -> None:
        program = start(
            """
            import sys
            from store import Store
            s = Store(sys.argv[1])
            lock = s.lock("job")
            print(int(lock.acquire()))
            """,
            url,
        )
        assert program.result() == 1
        assert s.lock("job").acquire(timeout=0)

    def test_collected_object_is_released_by_the_thread(self, s: Store[Any]) -> None:
        lock = held(s)
        del lock
        gc.collect()
        assert s.lock("job").acquire(timeout=SECONDS)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_forked_child_does_not_hold_it(self, s: Store[Any]) -> None:
        lock = held(s)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                is_lost = (lock.locked(), lock.lost) == (False, True)
                try:
                    lock.release()
                except StoreError:
                    is_taken = not s.lock("job").acquire(timeout=0)
                    code = 7 if is_lost and is_taken else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert lock.locked()
        lock.release()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_forked_child_does_not_release_it(self, s: Store[Any]) -> None:
        lock = held(s)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with pytest.raises(StoreError):
                    lock.release()
                assert s.lock("of the child").acquire(timeout=SECONDS)  # begins a thread that carries out orders
                s.close()  # once that thread has ended
                code = 7
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert not s.lock("job").acquire(timeout=0)
        lock.release()


class TestReplicas:
    """With `durability="full"` a lock is on replicas before it is held."""

    def test_have_the_lock_after_a_failover(self, replicated: Callable[..., Replicated]) -> None:
        group = replicated(replicas=1)
        with Store[Any](f"{group.url}?replicas=1", durability="full") as s:
            fence = fence_of(held(s))
            group.fail_over()
            with Store[Any](group.url) as after:
                assert not after.lock("job").acquire(timeout=0)
                server = server_of(after)
                server.command(b"store:{@job}:lock", "HSET", b"store:{@job}:lock", "until", 1)
                assert fence_of(held(after)) > fence

    def test_that_do_not_confirm_it_leave_it_free(self, replicated: Callable[..., Replicated]) -> None:
        group = replicated(replicas=1)
        with Store[Any](f"{group.url}?replicas=1", durability="full") as s:
            replica = group.replicas[0]
            group.cut_off(replica)
            try:
                with pytest.raises(OutcomeUnknown, match="too few replicas got the lock"):
                    s.lock("job").acquire()
                key = b"store:{@job}:lock"
                assert server_of(s).command(key, "HKEYS", key) == [b"fence"]
            finally:
                replica.resume()
