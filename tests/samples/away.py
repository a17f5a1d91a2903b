"""Whether a store is there, and one that is taken away while programs have it open: its file, schema or keys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import redis_rows
from changed import beside


@contextmanager
def away(place: str) -> Iterator[None]:
    """During the block no program finds the store; afterwards it is there as before."""
    rename = redis_rows.move if redis_rows.is_redis(place) else _renamed_schema if "://" in place else _renamed_file
    rename(place, "", "_moved")
    try:
        yield
    finally:
        rename(place, "_moved", "")


def is_absent(place: str) -> bool:
    """Whether nothing was made there, not even an empty file, schema or key."""
    if "://" not in place:
        return not os.path.lexists(place)
    if redis_rows.is_redis(place):
        return redis_rows.keys(place) == []
    with beside(place) as (conn, schema):
        return conn.execute("SELECT FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone() is None


def _renamed_file(path: str, before: str, after: str) -> None:
    os.rename(path + before, path + after)


def _renamed_schema(url: str, before: str, after: str) -> None:
    with beside(url) as (conn, schema):
        conn.execute(f'ALTER SCHEMA "{schema}{before}" RENAME TO "{schema}{after}"')
