"""Locks, throttle, barrier and the decorator against stampedes: the same on diskcache and on ours."""

from __future__ import annotations

import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest
from diskcaches import Clock


@pytest.mark.parametrize("kind", ["Lock", "RLock", "BoundedSemaphore"])
def test_one_at_a_time(dc: ModuleType, cache: Any, kind: str) -> None:
    lock = getattr(dc, kind)(cache, "key")
    inside: list[int] = []

    def work(number: int) -> int:
        with lock:
            inside.append(number)
            most = len(inside)
            cache.get("a pause of the other threads")
            inside.remove(number)
            return most

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(work, range(20))) == {1}
        list(pool.map(lambda _: cache.close(), range(8)))


def test_what_locks_keep_in_the_cache(dc: ModuleType, cache: Any, now: Clock) -> None:
    lock = dc.Lock(cache, "lock", expire=10, tag="locks")
    lock.acquire()
    assert cache.get("lock", expire_time=True, tag=True) == (None, now.now + 10, "locks") and lock.locked()
    now.advance(11)
    assert not lock.locked()
    lock.acquire()
    dc.Lock(cache, "lock").release()  # by anybody
    assert not lock.locked()

    me = f"{os.getpid()}-{threading.get_ident()}"
    rlock = dc.RLock(cache, "rlock", tag="locks")
    rlock.acquire()
    rlock.acquire()
    assert cache.get("rlock", tag=True) == ((me, 2), "locks")
    rlock.release()
    rlock.release()
    assert cache["rlock"] == (me, 0)
    with pytest.raises(AssertionError, match="cannot release un-acquired lock"):
        rlock.release()

    semaphore = dc.BoundedSemaphore(cache, "semaphore", value=2)
    semaphore.acquire()
    assert cache["semaphore"] == 1
    semaphore.release()
    with pytest.raises(AssertionError, match="cannot release un-acquired semaphore"):
        semaphore.release()
    average = dc.Averager(cache, "average", expire=5)
    average.add(1)
    average.add(2)
    assert cache.get("average", expire_time=True) == ((3.0, 2), now.now + 5)
    assert average.get() == 1.5 == average.pop() and average.get() is None


def test_rlock_of_another_thread_is_waited_for(dc: ModuleType, cache: Any) -> None:
    rlock, order = dc.RLock(cache, "key"), []
    rlock.acquire()

    def other() -> None:
        with rlock:
            order.append("other")
        cache.close()

    thread = threading.Thread(target=other)
    thread.start()
    with pytest.raises(AssertionError), ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(rlock.release).result()
        finally:
            pool.submit(cache.close).result()
    order.append("mine")
    rlock.release()
    thread.join(30)
    assert order == ["mine", "other"]


def test_throttle_is_a_bucket_of_tokens(dc: ModuleType, cache: Any) -> None:
    clock, naps = [100.0], []

    def nap(seconds: float) -> None:
        naps.append(round(seconds, 6))
        clock[0] += seconds

    @dc.throttle(cache, 4, 2, name="bucket", tag="t", time_func=lambda: clock[0], sleep_func=nap)
    def call() -> float:
        """Calls."""
        return round(clock[0], 6)

    assert call.__doc__ == "Calls." and cache.get("bucket", tag=True) == ((100.0, 4), "t")
    assert [call() for _ in range(6)] == [100.0, 100.0, 100.0, 100.0, 100.5, 101.0]
    assert naps == [0.5, 0.5]
    clock[0] += 1000  # no more than four have gathered
    assert [call() - 1101 for _ in range(5)] == [0.0, 0.0, 0.0, 0.0, 0.5]


def test_barrier_holds_the_lock_of_its_name(dc: ModuleType, cache: Any) -> None:
    @dc.barrier(cache, dc.Lock, name="b", expire=60, tag="t")
    def work(number: int) -> tuple[int, bool]:
        return number + 1, cache.get("b", 0, tag=True) == (None, "t")

    assert work(1) == (2, True) and "b" not in cache

    @dc.barrier(cache, dc.BoundedSemaphore)
    def other() -> bool:
        return f"{__name__}.{other.__qualname__}" in cache

    assert other() is True


def test_stampede_computes_early_in_a_thread(dc: ModuleType, cache: Any, now: Clock, monkeypatch: Any) -> None:
    calls: list[int] = []

    @dc.memoize_stampede(cache, expire=100, name="f", tag="t", beta=1)
    def slow(x: int) -> int:
        calls.append(x)
        now.advance(5 if len(calls) == 1 else 0)  # takes five seconds
        return len(calls)

    key = slow.__cache_key__(3)
    assert key == ("f", 3, None)
    assert slow(3) == 1 and cache.get(key, expire_time=True, tag=True) == ((1, 5.0), now.now + 100, "t")
    monkeypatch.setattr(random, "random", lambda: 0.5)  # -5 * ln(0.5) is 3.5 seconds before it expires
    now.advance(96)
    assert slow(3) == 1 and calls == [3]
    now.advance(1)
    before = set(threading.enumerate())
    assert slow(3) == 1  # the value that is there, while a thread computes
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
    assert calls == [3, 3] and slow(3) == 2
    assert (*key, dc.ENOVAL) in cache
    now.advance(101)
    assert slow(3) == 3
    assert slow.__wrapped__(1) == 4


def test_stampede_ignores_and_types(dc: ModuleType, cache: Any) -> None:
    @dc.memoize_stampede(cache, 60, typed=True, ignore={"log"})
    def f(x: Any, log: Any = None) -> Any:
        return type(x)

    assert f(1, log=1) is int and f(1.0, log=2) is float and f(1, log=3) is int
    assert len(cache) == 2 and f.__cache_key__(1, log=5) == f.__cache_key__(1)


def test_close_in_a_thread_leaves_others_alone(cache: Any) -> None:
    cache["a"] = 1
    with cache.transact():
        cache["b"] = 2
        thread = threading.Thread(target=lambda: (cache.get("a"), cache.close()))
        thread.start()
        thread.join(30)
        cache["c"] = 3
    assert list(cache) == ["a", "b", "c"]


def test_pauses_are_short(dc: ModuleType, cache: Any, monkeypatch: Any) -> None:
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        cache.delete("key")

    dc.Lock(cache, "key").acquire()
    monkeypatch.setattr(time, "sleep", pause)
    dc.Lock(cache, "key").acquire()
    assert pauses == [0.001]
