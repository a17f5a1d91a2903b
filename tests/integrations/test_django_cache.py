"""Django's cache on a store: what its contract leaves open, and what goes wrong with a cache on disk."""

from __future__ import annotations

import logging
import subprocess
import threading
from asyncio import gather
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.cache import Cache
from store.errors import StoreClosed

pytest.importorskip("django", reason="Django is missing: its adapter was not tested")

from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured

from store.integrations.django.cache import StoreCache
from store.integrations.django.handles import close_all, handle

Make = Callable[..., StoreCache]


# About the one namespace, or bounds that do not divide.
ONE_PART = pytest.mark.parametrize("make", [1], ids=[""], indirect=True)


@pytest.fixture(params=[1, 3], ids=["", "shards"])
def make(request: pytest.FixtureRequest, place: str, clock: Any) -> Iterator[Make]:
    """Makes caches of one place, as Django does for each thread; their clock stands still."""

    def make_one(**params: Any) -> StoreCache:
        options = {"clock": clock, "shards": request.param, **params.pop("OPTIONS", {})}
        return StoreCache(place, {**params, "OPTIONS": options})

    yield make_one
    close_all()


def test_threads_share_one_handle(make: Make) -> None:
    found: list[Cache[Any]] = []
    barrier = threading.Barrier(8)

    def use() -> None:
        mine = make()
        barrier.wait(30)
        found.append(mine.cache)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 8 and len({id(cache) for cache in found}) == 1
    assert make(OPTIONS={"max_records": 7}).cache is not found[0]


def test_handles_are_closed_and_opened_again(make: Make) -> None:
    make().set("a", 1)
    first = make().cache
    close_all()
    assert make().get("a") == 1
    assert make().cache is not first


def test_making_one_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = StoreCache("cache.db", {})  # as `manage.py check` does for every cache
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    made.set("a", 1)
    assert (tmp_path / "cache.db").exists()
    close_all()


def test_location_is_asked_for() -> None:
    with pytest.raises(ImproperlyConfigured, match="LOCATION"):
        StoreCache("", {})


def test_timeouts(make: Make, clock: Any) -> None:
    cache = make(TIMEOUT=60)
    cache.set("default", 1)
    cache.set("own", 1, 90.5)
    cache.set("ever", 1, None)
    for timeout in (0, -1, -0.5):
        cache.set("own2", 1)
        cache.set("own2", 1, timeout)
        assert cache.add("own2", 1, timeout) is True and not cache.has_key("own2")
        assert cache.get_or_set("own2", lambda: 5, timeout) == 5 and "own2" not in cache
        cache.set("own2", 1)
        assert cache.add("own2", 1, timeout) is False
        assert cache.get_or_set("own2", lambda: 5, timeout) == 1
        assert (cache.touch("own2", timeout), cache.touch("own2", timeout)) == (True, False)
    clock.advance(60)
    assert cache.get_many(["default", "own", "ever", "own2"]) == {"own": 1, "ever": 1}
    assert cache.touch("own", 60) and cache.touch("ever")
    clock.advance(59)
    assert cache.get_many(["own", "ever"]) == {"own": 1, "ever": 1}
    clock.advance(1)
    assert cache.get_many(["own", "ever"]) == {}


def test_incr_keeps_the_timeout_and_the_kind_of_number(make: Make, clock: Any) -> None:
    cache = make()
    cache.set("n", 1, 60)
    assert (cache.incr("n"), cache.incr("n", 2.5), cache.decr("n", 4)) == (2, 4.5, 0.5)
    with pytest.raises(ValueError, match="Key 'missing' not found"):
        cache.decr("missing")
    clock.advance(60)
    with pytest.raises(ValueError, match="Key 'n' not found"):
        cache.incr("n")


INCREMENTS = """
from store.integrations.django.cache import StoreCache
cache = StoreCache(sys.argv[1], {})
for _ in range(50):
    cache.incr("n")
print(json.dumps([cache.add("first", sys.argv[2]), cache.get_or_set("made", lambda: sys.argv[2], None)]))
"""


@pytest.mark.slow
def test_processes_lose_no_increment(make: Make, place: str, crowd: Any) -> None:
    StoreCache(place, {}).set("n", 0, None)
    results = crowd(2, INCREMENTS, place)
    assert StoreCache(place, {}).get("n") == 100
    assert sorted(added for added, _ in results) == [False, True]
    assert len({made for _, made in results}) == 1


def test_one_thread_computes(make: Make) -> None:
    computed: list[int] = []
    barrier = threading.Barrier(4)

    def compute() -> int:
        computed.append(1)
        return 7

    found: list[int] = []

    def use() -> None:
        barrier.wait(30)
        found.append(make().get_or_set("made", compute))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (found, computed) == ([7] * 4, [1])


