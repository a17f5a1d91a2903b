"""Whether a store is there, and one that is taken away while programs have it open: its file, schema or keys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from changed import beside
from redis_keys import client_of, keys_below, prefix_of


@contextmanager
def away(place: str) -> Iterator[None]:
    """During the block no program finds the store; afterwards it is there as before."""
    rename = _renamed_file
    if "://" in place:
        rename = _renamed_schema if place.startswith("postgresql:") else _renamed_keys
    rename(place, "", "_moved")
    try:
        yield
    finally:
        rename(place, "_moved", "")


def is_absent(place: str) -> bool:
    """Whether nothing was made there, not even an empty file or schema."""
    if "://" not in place:
        return not os.path.lexists(place)
    if not place.startswith("postgresql:"):
        with client_of(place) as client:
            return not keys_below(client, prefix_of(place))
    with beside(place) as (conn, schema):
        return conn.execute("SELECT FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone() is None


def _renamed_file(path: str, before: str, after: str) -> None:
    os.rename(path + before, path + after)


def _renamed_schema(url: str, before: str, after: str) -> None:
    with beside(url) as (conn, schema):
        conn.execute(f'ALTER SCHEMA "{schema}{before}" RENAME TO "{schema}{after}"')


def _renamed_keys(url: str, before: str, after: str) -> None:
    """The braces stay, so that each key stays in its slot of a cluster."""
    prefix = prefix_of(url)
    with client_of(url) as client:
        for key in keys_below(client, prefix + before + "{"):
            client.rename(key, f"{prefix}{after}".encode() + key[len(prefix + before) :])
