"""Notes of uses on a server: gathered, brought apart from the caller's transaction, and never in its way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from postgres_tables import execute, table

from store import Store
from store.engines import gathering as module
from store.engines.capabilities import Figures
from store.engines.postgres.accesses import PostgresAccesses
from store.errors import NotAStore, ReadOnly, StorageError

UNMIGRATED = (
    "DROP TABLE {accesses}",
    "DROP TABLE {figures}",
    "UPDATE {identity} SET version = 1",
)


@pytest.fixture
def s(postgres_url: str) -> Iterator[Store[int]]:
    with Store[int](postgres_url) as s:
        s.update(a=1, b=2, c=3)
        yield s


def accesses_of(s: Store[Any]) -> PostgresAccesses:
    found = s.opened.engine.eviction.accesses("", 1000)  # type: ignore[union-attr]
    assert isinstance(found, PostgresAccesses)
    return found


@pytest.fixture
def accesses(s: Store[int]) -> Iterator[PostgresAccesses]:
    found = accesses_of(s)
    yield found
    found.close()


def noted(url: str) -> list[str]:
    return [name for (name,) in execute(url, "SELECT name FROM {accesses} ORDER BY name")]


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many statements each round trip had, from now on."""
    found: list[int] = []
    run = PostgresAccesses._run

    def counted(self: PostgresAccesses, seconds: float, *statements: Any) -> Any:
        found.append(len(statements))
        return run(self, seconds, *statements)

    monkeypatch.setattr(PostgresAccesses, "_run", counted)
    return found


def test_a_thousand_notes_are_one_round_trip(accesses: PostgresAccesses, postgres_url: str, trips: list[int]) -> None:
    for _ in range(module.GATHERED // 2 - 1):
        accesses.note("a"), accesses.note("b"), accesses.count(hits=1)
    assert trips == [] and noted(postgres_url) == []
    accesses.note("a"), accesses.note("b")
    assert len(trips) == 1 and noted(postgres_url) == ["a", "b"]
    assert execute(postgres_url, "SELECT hits, misses, evictions FROM {figures}") == [(499, 0, 0)]
    trips.clear()
    accesses.flush()
    assert trips == [], "there is nothing to bring"


def test_tables_are_not_logged(s: Store[int], postgres_url: str) -> None:
    found = execute(
        postgres_url,
        "SELECT relpersistence::text FROM pg_class WHERE oid IN ('{accesses}'::regclass, '{figures}'::regclass)",
    )
    assert found == [("u",), ("u",)]


def test_callers_transaction_is_left_alone(
    s: Store[int], accesses: PostgresAccesses, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GATHERED", 2)
    accesses.gathering.forget()
    with pytest.raises(ZeroDivisionError), s.transaction():
        s["a"] = 5
        accesses.note("a")
        accesses.note("b")
        assert noted(postgres_url) == ["a", "b"], "others see them before it ends"
        1 / 0
    assert noted(postgres_url) == ["a", "b"] and s["a"] == 1


def test_error_does_not_end_the_callers_transaction(
    s: Store[int], accesses: PostgresAccesses, postgres_url: str
) -> None:
    execute(postgres_url, "ALTER TABLE {accesses} RENAME TO away")
    with s.transaction():
        s["a"] = 5
        accesses.note("a")
        accesses.count(hits=2)
        accesses.flush()
        assert accesses.uses(["a"]) == [None]
        s["b"] = 6
    assert (s["a"], s["b"]) == (5, 6)
    execute(postgres_url, f"ALTER TABLE {table(postgres_url, 'away')} RENAME TO accesses")
    assert accesses.figures() == Figures(2, 0, 0), "figures are brought by the next one"


def test_no_connection_can_be_had(accesses: PostgresAccesses, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StorageError("the server cannot be reached", errno=111, path="there")

    accesses.note("a")
    with monkeypatch.context() as patched:
        patched.setattr(type(accesses._sessions), "take", refuse)
        accesses.count(misses=1)
        accesses.flush()
        assert accesses.uses(["a"]) == [None] and accesses.figures() == Figures(0, 1, 0)
        accesses.reset()
        accesses.count(misses=1)
    assert accesses.figures() == Figures(0, 1, 0)


def test_notes_of_records_that_are_gone_do_not_pile_up(
    s: Store[int], accesses: PostgresAccesses, postgres_url: str
) -> None:
    s.update({f"k{number}": number for number in range(3_000)})
    for number in range(3_000):
        accesses.note(f"k{number}")
    accesses.note("never there")
    accesses.flush()
    assert len(noted(postgres_url)) == 3_000
    s.delete_prefix("k1")
    for _ in range(3):
        accesses.note("a")
        accesses.flush()
    assert len(noted(postgres_url)) == 1 + sum(not str(number).startswith("1") for number in range(3_000))


def test_version_one_is_migrated(s: Store[int], postgres_url: str) -> None:
    s.close()
    for statement in UNMIGRATED:
        execute(postgres_url, statement)
    with pytest.raises(ReadOnly, match='open it once with mode="w"'):
        Store[int](postgres_url, mode="r")
    with Store[int](postgres_url, mode="w") as again:
        assert dict(again) == {"a": 1, "b": 2, "c": 3}
        accesses = accesses_of(again)
        accesses.note("a")
        accesses.close()
    assert noted(postgres_url) == ["a"]
    assert execute(postgres_url, "SELECT version FROM {identity}") == [(2,)]


def test_something_else_in_its_place_is_refused(s: Store[int], postgres_url: str) -> None:
    s.close()
    for statement in UNMIGRATED[:2]:
        execute(postgres_url, statement)
    with pytest.raises(NotAStore, match=r"accesses.*it is missing"):
        Store[int](postgres_url)
    execute(postgres_url, "CREATE VIEW {accesses} AS SELECT 1 AS one")
    with pytest.raises(NotAStore, match="not a plain table"):
        Store[int](postgres_url)
    execute(postgres_url, "DROP VIEW {accesses}")


def test_odd_columns_of_a_note_are_refused_at_open(s: Store[int], postgres_url: str) -> None:
    s.close()
    execute(postgres_url, "ALTER TABLE {accesses} ALTER last TYPE text USING ''")
    with pytest.raises(NotAStore, match="the column last is not that of a store"):
        Store[int](postgres_url)
