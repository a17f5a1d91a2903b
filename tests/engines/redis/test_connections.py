"""The connections of a node: shared by threads, and closed with it."""

from __future__ import annotations

import gc
from typing import Any

import pytest

pytest.importorskip("redis", reason="redis-py is not installed: the engine on Redis was not tested")

from redis_server import RedisServer

from store import Store
from store.engines.redis.nodes import Node


def test_connection_that_is_put_back_after_the_end_is_closed(redis: RedisServer) -> None:
    with redis.client() as client:
        node = Node(client.connection_pool)
        idle, used = node.connected(), node.take()
        node.put_back(idle)
        node.close()
        node.put_back(used)
        assert (idle._sock, used._sock) == (None, None)


def test_store_that_is_dropped_in_a_cycle_closes_its_connections(redis_url: str) -> None:
    s: Any = Store(redis_url)
    s["a"] = 1
    conn = s.opened.engine.handle.server.client.topology.primaries()[0].take()
    s.opened.engine.handle.server.client.topology.primaries()[0].put_back(conn)
    assert conn._sock is not None
    cycle = [s]
    cycle.append(cycle)
    del s, cycle
    gc.collect()
    assert conn._sock is None, "else the socket is left to the collector, in any order"
