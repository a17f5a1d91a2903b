"""The tables of a store on PostgreSQL: made once, migrated under a lock, refused when they are newer or damaged."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from postgres_tables import execute, server_url, small_parts, table

import store
from store import Store
from store.engines.postgres import schema
from store.errors import NotAStore, ReadOnly, StorageError, StoreError, StoreNotFound


def tables(url: str) -> set[str]:
    found = execute(
        url, "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", table(url, "").split('"')[1]
    )
    return {name for (name,) in found}


def columns(url: str) -> list[Any]:
    return execute(
        url,
        "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = 'records'",
        table(url, "").split('"')[1],
    )


# -- making


OPENS = """
import sys
from store import Store

url, number = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
with Store(url) as s:
    s[f"n{number}"] = number
    print(s.opened.engine.id.hex())
"""


def test_eight_processes_that_create_at_once_have_one_id(postgres_url: str) -> None:
    assert len(ids_of_processes([postgres_url] * 8)) == 1
    with Store[int](postgres_url, mode="r") as s:
        assert sorted(s.values()) == list(range(8))


def test_stores_that_are_created_at_once_in_a_new_schema(postgres_url: str) -> None:
    urls = [f"{postgres_url}&prefix=p{number}_" for number in range(4)]
    assert len(ids_of_processes(urls)) == 4
    for number, url in enumerate(urls):
        with Store[int](url, mode="r") as s:
            assert dict(s) == {f"n{number}": number}


def ids_of_processes(urls: list[str]) -> set[str]:
    """The ids of the stores that as many processes open at once, each of which writes one record."""
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", OPENS, url, str(number)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number, url in enumerate(urls)
    ]  # fmt: skip
    try:
        for process in crowd:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for process in crowd:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        return {process.communicate(timeout=60)[0] for process in crowd}
    finally:
        for process in crowd:
            process.kill()
            process.communicate()


def test_where_there_is_none(postgres_url: str) -> None:
    for mode in ("r", "w"):
        with pytest.raises(StoreNotFound, match=r'there is no store in schema "t.*mode="c"'):
            Store[int](postgres_url, mode=mode)  # type: ignore[arg-type]
    assert tables(postgres_url) == set()


def test_stores_in_two_schemas_and_under_two_prefixes_do_not_see_each_other(postgres_url: str) -> None:
    urls = [postgres_url, f"{postgres_url}&prefix=a_", f"{postgres_url}&prefix=b_", f"{postgres_url}_more"]
    try:
        for number, url in enumerate(urls):
            with small_parts(url) as s:
                s.update({"n": number, "big": bytes([number]) * 5000})
        for number, url in enumerate(urls):
            with small_parts(url) as s:
                assert dict(s) == {"n": number, "big": bytes([number]) * 5000} and s.verify().ok
                del s["big"]
        assert len({bytes(execute(url, "SELECT id FROM {identity}")[0][0]) for url in urls}) == 4
    finally:
        store.destroy(urls[3])


def test_schema_that_is_there_already(postgres_url: str) -> None:
    execute(postgres_url, f"CREATE SCHEMA {table(postgres_url, '').split('.')[0]}")
    with Store[int](postgres_url) as s:
        s["a"] = 1


# -- rights


@pytest.fixture
def stranger(postgres_url: str) -> Any:
    """The URL for a user without any right."""
    execute(postgres_url, "CREATE ROLE stranger LOGIN")
    yield postgres_url.replace("postgres@", "stranger@")
    execute(postgres_url, "DROP OWNED BY stranger")
    execute(postgres_url, "DROP ROLE stranger")


def test_grant_that_is_missing_is_named_and_helps(postgres_url: str, stranger: str) -> None:
    granted = []
    for _ in range(2):
        with pytest.raises(ReadOnly, match="an administrator can permit it: ") as caught:
            Store[int](stranger)
        grant = caught.value.message.partition("permit it: ")[2]
        execute(postgres_url, grant)
        granted.append(grant)
        try:
            with Store[int](stranger) as s:
                s["a"] = 1
            break
        except ReadOnly:
            continue
    assert granted == ["GRANT CREATE ON DATABASE postgres TO stranger"]


def test_grant_in_a_schema_of_somebody_else(postgres_url: str, stranger: str) -> None:
    name = table(postgres_url, "").split(".")[0]
    execute(postgres_url, f"CREATE SCHEMA {name}")
    with pytest.raises(ReadOnly) as caught:
        Store[int](stranger)
    assert caught.value.message.endswith(f"GRANT USAGE, CREATE ON SCHEMA {name} TO stranger")
    execute(postgres_url, f"GRANT USAGE ON SCHEMA {name} TO stranger")
    with pytest.raises(ReadOnly) as caught:
        Store[int](stranger)
    assert caught.value.message.endswith(f"permit it: GRANT CREATE ON SCHEMA {name} TO stranger")
    execute(postgres_url, f"GRANT CREATE ON SCHEMA {name} TO stranger")
    with Store[int](stranger) as s:
        s["a"] = 1


def test_grants_of_a_reader(postgres_url: str, stranger: str) -> None:
    name = table(postgres_url, "").split(".")[0]
    with small_parts(postgres_url) as s:
        s["a"], s["big"] = 1, b"x" * 5000
    execute(postgres_url, f"GRANT USAGE ON SCHEMA {name} TO stranger")
    with pytest.raises(ReadOnly, match="GRANT SELECT ON ALL TABLES IN SCHEMA"):
        Store[Any](stranger, mode="r")
    execute(postgres_url, f"GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO stranger")
    with Store[Any](stranger, mode="r") as s:
        assert dict(s) == {"a": 1, "big": b"x" * 5000} and s.verify().ok


# -- versions


def test_newer_one_is_refused_and_stays(postgres_url: str) -> None:
    with Store[int](postgres_url) as s:
        s["a"] = 1
    execute(postgres_url, "UPDATE {identity} SET version = 99")
    for mode in ("r", "w", "c", "n"):
        with pytest.raises(NotAStore, match=r"a later release of store made it .version 99"):
            Store[int](postgres_url, mode=mode)  # type: ignore[arg-type]
    with pytest.raises(NotAStore):
        store.destroy(postgres_url)
    assert execute(postgres_url, "SELECT version, (SELECT count(*) FROM {records}) FROM {identity}") == [(99, 1)]


def add_column(number: int) -> schema.Migration:
    def migrate(conn: Any, location: Any) -> None:
        conn.execute(f"ALTER TABLE {location.table('records')} ADD COLUMN added{number} integer")

    return migrate


@pytest.fixture
def two_versions_on(monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> None:
    """A store of today's version, and a release that is two versions later."""
    with Store[int](postgres_url) as s:
        s["a"] = 1
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 2)
    monkeypatch.setattr(schema, "MIGRATIONS", {schema.VERSION - 2: add_column(1), schema.VERSION - 1: add_column(2)})


