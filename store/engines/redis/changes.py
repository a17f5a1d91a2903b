"""The version of a namespace, which each write raises by one."""

from __future__ import annotations

from store.engines.capabilities import Monitor
from store.engines.redis.server import Server
from store.engines.registry import supported


class RedisChanges:
    """The contract `Changes`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def watch(self, namespace: str) -> Monitor:
        supported(None, "redis", "watch")
        raise AssertionError

    def version_of(self, namespace: str) -> object:
        return int(self._server.field(namespace, b"version") or 0)
