"""Opens a location: the server is looked at, and the store is made where the mode says so."""

from __future__ import annotations

import os
from typing import Any

import redis

from store.engines.contract import DURABILITIES
from store.engines.redis.confirming import Confirmation
from store.engines.redis.engine import RedisEngine
from store.engines.redis.errors import translated
from store.engines.redis.handle import Handle, RedisBuffer
from store.engines.redis.location import parse
from store.engines.redis.scripts.spaces import MAKE_STORE
from store.engines.redis.server import Server, server_at
from store.errors import NotAStore, StorageError, StoreNotFound, Unsupported
from store.system.rights import Rights

FORMAT = 1
ID_BYTES = 16
LEAST_VERSION = (7, 0)


def open_redis(
    location: str, *, mode: str, timeout: float, durability: str, rights: Rights | None = None
) -> RedisEngine:
    """The engine of a URL; `mode` as for dbm. The store is made where the mode says so."""
    if durability not in DURABILITIES:
        raise ValueError(f"unknown durability {durability!r}: one of {', '.join(DURABILITIES)}")
    server = server_at(parse(location), timeout)
    server.make_buffer = lambda: RedisBuffer(server)
    handle = Handle(server, read_only=mode == "r", timeout=timeout)
    try:
        _prepare(server, mode, durability)
    except BaseException:
        handle.close()
        raise
    return RedisEngine(handle)


def _prepare(server: Server, mode: str, durability: str) -> None:
    info = server.info()
    _check(info, server)
    found = _identity(server, mode)
    if found[1] is None or int(found[1]) > FORMAT:
        raise NotAStore(f"{server.shown}: a later release made this store; upgrade this library", path=server.shown)
    server.id = found[0]
    if durability == "full":
        server.is_full = True
    if server.is_full and server.confirm is None:
        server.confirm = _confirmation(info, server)


def make_store(server: Server, store_id: bytes) -> bool:
    """Make a store of that id, unless one is there. Returns whether it was made."""
    was_there = bool(server.command(server.own.identity, b"EXISTS", server.own.identity))
    _made(server, store_id)
    return not was_there


def _identity(server: Server, mode: str) -> list[Any]:
    own = server.own
    if mode in ("c", "n"):
        return _made(server, os.urandom(ID_BYTES))
    found: list[Any] = server.command(own.identity, b"HMGET", own.identity, b"id", b"format")
    if found[0] is None:
        raise StoreNotFound(f"there is no store at {server.shown}", path=server.shown)
    return found


def _made(server: Server, store_id: bytes) -> list[Any]:
    """The id and the format of the store that is there; else make one of that id."""
    own = server.own
    try:
        made: list[Any] = server.run(MAKE_STORE, (own.identity, own.spaces, own.sealers), (store_id, FORMAT))
        return made
    except redis.ResponseError as exc:
        raise translated(exc, server.shown) from exc


def _check(info: dict[str, str], server: Server) -> None:
    """Raises: Unsupported, StorageError: the server would lose records, or lacks what the engine needs."""
    version = tuple(int(part) for part in info.get("redis_version", "0.0").split(".")[:2])
    if version < LEAST_VERSION:
        raise Unsupported(
            f"{server.shown}: the server is version {info.get('redis_version')}, and the engine needs 7.0 or later",
            engine="redis",
            feature="servers before 7.0",
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise StorageError(
            f"{server.shown}: the server deletes records when its memory is full (maxmemory-policy {policy}); set it "
            "with CONFIG SET maxmemory-policy noeviction, and in the server's configuration",
            path=server.shown,
        )


def _confirmation(info: dict[str, str], server: Server) -> Confirmation:
    replicas = server.location.replicas
    if replicas is None:
        replicas = min(1, int(info.get("connected_slaves", "0")))
    return Confirmation(replicas, syncs=False)
