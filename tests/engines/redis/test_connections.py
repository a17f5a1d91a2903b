"""The connections of a node: shared by threads, and closed with it."""

from __future__ import annotations

from redis_server import RedisServer

from store.engines.redis.nodes import Node


def test_connection_that_is_put_back_after_the_end_is_closed(redis: RedisServer) -> None:
    with redis.client() as client:
        node = Node(client.connection_pool)
        idle, used = node.connected(), node.take()
        node.put_back(idle)
        node.close()
        node.put_back(used)
        assert (idle._sock, used._sock) == (None, None)
