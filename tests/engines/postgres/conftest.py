"""What a second role does to the tables of a store, by SQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

SQL = Callable[..., list[Any]]


@pytest.fixture
def schema(postgres_url: str) -> str:
    return postgres_url.rpartition("=")[2]


@pytest.fixture
def sql(postgres: Any, schema: str) -> SQL:
    """Runs statements as the superuser; `{t}` is the schema of the test's store, `%s` a value."""
    import psycopg

    def run(text: str, *values: Any) -> list[Any]:
        with psycopg.connect(postgres.url, autocommit=True) as conn:
            cursor = conn.execute(text.replace("{t}", schema), values or None)
            return cursor.fetchall() if cursor.description else []

    return run
