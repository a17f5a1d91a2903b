"""Walks over a database whose pages lead round in circles end, and those over a sound one are never cut short."""

from __future__ import annotations

import ctypes
import os
import signal
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.care.recover import recover
from store.engines.contract import Fields, every_row
from store.engines.sqlite import statements as sql
from store.errors import Corrupt, StoreError
from store.importers.sqlite_source import opened
from store.system import step_budget
from store.system.step_budget import STEPS_PER_BYTE, Budget, watched

KEY = b"walks that lead round"
PAGE = 512
RECORDS = 200
INNER, LEAF_OF_INDEX = (2, 5), 10


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store of pages so small that its trees have inner ones."""
    path = tmp_path_factory.mktemp("made") / "made.db"
    with Store[Any](path, key=KEY) as s:
        s.update({f"name {number:03}": number for number in range(RECORDS)})
        s.put("gone", 1, ttl=0.001)
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("BEGIN")
        conn.executemany("INSERT INTO garbage VALUES (?)", [(f"{0:032x}-{number:032x}",) for number in range(700)])
        conn.execute("COMMIT")
        conn.execute("PRAGMA journal_mode = DELETE").fetchone()
        conn.execute(f"PRAGMA page_size = {PAGE}")
        conn.execute("VACUUM")
        conn.execute("PRAGMA journal_mode = WAL").fetchone()
    return path.read_bytes()


@pytest.fixture
def small_pages(made: bytes, path: Path) -> Path:
    path.write_bytes(made)
    return path


def root_of(path: Path, name: str) -> int:
    with closing(sqlite3.connect(path)) as conn:
        found: int = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)).fetchone()[0]
        return found


def lead_round(path: Path, name: str) -> None:
    """All pages below the root of a table or an index are the root itself."""
    root = root_of(path, name)
    content = bytearray(path.read_bytes())
    start = (root - 1) * PAGE
    assert content[start] in INNER
    for number in range(int.from_bytes(content[start + 3 : start + 5], "big")):
        place = start + 12 + 2 * number
        cell = start + int.from_bytes(content[place : place + 2], "big")
        content[cell : cell + 4] = root.to_bytes(4, "big")
    path.write_bytes(content)


def empty(path: Path, name: str) -> None:
    """An index that has no entries any more."""
    start = (root_of(path, name) - 1) * PAGE
    content = bytearray(path.read_bytes())
    content[start : start + 8] = bytes((LEAF_OF_INDEX, 0, 0, 0, 0, PAGE >> 8, PAGE & 255, 0))
    path.write_bytes(content)


WALKS: dict[str, Callable[[Store[Any]], object]] = {
    "every row": lambda s: list(every_row(s.opened.engine)),
    "rows": lambda s: list(s.items()),
    "snapshot": lambda s: s == {"x": 1},
    "names": lambda s: s.names(),
    "iter": list,
    "reversed": lambda s: list(reversed(s)),
    "len": len,
    "records": lambda s: list(s.records()),
    "listed": lambda s: list(s.opened.engine.care.unfound([])),
    "row count": lambda s: s.opened.engine.care.row_count(),
    "stats": lambda s: s.stats(),
    "by key": lambda s: s.opened.engine.care.count_by_key(),
    "watch": lambda s: next(iter(s.watch(timeout=0)), None),
    "clear": lambda s: s.clear(),
    "rekey": lambda s: s.rekey(),
    "backup": lambda s: s.backup(Path(s.location).with_name("backup.db")),
}
ROOTS = ("records", "sqlite_autoindex_records_1", "records_by_namespace")


@pytest.mark.damaged
@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("walk", WALKS)
def test_walk_over_pages_that_lead_round_ends(small_pages: Path, root: str, walk: str) -> None:
    lead_round(small_pages, root)
    with Store[Any](small_pages, key=KEY) as s:
        try:
            WALKS[walk](s)
        except (Corrupt, KeyError):
            pass


@pytest.mark.damaged
@pytest.mark.parametrize("root", [*ROOTS, "garbage"])
def test_tools_on_pages_that_lead_round_end_and_say_so(small_pages: Path, root: str) -> None:
    lead_round(small_pages, root)
    with Store[Any](small_pages, key=KEY) as s:
        for quick in (True, False):
            assert s.verify(quick=quick).damage
        with pytest.raises(StoreError, match="recover"):
            s.backup(small_pages.with_name("backup.db"))
        try:
            s.compact()
        except StoreError:
            pass
    assert recover(small_pages, small_pages.with_name("new.db"), key=KEY).damage or root != "records"


@pytest.mark.damaged
def test_rows_that_do_not_move_on_are_corrupt(small_pages: Path) -> None:
    lead_round(small_pages, "records")
    with Store[Any](small_pages, key=KEY) as s:
        ids = []
        with pytest.raises(Corrupt, match="damaged"):
            for row in every_row(s.opened.engine):
                ids.append(row.id)
        assert ids == sorted(set(ids))


@pytest.mark.damaged
def test_compact_ends_where_the_rows_of_files_that_went_stay(small_pages: Path) -> None:
    empty(small_pages, "sqlite_autoindex_garbage_1")
    with Store[Any](small_pages, key=KEY) as s:
        found = s.compact()
        assert found.files_left > 0
        assert s.verify().damage


@pytest.mark.damaged
def test_import_of_a_database_that_leads_round_ends(tmp_path: Path) -> None:
    source = tmp_path / "source.db"
    with closing(sqlite3.connect(source, isolation_level=None)) as conn:
        conn.execute(f"PRAGMA page_size = {PAGE}")
        conn.execute("CREATE TABLE t (x)")
        conn.execute("BEGIN")
        conn.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(1000)])
        conn.execute("COMMIT")
    lead_round(source, "t")
    with pytest.raises(Corrupt, match="cannot be read on"), opened(str(source)) as conn:
        conn.execute("SELECT sum(x) FROM t").fetchone()


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget that small stores come to the end of."""
    monkeypatch.setattr(step_budget, "STEPS", 100)
    monkeypatch.setattr(step_budget, "LEAST_CALLS", 5)


