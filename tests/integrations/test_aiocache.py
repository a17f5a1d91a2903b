"""Caches of aiocache in a store: one step among tasks and processes, numbers as text, closing, and records of others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from children import Crowd, Start
from strangers import FOREIGN_KEY, MINE, THEIRS, Marker

from store import Store
from store.cache import Cache

pytest.importorskip("aiocache", reason="aiocache is not installed: its cache is not tested")
from aiocache import cached, caches
from aiocache.lock import OptimisticLock, OptimisticLockError
from aiocache.serializers import JsonSerializer, PickleSerializer, StringSerializer

from store.integrations.aiocache import StoreCache

COUNTS = """
import asyncio
from store.integrations.aiocache import StoreCache
async def main():
    async with StoreCache(sys.argv[1]) as cache:
        for _ in range(20):
            await cache.increment("n")
asyncio.run(main())
print(json.dumps("done"))
"""

ENDLESS = """
import asyncio, itertools, sys
from store.integrations.aiocache import StoreCache
async def main():
    async with StoreCache(sys.argv[1]) as cache:
        for i in itertools.count():
            await cache.multi_set([(f"a{i}", i), (f"b{i}", i)])
            print(i, flush=True)
asyncio.run(main())
"""

FORKS = """
import asyncio, json, os, sys
from store.integrations.aiocache import StoreCache
cache = StoreCache(sys.argv[1])
asyncio.run(cache.set("before", 1))
pid = os.fork()
if pid == 0:
    asyncio.run(cache.increment("before"))
    os._exit(0)
