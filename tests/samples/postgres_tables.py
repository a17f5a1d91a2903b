"""The tables of a store on PostgreSQL as another program sees them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from store import Store

TABLES = ("records", "parts", "chunks", "identity", "changes", "sealers", "accesses", "figures")
LIMIT = 1000  # bytes, from which on a value of `small_parts` is large


def small_parts(url: str, **options: Any) -> Store[Any]:
    """A store whose values are large from a thousand bytes on."""
    return Store(url, **{"spill_bytes": LIMIT, **options})


def server_url(url: str) -> str:
    """The URL without what is ours in it, for the driver."""
    return url.partition("?")[0]


def table(url: str, name: str) -> str:
    """The quoted name of one of the tables."""
    given = parse_qs(urlsplit(url).query)
    return f'"{given.get("schema", ["store"])[0]}"."{given.get("prefix", [""])[0]}{name}"'


def execute(url: str, statement: str, *values: Any) -> list[Any]:
    """Run a statement as another program; `{records}` and so on are the quoted names of the tables."""
    import psycopg

    names = {name: table(url, name) for name in TABLES}
    with psycopg.connect(server_url(url), autocommit=True) as conn:
        cursor = conn.execute(statement.format(**names), values or None)
        return [] if cursor.description is None else cursor.fetchall()


def files(url: str) -> list[str]:
    """The parts that are there."""
    return [file for (file,) in execute(url, "SELECT file FROM {parts} ORDER BY at")]


def chunk_count(url: str) -> int:
    count: int = execute(url, "SELECT count(*) FROM {chunks}")[0][0]
    return count


def make_old(url: str) -> None:
    """Let all parts look as if they were written two hours ago."""
    execute(url, "UPDATE {parts} SET at = at - interval '2 hours'")
