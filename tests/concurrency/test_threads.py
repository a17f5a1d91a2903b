"""Many threads on one `Store`, on a file and in memory."""

from __future__ import annotations

import fcntl
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from free import needs_held
from threads import in_thread, together

from store import Store
from store.engines.sqlite.engine import wal_index
from store.errors import LockTimeout, StoreClosed, StoreError
from store.system import turns
from store.system.turns import TURN, Ticket, Turns

THREADS = 16
TIMEOUT = 60.0  # seconds


@pytest.mark.slow
def test_counts_of_sixteen_threads_are_exact(location):
    with Store(location) as s:
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


def test_each_record_is_popped_by_one_thread(location):
    with Store(location) as s:
        s.update({str(i): i for i in range(100)})

        def work(_: int) -> list[int]:
            mine = []
            while True:
                try:
                    mine.append(s.popitem()[1])
                except KeyError:
                    return mine

        assert sorted(value for mine in together(8, work) for value in mine) == list(range(100))


def test_transaction_of_one_thread_keeps_others_out(location):
    with Store(location, timeout=0.1) as s:
        needs_held(s)
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


def change(s: Store[Any], number: int) -> None:
    """Writes of many kinds, in a transaction and out of it, and what is undone."""
    s["set"] = number
    with suppress(ZeroDivisionError), s.transaction():
        s["gone"] = number
        1 / 0
    with s.transaction():
        s.update({f"{number}-{i}": i for i in range(5)})
        with suppress(ZeroDivisionError), s.transaction():
            s["set"] = "undone"
            s.clear()
            1 / 0
        with s.transaction():
            del s[f"{number}-3"]
            s.put("ttl", number, ttl=3600)
    s.popitem()
    with s.edit("edited", default=[]) as value:
        value.append(number)
    with suppress(KeyError):
        del s[f"{number - 1}-1"]


def test_other_threads_read_exactly_what_is_committed(location):
    with Store(location) as s:
        for number in range(30):
            change(s, number)
            before = list(s.items()), {record.name: record.revision for record in s.records()}
            with s.transaction():
                s.clear()
                s["inside"] = number
                seen = in_thread(lambda: (list(s.items()), {record.name: record.revision for record in s.records()}))
                del s["inside"]
                assert len(s) == 0
                if number % 7:
                    s.update(before[0])
            assert seen == before


def write_in_a_loop(s: Store[Any], step: str, threads: int, number_of_turns: int) -> list[list[int]]:
    """How many turns each thread had had when one had had all of its own, then when the next one had, and so on."""
    counts = [0] * threads
    seen: list[list[int]] = []

    def work(i: int) -> None:
        for number in range(number_of_turns):
            if step == "set":
                s[str(i)] = number
            else:
                with s.transaction():
                    s[str(i)] = number
            counts[i] += 1
        seen.append(counts.copy())

    assert together(threads, work) == [None] * threads
    return seen


@pytest.mark.parametrize("step", ["set", "transaction"])
@pytest.mark.parametrize("is_file", [True, False])
@pytest.mark.slow
def test_turns_of_writers_are_fair(path, is_file, step, monkeypatch):
    """Counted, not timed: while a thread waits in the queue each other one has a few turns, and no more.

    Of the queue that a process has for the lock of a file and of a store in memory; a server has its own.
    """
    took, joined, longest = [0], WeakKeyDictionary(), [0]
    all_wait = threading.Event()
    take, join = Turns.take, Turns.join

    def taking(self: Turns, thread: int, ticket: Ticket | None, **options: bool) -> bool:
        done = take(self, thread, ticket, **options)
        if done and ticket in joined:
            longest[0] = max(longest[0], took[0] - joined[ticket])
        took[0] += done
        return done

    def joining(self: Turns, ticket: Ticket) -> None:
        joined.setdefault(ticket, took[0])
        join(self, ticket)
        if len(self.waiting) == 4:
            all_wait.set()

    monkeypatch.setattr(Turns, "take", taking)
    monkeypatch.setattr(Turns, "join", joining)
    monkeypatch.setattr(turns, "PATIENCE", 10**9)  # however busy the machine is
    with Store(path if is_file else ":memory:") as s, ThreadPoolExecutor(1) as pool:
        with s.transaction():  # until all of them have had to wait
            writing = pool.submit(write_in_a_loop, s, step, 4, 200)
            assert all_wait.wait(TIMEOUT)
        writing.result(TIMEOUT)
    assert 3 <= longest[0] <= 4 * TURN


@pytest.mark.heavy
@pytest.mark.parametrize("step", ["set", "transaction"])
def test_slowest_writer_has_half_the_turns_of_the_fastest(location, step):
    with Store(location) as s:
        counts = write_in_a_loop(s, step, 4, 5000)[0]
    assert min(counts) >= max(counts) / 2, counts


def test_reader_beside_writers_in_a_loop_gets_its_turns(location):
    """A read took seconds, and ended in a LockTimeout: between two reads no more than so many writes go by."""
    with Store(location) as s:
        s["a"] = 0
        done = threading.Event()
        counts = [0, 0]

        def work(i: int) -> int:
            if i == 0:
                for _ in range(50):
                    assert s.get_many(["a", "nobody"]).keys() == {"a"}
                done.set()
                return counts[1]
            while not done.is_set():
                s[f"{i}"] = counts[1]
                counts[1] += 1
            return 0

        assert together(3, work)[0] < 50 * 1000


def test_waiting_thread_goes_on_when_the_transaction_ends(location):
    with Store(location) as s:
        needs_held(s)
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


def test_threads_that_end_give_their_connections_back(place):
    with Store(place) as s:
        s["a"] = 1
        for _ in range(3):
            assert in_thread(lambda: s["a"]) == 1
        before = len(os.listdir("/proc/self/fd"))
        for i in range(200):
            assert in_thread(lambda i=i: s.update(a=i)) is None
        assert len(os.listdir("/proc/self/fd")) <= before
        assert s["a"] == 199


@pytest.mark.parametrize("work", ["set", "get", "transaction", "edit", "iterate"])
def test_close_while_other_threads_work(location, work):
    s = Store(location)
    if work == "transaction":
        needs_held(s)  # else all but one end in a conflict
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


def test_close_inside_a_transaction_of_another_thread(place):
    entered, closed = threading.Event(), threading.Event()
    s = Store(place)
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
    with Store(place) as s:  # the lock was given back, and nothing was kept
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


def test_named_lock_excludes_other_threads(location):
    with Store(location) as s:
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
        coherence = s.opened.engine.coherence
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
