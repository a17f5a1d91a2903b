"""Rows that are changed behind the store's back, on each engine."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import redis_rows


def change(place: str, statement: str, *values: Any) -> None:
    """Runs a statement on the tables of the store, as any program that may write them; `?` stands for a value."""
    if redis_rows.is_redis(place):
        _, changed = redis_rows.run(place, statement, *values)
    elif "://" in place:
        changed = _on_server(place, statement, values)
    else:
        with closing(sqlite3.connect(place)) as conn:
            changed = conn.execute(statement, values).rowcount
            conn.commit()
    assert changed, "the statement changed nothing"


@contextmanager
def beside(url: str) -> Iterator[tuple[Any, str]]:
    """A connection to the PostgreSQL server of a store, which is none of the store's own, and the schema of the store."""
    import psycopg

    split = urlsplit(url)
    (schema,) = parse_qs(split.query)["schema"]
    with psycopg.connect(split._replace(query="").geturl(), autocommit=True) as conn:
        yield conn, schema


def _on_server(url: str, statement: str, values: tuple[Any, ...]) -> int:
    with beside(url) as (conn, schema):
        conn.execute(f'SET search_path = "{schema}"')
        return int(conn.execute(_translated(statement), values).rowcount)


def _translated(statement: str) -> str:
    """SQLite's words for bytes → PostgreSQL's."""
    text = re.sub(r"zeroblob\((\d+)\)", r"decode(repeat('00', \1), 'hex')", statement)
    text = re.sub(r"\bx'([0-9A-Fa-f]*)'", r"'\\x\1'::bytea", text)
    return text.replace(" AS BLOB)", " AS bytea)").replace("?", "%s")
