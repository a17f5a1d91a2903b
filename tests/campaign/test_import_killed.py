"""An import that is killed at any moment leaves whole batches, and the next one completes it."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import tempfile
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sources import library, make, state_of

from store import Store
from store.cache import Cache
from store.importers import import_into

from .killer import ended, forked

BATCH = 20
COUNT = 95


def import_until(where: str, number: int, path: Path, source: Path) -> None:
    """Import, and be killed after so many calls of `put` or results that were reported."""
    left = count(1)
    put = Store.put

    def killing(*args: Any, **named: Any) -> Any:
        result = put(*args, **named)
        if next(left) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    if where == "put":
        Store.put = killing  # type: ignore[method-assign]
    with Store[Any](path) as s:
        for reported, _ in enumerate(import_into(s, "shelve", source, batch=BATCH), 1):
            if where == "report" and reported == number:
                os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    "where, number, left", [("put", 1, 0), ("put", 20, 0), ("put", 21, 20), ("put", 55, 40), ("put", 95, 80), ("report", 1, 20), ("report", 40, 40), ("report", 95, 95)]
)
@pytest.mark.heavy
def test_import_killed_and_run_again(where: str, number: int, left: int, tmp_path: Path, path: Path) -> None:
    records = {f"n{number:03}": {"number": number} for number in range(COUNT)}
    source = make("shelve", tmp_path / "source", records)
    before = state_of(tmp_path / "source")
    assert ended(forked(lambda: import_until(where, number, path, source))) == -signal.SIGKILL
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with Store[Any](path, trust="own") as s:
        assert dict(s) == dict(list(records.items())[:left])
        results = list(import_into(s, "shelve", source, batch=BATCH))
        assert [one.outcome for one in results] == ["unchanged"] * left + ["imported"] * (COUNT - left)
        assert dict(s) == records
        assert {record.revision for record in s.records()} == {1}
    assert state_of(tmp_path / "source") == before


def import_into_cache_until(number: int, path: Path, source: Path) -> None:
    """Import into a cache, and be killed after so many calls of its `set`."""
    left, put = count(1), Cache.set

    def killing(*args: Any, **named: Any) -> None:
        put(*args, **named)
        if next(left) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    Cache.set = killing  # type: ignore[method-assign]
    with Cache[Any](path) as cache:
        list(import_into(cache, "diskcache", source, batch=BATCH))


@pytest.mark.parametrize("number, left", [(1, 0), (20, 0), (21, 20), (55, 40), (95, 80)])
@pytest.mark.heavy
def test_import_into_a_cache_killed_and_run_again(number: int, left: int, tmp_path: Path, path: Path) -> None:
    source = tmp_path / "source"
    with library("diskcache").Cache(str(source)) as old, old.transact():
        for each in range(COUNT):
            old.set(f"n{each:03}", each, tag=f"t{each % 3}")
    assert ended(forked(lambda: import_into_cache_until(number, path, source))) == -signal.SIGKILL
    for copy in Path(tempfile.gettempdir()).glob("store-*"):  # of the database of diskcache: a killed process leaves it
        shutil.rmtree(copy)
    with Cache[Any](path) as cache:
        assert dict(cache) == {f"n{each:03}": each for each in range(left)}
        results = list(import_into(cache, "diskcache", source, batch=BATCH))
        assert [one.outcome for one in results] == ["unchanged"] * left + ["imported"] * (COUNT - left)
        assert [cache.evict(f"t{tag}") for tag in range(3)] == [32, 32, 31]
        assert len(cache) == 0
