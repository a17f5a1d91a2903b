"""What a bounded cache needs of an engine: its size, random records, and notes of their uses."""

from __future__ import annotations

import os
from collections import Counter
from random import Random

import pytest
from sealed_rows import NOW, row, stamp

from store.engines.capabilities import Candidate, Figures
from store.engines.contract import Delete
from store.errors import StoreClosed

pytestmark = pytest.mark.damaged  # the rows bear seals that no key made


class Clock:
    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def eviction(capable):
    found = capable("eviction")
    found.random = Random(18)
    return found


USES = (1, 30, 1_000, 20_000)


@pytest.fixture
def accesses(engine, eviction, clock):
    engine.apply("", [row(name) for name in ("a", "b", "c", *(f"used {uses}" for uses in USES))])
    found = eviction.accesses("", 1000, now=clock)
    yield found
    found.close()


class TestLiveBytes:
    def test_grow_and_shrink_with_the_records(self, engine, eviction):
        first = eviction.live_bytes("")
        engine.apply("", [row(f"k{number}", bytes(1000)) for number in range(200)])
        full = eviction.live_bytes("")
        assert full - first >= 200 * 1000
        engine.apply("", [Delete(f"k{number}") for number in range(100)])
        assert eviction.live_bytes("") < full - 50 * 1000
        engine.clear("")
        assert eviction.live_bytes("") < first + 20 * 4096

    def test_large_parts_count(self, engine, eviction, capable):
        blobs = capable("blobs")
        first = eviction.live_bytes("")
        engine.put(row("a")._replace(body=b"", spill=blobs.write("", "a", [bytes(1_000_000)], 5.0)))
        assert eviction.live_bytes("") >= first + 1_000_000
        engine.apply("", [Delete("a")])
        assert eviction.live_bytes("") < first + 100_000

    def test_of_a_rolled_back_transaction_are_not_there(self, engine, eviction, capable):
        begin = capable("transactions").begin
        first = eviction.live_bytes("")
        with pytest.raises(ZeroDivisionError), begin():
            engine.put(row("a", bytes(100_000)))
            1 / 0
        assert eviction.live_bytes("") < first + 100_000


    def test_are_of_all_namespaces_or_of_the_one_as_the_engine_says(self, engine, eviction, clock):
        mine, other = eviction.accesses("", 1000, now=clock), eviction.accesses("other", 1000, now=clock)
        first = eviction.live_bytes("")
        engine.apply("other", [row("a", bytes(100_000))._replace(namespace="other")])
        other.count(hits=3)
        other.flush()
        assert (eviction.live_bytes("") >= first + 50_000) is eviction.counts_together
        assert (mine.figures().hits == 3) is eviction.counts_together
        mine.close(), other.close()


class TestSample:
    def test_each_record_as_it_is(self, engine, eviction):
        assert eviction.sample("", 10) == []
        engine.apply("", [row("a", b"12345", expires=NOW - 1, at=NOW - 2), row("x", namespace="other")])
        engine.put(row("a", b"1234567", expires=NOW - 1, at=NOW - 3))
        assert eviction.sample("", 10) == [Candidate("a", stamp(engine, "a"), 7, NOW - 2, NOW - 1)]

    @pytest.mark.parametrize("records", [1, 15, 16, 17, 300, 1500])
    def test_none_twice_and_as_many_as_there_are(self, engine, eviction, records):
        engine.load([row(f"k{number}") for number in range(records)])
        for number in (1, 16, 512):
            names = [found.name for found in eviction.sample("", number)]
            assert len(set(names)) == len(names) == min(number, records)

    @pytest.mark.slow
    def test_is_uniform_over_gaps_and_beside_other_namespaces(self, engine, eviction):
        """The old records have large gaps between them, and the newest none: as in a cache with a hot set."""
        engine.load([row(f"k{number}", namespace="" if number % 50 == 0 else "other") for number in range(10_000)])
        engine.clear("other")
        engine.apply("", [row(f"n{number}") for number in range(800)])
        counted = Counter(found.name for _ in range(200) for found in eviction.sample("", 50))
        assert sum(counted.values()) == 10_000
        old = sum(times for name, times in counted.items() if name.startswith("k"))
        assert 1_600 < old < 2_400, "200 of the 1,000 records are old"
        assert len(counted) > 950 and max(counted.values()) < 40, "each is drawn 10 times on average"

    @pytest.mark.slow
    def test_sees_what_comes_and_goes(self, engine, eviction, second):
        engine.load([row(f"k{number}") for number in range(2_000)])
        eviction.sample("", 16)
        for first in range(0, 1_990, 995):
            second.apply("", [Delete(f"k{number}") for number in range(first, first + 995)])
        second.apply("", [row(f"n{number}") for number in range(10)])
        wanted = {*(f"k{number}" for number in range(1_990, 2_000)), *(f"n{number}" for number in range(10))}
        assert {found.name for _ in range(5) for found in eviction.sample("", 20)} == wanted
        second.clear("")
        assert eviction.sample("", 16) == []
        second.apply("", [row(f"m{number}") for number in range(600)])
        counted = Counter(found.name for _ in range(60) for found in eviction.sample("", 100))
        assert len(counted) == 600, "ids that come again are drawn again"

    @pytest.mark.slow
    def test_least_recently_used_of_samples_keep_a_hot_set(self, engine, eviction, accesses, clock):
        """100 records are read between writes of others; 1,000 records may be there."""
        random = Random(7)
        hot = [f"hot{number}" for number in range(100)]
        engine.clear("")
        engine.apply("", [row(name) for name in hot])
        for step in range(60):
            clock.time += 10
            for name in hot:
                accesses.note(name)
            engine.apply("", [row(f"cold{step}-{number}", at=clock.time) for number in range(50)])
            if step < 18:
                continue
            candidates = eviction.sample("", 800)
            uses = accesses.uses([found.name for found in candidates])
            last = {
                found.name: found.modified if use is None else max(use.last, found.modified)
                for found, use in zip(candidates, uses, strict=True)
            }
            worst = sorted(last, key=lambda name: (last[name], random.random()))[:50]
            engine.apply("", [Delete(name) for name in worst])
        kept = engine.get("", hot)
        assert len(kept) >= 97, "a hot record is lost only with its note"


