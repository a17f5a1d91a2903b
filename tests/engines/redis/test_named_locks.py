"""Named locks as keys: how long one stays, the fences that a process remembers, nodes and replicas."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis_replicas import Replicated
from server_locks import RedisLocks, fence_of, held, leases, nothing_renewed, redis_locks

from store import Store
from store.errors import OutcomeUnknown, StorageError

pytest.importorskip("redis")
SECONDS = 60
HOUR = 3600


@pytest.fixture
def s(url: str) -> Iterator[Store[Any]]:
    with Store[Any](url) as opened:
        yield opened


@pytest.fixture
def there(s: Store[Any], url: str) -> Iterator[RedisLocks]:
    """The key of the lock `job`."""
    with redis_locks(s, url) as found:
        yield found


def server_of(s: Store[Any]) -> Any:
    return s.opened.engine.handle.server  # type: ignore[attr-defined]


class TestFence:
    def test_is_the_time_of_the_server(self, s: Store[Any]) -> None:
        assert abs(fence_of(held(s)) / 1e6 - time.time()) < HOUR

    def test_grows_although_the_clock_of_the_server_was_set_back(self, s: Store[Any], there: RedisLocks) -> None:
        held(s).release()
        ahead = int(time.time() * 1e6) + 10**12
        there.ask("HSET", "fence", ahead)
        lock = held(s)
        assert fence_of(lock) == ahead + 1
        lock.release()
        there.ask("DEL")
        assert fence_of(held(s)) == ahead + 2, "this process remembers it"

    def test_that_processes_remember_are_bounded(self, s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        from store.engines.redis import locks as module

        monkeypatch.setattr(module, "MOST_FENCES", 3)
        for name in "abcabcdef":
            held(s, name).release()
        assert len(server_of(s).fences) == 3

    def test_is_kept_for_an_hour_and_then_forgotten(self, s: Store[Any], there: RedisLocks) -> None:
        lock = held(s)
        assert HOUR * 1000 < there.ask("PTTL") <= (HOUR + 30) * 1000
        lock.release()
        assert there.ask("HKEYS") == [b"fence"]
        assert (HOUR - SECONDS) * 1000 < there.ask("PTTL") <= HOUR * 1000

    def test_is_not_forgotten_by_a_holder_that_gave_up(self, s: Store[Any], there: RedisLocks) -> None:
        """An interrupt came before it knew its fence."""
        lock = held(s)
        fence = fence_of(lock)
        (lease,) = leases(s)._held.values()
        lease.fence = 0
        lock.release()
        assert int(there.ask("HGET", "fence")) == fence


class TestLease:
    def test_is_renewed_by_one_script_for_all_that_can_be_in_one(
        self, s: Store[Any], there: RedisLocks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nothing_renewed(monkeypatch)
        locks = [held(s, name) for name in "abc"]
        for name in "abc":
            there.ask("HSET", "until", 1, name=name)
        server = server_of(s)
        runs: list[Any] = []
        run = server.run
        monkeypatch.setattr(server, "run", lambda *given: (runs.append(given), run(*given))[1])
        assert there.renew()
        assert len(runs) == (3 if server.client.topology.is_cluster else 1)
        assert all(float(there.ask("HGET", "until", name=name)) > server.now() + 20 for name in "abc")
        assert all(lock.locked() for lock in locks)

    def test_that_a_failover_lost_is_put_back_by_the_next_renewal(self, s: Store[Any], there: RedisLocks) -> None:
        lock = held(s)
        fence = fence_of(lock)
        there.ask("DEL")
        assert there.renew()
        assert lock.locked() and int(there.ask("HGET", "fence")) == fence and there.ask("PTTL") > HOUR * 1000
        assert not s.lock("job").acquire(timeout=0)
        there.ask("DEL")
        lock.release()
        assert int(there.ask("HGET", "fence")) == fence, "the next holder has a higher one"

    def test_that_was_released_is_not_put_back(self, s: Store[Any], there: RedisLocks) -> None:
        """By a renewal that was on its way meanwhile."""
        lock = held(s)
        (lease,) = leases(s)._held.values()
        lock.release()
        leases(s)._held[lease.owner] = lease
        assert there.renew()
        assert there.ask("HKEYS") == [b"fence"] and leases(s)._held == {}

    def test_of_other_nodes_is_renewed_while_one_is_silent(
        self, redis_cluster_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nothing_renewed(monkeypatch)
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
            assert not leases(s)._renew(None), "it tries again soon"
            monkeypatch.undo()
            assert len(asked) == 1, "the node is waited for once"
            later = sum(lease.ends > before[lease.owner] for lease in leases(s)._held.values())
            assert later == sum(node is not silent for node in node_of.values())
            assert all(lock.locked() for lock in locks.values())


class TestHolding:
    def test_answer_that_was_lost_is_not_another_holder(self, s: Store[Any]) -> None:
        from store.engines.leases import Lease
        from store.engines.redis.locks import RedisLocks

        statements = RedisLocks(server_of(s))
        lease, other = Lease(statements.key("job")), Lease(statements.key("job"))
        fence = statements.take(lease, "job", 30)
        assert fence and statements.take(lease, "job", 30) == fence and statements.take(other, "job", 30) is None
        assert statements.release(lease) and not statements.release(lease)


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
