"""What a second role does to the tables of a store, by SQL."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
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


@pytest.fixture(autouse=True)
def only_where_the_engine_is_named(request: pytest.FixtureRequest) -> None:
    """Some tests start servers of their own, and stop and start them."""
    of_server = {"own_server", "cluster", "proxy"} & set(request.fixturenames)
    if of_server and "postgres" not in request.config.getoption("--engine").split(","):
        pytest.skip("NOT TESTED: it needs a PostgreSQL server; pytest --engine postgres tests/engines/postgres")


if any(find_spec(module) is None for module in ("psycopg", "psycopg_pool")):
    # They import the engine; test_driver.py says that it cannot be had.
    collect_ignore = [file.name for file in Path(__file__).parent.glob("test_*.py") if file.name != "test_driver.py"]
