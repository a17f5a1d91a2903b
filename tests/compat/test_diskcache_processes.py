"""Threads, processes, forks and waiting for others, on both libraries."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from children import Start

from store.compat import diskcache as ours
from store.errors import LockTimeout, StoreError

COUNT = """
import importlib, json, sys
dc = importlib.import_module(sys.argv[1])
cache = getattr(dc, sys.argv[3])(sys.argv[2], timeout=30)
for number in range(60):
    cache.incr("n", retry=True)
    cache.push(number, "queue", retry=True)
    with cache.transact(retry=True):
        cache["total"] = cache.get("total", 0) + number
cache.close()
print(json.dumps(None))
"""
COUNT_FANOUT = COUNT.replace('    cache.push(number, "queue", retry=True)\n', "")


@pytest.mark.parametrize("kind", ["Cache", pytest.param("FanoutCache", marks=pytest.mark.heavy)])
@pytest.mark.slow
def test_processes_count_together(dc: ModuleType, tmp_path: Path, start: Start, opened: Any, kind: str) -> None:
    cache = opened(getattr(dc, kind)(tmp_path / "c"))
    code = COUNT if kind == "Cache" else COUNT_FANOUT
    children = [start(code, dc.__name__, tmp_path / "c", kind) for _ in range(3)]
    for child in children:
        child.result()
    assert (cache["n"], cache["total"]) == (180, 3 * sum(range(60)))
    if kind == "Cache":
        pulled = [cache.pull("queue") for _ in range(180)]
        assert sorted(value for _, value in pulled) == sorted(3 * list(range(60)))
        assert [key for key, _ in pulled] == [f"queue-{500000000000000 + number}" for number in range(180)]
        assert cache.pull("queue") == (None, None)


def test_threads_share_a_cache(dc: ModuleType, cache: Any) -> None:
    def work(thread: int) -> None:
        for number in range(20):
            cache.incr("n", retry=True)
            cache.add(number, thread, retry=True)
            assert cache[number] is not None
        cache.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert cache["n"] == 80 and len(cache) == 21
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: cache.close(), range(8)))


def test_forked_child_uses_the_cache(cache: Any) -> None:
    cache["a"] = 1

    def child() -> None:
        assert cache["a"] == 1
        cache["b"] = 2
        cache.close()
        cache["c"] = 3

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert (cache["b"], cache["c"]) == (2, 3)


def test_child_that_is_forked_while_a_thread_opens_a_cache(tmp_path: Path) -> None:
    with ours.Cache(tmp_path / "c") as cache:
        cache["a"] = 1
        held, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            with cache.opened.opening():
                held.set()
                go_on.wait(60)
            cache.close()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(60)
        pid = os.fork()
        if pid == 0:
            try:
                cache.close()
                os._exit(0 if cache["a"] == 1 else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        go_on.set()
        thread.join(60)


HOLD = """
import importlib, sys
dc = importlib.import_module(sys.argv[1])
cache = getattr(dc, sys.argv[3])(sys.argv[2])
with cache.transact(retry=True):
    cache["held"] = 1
    print("held", flush=True)
    input()
