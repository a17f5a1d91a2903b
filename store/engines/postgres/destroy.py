"""Removes a store from a database: its tables, and its schema if nothing else is in it."""

from __future__ import annotations

import psycopg

from store.engines.postgres import schema
from store.engines.postgres.errors import translated
from store.engines.postgres.location import parse
from store.engines.postgres.server import server_at
from store.engines.registry import is_in_transaction
from store.errors import StorageError, StoreError, StoreNotFound
from store.system.clock import steady_clock

TIMEOUT_SECONDS = 10.0  # to connect, and to wait for those that use the tables


def destroy(location: str) -> None:
    """The contract of `store.engines.registry.destroyers`, in one transaction.

    Sessions of other processes cannot be seen. Their next call raises StorageError, also if a store was made anew
    there: each statement compares its id.
    """
    place = parse(location)
    if is_in_transaction():
        raise StoreError("destroy inside a transaction could not be undone with it; leave the block first")
    sessions = server_at(place).sessions
    if sessions.handles:
        raise StorageError(
            f"{place.shown} is open in this process, and nothing was removed; close it first", path=place.shown
        )
    with sessions.apart(TIMEOUT_SECONDS) as conn:
        try:
            features = sessions.detect(conn, steady_clock() + TIMEOUT_SECONDS)
            with conn.transaction():
                schema.take_lock(conn, place, features)
                if not schema.exists(conn, place, "identity"):
                    raise StoreNotFound(f"there is no store at {place.shown}", path=place.shown)
                schema.identity(conn, place)
                schema.drop(conn, place)
        except psycopg.Error as exc:
            raise translated(exc, place.shown) from exc
    sessions.id = b""
