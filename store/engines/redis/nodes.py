"""The nodes of a location, one server or a cluster, and their connections."""

from __future__ import annotations

import os
from collections import deque
from typing import Any, Protocol

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import ReadOnlyError
from redis.retry import Retry

from store.engines.redis.location import PORT, Location
from store.system.clock import steady_clock
from store.system.yielding import Mutex

CONNECT_SECONDS, ANSWER_SECONDS = 3.0, 5.0
"""How long one attempt waits; then comes the next one, perhaps at another node."""
FRESH_SECONDS = 1.0  # a connection that was idle for longer is looked at before it is used


class Node:
    """A server, and its idle connections. Safe across threads; a forked child begins with no connection.

    The driver's own pool polls a connection before it gives it out, and takes a lock: half of the time of a short
    command. Here only one that was idle for a while is polled: where the server ended meanwhile, nothing is sent.
    """

    def __init__(self, pool: redis.ConnectionPool, *, is_primary: bool = False) -> None:
        """`is_primary`: only connections to a primary count; one to a replica raises ReadOnlyError."""
        self._pool = pool
        self._is_primary = is_primary
        self._process = os.getpid()
        self._idle: deque[tuple[Any, float]] = deque()
        self._is_closed = False

    def take(self, seconds: float = CONNECT_SECONDS) -> Any:
        """A connection that nobody else uses, until it is put back or dropped; a new one within some seconds.

        Raises: redis.RedisError, OSError.
        """
        while True:
            try:
                conn, since = self._idle.pop()
            except IndexError:
                return self._made(seconds)
            if steady_clock() - since < FRESH_SECONDS or _is_alive(conn):
                return conn

    def connected(self, patience: float | None = None) -> Any:
        """A new connection, with another patience in seconds than the others if it is given.

        Raises: redis.RedisError, OSError.
        """
        settings = dict(self._pool.connection_kwargs)
        if patience is not None:
            settings["socket_timeout"] = patience
        return self._made(CONNECT_SECONDS if patience is None else patience, settings)

    def _made(self, seconds: float, settings: dict[str, Any] | None = None) -> Any:
        settings = settings or self._pool.connection_kwargs
        wait = min(settings.get("socket_connect_timeout") or seconds, seconds)
        conn = self._pool.connection_class(**{**settings, "socket_connect_timeout": wait})
        conn.connect()
        if self._is_primary:
            _check_primary(conn)
        return conn

    def put_back(self, conn: Any) -> None:
        if self._process == os.getpid():
            self._idle.append((conn, steady_clock()))
            if self._is_closed:
                self.drop_idle()

    def drop_idle(self) -> None:
        """Close the idle connections."""
        while True:
            try:
                conn, _ = self._idle.pop()
            except IndexError:
                return
            conn.disconnect()

    def close(self) -> None:
        """Close the idle connections, and those that are still in use when they are put back."""
        self._is_closed = True
        self.drop_idle()

    def renew(self) -> None:
        """In a forked child: leave the parent's connections alone."""
        self._process, self._idle = os.getpid(), deque()


def _check_primary(conn: Any) -> None:
    try:
        conn.send_command(b"INFO", b"REPLICATION")
        if b"role:slave" not in conn.read_response():
            return
    except BaseException:
        conn.disconnect()
        raise
    conn.disconnect()
    raise ReadOnlyError("it is a replica")


def _is_alive(conn: Any) -> bool:
    """Whether the server has neither ended an idle connection nor sent anything; otherwise it is closed."""
    try:
        if not conn.can_read(0):
            return True
    except (redis.RedisError, OSError):
        pass
    conn.disconnect()
    return False


def ask(node: Node, *command: Any) -> Any:
    """The answer of one command at a node. Raises: redis.RedisError, OSError."""
    conn = node.take()
    try:
        conn.send_command(*command)
        found = conn.read_response()
    except BaseException:
        conn.disconnect()
        raise
    node.put_back(conn)
    return found


class Topology(Protocol):
    """Which node has which keys."""

    is_cluster: bool

    def node_of(self, key: bytes) -> Node:
        """The primary that has a key. Raises: redis.RedisError, RedisClusterException, OSError."""

    def at(self, host: str, port: int) -> Node:
        """The node of an address, to which the server redirects a command."""

    def primaries(self) -> list[Node]: ...

    def refresh(self, failed: Node | None = None) -> None:
        """Find out which node has which keys: it has changed, or `failed` does not answer, or is no primary."""

    def close(self) -> None: ...

    def renew(self) -> None:
        """In a forked child: begin with no connection."""


