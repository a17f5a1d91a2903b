"""One location as a process sees it: its nodes, the places of its threads, and the server's clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any
from weakref import WeakSet, finalize

import redis

from store.engines.buffered_place import BufferedPlace
from store.engines.leases import Leases
from store.engines.redis.causes import DRIVER_ERRORS
from store.engines.redis.client import Client, Followers
from store.engines.redis.confirming import Confirmation
from store.engines.redis.errors import damaged, translated
from store.engines.redis.keeping import RedisLeases
from store.engines.redis.keys import keys_of, store_keys
from store.engines.redis.listening import Listening
from store.engines.redis.location import Location
from store.engines.redis.nodes import Cluster, Single, Topology, ask
from store.engines.redis.scripts.script import CONFLICT, DAMAGED, LEASED, NO_IDENTITY, NO_SPACE, Script
from store.engines.redis.scripts.spaces import ADD_SPACE, MAKE_SPACE
from store.engines.servers import Servers
from store.engines.visitors import Visitors
from store.errors import StorageError
from store.system import running
from store.system.clock import awake_or_not, steady_clock
from store.system.yielding import Mutex

LEAST_SECONDS = 5.0
"""How long a server is waited for at least, however short the timeout: that is meant for locks of others."""
PAUSE = 0.01  # seconds between two looks for a primary among the servers of a URL
CLOCK_SECONDS = 60.0  # how long a measured offset of the server's clock is used
OUR_WORDS = CONFLICT, LEASED, NO_SPACE, NO_IDENTITY, DAMAGED
"""With which errors of our scripts begin that are for the caller of `Server.run`."""


class Server:
    """What all handles of a process on one location share. Safe across threads; a forked child begins anew."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.shown = location.shown
        self.id = b""
        self.is_full = False
        """Whether a handle of the process was opened with `durability="full"`: then it is that of all of them."""
        self.copies = Confirmation(0, False)
        """The copies that can confirm a write."""
        self.handles: WeakSet[Any] = WeakSet()
        self.visitors: Visitors[BufferedPlace] = Visitors(self._place)
        self.keys = lru_cache(maxsize=256)(lambda namespace: keys_of(location.prefix, namespace))
        self.own = store_keys(location.prefix)
        self.make_buffer: Callable[[], Any] | None = None
        self.leases = Leases(RedisLeases(self, lambda: self.client.topology))
        self.fences: dict[bytes, int] = {}  # the last one of named locks, by key, that this process knows
        self.listening = Listening(self.shown, lambda: self.client.topology, lambda space: self.keys(space).changes)
        self._client: Client | None = None
        self._end: Callable[[], object]
        self._known_sealers: set[bytes] = set()
        self._offset = 0.0
        self._offset_at = -2 * CLOCK_SECONDS
        self._mutex = Mutex()

    def _place(self) -> BufferedPlace:
        assert self.make_buffer is not None
        return BufferedPlace(self.shown, self.make_buffer())

    def is_in_transaction(self) -> bool:
        """Whether the caller is in a transaction here; in none where no store was opened, but one was destroyed."""
        return self.make_buffer is not None and self.visitors.is_in_transaction()

    # -- commands

    @property
    def client(self) -> Client:
        """The connections, made on first use. Raises: redis.RedisError, RedisClusterException, OSError."""
        if self._client is None:
            with self._mutex:
                if self._client is None:
                    topology = self._topology()
                    self._end = finalize(self, topology.close)  # where the last handle was dropped, not closed
                    self._end.atexit = False  # leases are released later than that
                    self._client = Client(topology)
        return self._client

    def _topology(self) -> Topology:
        single = Single(self.location)
        deadline = self.deadline()
        while True:
            node = single.primaries()[0]
            try:
                return self._by_mode(single, ask(node, b"INFO", b"CLUSTER"))
            except (redis.ConnectionError, redis.TimeoutError, redis.exceptions.ReadOnlyError, OSError):
                if steady_clock() >= deadline or len(self.location.urls) == 1:
                    raise
                single.refresh(node)
                running.sleep(PAUSE)

    def _by_mode(self, single: Single, info: bytes) -> Topology:
        if b"cluster_enabled:1" not in info:
            return single
        single.close()
        if any(url.partition("?")[0].rpartition("/")[2] not in ("", "0") for url in self.location.urls):
            raise ValueError(f"{self.shown}: a cluster has the database 0 only; leave it out of the URL")
        return Cluster(self.location)

    @property
    def is_cluster(self) -> bool:
        """Raises: StoreError."""
        try:
            return self.client.topology.is_cluster
        except DRIVER_ERRORS as exc:
            raise translated(exc, self.shown) from exc

    @property
    def confirm(self) -> Confirmation | None:
        """The copies that each write waits for; None: for none."""
        return self.copies if self.is_full else None

    def deadline(self, timeout: float = 0.0) -> float:
        """Until when a command is tried, by `steady_clock`."""
        return steady_clock() + max(timeout, LEAST_SECONDS)

    def run(
        self,
        script: Script,
        keys: tuple[bytes, ...],
        arguments: Callable[[bool], Sequence[Any]] | Sequence[Any],
        deadline: float | None = None,
        after: Followers | None = None,
    ) -> Any:
        """As `Client.run`, for the library's errors. Raises: StoreError, and redis.ResponseError with our words."""
        try:
            return self.client.run(script, keys, arguments, self.deadline() if deadline is None else deadline, after)
        except DRIVER_ERRORS as exc:
            if isinstance(exc, redis.ResponseError) and str(exc).startswith(OUR_WORDS):
                raise
            raise translated(exc, self.shown) from exc

    def command(self, key: bytes, *command: Any) -> Any:
        """The answer of a command that may be done twice, at the node of a key. Raises: StoreError."""
        try:
            return self.client.command(key, self.deadline(), *command)
        except DRIVER_ERRORS as exc:
            raise translated(exc, self.shown) from exc

    def ask_primaries(self, *command: Any) -> list[bytes]:
        """The answers of all primaries that can be reached. Raises: StoreError: of the last one, if none can."""
        found, problem = [], None
        try:
            for node in self.client.topology.primaries():
                try:
                    found.append(ask(node, *command))
                except (redis.ConnectionError, redis.TimeoutError, OSError) as exc:
                    problem = exc
            if not found and problem is not None:
                raise problem
        except DRIVER_ERRORS as exc:
            raise translated(exc, self.shown) from exc
        return found

    # -- namespaces

    def field(self, namespace: str, field: bytes) -> Any:
        """A field of the namespace's `meta`. Raises: StorageError: it is of another store."""
        keys = self.keys(namespace)
        store_id, found = self.command(keys.meta, b"HMGET", keys.meta, b"id", field)
        if store_id not in (None, self.id):
            raise translated(redis.ResponseError("ANOTHERSTORE"), self.shown)
        return found

    def number(self, namespace: str, field: str) -> int:
        """A field of the namespace's `meta` that counts something; 0 if it has none. Raises: StorageError."""
        found = self.field(namespace, field.encode())
        if found is None:
            return 0
        try:
            return int(found)
        except ValueError as exc:
            raise damaged(field, self.keys(namespace).meta, self.shown) from exc

    def spaces(self) -> list[bytes]:
        """The names of all namespaces that ever had records."""
        found: list[bytes] = self.command(self.own.spaces, b"ZRANGE", self.own.spaces, 0, -1)
        return found

    def make_space(self, namespace: str) -> None:
        """Make a namespace, known to the store before it has records. Raises: StorageError."""
        keys = self.keys(namespace)
        name = namespace.encode("utf-8", "surrogatepass")
        try:
            copies = self.copies
            _, *answers = self.run(
                ADD_SPACE, (self.own.identity, self.own.spaces), (self.id, name),
                after=copies.commands if self.is_full else copies.briefly,
            )  # fmt: skip
            if self.is_full and (problem := copies.missing(answers, self.shown)):
                raise StorageError(f"nothing of the namespace {namespace!r} was written: {problem}", path=self.shown)
            found = self.run(MAKE_SPACE, (keys.meta,), (self.id,))
        except redis.ResponseError as exc:
            raise translated(exc, self.shown) from exc
        if found != self.id:
            raise StorageError(
                f"{self.shown}: the namespace {namespace!r} has records of a store that was here before; remove them "
                "with `store destroy`, or choose another prefix",
                path=self.shown,
            )

    def add_sealer(self, key_id: bytes) -> None:
        """Note that a key seals records here; once for each process, since it is a round trip. Raises: StoreError."""
        if key_id not in self._known_sealers:
            self.command(self.own.sealers, b"SADD", self.own.sealers, key_id)
            self._known_sealers.add(key_id)

    # -- the clock

    def now(self) -> float:
        """The time of the server, in Unix seconds; off by at most half a round trip to it.

        Between two questions a steady clock counts: this machine's own time may be set, and tests stop it.
        """
        if steady_clock() - self._offset_at > CLOCK_SECONDS:
            before = awake_or_not()
            seconds, micros = self.command(self.own.identity, b"TIME")
            self._offset = int(seconds) + int(micros) / 1e6 - (before + awake_or_not()) / 2
            self._offset_at = steady_clock()
        return awake_or_not() + self._offset

    # -- the life of a process

    def close_unused(self) -> None:
        """Release all leases and close the connections, if no handle uses them."""
        if not self.handles:
            self.leases.close()
            self.listening.close()
            self.is_full = False
            client, self._client = self._client, None
            if client is not None:
                self._end()

    def renew(self) -> None:
        """In a forked child: leave the parent's connections alone, and begin with none."""
        self._mutex = Mutex()
        self.leases.renew()
        for handle in list(self.handles):
            handle.bodies.renew()
        self.listening.renew()
        if self._client is not None:
            self._client.renew()


_servers: Servers[str, Server] = Servers()


def server_at(location: Location) -> Server:
    """The server of a location, one for each process."""
    with _servers.mutex:
        server = _servers.by_key.get(location.shown)
        if server is None or (server.location != location and not server.handles):
            server = _servers.add(location.shown, Server(location))
        return server
