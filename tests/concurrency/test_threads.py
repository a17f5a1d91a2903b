"""Many threads on one `Store`, on a file and in memory."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from store import Store
from store.backends import wal_index
from store.errors import LockTimeout, StoreClosed, StoreError

THREADS = 16
TIMEOUT = 60.0  # seconds


@pytest.fixture(params=["file", "memory"])
def place(request, path):
    return path if request.param == "file" else ":memory:"


def together(number: int, work: Callable[[int], Any]) -> list[Any]:
    """What `work(i)` returned or raised, in `number` threads that begin at once."""
    start, results = threading.Barrier(number), [None] * number

    def run(i: int) -> None:
        start.wait(TIMEOUT)
        try:
            results[i] = work(i)
        except Exception as exc:
            results[i] = exc

    threads = [threading.Thread(target=run, args=(i,)) for i in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert not any(thread.is_alive() for thread in threads)
    return results


def in_thread(work: Callable[[], Any]) -> Any:
    """What `work()` returned or raised in another thread."""
    return together(1, lambda _: work())[0]


def test_counts_of_sixteen_threads_are_exact(place):
    with Store(place) as s:
        s.update(count=0, list=[])

        def work(i: int) -> None:
            for k in range(20):
                s.modify("count", lambda value: value + 1)
                with s.edit("list") as values:
                    values.append((i, k))
                s[f"{i}-{k}"] = i
                assert s[f"{i}-{k}"] == i
                assert s.setdefault("one", i) == s["one"]

        assert together(THREADS, work) == [None] * THREADS
        assert s["count"] == THREADS * 20
        assert sorted(s["list"]) == [(i, k) for i in range(THREADS) for k in range(20)]
        assert len(s) == THREADS * 20 + 3


def test_each_record_is_popped_by_one_thread(place):
    with Store(place) as s:
        s.update({str(i): i for i in range(100)})

        def work(_: int) -> list[int]:
            mine = []
            while True:
                try:
                    mine.append(s.popitem()[1])
                except KeyError:
                    return mine

        assert sorted(value for mine in together(8, work) for value in mine) == list(range(100))


def test_transaction_of_one_thread_keeps_others_out(path):
    with Store(path, timeout=0.1) as s:
        s["a"] = 1
        with s.transaction():
            s["a"] = 2
            assert in_thread(lambda: s["a"]) == 1  # readers go on, and see nothing of it
            assert in_thread(lambda: list(s.items())) == [("a", 1)]
            assert isinstance(in_thread(lambda: s.update(a=3)), LockTimeout)
            assert isinstance(in_thread(lambda: s.modify("a", lambda value: 4)), LockTimeout)
            assert s["a"] == 2
        assert in_thread(lambda: s["a"]) == 2
        assert in_thread(lambda: s.update(b=3)) is None
        assert dict(s) == {"a": 2, "b": 3}


def test_transaction_in_memory_keeps_other_threads_out():
    with Store(":memory:", timeout=0.1) as s:
        s["a"] = 1
        with s.transaction():
            s["a"] = 2
            assert isinstance(in_thread(lambda: s.update(a=3)), LockTimeout)
            assert isinstance(in_thread(lambda: s["a"]), LockTimeout)  # there is but one connection to read by
            assert s["a"] == 2
        assert in_thread(lambda: s["a"]) == 2


def test_waiting_thread_goes_on_when_the_transaction_ends(place):
    with Store(place) as s:
        s["order"] = ["first"]
        waits = threading.Event()

        def append() -> None:
            waits.set()
            s.modify("order", lambda order: [*order, "third"])

        thread = threading.Thread(target=append)
        with s.transaction():
            thread.start()
            assert waits.wait(TIMEOUT)
            s.modify("order", lambda order: [*order, "second"])
        thread.join(TIMEOUT)
        assert s["order"] == ["first", "second", "third"]


def test_threads_that_end_give_their_connections_back(path):
    with Store(path) as s:
        s["a"] = 1
        for _ in range(3):
            assert in_thread(lambda: s["a"]) == 1
        before = len(os.listdir("/proc/self/fd"))
        for i in range(200):
            assert in_thread(lambda i=i: s.update(a=i)) is None
        assert len(os.listdir("/proc/self/fd")) <= before
        assert s["a"] == 199


@pytest.mark.parametrize("work", ["set", "get", "transaction", "edit", "iterate"])
def test_close_while_other_threads_work(place, work):
    s = Store(place)
    s.update({str(i): [i] for i in range(300)})
    begun = threading.Barrier(4)

    def steps() -> None:
        if work == "set":
            s["a"] = 1
        elif work == "get":
            assert s["7"] == [7]
        elif work == "transaction":
            with s.transaction():
                s["a"] = 1
                s["b"] = 2
        elif work == "edit":
            with s.edit("7") as value:
                value[0] = 7
        else:
            assert len(list(s.items())) >= 300

    def run(i: int) -> None:
        steps()
        begun.wait(TIMEOUT)
        if i == 0:
            s.close()
        while True:
            steps()

    errors = together(4, run)
    assert [type(error) for error in errors] == [StoreClosed] * 4, errors
    with pytest.raises(StoreClosed):
        s["7"]


def test_close_inside_a_transaction_of_another_thread(path):
    entered, closed = threading.Event(), threading.Event()
    s = Store(path)
    s["a"] = 1

    def write() -> None:
        with s.transaction():
            s["a"] = 2
            entered.set()
            assert closed.wait(TIMEOUT)

    def close() -> None:
        assert entered.wait(TIMEOUT)
        s.close()
        closed.set()

    written, _ = together(2, lambda i: write() if i == 0 else close())
    assert isinstance(written, StoreClosed)
    with Store(path) as s:  # the lock was given back, and nothing was kept
        s["b"] = 2
        assert dict(s) == {"a": 1, "b": 2}


def test_close_while_a_thread_waits_for_the_lock(path):
    s = Store(path)
    s["a"] = 1
    waits = threading.Event()

    def write() -> None:
        waits.set()
        s["a"] = 2

    with open(f"{path}.lock", "rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as another process would
        error, _ = together(2, lambda i: write() if i == 0 else waits.wait(TIMEOUT) and s.close())
    assert isinstance(error, StoreClosed)


def test_named_lock_excludes_other_threads(place):
    with Store(place) as s:
        s["inside"] = 0

        def work(_: int) -> None:
            for _ in range(5):
                with s.lock("job"):
                    assert s.modify("inside", lambda value: value + 1) == 1
                    assert s.modify("inside", lambda value: value - 1) == 0

        assert together(4, work) == [None] * 4
        with s.lock("job"):
            assert isinstance(in_thread(lambda: s.lock("job", timeout=0.05).__enter__()), LockTimeout)
            with pytest.raises(StoreError, match="wait for itself"), s.lock("job"):
                raise AssertionError("never entered")


def test_look_at_the_index_keeps_nothing_while_it_waits_for_who_opens_a_connection(path, monkeypatch):
    """Who opens one may close another on the way, in a collection of garbage: each then waited for the other."""

    class Telling:
        """The lock of those who open and close; tells when a second thread comes to it."""

        def __init__(self):
            self.lock, self.opener = threading.RLock(), threading.get_ident()
            self.asked = threading.Event()

        def __enter__(self):
            if threading.get_ident() != self.opener:
                self.asked.set()
            return self.lock.__enter__()

        def __exit__(self, *error):
            return self.lock.__exit__(*error)

    with Store(path) as s:
        s["a"] = 1
        coherence = s._backend.coherence
        coherence.drop()
        with monkeypatch.context() as patched:
            telling = Telling()
            patched.setattr(wal_index, "_files_lock", telling)
            thread = threading.Thread(target=coherence.index)
            with wal_index.opening():
                thread.start()
                assert telling.asked.wait(TIMEOUT)
                free = coherence._lock.acquire(timeout=5)
                if free:
                    coherence._lock.release()
            thread.join(TIMEOUT)
        assert free, "whoever closes the last connection would wait for ever"
