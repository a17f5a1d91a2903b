"""Stores that are destroyed and made anew by another process while a handle of the old one is open."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres_server import PostgresServer

from store import StorageError, Store

DESTROY = "import sys, store; store.destroy(sys.argv[1])"
REMAKE = f"""{DESTROY}
with store.Store(sys.argv[1], spill_bytes=1000) as s:
    s.update({{"k": "new", "counter": 10, "large": b"new" * 1000}})
"""
NEW = {"k": "new", "counter": 10, "large": b"new" * 1000}
SAYS_SO = r"destroyed since it was opened here.*open the store again"


def in_another_process(program: str, url: str) -> None:
    subprocess.run([sys.executable, "-c", program, url], check=True, timeout=120)


@pytest.fixture(params=["none", "transaction"])
def url(request: pytest.FixtureRequest, postgres_url: str) -> str:
    return f"{postgres_url}&pooler={request.param}"


@pytest.fixture
def old(url: str) -> Iterator[Store[Any]]:
    """A handle whose store another process has destroyed, and made another one in its place."""
    with Store[Any](url, spill_bytes=1000) as s:
        s.update({"k": "old", "counter": 1, "large": b"old" * 1000})
        _ = s["k"]  # its statements are prepared
        in_another_process(REMAKE, url)
        yield s


def edit(s: Store[Any]) -> None:
    with s.edit("k") as value:
        value.append(1)


def transaction(s: Store[Any]) -> None:
    with s.transaction():
        s["k"] = 1


def lock(s: Store[Any]) -> None:
    with s.lock("job"):
        pass


WRITES: dict[str, Callable[[Store[Any]], Any]] = {
    "set": lambda s: s.__setitem__("k", "mine"),
    "set of a large value": lambda s: s.__setitem__("k", b"mine" * 1000),
    "put": lambda s: s.put("k", "mine"),
    "update": lambda s: s.update({"k": 1, "other": 2}),
    "add": lambda s: s.add("other", 1),
    "incr": lambda s: s.incr("counter"),
    "modify": lambda s: s.modify("k", lambda value: "mine"),
    "edit": edit,
    "touch": lambda s: s.touch("k", ttl=100),
    "pop": lambda s: s.pop("k"),
    "popitem": lambda s: s.popitem(),
    "delete": lambda s: s.delete("k"),
    "delete of nothing": lambda s: s.delete("nothing"),
    "delete_many": lambda s: s.delete_many(["k", "nothing"]),
    "delete_prefix": lambda s: s.delete_prefix("k"),
    "clear": lambda s: s.clear(),
    "purge": lambda s: s.purge(),
    "transaction": transaction,
    "transact": lambda s: s.transact(lambda s: s.put("k", "mine")),
    "lock": lock,
    "rekey": lambda s: s.rekey(),
    "compact": lambda s: s.compact(),
}
READS: dict[str, Callable[[Store[Any]], Any]] = {
    "get": lambda s: s["k"],
    "get with a default": lambda s: s.get("k"),
    "get of a large value": lambda s: s["large"],
    "in": lambda s: "k" in s,
    "get_many": lambda s: s.get_many(["k", "counter"]),
    "len": len,
    "names": lambda s: s.names(),
    "items": lambda s: list(s.items()),
    "reversed": lambda s: list(reversed(s.values())),
    "record": lambda s: s.record("k"),
    "records": lambda s: list(s.records()),
    "namespaces": lambda s: s.namespaces(),
    "stats": lambda s: s.stats(),
    "inspect": lambda s: s.inspect("k"),
}


@pytest.mark.parametrize("calls", [WRITES, READS], ids=["writes", "reads"])
def test_each_call_of_an_old_handle_is_an_error_that_says_so(
    old: Store[Any], url: str, calls: dict[str, Callable[[Store[Any]], Any]]
) -> None:
    wrong = []
    for what, call in calls.items():
        try:
            with pytest.raises(StorageError, match=SAYS_SO):
                call(old)
        except BaseException as exc:
            wrong.append((what, repr(exc)))
    assert wrong == []
    with Store[Any](url) as new:  # beside the old one, which stays open
        assert dict(new.items()) == NEW


def test_copies_and_watches_of_an_old_handle_see_nothing_of_the_other_store(
    old: Store[Any], url: str, tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match=SAYS_SO):
        old.backup(tmp_path / "backup.db")
    with pytest.raises(StorageError, match=SAYS_SO):
        old.watch()
    checked = old.verify()
    assert (checked.sealed, checked.tampered, checked.foreign, checked.corrupt, checked.unfound) == (
        0,
        [],
        [],
        [],
        [],
    )
    assert [bool(re.search(SAYS_SO, damage)) for damage in checked.damage] == [True]


def test_watch_that_is_open_ends_with_the_error(url: str) -> None:
    with Store[Any](url) as s:
        s["k"] = "old"
        with s.watch() as watch:
            in_another_process(REMAKE, url)
            with pytest.raises(StorageError, match=SAYS_SO):
                next(watch)


def test_transaction_that_is_open_keeps_its_store_from_being_destroyed(url: str) -> None:
    with Store[Any](url) as s:
        s["k"] = 1
        with s.transaction():
            s["k"] = 2
            destroying = subprocess.Popen([sys.executable, "-c", DESTROY, url])
            s["k"] = 3
        assert destroying.wait(120) == 0
        with pytest.raises(StorageError, match="were deleted or moved while it was open"):
            s["k"] = 4
        with Store[Any](url) as new:
            assert dict(new) == {}
            new["k"] = 5
            assert new["k"] == 5


def test_handle_that_is_opened_after_the_error_is_on_the_new_store(old: Store[Any], url: str) -> None:
    with pytest.raises(StorageError, match=SAYS_SO):
        old["k"] = "mine"
    with Store[Any](url) as new, new.transaction():
        new["k"] = "mine"
        with pytest.raises(StorageError, match=SAYS_SO):
            old["k"] = "mine"
    with Store[Any](url) as new:
        assert new["k"] == "mine"


def test_role_that_may_only_read_compares_the_id_too(postgres: PostgresServer, postgres_url: str) -> None:
    with Store[Any](postgres_url) as s:
        s["k"] = "old"
    with Store[Any](postgres_url, mode="r") as s:
        assert s["k"] == "old"
        in_another_process(REMAKE, postgres_url)
        with pytest.raises(StorageError, match=SAYS_SO):
            _ = s["k"]


def test_store_whose_tables_were_copied_with_its_id_is_the_same_one(postgres: PostgresServer, url: str) -> None:
    schema = url.partition("schema=")[2].partition("&")[0]
    with Store[Any](url) as s:
        s["k"] = "old"
        with psycopg.connect(postgres.url) as conn:
            conn.execute(f"ALTER TABLE {schema}.identity RENAME TO before")
            conn.execute(f"CREATE TABLE {schema}.identity (LIKE {schema}.before INCLUDING ALL)")
            conn.execute(f"INSERT INTO {schema}.identity SELECT * FROM {schema}.before")
            conn.execute(f"DROP TABLE {schema}.before")
        s["k"] = "new"
        assert s["k"] == "new"


def test_comparison_is_in_no_plan_while_the_tables_are_the_same(postgres: PostgresServer, postgres_url: str) -> None:
    with Store[Any](postgres_url) as s:
        statements = s.opened.engine.handle.sessions.statements
        texts = [*statements.find.values(), *statements.pages.values(), statements.put, statements.delete]
        assert all("identity" in text for text in texts)
        with psycopg.connect(postgres.url, cursor_factory=psycopg.RawCursor) as conn:
            for text in texts:
                unbound = re.sub(r"\$\d+", "NULL", text)
                plan = conn.execute(f"EXPLAIN {unbound}").fetchall()
                assert plan and "identity" not in str(plan)
