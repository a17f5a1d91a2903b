"""CI's share of the bounded cache under kills, and faults that must be found."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, contextmanager
from math import inf
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import pytest

from store import Store
from store.cache import computing, eviction
from store.cache.eviction import Evictor
from store.cache.notes import Notes
from store.engines.access_table import AccessTable

from . import cache_worker
from .bounded_cache import SETTINGS, CacheCampaign, cache_round
from .cache_worker import Worker

pytestmark = [pytest.mark.heavy, pytest.mark.orphans, pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")]

FOUND_SECONDS = 30.0  # for so long one that computes waits for another that does


@pytest.mark.parametrize("name", SETTINGS)
def test_cache_whose_processes_are_killed(tmp_path: Path, name: str) -> None:
    done = cache_round(Random(18), tmp_path / "cache", name, kills=4)
    assert done.failures == []
    assert done.trials >= 4


def replaced(owner: Any, name: str, new: Callable[[Any], Any]) -> None:
    """In this process, which is a child of the test, `new` of the original stands in its place."""
    mock.patch.object(owner, name, new(getattr(owner, name))).start()


def evicts_never() -> None:
    replaced(Evictor, "shrink", lambda shrink: lambda self, rounds=0: True)


def evicts_newest_first() -> None:
    replaced(eviction, "by_last_use", lambda order: lambda one, use: -order(one, use))


def evicts_in_any_order() -> None:
    replaced(Evictor, "_oldest", lambda oldest: lambda self, number: self.eviction.sample("cache", number))


def notes_no_use() -> None:
    replaced(AccessTable, "uses", lambda uses: lambda self, names: [None] * len(names))


def loses_records() -> None:
    def lossy(look: Callable[[Worker], None]) -> Callable[[Worker], None]:
        def deletes(self: Worker) -> None:
            look(self)
            self.cache.store.popitem()

        return deletes

    replaced(Worker, "look", lossy)


def counts_wrongly() -> None:
    replaced(AccessTable, "count", lambda count: lambda self, hits=0, misses=0, evictions=0: count(self, hits=hits, evictions=2 * evictions))


def tags_all_alike() -> None:
    replaced(Notes, "write", lambda write: lambda self, names, tag, cost=None: write(self, names, "common", cost))


def computes_at_will() -> None:
    @contextmanager
    def unlocked(self: Any, name: str, seconds: float) -> Any:
        yield computing.HELD

    def until_found(take_time: Callable[[Worker], None]) -> Callable[[Worker], None]:
        def waits(self: Worker) -> None:
            end = time.monotonic() + FOUND_SECONDS
            while time.monotonic() < end and not any('"failure"' in log.read_text() for log in self.folder.glob("log *")):
                take_time(self)

        return waits

    replaced(computing.Computation, "lock", lambda lock: unlocked)
    replaced(Worker, "take_time", until_found)
    replaced(cache_worker, "TURN_SECONDS", lambda turn: inf)  # all compute one name, whenever they come to it


def counts_bytes_wrongly() -> None:
    def miscounted(look: Callable[[Worker], None]) -> Callable[[Worker], None]:
        def adds(self: Worker) -> None:
            look(self)
            with closing(sqlite3.connect(self.cache.location, timeout=60, isolation_level=None)) as conn:
                conn.execute("UPDATE spilled SET bytes = bytes + 4096")

        return adds

    replaced(Worker, "look", miscounted)


FAULTS: list[tuple[Callable[[], None], str, int, str]] = [
    (evicts_never, "lru", 40, "bound of 400 records is broken"),
    (evicts_never, "fifo, bytes", 100, "bound of 4194304 bytes is broken"),
    (evicts_newest_first, "lru", 60, "were used since it was written"),
    (evicts_in_any_order, "fifo", 60, "which had been inserted before it"),
    (notes_no_use, "lru, few", 100, "of hot names missed"),
    (notes_no_use, "lfu, few", 100, "of hot names missed"),
    (counts_bytes_wrongly, "wide", 40, "pages of 4096 are in use"),
    (loses_records, "wide", 40, "is gone"),
    (counts_wrongly, "fifo", 40, "evictions, and"),
    (counts_wrongly, "none", 40, "misses, and the processes had"),
    (tags_all_alike, "wide", 40, "with tag common"),
    (computes_at_will, "wide", 100, "was computed by two at once"),
]
FEW = {f"{name}, few": SETTINGS[name]._replace(max_records=100) for name in ("lru", "lfu")}  # soon all are replaced


@pytest.mark.parametrize(("fault", "name", "operations", "said"), FAULTS, ids=lambda each: getattr(each, "__name__", str(each)))
def test_fault_is_found(tmp_path: Path, fault: Callable[[], None], name: str, operations: int, said: str) -> None:
    setting = (SETTINGS | FEW)[name]
    failures = CacheCampaign(Random(18), tmp_path, setting, operations=operations, fault=fault).run(kills=0)
    assert any(said in failure for failure in failures), failures
    with Store[object](tmp_path / "cache.db") as s:
        s.compact()  # puts the counter of bytes right, which the check after each test looks at
