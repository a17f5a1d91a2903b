"""The keys of a store on Redis, as a program beside the library sees them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def prefix_of(url: str) -> str:
    """The prefix in a URL of the fixtures."""
    return url.rpartition("prefix=")[2].partition("&")[0]


@contextmanager
def client_of(url: str) -> Iterator[Any]:
    """A client of the server or the cluster of a URL; answers are bytes."""
    import redis

    address = url.partition("?")[0]
    with redis.Redis.from_url(address) as one:
        is_cluster = one.info("cluster")["cluster_enabled"]
    client = redis.RedisCluster.from_url(address) if is_cluster else redis.Redis.from_url(address)
    try:
        yield client
    finally:
        if is_cluster:
            client.disconnect_connection_pools()
        client.close()


def keys_below(client: Any, prefix: str) -> list[bytes]:
    """All keys with a prefix."""
    return sorted(client.scan_iter(match=prefix + "*", count=10_000))


def key(url: str, part: str, namespace: str = "") -> str:
    """The key of a part of a namespace: "rows", "changes", "meta"…"""
    return f"{prefix_of(url)}{{={namespace}}}:{part}"
