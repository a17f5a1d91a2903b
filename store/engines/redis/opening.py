"""Opens a location: checks the server, and makes the store where the mode says so."""

from __future__ import annotations

import os
from typing import Any

import redis

from store.engines.contract import DURABILITIES
from store.engines.redis.causes import can_repeat
from store.engines.redis.engine import RedisEngine
from store.engines.redis.errors import translated
from store.engines.redis.handle import Handle, RedisBuffer
from store.engines.redis.health import FORGETS, Health, parsed
from store.engines.redis.location import parse
from store.engines.redis.scripts.spaces import MAKE_STORE
from store.engines.redis.server import Server, server_at
from store.errors import NotAStore, StorageError, StoreError, StoreNotFound
from store.system import caller, running
from store.system.clock import steady_clock
from store.system.rights import Rights

FORMAT = 1
ID_BYTES = 16
PAUSE = 0.05  # seconds between two looks at a cluster, or at the replicas


def open_redis(
    location: str, *, mode: str, timeout: float, durability: str, rights: Rights | None = None
) -> RedisEngine:
    """The engine of a URL; `mode` as for dbm. The store is made where the mode says so.

    With mode "r" the server may be a replica: what is read is as old as what it has.
    """
    if durability not in DURABILITIES:
        raise ValueError(f"unknown durability {durability!r}: one of {', '.join(DURABILITIES)}")
    server = server_at(parse(location))
    server.make_buffer = lambda: RedisBuffer(server)
    handle = Handle(server, read_only=mode == "r", timeout=timeout)
    try:
        _prepare(server, mode, durability, server.deadline(timeout))
    except BaseException:
        handle.close()
        raise
    return RedisEngine(handle)


def _prepare(server: Server, mode: str, durability: str, deadline: float) -> None:
    _wait_until_served(server, deadline)
    health = _health(server, mode)
    health.check(server.shown)
    if mode != "r":
        if durability == "full" or server.is_full:
            health = _wait_for_copies(server, mode, health, deadline)
            server.is_full = True
        server.copies = health.confirmation(server.location.replicas)
    found = _identity(server, mode)
    _check_format(server, found[1])
    if server.id not in (b"", found[0]) and len(server.handles) > 1:
        raise StorageError(
            f"{server.shown}: another store was made in place of the one that this process has open; close all its "
            "handles on it, and open the store again",
            path=server.shown,
        )
    server.id = found[0]
    if mode != "r" and health.forgets():
        caller.warn(FORGETS.format(server.shown))


def _check_format(server: Server, found: bytes | None) -> None:
    if found is None or not found.isdigit():
        raise NotAStore(
            f"{server.shown}: another program changed what the store says of its format ({found!r}); set it: HSET "
            f"{server.own.identity.decode()} format {FORMAT}",
            path=server.shown,
        )
    if int(found) > FORMAT:
        raise NotAStore(f"{server.shown}: a later release made this store; upgrade this library", path=server.shown)


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
        raise StoreNotFound(
            f'there is no store at {server.shown}: check the prefix and the database of the URL; mode="c" makes one',
            path=server.shown,
        )
    return found


def _made(server: Server, store_id: bytes) -> list[Any]:
    """The id and the format of the store that is there; else make one of that id."""
    own, copies = server.own, server.copies
    try:
        made, *answers = server.run(
            MAKE_STORE, (own.identity, own.spaces, own.sealers), (store_id, FORMAT),
            after=copies.commands if server.is_full else copies.briefly,
        )  # fmt: skip
    except redis.ResponseError as exc:
        raise translated(exc, server.shown) from exc
    if server.is_full and (problem := copies.missing(answers, server.shown)):
        raise problem
    return list(made)


# -- the state of the server


def _wait_until_served(server: Server, deadline: float) -> None:
    """Wait until a cluster serves all its slots. Raises: StorageError."""
    if not server.is_cluster:
        return
    while True:
        state = parsed(server.command(server.own.identity, b"CLUSTER", b"INFO"))
        if state.get("cluster_state") != "fail":
            return
        if steady_clock() >= deadline:
            raise StorageError(
                f"{server.shown}: the cluster is down: {state.get('cluster_slots_ok')} of 16384 slots are served "
                "(cluster_state:fail). Start the nodes that are missing, and see CLUSTER NODES and CLUSTER INFO",
                path=server.shown,
            )
        running.sleep(PAUSE)


def _health(server: Server, mode: str) -> Health:
    infos = [parsed(info) for info in server.ask_primaries(b"INFO")]
    settings = _settings(server) if mode != "r" and Health(infos, None, None).connected() == 0 else {}
    return Health(infos, settings.get("appendfsync"), settings.get("save"))


def _settings(server: Server) -> dict[str, str]:
    """What says how the server writes its disk; {}: it may not be asked for."""
    try:
        found = server.command(server.own.identity, b"CONFIG", b"GET", b"appendfsync", b"save")
    except StoreError as exc:
        if isinstance(exc.__cause__, redis.ResponseError) and not can_repeat(exc.__cause__):
            return {}  # the user may not, or the command was renamed, as on servers of a provider
        raise
    texts = [part.decode("utf-8", "replace") for part in found]
    return dict(zip(texts[::2], texts[1::2], strict=False))


def _wait_for_copies(server: Server, mode: str, health: Health, deadline: float) -> Health:
    """Wait until the server can confirm writes as `durability="full"` needs it: a replica may be on its way."""
    while True:
        problem = health.problem(server.location.replicas)
        if problem is None:
            return health
        is_waiting = health.connected() < (server.location.replicas or 0)
        if not is_waiting or steady_clock() >= deadline:
            raise StorageError(f'{server.shown}: durability="full" cannot be had: {problem}', path=server.shown)
        running.sleep(PAUSE)
        health = _health(server, mode)
