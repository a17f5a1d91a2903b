"""The nodes of a location, one server or a cluster, and their connections."""

from __future__ import annotations

import os
from collections import deque
from typing import Any, Protocol

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from store.engines.redis.location import PORT, Location

DRIVER_ERRORS = (redis.RedisError, RedisClusterException, OSError)


class Node:
    """A server, and its idle connections. Safe across threads; a forked child begins with no connection.

    The driver's own pool polls a connection before it gives it out, and takes a lock: half of the time of a short
    command. Here one that has died is found out by its first command.
    """

    def __init__(self, pool: redis.ConnectionPool) -> None:
        self._pool = pool
        self._process = os.getpid()
        self._idle: deque[Any] = deque()

    def take(self) -> Any:
        """A connection that nobody else uses, until it is put back or dropped. Raises: redis.RedisError, OSError."""
        try:
            return self._idle.pop()
        except IndexError:
            return self.connected()

    def connected(self, patience: float | None = None) -> Any:
        """A new connection, with another patience in seconds than the others if it is given.

        Raises: redis.RedisError, OSError.
        """
        pool = self._pool
        settings = dict(pool.connection_kwargs)
        if patience is not None:
            settings["socket_timeout"] = settings["socket_connect_timeout"] = patience
        conn = pool.connection_class(**settings)
        conn.connect()
        return conn

    def put_back(self, conn: Any) -> None:
        if self._process == os.getpid():
            self._idle.append(conn)

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().disconnect()

    def renew(self) -> None:
        """In a forked child: leave the parent's connections alone."""
        self._process, self._idle = os.getpid(), deque()


class Topology(Protocol):
    """Which node has which keys."""

    is_cluster: bool

    def node_of(self, key: bytes) -> Node:
        """The primary that has a key. Raises: redis.RedisError, RedisClusterException, OSError."""

    def at(self, host: str, port: int) -> Node:
        """The node of an address, to which the server redirects a command."""

    def primaries(self) -> list[Node]: ...

    def refresh(self) -> None:
        """Ask which node has which keys: it has changed."""

    def close(self) -> None: ...

    def renew(self) -> None:
        """In a forked child: begin with no connection."""


def options(patience: float) -> dict[str, Any]:
    """The driver's arguments for all connections. It retries nothing: what is retried, and until when, is ours."""
    return {
        "socket_timeout": patience, "socket_connect_timeout": patience, "protocol": 2, "decode_responses": False,
        "retry": Retry(NoBackoff(), 0), "health_check_interval": 0, "socket_keepalive": True,
    }  # fmt: skip


class Single:
    """One server; of several that the URL names, the one that answers."""

    is_cluster = False

    def __init__(self, location: Location, patience: float) -> None:
        self._nodes = [
            Node(redis.ConnectionPool.from_url(url, **options(patience))) for url in location.urls
        ]  # fmt: skip

    def node_of(self, key: bytes) -> Node:
        return self._nodes[0]

    def at(self, host: str, port: int) -> Node:
        raise redis.ResponseError(f"the server is part of a cluster now (the key is at {host}:{port})")

    def primaries(self) -> list[Node]:
        return self._nodes[:1]

    def refresh(self) -> None:
        self._nodes.append(self._nodes.pop(0))

    def close(self) -> None:
        for node in self._nodes:
            node.close()

    def renew(self) -> None:
        for node in self._nodes:
            node.renew()


class Cluster:
    """The nodes of a cluster, as redis-py finds them."""

    is_cluster = True

    def __init__(self, location: Location, patience: float) -> None:
        settings = redis.ConnectionPool.from_url(location.urls[0], **options(patience)).connection_kwargs
        addresses = [redis.ConnectionPool.from_url(url).connection_kwargs for url in location.urls]
        self._startup = [(one.get("host", "localhost"), one.get("port", PORT)) for one in addresses]
        self._settings = {name: value for name, value in settings.items() if name not in ("host", "port", "db")}
        if location.urls[0].startswith("rediss"):
            self._settings["ssl"] = True
        self._nodes: dict[tuple[str, int], Node] = {}
        self._client: Any = None  # a RedisCluster; its annotations are incomplete

    def node_of(self, key: bytes) -> Node:
        client = self._connected()
        found = client.get_node_from_key(key)
        if found is None:
            raise redis.ConnectionError("no node has the slot of the key")
        return self._node(found)

    def at(self, host: str, port: int) -> Node:
        client = self._connected()
        found = client.get_node(host=host, port=port)
        if found is None:
            self.refresh()
            found = self._connected().get_node(host=host, port=port)
        if found is None:
            raise redis.ConnectionError(f"the cluster names a node that it does not list: {host}:{port}")
        return self._node(found)

    def primaries(self) -> list[Node]:
        return [self._node(found) for found in self._connected().get_primaries()]

    def refresh(self) -> None:
        if self._client is not None:
            self._client.nodes_manager.initialize()

    def close(self) -> None:
        for node in list(self._nodes.values()):
            node.close()
        self._nodes.clear()
        if self._client is not None:
            self._client.close()
            self._client = None

    def renew(self) -> None:
        for node in list(self._nodes.values()):
            node.renew()

    def _connected(self) -> Any:
        if self._client is None:
            self._client = RedisCluster(
                startup_nodes=[_cluster_node(*one) for one in self._startup],
                dynamic_startup_nodes=True,
                require_full_coverage=False,
                **self._settings,
            )
        return self._client

    def _node(self, found: Any) -> Node:
        address = found.host, found.port
        node = self._nodes.get(address)
        if node is None:
            pool = self._connected().get_redis_connection(found).connection_pool
            node = self._nodes.setdefault(address, Node(pool))
        return node


def _cluster_node(host: str, port: int) -> Any:
    return ClusterNode(host, port)  # type: ignore[no-untyped-call]  # its annotations are incomplete