print("released", flush=True)
input()
cache.close()
"""


@pytest.mark.slow
def test_locked_cache_times_out(dc: ModuleType, tmp_path: Path, start: Start, opened: Any) -> None:
    cache = opened(dc.Cache(tmp_path / "c", timeout=0.02))
    cache["a"] = 1
    child = start(HOLD, dc.__name__, tmp_path / "c", "Cache")
    assert child.hear() == "held"
    for act in (
        lambda: cache.set("a", 2), lambda: cache.add("b", 2), lambda: cache.incr("a"), lambda: cache.decr("a"),
        lambda: cache.pop("a"), lambda: cache.delete("a"), lambda: cache.touch("a"), lambda: cache.push(1),
        lambda: cache.transact().__enter__(), lambda: cache.__delitem__("a", retry=False),
    ):  # fmt: skip
        with pytest.raises(dc.Timeout):
            act()
    assert cache["a"] == 1 and cache.get("held") is None  # readers do not wait
    waiting = threading.Thread(target=lambda: (cache.set("a", 3, retry=True), cache.close()))
    waiting.start()
    child.say()
    waiting.join(60)
    assert child.hear() == "released"
    assert (cache["a"], cache["held"]) == (3, 1)


@pytest.mark.slow
def test_locked_fanout_fails_silently(dc: ModuleType, tmp_path: Path, start: Start, opened: Any) -> None:
    fanout = opened(dc.FanoutCache(tmp_path / "c", shards=2, timeout=0.01))
    fanout["a"] = 1
    child = start(HOLD, dc.__name__, tmp_path / "c", "FanoutCache")
    assert child.hear() == "held"
    assert fanout.set("a", 2) is False and fanout.add("b", 2) is False and fanout.delete("a") is False
    assert fanout.incr("n") is None and fanout.decr("n") is None and fanout.pop("a", "default") == "default"
    assert fanout.touch("a") is False and fanout.get("a") == 1
    child.say()
    assert child.hear() == "released"
    assert fanout.set("a", 2) is True and fanout["a"] == 2


@pytest.mark.parametrize("remove", ["clear", "evict"])
@pytest.mark.slow
def test_fanout_removes_all_once_it_has_the_lock(
    dc: ModuleType, tmp_path: Path, start: Start, opened: Any, remove: str
) -> None:
    fanout = opened(dc.FanoutCache(tmp_path / "c", shards=2, timeout=0.01))
    for key in range(20):
        fanout.set(key, key, tag="t", retry=True)
    child = start(HOLD, dc.__name__, tmp_path / "c", "FanoutCache")
    assert child.hear() == "held"
    numbers: list[int] = []
    arguments = ("t",) if remove == "evict" else ()
    waiting = threading.Thread(target=lambda: (numbers.append(getattr(fanout, remove)(*arguments)), fanout.close()))
    waiting.start()
    waiting.join(0.3)  # longer than its timeout
    child.say()
    assert child.hear() == "released"
    waiting.join(60)
    assert numbers[0] >= 20 and not any(key in fanout for key in range(20))


@pytest.mark.slow
def test_timeout_says_what_held_it(tmp_path: Path, start: Start) -> None:
    with ours.Cache(tmp_path / "c", timeout=0.02) as cache:
        child = start(HOLD, ours.__name__, tmp_path / "c", "Cache")
        child.hear()
        with pytest.raises(ours.Timeout, match="retry=True waits on") as raised:
            cache.set("a", 1)
        assert isinstance(raised.value.__cause__, LockTimeout)
        child.say()


KILLED = """
import importlib, sys
dc = importlib.import_module(sys.argv[1])
cache = dc.Cache(sys.argv[2], eviction_policy="none")
lock = dc.Lock(cache, "lock", expire=float(sys.argv[3]))
lock.acquire()
cache.set("value", b"x" * 3_000_000, tag="t")
print("ready", flush=True)
with cache.transact():
    cache["half"] = 1
    print("inside", flush=True)
    input()
"""


@pytest.mark.slow
def test_killed_process_leaves_what_it_had_committed(dc: ModuleType, tmp_path: Path, start: Start, opened: Any) -> None:
    child = start(KILLED, dc.__name__, tmp_path / "c", 3600)
    assert [child.hear(), child.hear()] == ["ready", "inside"]
    child.kill()
    cache = opened(dc.Cache(tmp_path / "c"))
    assert len(cache["value"]) == 3_000_000 and "half" not in cache
    assert dc.Lock(cache, "lock").locked()  # until it expires, or somebody releases it
    dc.Lock(cache, "lock").release()
    assert cache.evict("t") == 1 and len(cache) == 0


def test_cache_is_closed_by_its_last_thread(tmp_path: Path) -> None:
    cache = ours.Cache(tmp_path / "c")
    used, go_on = threading.Event(), threading.Event()

    def work() -> None:
        cache["a"] = 1
        used.set()
        go_on.wait(60)
        cache.close()

    thread = threading.Thread(target=work)
    thread.start()
    used.wait(60)
    store = cache.store
    cache.close()
    assert not store.opened.closed  # the thread still uses it
    go_on.set()
    thread.join(60)
    assert store.opened.closed


def test_setting_that_bounds_can_be_reset_in_a_transaction(tmp_path: Path) -> None:
    with ours.Cache(tmp_path / "c") as cache:
        with pytest.raises(ZeroDivisionError), cache.transact():
            cache["a"] = 1
            cache.reset("size_limit", 10**7)
            cache["b"] = 2
            1 / 0
        assert list(cache) == [] and cache.reset("size_limit") == 2**30
        with pytest.raises(StoreError, match="transaction"), cache.transact():
            cache.close()
        cache["c"] = 3
        assert list(cache) == ["c"]
