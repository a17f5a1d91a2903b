"""Removes a store from a server: all keys with its prefix that are named as ours."""

from __future__ import annotations

import re
from collections.abc import Iterator

from store.engines.redis.causes import DRIVER_ERRORS
from store.engines.redis.errors import translated
from store.engines.redis.keys import Keys, StoreKeys
from store.engines.redis.location import parse
from store.engines.redis.nodes import ask
from store.engines.redis.server import Server, server_at
from store.engines.registry import is_in_transaction
from store.errors import StorageError, StoreError, StoreNotFound

BATCH = 500  # keys


def destroy(location: str) -> None:
    """The contract of `store.engines.registry.destroyers`. The identity goes first: then no client writes any more.

    Clients of other processes cannot be seen; their next write raises StorageError, also if a store was made anew.
    """
    place = parse(location)
    if is_in_transaction():
        raise StoreError("destroy inside a transaction could not be undone with it; leave the block first")
    server = server_at(place)
    if server.handles:
        raise StorageError(
            f"{place.shown} is open in this process, and nothing was removed; close it first", path=place.shown
        )
    try:
        own = server.own
        was_there = bool(server.command(own.identity, b"EXISTS", own.identity, own.spaces, own.sealers))
        server.command(own.identity, b"UNLINK", own.identity)
        removed = sum(_remove(server, keys) for keys in _keys(server))
        if not was_there and not removed:
            raise StoreNotFound(f"there is no store at {place.shown}", path=place.shown)
    finally:
        server.id = b""
        server.close_unused()


def _keys(server: Server) -> Iterator[list[bytes]]:
    """All keys that begin with the prefix and a brace, in lists, of all nodes."""
    pattern = _GLOB.sub(rb"\\\g<0>", server.location.prefix.encode()) + b"{*"
    for node in server.client.topology.primaries():
        cursor = b"0"
        while True:
            try:
                cursor, keys = ask(node, b"SCAN", cursor, b"MATCH", pattern, b"COUNT", BATCH)
            except DRIVER_ERRORS as exc:
                raise translated(exc, server.shown) from exc
            yield keys
            if cursor == b"0":
                break


def _remove(server: Server, keys: list[bytes]) -> int:
    ours = [key for key in keys if _OURS.fullmatch(key)]
    for key in ours:
        server.command(key, b"UNLINK", key)
    return len(ours)


_GLOB = re.compile(rb"[\\*?\[\]]")  # what MATCH takes for a pattern
_PARTS = "|".join((*Keys._fields, *StoreKeys._fields, "lock", "notes", "figures"))
_OURS = re.compile(rf"[^{{}}]*\{{[=#@].*\}}(?:#.*)?:(?:{_PARTS})".encode(), re.DOTALL)
"""What `keys` names; the prefix, which has no brace, was matched by the server, with the brace behind it."""