def options() -> dict[str, Any]:
    """The driver's arguments for all connections. It retries nothing: what is retried, and until when, is ours."""
    return {
        "socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": CONNECT_SECONDS, "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0), "health_check_interval": 0, "protocol": 2, "decode_responses": False,
    }  # fmt: skip


def _pool(url: str, location: Location) -> redis.ConnectionPool:
    """What the driver makes of a URL. Raises: ValueError: a parameter is unknown, or has a wrong value."""
    try:
        pool = redis.ConnectionPool.from_url(url, **options())
        pool.connection_class(**pool.connection_kwargs)  # it connects later, but looks at its arguments now
    except (TypeError, ValueError) as exc:
        raise ValueError(
            f"{location.shown}: a part of the URL is wrong ({exc}). Its parameters are prefix=, replicas= and those "
            "of redis-py's connections, of which ssl_…= need rediss://"
        ) from exc
    return pool


class Single:
    """One server; of several that the URL names, the primary. A single one may be a replica, for reading."""

    is_cluster = False

    def __init__(self, location: Location) -> None:
        self._nodes = [Node(_pool(url, location), is_primary=len(location.urls) > 1) for url in location.urls]

    def node_of(self, key: bytes) -> Node:
        return self._nodes[0]

    def at(self, host: str, port: int) -> Node:
        raise redis.ResponseError(f"the server is part of a cluster now (the key is at {host}:{port})")

    def primaries(self) -> list[Node]:
        return self._nodes[:1]

    def refresh(self, failed: Node | None = None) -> None:
        nodes = self._nodes
        if failed is None or failed is nodes[0]:  # else another thread was here before
            self._nodes = [*nodes[1:], nodes[0]]

    def close(self) -> None:
        for node in self._nodes:
            node.close()

    def renew(self) -> None:
        for node in self._nodes:
            node.renew()


class Cluster:
    """The nodes of a cluster, as redis-py finds them."""

    is_cluster = True

    def __init__(self, location: Location) -> None:
        settings = redis.ConnectionPool.from_url(location.urls[0], **options()).connection_kwargs
        addresses = [redis.ConnectionPool.from_url(url).connection_kwargs for url in location.urls]
        self._startup = [(one.get("host", "localhost"), one.get("port", PORT)) for one in addresses]
        self._settings = {name: value for name, value in settings.items() if name not in ("host", "port", "db")}
        if location.urls[0].startswith("rediss"):
            self._settings["ssl"] = True
        self._nodes: dict[tuple[str, int], Node] = {}
        self._client: Any = None  # a RedisCluster; its annotations are incomplete
        self._mutex = Mutex()

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

    def refresh(self, failed: Node | None = None) -> None:
        if self._client is None or not self._mutex.acquire(blocking=False):
            return  # another thread asks just now
        try:
            self._client.nodes_manager.initialize()
        finally:
            self._mutex.release()

    def close(self) -> None:
        for node in list(self._nodes.values()):
            node.close()
        self._nodes.clear()
        if self._client is not None:
            self._client.close()
            self._client = None

    def renew(self) -> None:
        # The driver's client has locks, which a thread of the parent may have held.
        self._nodes, self._client, self._mutex = {}, None, Mutex()

    def _connected(self) -> Any:
        client = self._client
        if client is None:
            with self._mutex:
                client = self._client = self._client or RedisCluster(
                    startup_nodes=[_cluster_node(*one) for one in self._startup], dynamic_startup_nodes=True,
                    require_full_coverage=False, **self._settings,
                )  # fmt: skip
        return client

    def _node(self, found: Any) -> Node:
        address = found.host, found.port
        node = self._nodes.get(address)
        if node is None:
            pool = self._connected().get_redis_connection(found).connection_pool
            node = self._nodes.setdefault(address, Node(pool))
        return node


def _cluster_node(host: str, port: int) -> Any:
    return ClusterNode(host, port)  # type: ignore[no-untyped-call]  # its annotations are incomplete
