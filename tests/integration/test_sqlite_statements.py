"""The statements: how many there are, and by which index each finds its rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from store import Store
from store.engines.sqlite import statements as sql


@contextmanager
def traced(store: Store) -> Iterator[list[str]]:
    """The statements that this thread's connection runs."""
    statements: list[str] = []
    conn = store.opened.engine.handle.engine.connection().conn
    conn.set_trace_callback(statements.append)
    try:
        yield statements
    finally:
        conn.set_trace_callback(None)


BY_NAME = "sqlite_autoindex_records_1 (namespace=? AND name=?)"
BY_ID = "records_by_namespace (namespace=? AND rowid>? AND rowid<?)"
PLANS = {
    "snapshot": (sql.PAGE, BY_ID),
    "stamp": (sql.STAMP_OF, BY_NAME),
    "delete": (sql.DELETE, BY_NAME),
    "delete by stamp": (sql.DELETE_STAMPED, BY_NAME),
    "neighbours": (sql.NEIGHBOURS, "sqlite_autoindex_records_1 ((namespace,name)<(?,?))"),
    "last id": (sql.LAST_ID, "records_by_namespace (namespace=?)"),
    "count": (sql.COUNT_UNTIL, "records_by_namespace (namespace=?)"),
    "count of the expired": (sql.COUNT_UNTIL, "records_by_expiry (namespace=? AND expires<?)"),
    "next expiry": (sql.COUNT_UNTIL, "records_by_expiry (namespace=? AND expires>?)"),
    "expired": (sql.EXPIRED, "records_by_expiry (namespace=? AND expires>? AND expires<?)"),
    "namespaces": (sql.NAMESPACES, "(namespace>?)"),
    **{f"one {fields}": (statement, BY_NAME) for fields, statement in sql.FIND_ONE.items()},
    **{f"all {fields}": (statement.format("?, ?, ?"), BY_NAME) for fields, statement in sql.FIND_ALL.items()},
    **{f"page {key}": (statement, BY_ID) for key, statement in sql.PAGES.items()},
    **{
        f"names {key}": (statement, "sqlite_autoindex_records_1 (namespace=? AND name>?")
        for key, statement in sql.NAME_PAGES.items()
    },
}


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("name", PLANS)
def test_plan_of(path, name, analyzed):
    statement, index = PLANS[name]
    with Store(path) as s, s.within("other") as other, closing(sqlite3.connect(path)) as conn:
        s.update({f"name {i}": i for i in range(500)})
        other["a"] = 1
        if analyzed:  # SQLite's statistics must not talk it into another plan
            conn.execute("ANALYZE")
        values = [0] * statement.count("?")
        plan = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert not [step for step in plan if "TEMP B-TREE" in step]  # a sort
    assert not [step for step in plan if step.startswith("SCAN records")]
    assert any(index in step for step in plan), plan


def test_one_statement_for_a_get_and_one_for_a_set(path):
    with Store(path) as s:
        s["a"] = 1
        with traced(s) as statements:
            assert s["a"] == 1
        assert len(statements) == 1
        with traced(s) as statements:
            s["a"] = 2
            s["b"] = 3
        assert len(statements) == 2
        with traced(s) as statements:
            del s["a"]
        assert len(statements) == 1
        with s.transaction():  # the first one of a connection makes sure that it may write
            s["a"] = 3
        with traced(s) as statements:
            with s.transaction():
                s["a"] = 4
        assert [statement.split()[0] for statement in statements] == ["BEGIN", "INSERT", "COMMIT"]