def test_prefixes_and_versions_are_apart(make: Make) -> None:
    one, other = make(KEY_PREFIX="one"), make(KEY_PREFIX="other", VERSION=2)
    one.set("a", 1)
    other.set("a", 2)
    assert (one.get("a"), one.get("a", version=2), other.get("a")) == (1, None, 2)
    assert other.decr_version("a") == 1 and other.get("a", version=1) == 2
    assert sorted(one.cache) == ["one:1:a", "other:1:a"]
    one.clear()
    assert other.get("a", version=1) is None


@ONE_PART
@pytest.mark.parametrize(("frequency", "left"), [(None, 29), (3, 29), (2, 19), (0, 19), (1000, 30)])
def test_max_entries_and_cull_frequency(make: Make, frequency: int | None, left: int) -> None:
    options = {"MAX_ENTRIES": 30} if frequency is None else {"MAX_ENTRIES": 30, "CULL_FREQUENCY": frequency}
    cache = make(OPTIONS=options)
    for number in range(49):
        cache.set(f"n{number}", number)
    assert len(cache.cache) == left


def test_options_are_those_of_the_cache(make: Make) -> None:
    bounds = make(OPTIONS={"max_bytes": 2**20, "policy": "fifo"}).cache.bounds
    assert bounds == (2**20, None, "fifo", 0)
    with pytest.raises(TypeError, match="max_size"):
        make(OPTIONS={"max_size": 1}).get("a")


@ONE_PART
def test_entry_that_cannot_be_read_is_a_miss(
    make: Make, place: str, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    make().set_many({"a": 1, "b": 2})
    close_all()
    cache = make()
    with caplog.at_level(logging.WARNING), pytest.warns(UserWarning, match="store admit"):
        with Store[Any](place, namespace="cache", key=b"k" * 32, clock=clock) as stranger:
            stranger[":1:a"] = subprocess.Popen  # a class, which only its own program may load
        assert cache.get("a", "missing") == "missing"
    assert "':1:a'" in caplog.text and caplog.records[0].name == "store.integrations.django.cache"
    assert cache.get_many(["a", "b"]) == {"b": 2}
    assert cache.get_or_set("a", 3) == 3
    assert cache.get("a") == 3


@ONE_PART
@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*store admit")
@pytest.mark.parametrize("value", [7, subprocess.Popen])
def test_entry_that_none_of_your_keys_sealed_is_missing_for_all_operations(
    make: Make, place: str, clock: Any, caplog: pytest.LogCaptureFixture, value: Any
) -> None:
    cache = make()
    cache.set("b", 2)
    with Store[Any](place, namespace="cache", key=b"k" * 32, clock=clock) as stranger:
        stranger[":1:a"] = value  # plain data too: a session of `cached_db` is plain
    assert cache.get("a", "missing") == "missing" and cache.get_many(["a", "b"]) == {"b": 2}
    with pytest.raises(ValueError, match="'a' not found"):
        cache.incr("a")
    assert cache.touch("a", 60) is False
    assert "counts as missing" in caplog.text
    assert cache.add("a", 1) is True and cache.add("a", 2) is False
    assert (cache.incr("a"), cache.get("a")) == (2, 2)


def test_coroutines_do_it_as_one_step(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    async def use() -> None:
        cache = make()
        assert await cache.aset("a", 1) is None and await cache.aget("a") == 1
        assert await cache.aadd("a", 2) is False and await cache.atouch("a", 60) is True
        assert await cache.aset_many({"b": 2, "c": 3}) == []
        assert await cache.aget_many(["a", "b", "x"]) == {"a": 1, "b": 2}
        assert (await cache.aincr("a"), await cache.adecr("b"), await cache.ahas_key("x")) == (2, 1, False)
        assert await cache.aget_or_set("d", lambda: 4) == 4
        assert await cache.aincr_version("a") == 2 and await cache.adecr_version("a", version=2) == 1
        assert await cache.adelete("a") is True and await cache.adelete_many(["b", "c"]) is None
        assert list(cache.cache) == [":1:d"]
        await cache.aset("n", 0)
        await gather(*(cache.aincr("n") for _ in range(20)))
        assert await cache.aget("n") == 20
        await cache.aclear()
        await cache.aclose()
        assert len(cache.cache) == 0

    async_to_sync(use)()  # in this thread, where asgiref would start one that stays


def test_two_threads_that_open_at_once_get_one_handle(path: Path) -> None:
    opened: list[Cache[Any]] = []
    both_have_opened = threading.Barrier(2)

    def opening(location: str) -> Cache[Any]:
        mine = Cache[Any](location)
        opened.append(mine)
        both_have_opened.wait(30)
        return mine

    found: list[Cache[Any]] = []
    threads = [threading.Thread(target=lambda: found.append(handle(opening, str(path), {}))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(opened) == 2 and found[0] is found[1]
    found[0]["a"] = 1
    (other,) = (cache for cache in opened if cache is not found[0])
    with pytest.raises(StoreClosed):
        other["a"]
    close_all()
