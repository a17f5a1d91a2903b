"""Servers that lack what PostgreSQL has beside SQL: what is asked of them, and what a store does without.

The role of `pgrows_url` may call neither advisory locks nor ids of transactions nor NOTIFY. The suite of the contract
runs on it too: `--engine pgrows`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from store import Store
from store.engines.postgres.features import Features, detect
from store.engines.postgres.lock_statements import NAMES, SPACES
from store.errors import LockTimeout, Unsupported


def test_a_plain_server_has_everything(postgres_url: str) -> None:
    with Store[Any](postgres_url) as s:
        sessions = s.opened.engine.handle.sessions
        assert sessions.features[1:] == (True, True, True) and not sessions.stripes
        with psycopg.connect(postgres_url.partition("?")[0]) as conn:
            schema = sessions.location.schema
            assert conn.execute(f"SELECT to_regclass('{schema}.stripes')").fetchone() == (None,)


def test_a_role_without_them_gets_row_locks(pgrows_url: str) -> None:
    with Store[Any](pgrows_url) as s:
        sessions = s.opened.engine.handle.sessions
        assert sessions.features[1:] == (False, False, False) and sessions.stripes
        s["a"] = [1]
        with s.edit("a") as value:
            value.append(2)
        assert s.incr("n") == 1
        s.update({"b": 2, "c": 3})
        with s.transaction():
            del s["b"]
            s["d"] = 4
        assert dict(s) == {"a": [1, 2], "n": 1, "c": 3, "d": 4}


def test_what_needs_them_is_named(pgrows_url: str) -> None:
    with Store[Any](pgrows_url) as s, pytest.raises(Unsupported, match=r"postgresql.*watching"):
        s.watch()


def test_a_transaction_keeps_others_out_of_its_namespace(pgrows_url: str) -> None:
    with Store[Any](pgrows_url) as s, Store[Any](f"{pgrows_url}?hostaddr=127.0.0.1", timeout=0.05) as other:
        s["a"] = 1
        with s.transaction():
            assert other["a"] == 1  # readers never wait
            with pytest.raises(LockTimeout):
                other["new"] = 1
            with pytest.raises(LockTimeout):
                other.incr("a")
            with pytest.raises(LockTimeout), other.transaction():
                pass
        other["new"] = 1


def test_an_edit_keeps_others_off_its_name_alone(pgrows_url: str) -> None:
    with Store[Any](pgrows_url) as s, Store[Any](f"{pgrows_url}?hostaddr=127.0.0.1", timeout=0.05) as other:
        s.update({"a": [], "b": []})
        with s.edit("a") as value:
            value.append(1)
            with pytest.raises(LockTimeout), other.edit("a"):
                pass
            with pytest.raises(LockTimeout):
                other["a"] = "lost"
            with other.edit("b") as beside:
                beside.append(2)
            other["c"] = 3
            with pytest.raises(LockTimeout), other.transaction():
                pass
        assert dict(s) == {"a": [1], "b": [2], "c": 3}


def test_counters_of_many_threads_lose_nothing(pgrows_url: str, threaded: Callable[..., None]) -> None:
    with Store[Any](pgrows_url) as s:
        s["n"] = 0
        threaded(8, lambda number: [s.incr("n") for _ in range(10)])
        assert s["n"] == 80


@pytest.fixture
def threaded() -> Callable[..., None]:
    """Calls a function in several threads at once, and raises their first error."""
    from concurrent.futures import ThreadPoolExecutor

    def run(number: int, work: Callable[[int], object]) -> None:
        with ThreadPoolExecutor(number) as pool:
            for done in [pool.submit(work, index) for index in range(number)]:
                done.result(60)

    return run


def test_every_key_has_its_row(pgrows_url: str) -> None:
    with Store[Any](pgrows_url) as s:
        sessions = s.opened.engine.handle.sessions
        with psycopg.connect(pgrows_url) as conn:
            (stripes,) = conn.execute("SELECT array_agg(stripe ORDER BY stripe) FROM store.stripes").fetchone()
            assert stripes == list(range(SPACES + NAMES))
            conn.rollback()
            raw = psycopg.RawCursor(conn)
            for key in (0, 1, -1, 2**63 - 1, -(2**63)):
                assert len(raw.execute(sessions.statements.lock_shared, (key,)).fetchall()) == 1
                assert raw.execute(sessions.statements.try_lock, (key,)).fetchone() == (True,)
                assert len(raw.execute(sessions.statements.lock_name, (key,)).fetchall()) == 1


def test_a_store_with_advisory_locks_is_only_read_without_them(postgres: Any, pgrows_url: str) -> None:
    database = pgrows_url.rpartition("/")[2]
    with Store[Any](postgres.url_of(database)) as s:  # by an administrator, who has all rights
        s["a"] = 1
        with psycopg.connect(postgres.url_of(database), autocommit=True) as conn:
            conn.execute(f"GRANT USAGE ON SCHEMA store TO {database}")
            conn.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA store TO {database}")
    with pytest.raises(Unsupported, match=r"was made for advisory locks.*grant EXECUTE") as caught:
        Store[Any](pgrows_url)
    assert (caught.value.engine, caught.value.feature) == ("postgresql", "advisory locks")
    with Store[Any](pgrows_url, mode="r") as s:
        assert s["a"] == 1


def test_a_store_with_row_locks_keeps_them_where_there_are_others(postgres: Any, pgrows_url: str) -> None:
    with Store[Any](pgrows_url) as s:
        s["a"] = 1
        with Store[Any](postgres.url_of(pgrows_url.rpartition("/")[2]), timeout=0.05) as other, s.transaction():
            assert other.opened.engine.handle.sessions.features.advisory
            with pytest.raises(LockTimeout):
                other["a"] = 2


class Imitation:
    """A session on a server that says it is another product; `excludes`: whether its locks do anything."""

    def __init__(self, excludes: bool, functions: tuple[bool, ...] = (True, True, True), listens: bool = True) -> None:
        self.excludes, self.functions, self.listens = excludes, functions, listens
        self.held: set[int] = set()

    def execute(self, statement: str, values: Any = ()) -> Any:
        if "version()" in statement:
            return Answer("CockroachDB CCL v25.4.3")
        if "has_function_privilege" in statement:
            if not self.functions:
                raise psycopg.errors.UndefinedFunction("unknown function: to_regprocedure()")
            return Answer(*self.functions)
        if "pg_try_advisory_xact_lock" in statement:
            is_free = not self.excludes or values[0] not in self.held
            self.held.add(values[0])
            return Answer(is_free)
        if not self.listens:
            raise psycopg.errors.FeatureNotSupported("unimplemented: this syntax")
        return None

    @contextmanager
    def transaction(self) -> Any:
        yield
        self.held.clear()

    def close(self) -> None:
        """Nothing was opened."""


class Answer(tuple):
    """One row."""

    def __new__(cls, *values: Any) -> Answer:
        return super().__new__(cls, values)

    def fetchone(self) -> Answer:
        return self


@pytest.mark.parametrize(
    ("conn", "expected"),
    [
        (Imitation(excludes=True), (True, True, True)),
        (Imitation(excludes=False), (False, True, True)),  # a stub that says yes to everybody
        (Imitation(excludes=True, listens=False), (True, True, False)),
        (Imitation(excludes=True, functions=(True, False, False)), (True, False, False)),
        (Imitation(excludes=True, functions=()), (False, False, False)),
    ],
)
def test_another_product_has_to_show_it(conn: Imitation, expected: tuple[bool, ...]) -> None:
    assert detect(conn, lambda: conn) == Features("CockroachDB CCL v25.4.3", *expected)