def test_older_one_is_migrated_from_version_to_version(two_versions_on: None, postgres_url: str) -> None:
    with pytest.raises(ReadOnly, match='open it once with mode="w"'):
        Store[int](postgres_url, mode="r")
    with Store[int](postgres_url, mode="w") as s:
        assert dict(s) == {"a": 1}
    assert columns(postgres_url)[-2:] == [("added1",), ("added2",)]
    assert execute(postgres_url, "SELECT version FROM {identity}") == [(schema.VERSION,)]
    with Store[int](postgres_url, mode="r") as s:  # and not again
        assert dict(s) == {"a": 1}


def test_migration_that_fails_leaves_all_as_it_was(
    two_versions_on: None, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(conn: Any, location: Any) -> None:
        conn.execute("SELECT 1 / 0")

    monkeypatch.setitem(schema.MIGRATIONS, schema.VERSION - 1, failing)
    with pytest.raises(StorageError, match="division by zero"):
        Store[int](postgres_url)
    assert ("added1",) not in columns(postgres_url)
    assert execute(postgres_url, "SELECT version FROM {identity}") == [(schema.VERSION - 2,)]


def test_two_that_migrate_at_once_do_it_once(two_versions_on: None, postgres_url: str) -> None:
    """The second one waits for the lock, and finds the version that the first one has left."""
    import psycopg

    from store.engines.postgres.features import Features
    from store.engines.postgres.location import parse

    place = parse(postgres_url)
    found: list[Any] = []

    class Late(psycopg.Connection[Any]):
        """Another process migrates just before this one gets the lock."""

        def execute(self, query: Any, *args: Any, **how: Any) -> Any:
            if "pg_advisory_xact_lock" in str(query) and not found:
                found.append(query)
                with Store[int](postgres_url):
                    pass
            return super().execute(query, *args, **how)

    with Late.connect(server_url(postgres_url), autocommit=True, cursor_factory=psycopg.RawCursor) as conn:
        schema.prepare(conn, place, "w", Features("PostgreSQL", True, True, True))
    assert found and columns(postgres_url)[-2:] == [("added1",), ("added2",)]


# -- damage


def test_store_that_lost_its_identity_never_gets_another(postgres_url: str) -> None:
    with Store[int](postgres_url) as s:
        s["a"] = 1
    ((kept,),) = execute(postgres_url, "DELETE FROM {identity} RETURNING id")
    for mode in ("r", "w", "c"):
        with pytest.raises(StorageError, match="the store has lost its id; restore that row from a backup"):
            reopened(postgres_url, mode)
    execute(postgres_url, "DROP TABLE {identity}")
    with pytest.raises(StorageError, match="is missing, so the store has lost its id"):
        reopened(postgres_url, "c")
    assert execute(postgres_url, "SELECT name FROM {records}") == [("a",)] and len(kept) == 16


def reopened(url: str, mode: str) -> None:
    with Store[int](url, mode=mode):  # type: ignore[arg-type]
        pass


def test_table_of_somebody_else_is_no_store_and_stays(postgres_url: str) -> None:
    execute(postgres_url, f"CREATE SCHEMA {table(postgres_url, '').split('.')[0]}")
    execute(postgres_url, "CREATE TABLE {identity} (who text)")
    execute(postgres_url, "INSERT INTO {identity} VALUES ('me')")
    with pytest.raises(NotAStore, match="is not that of a store"):
        Store[int](postgres_url)
    assert (tables(postgres_url), execute(postgres_url, "SELECT who FROM {identity}")) == ({"identity"}, [("me",)])


# -- destroying


def test_destroyed_store_is_gone_and_others_stay(postgres_url: str) -> None:
    other = f"{postgres_url}&prefix=other_"
    for url in (postgres_url, other):
        with small_parts(url) as s:
            s["big"] = b"x" * 5000
    store.destroy(postgres_url)
    with pytest.raises(StoreNotFound):
        Store[int](postgres_url, mode="r")
    with small_parts(other) as s:
        assert s["big"] == b"x" * 5000
    store.destroy(other)
    assert (
        execute(postgres_url, "SELECT 1 FROM pg_namespace WHERE nspname = %s", table(other, "").split('"')[1]) == []
    )
    with pytest.raises(StoreNotFound):
        store.destroy(other)
    with Store[int](postgres_url) as s:  # a new one
        s["a"] = 1


def test_open_one_is_not_destroyed(postgres_url: str) -> None:
    with Store[int](postgres_url) as s:
        s["a"] = 1
        with pytest.raises(StorageError, match="is open in this process"):
            store.destroy(postgres_url)
        with s.transaction(), pytest.raises(StoreError, match="inside a transaction"):
            store.destroy(postgres_url)
        assert s["a"] == 1


def test_schema_with_something_else_in_it_stays(postgres_url: str) -> None:
    with Store[int](postgres_url):
        pass
    execute(postgres_url, f"CREATE TABLE {table(postgres_url, 'mine')} (a integer)")
    store.destroy(postgres_url)
    assert tables(postgres_url) == {"mine"}
