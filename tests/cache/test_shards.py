"""`Cache(…, shards=N)`: the bounds of all shards together, what is evicted from which, figures, and many processes."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from children import Crowd

from store import Store
from store.cache import Cache
from store.cache.options import LEAST_BYTES, Bounds
from store.cache.sharded import ShardedRecords
from store.errors import ShardsMismatch

SHARDS = 4


@pytest.fixture
def place_of(location: str, clock: Any) -> Iterator[Any]:
    opened: list[Cache[Any]] = []

    def make(**options: Any) -> Cache[Any]:
        opened.append(Cache(location, clock=clock, **{"shards": SHARDS, "max_bytes": None, **options}))
        return opened[-1]

    yield make
    for cache in opened:
        cache.close()


def parts(c: Cache[Any]) -> ShardedRecords:
    assert isinstance(c._records, ShardedRecords)
    return c._records


def counts(c: Cache[Any]) -> list[int]:
    return [len(part.store) for part in parts(c).parts]


# -- bounds


@pytest.mark.parametrize("most, shares", [(4, [1, 1, 1, 1]), (7, [2, 2, 2, 1]), (1000, [250] * 4)])
def test_records_are_divided(most: int, shares: list[int]) -> None:
    bounds = Bounds(None, most, "lru", most // 2)
    divided = [bounds.of_shard(index, 4, together=False).checked() for index in range(4)]
    assert [one.max_records for one in divided] == shares
    assert sum(one.cull_records for one in divided) == most // 2


def test_bytes_are_divided_unless_the_engine_counts_them_together() -> None:
    bounds = Bounds(8 * LEAST_BYTES)
    assert bounds.of_shard(0, 4, together=False).max_bytes == 2 * LEAST_BYTES
    assert bounds.of_shard(0, 4, together=True).max_bytes == 8 * LEAST_BYTES
    assert Bounds(None).of_shard(3, 4, together=False) == Bounds(None)


def test_bounds_too_small_for_so_many_shards_are_refused(location: str) -> None:
    with pytest.raises(ValueError, match="max_records is divided among the 4 shards: a number from 4 up"):
        Cache(location, shards=4, max_records=3)
    with pytest.raises(ValueError, match=f"a number from {4 * LEAST_BYTES} up"):
        Bounds(LEAST_BYTES * 4 - 1).of_shard(0, 4, together=False)


@pytest.mark.parametrize("policy", ["lru", "lfu", "lrw", "fifo"])
@pytest.mark.heavy
def test_bound_of_records_holds(place_of: Any, clock: Any, policy: str) -> None:
    c = place_of(max_records=400, policy=policy)
    for number in range(1000):
        clock.advance(1)
        c[f"n{number}"] = number
        assert len(c) <= 400
    assert len(c) > 360
    assert max(counts(c)) <= 100
    assert c.stats().evictions == 1000 - len(c)


@pytest.mark.heavy
def test_bound_of_bytes_holds(place_of: Any, clock: Any) -> None:
    bound = 8 * LEAST_BYTES
    c = place_of(max_bytes=bound)
    for number in range(1000):
        clock.advance(1)
        c[f"n{number}"] = bytes(5000)
    assert 0.85 * bound < c.stats().bytes <= 1.05 * bound
    assert min(counts(c)) > 0.5 * max(counts(c))  # none was emptied for the others
    assert len(c) > 300
    c.set_many({f"m{number}": bytes(5000) for number in range(1000)})
    assert c.stats().bytes <= 1.05 * bound
    assert min(counts(c)) > 0.5 * max(counts(c))


@pytest.mark.slow
def test_cull_takes_from_all_shards(location: str, place_of: Any, clock: Any) -> None:
    if location == ":memory:":
        pytest.skip("the engine keeps nothing when it is closed")
    with Cache[Any](location, clock=clock, shards=SHARDS, max_bytes=None) as c:
        c.set_many({f"n{number}": bytes(5000) for number in range(1000)})
        c.set("gone", 1, ttl=1)
    clock.advance(2)
    c = place_of(max_bytes=8 * LEAST_BYTES)
    deleted = c.cull()
    assert deleted == 1001 - len(c)
    assert c.stats().bytes <= 8 * LEAST_BYTES * 1.01
    assert min(counts(c)) > 0.5 * max(counts(c))
    assert c.cull() == 0


def test_cull_that_may_evict_nothing_ends(place_of: Any) -> None:
    c = place_of(max_records=40, policy="none")
    c.set_many({f"n{number}": number for number in range(100)})
    assert (c.cull(), len(c)) == (0, 100)


# -- figures, tags


def test_figures_are_those_of_all_shards(place_of: Any) -> None:
    c = place_of(max_records=100)
    c.set_many({f"n{number}": number for number in range(20)}, tag="t")
    for number in range(30):
        c.get(f"n{number}")
    c.get_many([f"n{number}" for number in range(15, 25)])
    stats = c.stats()
    assert (stats.hits, stats.misses, stats.records, stats.max_records, stats.max_bytes) == (25, 15, 20, 100, None)
    assert stats.bytes > 0
    assert stats.eviction_error is None
    c.reset_stats()
    assert (c.stats().hits, c.stats().misses) == (0, 0)


def test_tags_are_evicted_in_all_shards(place_of: Any) -> None:
    c = place_of()
    c.set_many({f"n{number}": number for number in range(40)}, tag="t")
    c.set_many({f"m{number}": number for number in range(40)}, tag="u")
    assert min(len(part.notes.tags.engine.namespaces(0.0)) for part in parts(c).parts) > 0
    assert c.evict("t") == 40
    assert sorted(c) == sorted(f"m{number}" for number in range(40))
    assert {c.tag_of(name) for name in c} == {"u"}
    with pytest.raises(ZeroDivisionError), c.transaction():
        c.set("a", 1 // (len(c) - 40), tag="u")
    assert c.evict("u") == 40


def test_get_or_compute_and_memoize_keep_results_in_the_shard_of_the_name(place_of: Any) -> None:
    c = place_of()
    calls = []
    for _ in range(2):
        for number in range(20):
            assert c.get_or_compute(f"n{number}", lambda: calls.append(1) or 7, early=1.0, ttl=10) == 7
    assert len(calls) == 20

    @c.memoize(exceptions=ValueError)
    def half(x: int) -> int:
        calls.append(x)
        if x % 2:
            raise ValueError(x)
        return x // 2

    for _ in range(2):
        for x in range(20):
            if x % 2:
                with pytest.raises(ValueError):
                    half(x)
            else:
                assert half(x) == x // 2
    assert len(calls) == 40
    assert half.cache_info().stored == 20
    assert (half.forget(3), half.forget(3)) == (True, False)
    assert half.forget_all() == 19


# -- opening


def test_another_number_of_shards_is_refused(place: str) -> None:
    with Cache[Any](place, shards=3) as c:
        c["a"] = 1
    for shards in (1, 2, 4):
        with pytest.raises(ShardsMismatch, match="open it with shards=3"):
            Cache(place, shards=shards)
    with Cache[Any](place, shards=3) as c:
        again = pickle.loads(pickle.dumps(c))
        assert (again["a"], len(parts(again).parts), again.bounds) == (1, 3, c.bounds)
        again.close()
        assert repr(c) == f"<Cache {c.location!r} namespace='cache' lru 1 records>"


def test_mode_n_begins_empty_with_any_number(place: str) -> None:
    for shards in (3, 1, 2):
        with Cache[Any](place, shards=shards, mode="n") as c:
            assert (len(c), c.evict("t")) == (0, 0)
            c.set("a", 1, tag="t")
            c.update(b=2, c=3)
    with Store(place) as s:
        assert [name for name in s.namespaces() if "[3." in name or name in ("cache", "cache#notes", "cache#tags")] == []


def test_file_of_notes_is_shared(path: Path) -> None:
    with Cache[Any](path, shards=3) as c:
        c["a"] = 1
        assert c["a"] == 1
        assert c.stats().hits == 1
    assert [file.name for file in path.parent.iterdir() if file.name.endswith(".access")] == ["app.db.access"]


WRITES = """
from store.cache import Cache
place, number = sys.argv[1], sys.argv[2]
most = 0
with Cache(place, max_records=400, shards=4) as c:
    for i in range(120):
        c.set(f"{number}-{i}", i, tag=f"t{i % 5}" if i % 4 == 0 else None)
        if i % 8 == 0:
            c.get(f"{number}-{i}"), c.get("missing")
        most = max(most, len(c))
    once = c.get_or_compute("once", lambda: number)
print(json.dumps([most, once]))
"""


@pytest.mark.heavy
def test_many_processes_keep_the_bound_and_compute_once(place: str, crowd: Crowd) -> None:
    seen = crowd(8, WRITES, place)
    assert 360 < max(most for most, _ in seen) <= 400 * 1.05
    assert len({once for _, once in seen}) <= 2  # it may be evicted in between
    with Cache[Any](place, max_records=400, shards=4) as c:
        assert c.stats().evictions >= 8 * 120 - 400
        tagged = {name for name in c if name != "once" and int(name.partition("-")[2]) % 20 == 0}
        assert c.evict("t0") == len(tagged) > 0
        assert tagged & set(c) == set()
