"""Eviction: which records go, when, and what a write does where they cannot."""

from __future__ import annotations

import math
import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from store.cache import Cache, eviction
from store.cache.eviction import by_frequency, by_last_use
from store.cache.options import LEAST_BYTES, Policy
from store.engines import access_table
from store.engines.capabilities import Candidate, Use
from store.errors import LockTimeout

KIB = 1024


@pytest.fixture
def bounded(location: str, clock: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Cache[Any]]]:
    """Opens a cache of one engine, whose random choices are the same in each run."""
    opened: list[Cache[Any]] = []

    def open_one(**options: Any) -> Cache[Any]:
        monkeypatch.setattr(access_table, "random", random.Random(7).random)
        opened.append(Cache[Any](location, clock=clock, **options))
        opened[-1]._records.evictor.eviction.random = random.Random(7)
        return opened[-1]

    yield open_one
    for cache in opened:
        cache.close()


def fill(c: Cache[Any], clock: Any, names: range, value: Any = 0) -> None:
    for number in names:
        c[f"n{number}"] = value
        clock.advance(1)


def gone(c: Cache[Any], names: range) -> int:
    there = set(c)
    return sum(f"n{number}" not in there for number in names)


class TestPolicies:
    def test_lru_keeps_what_was_used(self, bounded: Callable[..., Cache[Any]], clock: Any) -> None:
        c = bounded(max_records=600, policy="lru")
        fill(c, clock, range(600))
        for number in range(300):
            c.get(f"n{number}")
        fill(c, clock, range(600, 800))
        assert len(c) <= 602  # it looks after every second write
        assert gone(c, range(300)) <= 4  # of 200; by chance 67
        assert gone(c, range(600, 800)) <= 4

    def test_lru_takes_a_write_for_a_use(self, bounded: Callable[..., Cache[Any]], clock: Any) -> None:
        c = bounded(max_records=300, policy="lru")
        fill(c, clock, range(300))
        fill(c, clock, range(150))
        fill(c, clock, range(300, 400))
        assert gone(c, range(150)) <= 2

    def test_looking_for_a_name_is_no_use(self, bounded: Callable[..., Cache[Any]], clock: Any) -> None:
        c = bounded(max_records=10, policy="lru")
        fill(c, clock, range(10))
        assert "n0" in c and len(dict(c.store)) == 10
        c.get("n1")
        fill(c, clock, range(10, 11))
        assert gone(c, range(10)) == 1 and "n0" not in c

    def test_lfu_keeps_what_was_used_often(self, bounded: Callable[..., Cache[Any]], clock: Any) -> None:
        c = bounded(max_records=300, policy="lfu")
        for number in range(300):
            c[f"n{number}"] = 0
        for _ in range(100):
            for number in range(100):
                c.get(f"n{number}")
        for _ in range(2):
            for number in range(100, 300):
                c.get(f"n{number}")  # later, and less often
        for number in range(300, 400):
            c[f"n{number}"] = 0
        assert len(c) <= 300
        assert gone(c, range(100)) == 0

    def test_fifo_takes_the_order_of_insertion(self, bounded: Callable[..., Cache[Any]], clock: Any) -> None:
        c = bounded(max_records=50, policy="fifo")
        fill(c, clock, range(50))
        for number in range(20):
            c.get(f"n{number}")
        fill(c, clock, range(10))  # an update keeps the place
        fill(c, clock, range(50, 60))
        assert list(c) == [f"n{number}" for number in range(10, 60)]

    @pytest.mark.parametrize(("culled", "left"), [(0, 30), (1, 30), (10, 29), (30, 19)])
    def test_cull_records_go_at_once(
        self, bounded: Callable[..., Cache[Any]], clock: Any, culled: int, left: int
    ) -> None:
        c = bounded(max_records=30, cull_records=culled)
        fill(c, clock, range(30))
        assert len(c) == 30
        fill(c, clock, range(30, 31))
        assert len(c) == 31 - max(1, culled) and "n30" in c
        fill(c, clock, range(31, 49))
        assert (len(c), c.stats().evictions) == (left, 49 - left)

    def test_cull_records_in_several_batches(self, bounded: Callable[..., Cache[Any]], clock: Any) -> None:
        c = bounded(max_records=200, cull_records=150, policy="fifo")
        c.set_many({f"n{number}": number for number in range(210)})
        assert list(c) == [f"n{number}" for number in range(150, 210)]

    def test_none_evicts_only_what_has_expired(self, bounded: Callable[..., Cache[Any]], clock: Any) -> None:
        c = bounded(max_records=10, max_bytes=LEAST_BYTES, policy="none")
        c.set_many({f"n{number}": "x" * 100_000 for number in range(5)}, ttl=10)
        for number in range(5, 20):
            c[f"n{number}"] = "x" * KIB
        assert (len(c), c.stats().evictions, c.stats().eviction_error) == (20, 0, None)
        clock.advance(10)
        c["n20"] = 0
        assert len(c) == 16
        assert c.stats().bytes <= LEAST_BYTES

    @pytest.mark.parametrize("policy", ["lru", "lfu", "fifo"])
    def test_expired_ones_go_first(self, bounded: Callable[..., Cache[Any]], clock: Any, policy: Policy) -> None:
        c = bounded(max_records=None, max_bytes=2**20, policy=policy)
        for number in range(40):
            c.set(f"n{number}", "x" * 10 * KIB, ttl=None if number % 2 else 10)
        clock.advance(10)
        for number in range(40, 60):
            c[f"n{number}"] = "x" * 20 * KIB
        assert c.stats().evictions == 0
        assert len(c) == 40

    def test_used_record_stays_where_writes_come_within_the_resolution_of_notes(
        self, bounded: Callable[..., Cache[Any]], clock: Any
    ) -> None:
        clock.advance(0.01)  # within a sixteenth of a second, of which a note has the beginning
        c = bounded(max_records=30)
        c["hot"] = 0
        for number in range(300):
            clock.advance(0.0001)
            assert c["hot"] == 0, number
            c[f"n{number}"] = number
        assert "hot" in c

    def test_ranks(self) -> None:
        one = Candidate("a", "1-0", 10, 50.0, None)
        assert [by_last_use(one, use) for use in (None, Use(60.0, 1), Use(40.0, 1))] == [50.0, 60.0625, 50.0]
        assert by_frequency(one, Use(60.0, 0)) < by_frequency(one, None) < by_frequency(one, Use(60.0, 6))


