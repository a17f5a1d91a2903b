"""SQL on the tables of a store as another program runs it, on each engine."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import redis_rows
from postgres_tables import server_url, table


def planted(location: str, statement: str, *values: Any) -> list[Any]:
    """The rows that a statement gives; values are bound to each `?`."""
    if redis_rows.is_redis(location):
        return redis_rows.run(location, statement, *values)[0]
    if "://" in location:
        return _on_server(location, statement, values)
    with closing(sqlite3.connect(location)) as conn:
        found = conn.execute(statement, values).fetchall()
        conn.commit()
        return found


def _on_server(url: str, statement: str, values: tuple[Any, ...]) -> list[Any]:
    import psycopg

    schema = table(url, "").partition(".")[0]
    with psycopg.connect(server_url(url), autocommit=True, options=f"-csearch_path={schema}") as conn:
        cursor = conn.execute(statement.replace("?", "%s"), values or None)
        return [] if cursor.description is None else cursor.fetchall()