class TestAccesses:
    def test_last_use(self, accesses, clock):
        assert accesses.uses(["a", "b"]) == [None, None]
        accesses.note("a")
        clock.time += 100.5
        accesses.note("b")
        accesses.flush()
        a, b = accesses.uses(["a", "b"])
        assert (a.last, b.last) == (NOW, NOW + 100.5)
        clock.time -= 50
        assert [use.last for use in accesses.uses(["a", "b"])] == [NOW, NOW + 100.5], "the clock was set back"

    def test_times_are_kept_for_years(self, accesses, clock):
        accesses.note("a")
        accesses.flush()
        clock.time += 4 * 365 * 86_400
        assert accesses.uses(["a"])[0].last == NOW

    def test_frequency_grows_ever_slower_and_fades(self, accesses, clock):
        for uses in USES:
            for _ in range(uses):
                accesses.note(f"used {uses}")
        accesses.flush()
        found = [use.frequency for use in accesses.uses([f"used {uses}" for uses in USES])]
        assert found == sorted(set(found)) and found[0] == 5 and 40 < found[-1] < 100
        clock.time += 3 * 60
        assert [use.frequency for use in accesses.uses(["used 1", "used 20000"])] == [found[0] - 3, found[-1] - 3]
        clock.time += 300 * 60
        assert accesses.uses(["used 20000"])[0].frequency == 0

    def test_shared_by_all_handles(self, engine, second, eviction, accesses, clock):
        other = second.eviction.accesses("", 1000, now=clock)
        accesses.note("a")
        accesses.count(hits=2, misses=1)
        accesses.flush()
        other.count(hits=1, evictions=5)
        other.flush()
        assert other.uses(["a"])[0].last == NOW
        assert accesses.figures() == other.figures() == Figures(3, 1, 5)
        other.close()

    def test_namespaces_have_notes_of_their_own(self, eviction, accesses, clock):
        other = eviction.accesses("other", 1000, now=clock)
        accesses.note("a")
        accesses.flush()
        assert other.uses(["a"]) == [None]
        other.close()

    def test_reset_keeps_the_notes(self, accesses):
        accesses.note("a")
        accesses.count(hits=5, misses=2, evictions=1)
        accesses.flush()
        accesses.reset()
        assert accesses.figures() == Figures(0, 0, 0) and accesses.uses(["a"])[0] is not None
        accesses.count(hits=1)
        accesses.flush()
        assert accesses.figures() == Figures(1, 0, 0)

    def test_more_records_than_expected_keep_most_of_the_newest_notes(self, engine, eviction, clock):
        engine.load([row(f"k{number}") for number in range(5_000)])
        accesses = eviction.accesses("", 100, now=clock, frequencies=False)
        for number in range(5_000):
            accesses.note(f"k{number}")
            clock.time += 1
        accesses.flush()
        uses = accesses.uses([f"k{number}" for number in range(4_800, 5_000)])
        assert sum(use is not None for use in uses) > 150
        accesses.close()

    def test_any_name(self, accesses):
        for name in ("", "ä" * 1000, "\ud800", "\U0010ffff"):
            accesses.note(name)
            accesses.uses([name])

    def test_closed_one_notes_nothing(self, engine, eviction, clock):
        accesses, other = (eviction.accesses("", 1000, now=clock) for _ in range(2))
        accesses.close()
        accesses.note("a")
        accesses.count(hits=1)
        accesses.flush()
        assert other.uses(["a"]) == [None] and other.figures() == Figures(0, 0, 0)
        other.close()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_child_goes_on(self, accesses):
        accesses.note("a")
        child = os.fork()
        if child == 0:
            accesses.note("b")
            accesses.count(hits=1)
            os._exit(0 if accesses.figures().hits <= 1 else 7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        accesses.note("c")
        accesses.flush()
        assert all(accesses.uses(["a", "c"]))


def test_closed_handle(engine, second, capable):
    eviction = capable("eviction").accesses and second.eviction
    second.close()
    for call in (lambda: eviction.live_bytes(""), lambda: eviction.sample("", 1)):
        with pytest.raises(StoreClosed):
            call()