class TestBounds:
    def test_records_stay_within_the_bound(self, bounded: Callable[..., Cache[Any]], clock: Any) -> None:
        c = bounded(max_records=100)
        for number in range(300):
            c[f"n{number}"] = number
            assert len(c) <= 100
        assert c.stats().evictions == 200
        assert all(c[name] == int(name[1:]) for name in c)

    def test_updates_evict_nothing(self, bounded: Callable[..., Cache[Any]]) -> None:
        c = bounded(max_records=20)
        for _ in range(3):
            for number in range(20):
                c[f"n{number}"] = number
        assert (len(c), c.stats().evictions) == (20, 0)

    def test_bytes_stay_within_the_bound(self, bounded: Callable[..., Cache[Any]]) -> None:
        c = bounded(max_bytes=2**20)
        for number in range(400):
            c[f"n{number}"] = bytes(number % 9 * KIB)
            assert c.stats().bytes <= 1.05 * 2**20
        assert 100 <= len(c) < 400
        assert c.stats().evictions == 400 - len(c)

    def test_each_write_of_nearly_a_share_of_the_bound_evicts(self, bounded: Callable[..., Cache[Any]]) -> None:
        c = bounded(max_bytes=2**20)
        c.update({f"n{number}": bytes(3000) for number in range(400)})
        for number in range(20):
            c[f"new{number}"] = bytes(3000)
            assert c.stats().bytes <= 2**20

    @pytest.mark.slow
    def test_small_records_stay_within_the_bound_of_bytes(self, bounded: Callable[..., Cache[Any]]) -> None:
        c = bounded(max_bytes=LEAST_BYTES)
        for number in range(1500):
            c[f"n{number}"] = "x" * 200
        assert c.stats().bytes <= 1.05 * LEAST_BYTES
        assert len(c) > 200

    def test_large_values_count_and_their_files_go(self, path: Path) -> None:
        with Cache[Any](path, max_bytes=8 * 2**20) as c:
            for number in range(20):
                c[f"n{number}"] = bytes(3 * 2**19)  # 1.5 MiB: a file of its own
            assert c.stats().bytes <= 8 * 2**20
            assert 4 <= len(c) <= 5
            c.store.compact()
            assert len(os.listdir(f"{path}-spill")) == len(c)

    def test_record_larger_than_the_bound_goes_itself(self, bounded: Callable[..., Cache[Any]]) -> None:
        c = bounded(max_bytes=LEAST_BYTES)
        c.update({f"n{number}": "x" * KIB for number in range(20)})
        c.set("large", bytes(LEAST_BYTES + 1))
        assert "large" not in c
        assert (len(c), c.stats().evictions) == (20, 1)
        assert len(c.get_or_compute("larger", lambda: bytes(LEAST_BYTES))) == LEAST_BYTES

    @pytest.mark.slow
    def test_bound_holds_under_threads(self, bounded: Callable[..., Cache[Any]]) -> None:
        c = bounded(max_records=100)
        seen: list[int] = []

        def write(thread: int) -> None:
            for number in range(60):
                c[f"{thread}-{number}"] = number
                seen.append(len(c))

        threads = [threading.Thread(target=write, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(seen) == 480 and max(seen) <= 108  # one record for each thread that is about to evict
        assert (len(c), c.stats().evictions) == (100, 380)

    def test_many_at_once_are_within_the_bound_on_return(self, bounded: Callable[..., Cache[Any]]) -> None:
        c = bounded(max_records=50)
        c.update({f"n{number}": number for number in range(400)})
        assert len(c) == 50
        c.set_many({f"m{number}": number for number in range(400)}, tag="t")
        assert len(c) == 50

    def test_transaction_evicts_after_its_commit(self, bounded: Callable[..., Cache[Any]]) -> None:
        c = bounded(max_records=10)
        c.update({f"n{number}": number for number in range(10)})
        with pytest.raises(LookupError):
            with c.transaction():
                for number in range(10, 40):
                    c[f"n{number}"] = number
                raise LookupError
        assert list(c) == [f"n{number}" for number in range(10)]
        with c.transaction():
            for number in range(10, 40):
                c[f"n{number}"] = number
            assert len(c) == 40
        assert len(c) == 10

    def test_each_way_of_writing_is_counted(self, bounded: Callable[..., Cache[Any]]) -> None:
        c = bounded(max_records=5)
        writes: list[Callable[[str], object]] = [
            lambda name: c.add(name, 1), lambda name: c.add(name, 1, tag="t"), c.incr, c.decr,
            lambda name: c.setdefault(name, 1), lambda name: c.set(name, 1, tag="t"),
            lambda name: c.get_or_compute(name, lambda: 1), lambda name: c.get_or_compute(name, lambda: 1, early=1.0),
        ]  # fmt: skip
        for number, write in enumerate(writes * 3):
            write(f"n{number}")
            assert len(c) <= 5

    def test_cache_that_is_opened_with_lower_bounds_shrinks(self, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(eviction.Evictor._look_afterwards, "__defaults__", (3,))
        with Cache[Any](place) as c:
            c.set_many({f"n{number}": number for number in range(400)}, ttl=None)
        with Cache[Any](place, max_records=100) as c:
            c["new"] = 1
            assert len(c) == 401 - 3 * eviction.BATCH
            c["newer"] = 1
            assert len(c) == 402 - 6 * eviction.BATCH
            assert c.cull() == 402 - 6 * eviction.BATCH - 100
            assert len(c) == 100

    def test_evicted_record_takes_its_note_along(self, bounded: Callable[..., Cache[Any]], clock: Any) -> None:
        c = bounded(max_records=10, policy="fifo")
        for number in range(30):
            c.set(f"n{number}", number, tag="t")
        assert len(c) == 10
        with c.store.within("cache#notes") as notes, c.store.within("cache#tags") as tags:
            assert (len(notes), len(tags)) == (10, 10)
        assert c.evict("t") == 10

    def test_others_see_that_a_record_was_evicted(self, bounded: Callable[..., Cache[Any]]) -> None:
        c = bounded(max_records=2, policy="fifo")
        c.update(a=1, b=2)
        with c.store.watch(timeout=0) as watch:
            c["d"] = 3
            assert [(change.name, change.record is None) for change in watch] == [("a", True), ("d", False)]


class TestFailures:
    def test_eviction_that_cannot_be_made_is_no_error_of_the_write(
        self, bounded: Callable[..., Cache[Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        c = bounded(max_records=5)
        c.update({f"n{number}": number for number in range(5)})

        def locked(*args: object) -> None:
            raise LockTimeout("others kept it locked")

        with monkeypatch.context() as patched:
            patched.setattr(c._records.evictor.eviction, "sample", locked)
            c["n5"] = 5
            c["n6"] = 6
        assert (len(c), c.stats().eviction_error) == (7, "others kept it locked")
        c["n7"] = 7
        assert (len(c), c.stats().eviction_error) == (5, None)

    def test_record_that_changed_since_it_was_chosen_stays(
        self, bounded: Callable[..., Cache[Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        c = bounded(max_records=3, policy="lru")
        c.update(a=1, b=2, d=3)
        chosen = c._records.evictor.eviction.sample

        def sample(namespace: str, number: int) -> list[Candidate]:
            found = chosen(namespace, number)
            if len(c) > 3 and "written" not in c.values():
                c.store.update(dict.fromkeys(c, "written"))  # as another process might
            return found

        monkeypatch.setattr(c._records.evictor.eviction, "sample", sample)
        c["e"] = 4
        assert len(c) == 3
        assert list(c.values()) == ["written"] * 3

    def test_threads_evict_side_by_side(
        self, bounded: Callable[..., Cache[Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        c = bounded(max_records=5)
        c.update({f"n{number}": number for number in range(5)})
        evicting, may_go_on = threading.Event(), threading.Event()
        chosen = c._records.evictor.eviction.sample

        def slow(namespace: str, number: int) -> list[Candidate]:
            if threading.current_thread() is not threading.main_thread():
                evicting.set()
                assert may_go_on.wait(30)
            return chosen(namespace, number)

        monkeypatch.setattr(c._records.evictor.eviction, "sample", slow)
        thread = threading.Thread(target=c.set, args=("slow", 1))
        thread.start()
        try:
            assert evicting.wait(30)
            c["quick"] = 1
            assert len(c) == 5
        finally:
            may_go_on.set()
            thread.join(30)
        assert len(c) == 5


@pytest.mark.parametrize("policy", ["lru", "lrw"])
def test_records_of_before_the_clock_was_set_back_go_first(
    bounded: Callable[..., Cache[Any]], clock: Any, policy: Policy
) -> None:
    c = bounded(max_records=50, policy=policy)
    fill(c, clock, range(50))
    for number in range(50):
        c.get(f"n{number}")
    clock.advance(-100_000)
    fill(c, clock, range(50, 90))
    assert gone(c, range(50)) >= 36  # by their times, the new ones would go
    assert gone(c, range(50, 90)) <= 4


def test_notes_that_have_expired_go_before_records(path: Path, clock: Any) -> None:
    with Cache[Any](path, max_bytes=LEAST_BYTES, clock=clock) as c:
        c.opened.purging.left = 10**9  # not in passing
        for number in range(200):
            c.set(f"n{number}", number, ttl=10, tag="a tag")
        clock.advance(20)
        c.opened.expired().delete_all("cache")
        engine = c.opened.engine
        before = engine.count("cache#notes", -math.inf)[0]
        for number in range(120):
            c[f"m{number}"] = b"x" * KIB
        assert (before, len(c), c.stats().evictions) == (200, 120, 0)
        assert engine.count("cache#notes", -math.inf)[0] < 200


def test_batches_are_short(bounded: Callable[..., Cache[Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    c = bounded(max_records=100)
    c.update({f"n{number}": number for number in range(100)})
    sizes: list[int] = []
    delete = eviction.Evictor._delete

    def counted(self: Any, victims: Any, **how: Any) -> int:
        sizes.append(len(victims))
        return delete(self, victims, **how)

    monkeypatch.setattr(eviction.Evictor, "_delete", counted)
    c.update({f"m{number}": number for number in range(100)})
    assert sizes == [32, 32, 32, 4]


def test_many_records_are_not_counted_for_each_batch(
    bounded: Callable[..., Cache[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eviction, "UNSEEN", 2)
    monkeypatch.setattr(eviction, "FEW", 0)
    c = bounded(max_records=200)
    c.store.update({f"n{number}": number for number in range(392)})
    counts: list[int] = []
    count = eviction.reading.count

    def noted(ns: Any) -> int:
        number: int = count(ns)
        if ns is c.opened:  # not that of the notes
            counts.append(number)
        return number

    monkeypatch.setattr(eviction.reading, "count", noted)
    assert c.cull() == 192  # in six batches
    assert counts == [392, 264, 200]
    assert len(c) == 200
