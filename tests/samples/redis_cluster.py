"""A Redis or Valkey cluster on loopback: nodes are killed and paused, slots moved, in one step or halfway."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis_server import PortTaken, RedisServer, new_prefix

SECONDS = 60.0
POLL_SECONDS = 0.02
SLOTS = 16_384
PRIMARIES = 3
CALM_MS = 5000  # so long may a machine stand still until nodes that are well count as failed
NOTICING_MS = 2500  # the same, for tests that wait until a node has failed, which takes twice as long
SETTINGS = {
    "cluster_enabled": "yes",
    "cluster_config_file": "nodes.conf",
    "cluster_replica_validity_factor": "0",  # a replica takes over however long it has heard nothing
    "cluster_allow_replica_migration": "no",  # replicas stay where the tests expect them
}


class RedisCluster:
    """Primaries, each with some replicas. Ends with `stop`.

    Nodes are named by their number: the first ones begin as primaries. A replica takes over after about twice
    `timeout_ms`; on a busy machine a short one lets replicas take over from nodes that are well. Where a node is to
    fail, pass `NOTICING_MS`.
    """

    def __init__(
        self, folder: Path, program: Path, *, replicas: int = 1, timeout_ms: int = CALM_MS, **options: Any
    ) -> None:
        self.nodes: list[RedisServer] = []
        self._replicas = replicas
        options = {**SETTINGS, "cluster_node_timeout": str(timeout_ms), **options}
        for number in range(PRIMARIES * (1 + replicas)):
            own = folder / f"n{number}"
            own.mkdir()
            self.nodes.append(RedisServer(own, program, **options))

    @property
    def url(self) -> str:
        """The URL of a node that runs; clients find the others by it."""
        return self.running[0].url

    @property
    def running(self) -> list[RedisServer]:
        """Those that answer: neither killed nor paused."""
        return [node for node in self.nodes if node.is_running]

    def start(self) -> None:
        """Start all nodes and make them one cluster."""
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            try:
                node.wait_until_ready()
            except PortTaken:
                node.start()
        ids = [node.ask("CLUSTER MYID") for node in self.nodes]
        for number, node in enumerate(self.nodes[:PRIMARIES]):
            node.ask("CLUSTER ADDSLOTSRANGE", SLOTS * number // PRIMARIES, SLOTS * (number + 1) // PRIMARIES - 1)
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for number, node in enumerate(self.nodes):
            for other in self.nodes[number + 1 :]:  # each pair: nobody waits for gossip
                node.ask("CLUSTER MEET", "127.0.0.1", other.port)
        self.wait(lambda: all(set(ids) <= self._known_to(node) for node in self.nodes), "knew each other")
        for number, node in enumerate(self.nodes[PRIMARIES:]):
            node.ask("CLUSTER REPLICATE", ids[number % PRIMARIES])
        self.wait_until_ok()

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()

    def wait_until_ok(self) -> None:
        """Wait until all nodes that run serve all slots, agree who has which, and replicas follow their primaries."""
        self.wait(self._is_ok, "was well")

    def wait(self, condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            if time.monotonic() > deadline:
                views = "\n".join(str(node.ask("CLUSTER NODES")) for node in self.running)
                raise RuntimeError(f"the cluster never {what}: {views}")
            time.sleep(POLL_SECONDS)

    def slot_of(self, key: str) -> int:
        return int(self.running[0].ask("CLUSTER KEYSLOT", key))

    def primary_of(self, key: str) -> RedisServer:
        """The node that has the slot of a key."""
        return self.primary_of_slot(self.slot_of(key))

    def primary_of_slot(self, slot: int) -> RedisServer:
        return self._by_port(self._owners(self.running[0])[slot])

    def replicas_of(self, node: RedisServer) -> list[RedisServer]:
        """Those that follow a primary, and run."""
        primary = node.ask("CLUSTER MYID")
        view = self.running[0].ask("CLUSTER NODES")
        followers = [place for place, entry in view.items() if entry["master_id"] == primary]
        return [found for found in map(self._by_place, followers) if found.is_running]

    def fail_over(self, node: RedisServer) -> None:
        """Kill a primary and wait until a replica has taken over; `restart` makes it a replica of that."""
        node.kill()
        self.wait_until_ok()

    def restart(self, *nodes: RedisServer) -> None:
        """Start nodes again that were killed, or all that do not run, and wait until the cluster is well."""
        stopped = nodes or [node for node in self.nodes if node.has_ended]
        for node in stopped:
            node.launch()
        for node in stopped:
            node.wait_until_ready()
        self.wait_until_ok()
        self.wait(lambda: all(map(self._is_told_of, stopped)), "knew who follows whom")

    def move_slot(self, slot: int, to: RedisServer) -> None:
        """Give a slot and its keys to another primary."""
        move = self.begin_move(slot, to)
        move.migrate()
        move.finish()

    def begin_move(self, slot: int, to: RedisServer) -> Move:
        """Leave a slot halfway: its node answers ASK for keys that it does not have, and TRYAGAIN for some of both."""
        return Move(self, slot, self.primary_of_slot(slot), to)

    def _is_ok(self) -> bool:
        ports, views = {node.port for node in self.running}, []
        for node in self.running:
            info = node.ask("CLUSTER INFO")
            replication = node.ask("INFO", "replication")
            if info["cluster_state"] != "ok" or replication.get("master_link_status", "up") != "up":
                return False
            views.append(self._owners(node))
        return len(views[0]) == SLOTS and set(views[0].values()) <= ports and all(view == views[0] for view in views)

    def _is_told_of(self, node: RedisServer) -> bool:
        """Whether all others know whom a replica follows, which they hear of later than who has the slots."""
        if node.ask("INFO", "replication")["role"] == "master":
            return True
        name = node.ask("CLUSTER MYID")
        views = [other.ask("CLUSTER NODES").values() for other in self.running]
        return all(entry["master_id"] != "-" for view in views for entry in view if entry["node_id"] == name)

    def _known_to(self, node: RedisServer) -> set[str]:
        """The ids of the nodes that a node has a connection to; a handshake has another id."""
        view = node.ask("CLUSTER NODES").values()
        return {entry["node_id"] for entry in view if entry["connected"] and "handshake" not in entry["flags"]}

    def _owners(self, node: RedisServer) -> dict[int, int]:
        """Slot → port of its primary, as a node sees it, without nodes that have failed."""
        found = {}
        for place, entry in node.ask("CLUSTER NODES").items():
            if "fail" not in entry["flags"].split(","):
                for first, *last in entry["slots"]:
                    for slot in range(int(first), int(last[0] if last else first) + 1):
                        found[slot] = int(place.rpartition(":")[2])
        return found

    def _by_place(self, place: str) -> RedisServer:
        return self._by_port(int(place.rpartition(":")[2]))

    def _by_port(self, port: int) -> RedisServer:
        return next(node for node in self.nodes if node.port == port)


class Move:
    """A slot on its way from one primary to another one; both know, and no other node does."""

    def __init__(self, cluster: RedisCluster, slot: int, source: RedisServer, to: RedisServer) -> None:
        self._cluster, self.slot, self.source, self.to = cluster, slot, source, to
        to.ask("CLUSTER SETSLOT", slot, "IMPORTING", source.ask("CLUSTER MYID"))
        source.ask("CLUSTER SETSLOT", slot, "MIGRATING", to.ask("CLUSTER MYID"))

    def migrate(self, count: int | None = None) -> int:
        """Move some of its keys, or all; returns how many."""
        keys = self.source.ask("CLUSTER GETKEYSINSLOT", self.slot, 1_000_000 if count is None else count)
        for key in keys:
            self.migrate_key(key)
        return len(keys)

    def migrate_key(self, key: str) -> None:
        self.source.ask("MIGRATE", "127.0.0.1", self.to.port, key, 0, 10_000)

    def finish(self) -> None:
        """All nodes learn the new owner. Keys that are left behind are lost, so `migrate` them first."""
        owner = self.to.ask("CLUSTER MYID")
        self.to.ask("CLUSTER SETSLOT", self.slot, "NODE", owner)
        for node in self._cluster.running:
            if node is not self.to and node.ask("INFO", "replication")["role"] == "master":
                node.ask("CLUSTER SETSLOT", self.slot, "NODE", owner)
        self._cluster.wait_until_ok()

    def abandon(self) -> None:
        """Both forget it; keys that were moved are to be moved back first."""
        for node in (self.to, self.source):
            node.ask("CLUSTER SETSLOT", self.slot, "STABLE")


@pytest.fixture(scope="session")
def redis_cluster(redis_cluster_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Six nodes that tests share: leave them as they are. One that kills some, or moves slots, takes `own_cluster`."""
    cluster = RedisCluster(tmp_path_factory.mktemp("cluster"), redis_cluster_program, timeout_ms=15_000)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def redis_cluster_url(redis_cluster: RedisCluster) -> Iterator[str]:
    """As `redis_url`."""
    yield f"{redis_cluster.url}?prefix={new_prefix()}"
    for node in redis_cluster.nodes[:PRIMARIES]:
        node.ask("FLUSHALL", "SYNC")


@pytest.fixture
def own_cluster(
    redis_cluster_program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., RedisCluster]]:
    """`own_cluster(replicas=2)` is a running cluster that no other test shares; arguments as of `RedisCluster`."""
    started: list[RedisCluster] = []

    def start(**options: Any) -> RedisCluster:
        cluster = RedisCluster(tmp_path_factory.mktemp("cluster"), redis_cluster_program, **options)
        started.append(cluster)
        cluster.start()
        return cluster

    try:
        yield start
    finally:
        for cluster in started:
            cluster.stop()