@pytest.mark.usefixtures("few_steps")
@pytest.mark.slow
def test_budget_grows_with_the_database(path: Path) -> None:
    """A connection that was opened when there was next to nothing."""
    names = [f"name {number:04}" for number in range(3000)]
    with Store[Any](path) as s, Store[Any](path) as other:
        assert s.names() == []
        other.update(dict.fromkeys(names, 1))
        assert s.names() == names
        assert s.get_many(names) == dict.fromkeys(names, 1)
        assert s.get_many([f"absent {number}" for number in range(20_000)]) == {}
        assert s.verify().ok
        s.clear()
        assert len(other) == 0


@pytest.mark.usefixtures("few_steps")
@pytest.mark.slow
def test_many_values_of_one_statement_have_a_budget_each(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("CREATE TABLE t (x INTEGER PRIMARY KEY)")
        budget = Budget(str(path))
        budget.watch(conn)
        rows = [(number,) for number in range(20_000)]
        budget.begin(len(rows))
        conn.executemany("DELETE FROM t WHERE x = ?", rows)


@pytest.fixture
def sparse(tmp_path: Path) -> Callable[[int], str]:
    """Makes a file of that size that takes no space."""

    def make(size: int) -> str:
        path = tmp_path / "sparse"
        path.touch()
        os.truncate(path, size)
        return str(path)

    return make


def test_budget_of_a_large_database_takes_little_memory(sparse: Callable[[int], str]) -> None:
    """On a terabyte a call for each 100,000 steps would be forty million calls."""
    with closing(sqlite3.connect(":memory:")) as conn:
        budget = Budget(sparse(10**12))
        tracemalloc.start()
        try:
            budget.watch(conn)
            budget.begin(50_000)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 100_000


def test_budget_of_a_large_database_is_in_proportion(
    sparse: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four million steps for a megabyte, whether the handler is called 1,000 times or more often."""
    monkeypatch.setattr(step_budget, "STEPS", 100)
    monkeypatch.setattr(step_budget, "LEAST_CALLS", 1)
    counting = "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < ?) SELECT count(*) FROM c"
    with closing(sqlite3.connect(":memory:")) as conn:
        watched(conn, sparse(1_000_000))
        assert conn.execute(counting, (100_000,)).fetchone() == (100_000,)  # some 15 steps for each
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            conn.execute(counting, (1_000_000,)).fetchone()


def test_statement_that_never_ends_is_interrupted(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("CREATE TABLE t (x)")
        watched(conn, str(path))
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            conn.execute(
                "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT 1 FROM c) SELECT count(*) FROM c"
            ).fetchone()


def test_sound_database_needs_a_fraction_of_the_budget(path: Path) -> None:
    """Records as small as they come, and the statements that read all of them."""
    with Store[Any](path, codec="json") as s:
        s.update({f"{number:x}": 1 for number in range(3000)})
        s.put("gone", 1, ttl=1e9)
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        steps: list[int] = []
        conn.set_progress_handler(lambda: steps.append(1), 100)
        values = {
            sql.INTEGRITY_CHECK: (), sql.QUICK_CHECK: (), sql.EVERY_ROW: (), sql.ROW_COUNT: (), sql.COUNT_BY_KEY: (),
            sql.NAME_PAGES[Fields.LISTED, False, False]: ("", "", -1),
            sql.PAGES[Fields.LISTED, False]: ("", 0, sql.LARGEST_ID, -1),
            sql.TOTALS: ("", 0.0), sql.NAMES_BY_INDEX: (), sql.PAGE: ("", 0, sql.LARGEST_ID), sql.CLEAR: ("",),
        }  # fmt: skip
        size = path.stat().st_size
        for statement, bound in values.items():
            steps.clear()
            conn.execute(statement, bound).fetchall()
            assert len(steps) * 100 / size < STEPS_PER_BYTE / 4, statement


class Alarm(Exception):
    """What the handler of a signal raised."""


@pytest.fixture
def alarm() -> Iterator[int]:
    """The number of a signal whose handler raises."""

    def ring(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGUSR1, ring)
    yield signal.SIGUSR1
    signal.signal(signal.SIGUSR1, before)


def test_signal_during_a_statement_is_raised_after_it(
    path: Path, alarm: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the budget's handler were a function, the exception would be raised in it, and the module would drop that."""
    monkeypatch.setattr(step_budget, "STEPS", 1)
    monkeypatch.setattr(step_budget, "LEAST_CALLS", 10**6)
    with closing(sqlite3.connect(path)) as conn:
        conn.create_function("ring", 1, ctypes.CDLL(None)["raise"])  # os.kill would raise there and then
        watched(conn, str(path))
        steps = "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 1000)"
        with pytest.raises(Alarm):
            conn.execute(f"{steps} SELECT ring(?), count(*) FROM c", (alarm,)).fetchall()
