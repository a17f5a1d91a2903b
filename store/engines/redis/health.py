"""What a server says of itself when a store is opened: whether it is fit, and which copies it can confirm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from store.engines.redis.confirming import Confirmation
from store.errors import StorageError, Unsupported

LEAST_VERSION = (7, 0)
WAITAOF_VERSION = (7, 2)
Info = Mapping[str, str]
_TO_PERSIST = "CONFIG SET appendonly yes, and set it in the server's configuration"


class Health(NamedTuple):
    """INFO of each primary, and the setting appendfsync, where it may be asked for and matters."""

    infos: Sequence[Info]
    fsync: str | None
    saves: str | None
    """The setting `save`, the snapshots; None: unknown."""

    def check(self, where: str) -> None:
        """Raises: Unsupported, StorageError: a server would lose records, or lacks what the engine needs."""
        for info in self.infos:
            _check_kind(info, where)
            policy = info.get("maxmemory_policy", "noeviction")
            if policy != "noeviction":
                raise StorageError(
                    f"{where}: the server deletes records when its memory is full (maxmemory-policy {policy}); do "
                    "CONFIG SET maxmemory-policy noeviction, and set it in the server's configuration",
                    path=where,
                )

    def forgets(self) -> bool:
        """Whether all records are lost when the server ends: it writes no disk, and has no replica."""
        return self.saves == "" and not self._has_log() and self.connected() == 0

    def connected(self) -> int:
        """How many replicas each primary has at least."""
        return min((int(info.get("connected_slaves", "0")) for info in self.infos), default=0)

    def confirmation(self, replicas: int | None) -> Confirmation:
        """What a write waits for, with so many replicas; None: one, where there is any."""
        needed = min(1, self.connected()) if replicas is None else replicas
        return Confirmation(needed, self._has_log() and self._can_wait_for_log())

    def problem(self, replicas: int | None) -> str | None:
        """Why `durability="full"` cannot be had, and what to do; None: it can."""
        if replicas is not None and self.connected() < replicas:
            return (
                f"the URL asks for {replicas} replicas, and a primary has {self.connected()}; start them, or give "
                "replicas= the number that there is"
            )
        if self._has_log() and self.fsync == "no":
            return (
                "the server leaves it to its system when its log gets to the disk (appendfsync no); do CONFIG SET "
                "appendfsync always, and set it in the server's configuration"
            )
        confirmed = self.confirmation(replicas)
        if confirmed.replicas or confirmed.syncs:
            return None
        if not self._has_log():
            return (
                f"the server does not log writes to its disk, and no replica confirms them; do "
                f"CONFIG SET appendfsync always, {_TO_PERSIST}; or add a replica"
            )
        if self.fsync == "always":
            return None
        how = "cannot be asked for (the user lacks +config|get)" if self.fsync is None else f"is {self.fsync}"
        return (
            f"the server syncs its log after it has answered (appendfsync {how}), it has no WAITAOF (Redis 7.2), and "
            "no replica confirms writes; do CONFIG SET appendfsync always, and set it in the server's configuration; "
            "or add a replica"
        )

    def _has_log(self) -> bool:
        return all(info.get("aof_enabled") == "1" for info in self.infos)

    def _can_wait_for_log(self) -> bool:
        return all(
            _numbers(info.get("redis_version", "0")) >= WAITAOF_VERSION or "valkey_version" in info
            for info in self.infos
        )  # fmt: skip


FORGETS = (
    '{}: the server keeps nothing on its disk (appendonly no, save ""), so when it ends, all records are lost; do '
    f"{_TO_PERSIST}. If they may be lost, as those of a cache, ignore this warning: "
    "warnings.filterwarnings('ignore', '.*keeps nothing on its disk')"
)


def _check_kind(info: Info, where: str) -> None:
    """Raises: Unsupported, StorageError: it is an old server, or none that keeps records."""
    if info.get("redis_mode") == "sentinel":
        raise StorageError(
            f"{where}: this is a Sentinel, which keeps no records; name all servers that it watches instead, such as "
            "redis://a:6379,b:6379: the primary among them is found, also after a failover",
            path=where,
        )
    version = info.get("redis_version", "0.0")
    if _numbers(version) < LEAST_VERSION:
        raise Unsupported(
            f"{where}: the server is version {version}, and the engine needs Redis 7.0 or later, or Valkey; upgrade "
            "the server, or keep the store in a file or on PostgreSQL",
            engine="redis",
            feature="servers before 7.0",
        )


def parsed(info: bytes) -> dict[str, str]:
    """The fields of an answer to INFO or CLUSTER INFO."""
    return dict(_fields(info.decode("utf-8", "replace")))


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            yield name, value


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split(".")[:2])
