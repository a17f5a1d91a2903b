"""The cluster that the tests start: its slots move, in one step or halfway, and its replicas take over."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis_cluster import NOTICING_MS, PRIMARIES, SLOTS, RedisCluster
from redis_server import RedisServer

Own = Callable[..., RedisCluster]


def _another(cluster: RedisCluster, node: RedisServer) -> RedisServer:
    return next(other for other in cluster.nodes[:PRIMARIES] if other is not node)


def test_each_primary_has_slots_and_a_replica(redis_cluster: RedisCluster) -> None:
    owners = [redis_cluster.primary_of_slot(slot) for slot in range(0, SLOTS, SLOTS // 6 + 1)]
    assert set(owners) == set(redis_cluster.nodes[:PRIMARIES])
    assert [len(redis_cluster.replicas_of(node)) for node in redis_cluster.nodes[:PRIMARIES]] == [1, 1, 1]


@pytest.mark.heavy
def test_slot_on_its_way_is_asked_for_at_both_ends(own_cluster: Own) -> None:
    import redis

    cluster = own_cluster()
    source = cluster.primary_of("{a}")
    goal = _another(cluster, source)
    for name in ("{a}1", "{a}2"):
        source.ask("SET", name, name)
    move = cluster.begin_move(cluster.slot_of("{a}"), goal)
    move.migrate_key("{a}1")
    assert source.ask("GET", "{a}2") == "{a}2"
    with pytest.raises(redis.cluster.AskError):
        source.ask("GET", "{a}1")
    with pytest.raises(redis.cluster.TryAgainError):
        source.ask("MGET", "{a}1", "{a}2")
    with pytest.raises(redis.cluster.MovedError):  # nobody else knows
        goal.ask("GET", "{a}1")
    assert move.migrate() == 1
    move.finish()
    with pytest.raises(redis.cluster.MovedError):
        source.ask("GET", "{a}1")
    assert goal.ask("MGET", "{a}1", "{a}2") == ["{a}1", "{a}2"]
    cluster.move_slot(move.slot, source)
    assert source.ask("GET", "{a}1") == "{a}1"


@pytest.mark.heavy
def test_replica_takes_over_and_the_cluster_comes_back_after_all_were_killed(own_cluster: Own) -> None:
    cluster = own_cluster(timeout_ms=NOTICING_MS, appendonly="yes", appendfsync="always")
    primary = cluster.primary_of("a")
    with primary.client() as client:
        client.set("a", "1")
        assert client.wait(1, 10_000) == 1
    (replica,) = cluster.replicas_of(primary)
    cluster.fail_over(primary)
    assert cluster.primary_of("a") is replica
    assert replica.ask("GET", "a") == "1"
    cluster.restart(primary)
    assert cluster.replicas_of(replica) == [primary]
    cluster.stop()
    cluster.restart()
    assert cluster.primary_of("a").ask("GET", "a") == "1"


@pytest.mark.heavy
def test_replica_takes_over_from_a_primary_that_is_paused(own_cluster: Own) -> None:
    cluster = own_cluster(timeout_ms=NOTICING_MS)
    primary = cluster.primary_of("a")
    primary.pause()
    cluster.wait_until_ok()
    assert cluster.primary_of("a") is not primary
    primary.resume()
    cluster.wait_until_ok()
    assert cluster.primary_of("a") is not primary
