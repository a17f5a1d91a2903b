"""Connections to a node or to a cluster, as the URL of the server has it."""

from __future__ import annotations

from typing import Any

TWO_WEEKS = 14 * 24 * 3600  # seconds that a session lives


def connect(url: str, database: int, **options: Any) -> Any:
    """A client of redis-py: of that database of a node; of a cluster, which has one database, where the URL is of one."""
    import redis

    if is_cluster(url):
        return redis.RedisCluster.from_url(url, **options)
    return redis.Redis.from_url(url_of(url, database), **options)


def is_cluster(url: str) -> bool:
    import redis

    with redis.Redis.from_url(url) as node:
        return bool(node.info("cluster")["cluster_enabled"])


def url_of(url: str, database: int) -> str:
    """Of the server's database of that number: each peer has one, because some scan all keys that there are."""
    return f"{url.rpartition('/')[0]}/{database}"
