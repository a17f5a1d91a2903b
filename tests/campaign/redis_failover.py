"""A Redis server, or the primary of two replicas or of a cluster, is killed under load; see `failover`.

With `durability="full"` nothing that was acknowledged may be lost, and nothing done twice. With `"normal"` it is
counted what is lost.
"""

from __future__ import annotations

import importlib.util
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from redis_cluster import NOTICING_MS, RedisCluster
from redis_programs import on_path
from redis_replicas import Replicated
from redis_server import RedisServer

from store import Store
from store.errors import OutcomeUnknown, StorageError, StoreError

from .failover import STUCK_SECONDS, Failovers, Writer, fail_over, until_told
from .trial import Promise, Round

MODULE = "tests.campaign.redis_failover"
KEY = "store:{=}:meta"  # of the namespace that the writers use
WRITE_SECONDS = 30.0  # that a writer has for one write


# -- the writers


def write_confirmed(url: str, number: int, seed: int, folder: str) -> None:
    """A writer with `durability="full"`, which knows what must be there."""
    with Store[Any](url, timeout=WRITE_SECONDS, durability="full") as store:
        writer = Writer(store, number, Random(seed))
        writer.make_final = lambda: _confirm(store, f"{number}:mark")
        until_told(writer, folder)


def _confirm(store: Store[Any], name: str) -> None:
    """Once a write is acknowledged, all writes before it are as safe, or lost already."""
    deadline = time.monotonic() + STUCK_SECONDS
    while True:
        try:
            store[name] = 1
            return
        except (OutcomeUnknown, StorageError):
            if time.monotonic() > deadline:
                raise


def write_unconfirmed(url: str, number: int, seed: int, folder: str) -> None:
    """A writer with `durability="normal"`, of a new record each time."""
    with Store[Any](url, timeout=WRITE_SECONDS) as store:
        until_told(Noting(store, number), folder)


@dataclass
class Noting:
    """Notes each write that was acknowledged."""

    store: Store[Any]
    number: int
    possible: dict[str, list[int]] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0

    def step(self) -> None:
        name, begun = f"{self.number}:{self.told.total()}", time.monotonic()
        try:
            self.store[name] = 1
        except StoreError as exc:
            self.told[type(exc).__name__] += 1
        else:
            self.told["acknowledged"] += 1
            self.possible[name] = [1]
        self.longest = max(self.longest, time.monotonic() - begun)


# -- the servers


@dataclass
class Behind:
    """Replicas that get nothing any more, until they are resumed."""

    place: Group | Nodes
    replicas: Sequence[RedisServer]

    def stop(self) -> None:
        for replica in self.replicas:
            cut_off(self.place.primary, replica)

    def resume(self) -> None:
        for replica in self.replicas:
            replica.resume()


def cut_off(primary: RedisServer, replica: RedisServer) -> None:
    """Pause a replica and end its connection: it lacks what is written until it is resumed."""
    with replica.client() as client:
        links = client.client_list(_type="master")
    replica.pause()
    for link in links:
        primary.ask("CLIENT KILL", "ADDR", link["laddr"])


def behind_of(place: Group | Nodes, replicas: Sequence[RedisServer], all_too: bool) -> list[Behind]:
    return [Behind(place, [one]) for one in replicas] + ([Behind(place, replicas)] if all_too else [])


class Alone:
    """One server with a log on its disk, which is started again. With "full" the log is synced at each write."""

    rewound = 0

    def __init__(self, folder: Path, program: Path, *, all_behind: bool) -> None:
        folder.mkdir(exist_ok=True)
        fsync = "everysec" if all_behind else "always"
        self._server = RedisServer(folder, program, appendonly="yes", appendfsync=fsync)
        self.start, self.stop = self._server.start, self._server.stop

    @property
    def url(self) -> str:
        return self._server.url

    def standbys(self) -> list[Behind]:
        return []

    def fail_over(self, behind: Behind | None) -> None:
        self._server.kill()
        self._server.start()


class Group:
    """A primary and two replicas; the most advanced one is promoted."""

    rewound = 0

    def __init__(self, folder: Path, program: Path, *, all_behind: bool) -> None:
        folder.mkdir(exist_ok=True)
        self._group = Replicated(folder, program, replicas=2)
        self._all_behind = all_behind
        self.start, self.stop = self._group.start, self._group.stop

    @property
    def url(self) -> str:
        return "redis://" + ",".join(f"127.0.0.1:{node.port}" for node in self._group.nodes) + "/0"

    @property
    def primary(self) -> RedisServer:
        return self._group.primary

    def standbys(self) -> list[Behind]:
        return behind_of(self, self._group.replicas, self._all_behind)

    def fail_over(self, behind: Behind | None) -> None:
        dead = self._group.primary
        dead.kill()
        if behind is not None:
            behind.resume()
        self._group.promote()
        self._group.rejoin(dead)


class Nodes:
    """A cluster of three primaries with two replicas each; it promotes by itself."""

    rewound = 0

    def __init__(self, folder: Path, program: Path, *, all_behind: bool) -> None:
        folder.mkdir(exist_ok=True)
        self._cluster = RedisCluster(folder, program, replicas=2, timeout_ms=NOTICING_MS)
        self._all_behind = all_behind
        self.start, self.stop = self._cluster.start, self._cluster.stop

    @property
    def url(self) -> str:
        return "redis://" + ",".join(f"127.0.0.1:{node.port}" for node in self._cluster.nodes[:3]) + "/0"

    @property
    def primary(self) -> RedisServer:
        return self._cluster.primary_of(KEY)

    def standbys(self) -> list[Behind]:
        return behind_of(self, self._cluster.replicas_of(self.primary), self._all_behind)

    def fail_over(self, behind: Behind | None) -> None:
        dead = self.primary
        dead.kill()
        if behind is not None:
            behind.resume()
        self._cluster.wait_until_ok()
        self._cluster.restart(dead)


def kill_primaries(
    rng: Random, kills: int, folder: Path, program: Path, kind: type[Alone | Group | Nodes], durability: str
) -> Failovers:
    """So many kills. With "full", one of the replicas may be behind; with "normal" both may."""
    is_full = durability == "full"
    return fail_over(
        rng, kills, folder, lambda place: kind(place, program, all_behind=not is_full),
        worker=f"{MODULE}:{'write_confirmed' if is_full else 'write_unconfirmed'}", counts_losses=not is_full,
    )  # fmt: skip


def run(rng: Random, folder: Path) -> Round:
    program = on_path("redis-server")
    if program is None or importlib.util.find_spec("redis") is None:
        return Round(skipped="no redis-server, or no driver")
    kind, kills = rng.choice([(Alone, 3), (Group, 3), (Nodes, 1)])
    done = kill_primaries(rng, kills, folder, program, kind, "full")
    return Round(done.kills, done.failures)


REDIS_FAILOVER = Promise(
    "redis-failover",
    'On Redis with durability="full" no acknowledged write is lost and none is done twice when the server, or a primary '
    "with two replicas, is killed.",
    "Four processes write (set, delete, incr, modify, update, transactions) to one server with a log that is synced, to a "
    "primary with two replicas, the most advanced of which is promoted, or to a cluster of nine nodes, which promotes by "
    "itself; SIGKILL, while one of the replicas may have got nothing for some time. A failure: an acknowledged write "
    "that is not there, one that was done twice or although its error said that nothing was written, half a "
    "transaction, a writer that is stuck.",
    "kills",
    run,
)  # fmt: skip