status = os.waitpid(pid, 0)[1]
print(json.dumps([status, asyncio.run(cache.get("before"))]))
asyncio.run(cache.close())
"""


def run(place: str | Path, program: Callable[[StoreCache], Awaitable[Any]], **options: Any) -> Any:
    async def main() -> Any:
        async with StoreCache(place, **options) as cache:
            return await program(cache)

    return asyncio.run(main())


def test_any_object_comes_back(place: str) -> None:
    async def program(cache: StoreCache) -> None:
        await cache.set("k", {"a": (1, {2})})
        assert await cache.get("k") == {"a": (1, {2})}
        assert await cache.multi_get(["k", "none"]) == [{"a": (1, {2})}, None]
        with pytest.raises(ValueError, match="already exists"):
            await cache.add("k", 1)

    run(place, program)


def test_ttl_is_of_the_record(place: str, clock: Any) -> None:
    async def program(cache: StoreCache) -> None:
        await cache.set("usual", 1)
        await cache.set("longer", 1, ttl=20)
        await cache.set("lasting", 1, ttl=0)
        await cache.expire("longer", 30)
        clock.advance(11)
        assert await cache.multi_get(["usual", "longer", "lasting"]) == [None, 1, 1]
        assert await cache.expire("usual", 5) is False

    run(place, program, ttl=10, options={"clock": clock})


@pytest.mark.parametrize("serializer", [StringSerializer, JsonSerializer, PickleSerializer])
def test_serializer_of_aiocache_is_used(place: str, serializer: Any) -> None:
    run(place, lambda cache: cache.set("k", 1), serializer=serializer())
    with Cache(place) as c:
        assert c["k"] == serializer().dumps(1)
    assert run(place, lambda cache: cache.get("k"), serializer=serializer()) in (1, "1")


def test_number_as_text_is_incremented(place: str) -> None:
    async def program(cache: StoreCache) -> None:
        await cache.set("n", 5)
        assert await cache.increment("n", 2) == 7
        await cache.set("n", "five")
        with pytest.raises(TypeError, match="'n' is not an integer"):
            await cache.increment("n")
        assert await cache.get("n") == "five"

    run(place, program, serializer=StringSerializer())


def test_tasks_at_once_count_right(place: str) -> None:
    async def program(cache: StoreCache) -> None:
        await asyncio.gather(*(cache.increment("n") for _ in range(40)))
        assert await cache.get("n") == 40

    run(place, program)


@pytest.mark.slow
def test_processes_at_once_count_right(place: str, crowd: Crowd) -> None:
    assert crowd(3, COUNTS, place) == ["done"] * 3
    assert run(place, lambda cache: cache.get("n")) == 60


def test_optimistic_lock_refuses_a_value_of_another(place: str) -> None:
    async def program(cache: StoreCache) -> None:
        await cache.set("k", 1)
        async with OptimisticLock(cache, "k") as lock:
            await cache.set("k", 2)
            with pytest.raises(OptimisticLockError):
                await lock.cas(3)
        async with OptimisticLock(cache, "k") as lock:
            assert await lock.cas(3) is True
        assert await cache.get("k") == 3

    run(place, program)


@pytest.mark.slow
def test_killed_process_leaves_what_it_set_and_no_half(place: str, start: Start) -> None:
    child = start(ENDLESS, place)
    last = [int(child.hear()) for _ in range(10)][-1]
    child.kill()
    with Cache[Any](place) as c:
        assert {f"{side}{i}" for side in "ab" for i in range(last + 1)} <= set(c)
        assert len(c) % 2 == 0


@pytest.mark.slow
def test_works_on_both_sides_of_a_fork(place: str, start: Start) -> None:
    assert start(FORKS, place).result() == [0, 2]


def test_namespaces_are_prefixes_and_cleared_alone(place: str) -> None:
    async def program(cache: StoreCache) -> None:
        await cache.set("k", 1)
        await cache.set("k", 2, namespace="b:")
        await cache.clear(namespace="b:")
        assert (await cache.get("k"), await cache.get("k", namespace="b:")) == (1, None)

    run(place, program, namespace="a:")


def test_closed_cache_opens_again_also_while_it_is_empty(place: str) -> None:
    async def program(cache: StoreCache) -> None:
        for _ in range(2):
            assert await cache.get("k") is None
        await cache.close()
        await cache.close()
        await cache.set("k", 1)
        assert await cache.get("k") == 1

    run(place, program)


def test_decorator_takes_the_configured_cache(place: str) -> None:
    caches.set_config({"default": {"cache": "store.integrations.aiocache.StoreCache", "location": place}})
    calls = []

    @cached(alias="default", key="k")
    async def compute() -> list[int]:
        calls.append(1)
        return [1]

    async def main() -> None:
        assert [await compute(), await compute()] == [[1], [1]]
        await caches.get("default").close()

    asyncio.run(main())
    assert len(calls) == 1


def test_decorator_without_a_serializer_gives_the_value_and_not_its_text(place: str) -> None:
    @cached(cache=StoreCache, location=place, key="k")
    async def compute() -> int:
        return 1

    async def main() -> list[int]:
        values = [await compute(), await compute()]
        await compute.cache.close()
        return values

    assert asyncio.run(main()) == [1, 1]


@pytest.mark.damaged
@pytest.mark.filterwarnings(FOREIGN_KEY)
def test_foreign_record_runs_nothing_and_is_no_value(place: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ran = tmp_path / "ran"
    with Cache[Any](place, key=THEIRS) as c:
        c["secret-key"] = Marker(ran)

    async def program(cache: StoreCache) -> None:
        assert await cache.multi_get(["secret-key", "none"]) == [None, None]
        await cache.set("secret-key", 1)
        assert await cache.get("secret-key") == 1

    run(place, program, options={"key": MINE})
    assert not ran.exists()
    assert "none: Untrusted" in caplog.text
    assert "secret-key" not in caplog.text


def test_wrong_options_are_refused(place: str) -> None:
    with pytest.raises(TypeError, match="max_bytes"):
        StoreCache(place, max_bytes=1)
    with pytest.raises(ValueError, match="max_bytes is a number from"):
        run(place, lambda cache: cache.get("k"), options={"max_bytes": 1})
    with Store(place) as s:
        assert len(s) == 0
