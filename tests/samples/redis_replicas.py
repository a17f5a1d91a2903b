"""A primary and replicas on loopback, outside of a cluster: kill the primary, promote the most advanced replica."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis_server import SECONDS, RedisServer

POLL_SECONDS = 0.01


class Replicated:
    """Servers, of which `primary` is the one that writes. Ends with `stop`."""

    def __init__(self, folder: Path, program: Path, *, replicas: int = 2, **options: Any) -> None:
        self.nodes: list[RedisServer] = []
        for number in range(1 + replicas):
            own = folder / f"n{number}"
            own.mkdir()
            self.nodes.append(RedisServer(own, program, **options))
        self.primary = self.nodes[0]

    @property
    def url(self) -> str:
        """That of the primary; `fail_over` changes it."""
        return self.primary.url

    @property
    def replicas(self) -> list[RedisServer]:
        return [node for node in self.nodes if node is not self.primary and node.is_running]

    def start(self) -> None:
        self.primary.start()
        for node in self.nodes[1:]:
            self._follow(node)
            node.start()
        self.wait_until_ok()

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()

    def wait_until_ok(self) -> None:
        """Wait until all replicas that run have what the primary has, and follow it."""
        self._wait(self._are_level, "had all its replicas")

    def fail_over(self) -> RedisServer:
        """Kill the primary and promote the replica that has most of its stream; returns the server that was killed."""
        dead = self.primary
        dead.kill()
        self.promote()
        return dead

    def promote(self) -> None:
        """Make the most advanced replica the primary; the others follow it."""
        replicas = self.replicas
        # A replica sees the end of the connection after all that the primary sent before.
        self._wait(lambda: all(_replication(node)["master_link_status"] == "down" for node in replicas), "was gone")
        self.primary = max(replicas, key=lambda node: int(_replication(node)["slave_repl_offset"]))
        self.primary.ask("REPLICAOF", "NO", "ONE")
        self.primary.settings.pop("replicaof")
        for node in self.replicas:
            self._follow(node)
            node.ask("REPLICAOF", "127.0.0.1", self.primary.port)
        self.wait_until_ok()

    def cut_off(self, replica: RedisServer) -> None:
        """Pause a replica and end its connection: it lacks what is written until it is resumed."""
        with replica.client() as client:
            (link,) = client.client_list(_type="master")
        replica.pause()
        self.primary.ask("CLIENT KILL", "ADDR", link["laddr"])

    def rejoin(self, node: RedisServer) -> None:
        """Start a server that was killed, as a replica of the primary; what it alone had is lost."""
        self._follow(node)
        node.start()
        self.wait_until_ok()

    def _follow(self, node: RedisServer) -> None:
        """By its configuration, for when it is started again."""
        node.settings["replicaof"] = f"127.0.0.1 {self.primary.port}"

    def _are_level(self) -> bool:
        mine = _replication(self.primary)
        written = int(mine["master_repl_offset"])
        # WAIT counts no replica before the primary calls it online, which is later than when the link is up.
        followers = {each["port"] for each in mine.values() if isinstance(each, dict) and each["state"] == "online"}
        if any(node.port not in followers for node in self.replicas):
            return False
        views = [_replication(node) for node in self.replicas]
        return all(view["master_link_status"] == "up" and int(view["slave_repl_offset"]) >= written for view in views)

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            if time.monotonic() > deadline:
                views = [_replication(node) for node in self.nodes if node.is_running]
                raise RuntimeError(f"the primary never {what}: {views}")
            time.sleep(POLL_SECONDS)


def _replication(node: RedisServer) -> dict[str, Any]:
    found: dict[str, Any] = node.ask("INFO", "replication")
    return found


@pytest.fixture
def replicated(redis_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Replicated]]:
    """`replicated(replicas=2)` is a running primary with replicas that no other test shares; arguments as of `Replicated`."""
    started: list[Replicated] = []

    def start(**options: Any) -> Replicated:
        group = Replicated(tmp_path_factory.mktemp("replicated"), redis_program, **options)
        started.append(group)
        group.start()
        return group

    try:
        yield start
    finally:
        for group in started:
            group.stop()
