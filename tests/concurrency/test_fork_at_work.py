"""Forks while an iteration, other threads or locks are under way."""

from __future__ import annotations

import os
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from forking import WRITE, outcome, write
from free import needs_held
from threads import in_thread

from store import Store
from store.engines.sqlite.engine.thread_connection import ThreadConnection
from store.errors import LockTimeout, StoreError

TIMEOUT = 60.0  # seconds

def connections_to(path: Path) -> list[str]:
    """The open files whose names begin so, but for those that are locks of our own."""
    files = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    return [file for file in files if file.startswith(str(path)) and not file.endswith(".lock")]


# -- while other things go on


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork waits for other threads as long as it takes: on a busy machine one may stand still for seconds."""
    monkeypatch.setattr("store.engines.sqlite.opening.attach.FORK_SECONDS", TIMEOUT)
    monkeypatch.setattr("store.engines.sqlite.opening.attach.OPENING_SECONDS", TIMEOUT)


@pytest.mark.slow
def test_fork_while_iterating(path, forked, seen):
    with Store(path) as s:
        s.update({str(i): i for i in range(700)})  # several pages
        items = iter(s.items())
        first = [next(items) for _ in range(10)]

        def work() -> int:
            s["child"] = 1
            return len(list(items))

        child = forked(work)
        s["parent"] = 2
        assert child.result() == 690
        assert len(first + list(items)) == 700
        assert seen() == dict(s)
        assert len(s) == 702


@pytest.mark.slow
def test_fork_from_a_second_thread(path, forked, seen):
    with Store(path) as s:
        s["a"] = 1
        answers = []

        def fork() -> None:
            child = forked(lambda: write(s, "child", s["a"]))
            s["thread"] = 2
            answers.append(child.result())

        thread = threading.Thread(target=fork)
        thread.start()
        thread.join(TIMEOUT)
        s["parent"] = 3
        assert answers == ["written"]
        assert dict(s) == seen() == {"a": 1, "child": 1, "thread": 2, "parent": 3}


@pytest.mark.parametrize("how", ["set", "get", "modify", "transaction"])
@pytest.mark.slow
def test_fork_while_other_threads_work_in_a_loop(place, forked, patient, how):
    with Store(place) as s:
        if how == "transaction":
            needs_held(s)  # else one of two ends in a conflict
        s["count"] = s["tries"] = 0
        begun, stop = threading.Barrier(3), threading.Event()
        counts = [0, 0]

        def loop(number: int) -> None:
            begun.wait(TIMEOUT)
            while not stop.is_set():
                if how == "set":
                    s[f"thread {number}"] = counts[number]
                elif how == "get":
                    assert s["tries"] == 0
                elif how == "modify":
                    s.modify("count", lambda value: value + 1)
                else:
                    with s.transaction():
                        s["count"] = s["count"] + 1
                        s[f"thread {number}"] = counts[number]
                counts[number] += 1

        threads = [threading.Thread(target=loop, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        begun.wait(TIMEOUT)
        try:
            answers = [forked(lambda i=i: write(s, f"child {i}", i)).result() for i in range(10)]
        finally:
            stop.set()
            for thread in threads:
                thread.join(TIMEOUT)
        assert answers == ["written"] * 10  # the fork waited until they were between two writes
        assert [s[f"child {i}"] for i in range(10)] == list(range(10))
        if how in ("modify", "transaction"):
            assert s["count"] == sum(counts)


@pytest.mark.slow
def test_fork_while_another_thread_is_in_a_long_transaction(path, forked, monkeypatch, program):
    monkeypatch.setattr("store.engines.sqlite.opening.attach.FORK_SECONDS", 0.05)
    entered, leave = threading.Event(), threading.Event()
    with Store(path) as s:
        s["a"] = 1

        def hold() -> None:
            with s.transaction():
                s["a"] = 2
                entered.set()
                assert leave.wait(TIMEOUT)

        thread = threading.Thread(target=hold)
        thread.start()
        assert entered.wait(TIMEOUT)
        answer = forked(lambda: s["a"]).result()
        leave.set()
        thread.join(TIMEOUT)
        assert "use spawn" in answer
        assert program(WRITE, path).output() == ""
        assert dict(s) == {"a": 2, "third": 3}


@pytest.mark.heavy
def test_fork_while_other_threads_open_stores(place, tmp_path, forked, patient):
    stop, begun = threading.Event(), threading.Event()

    def loop() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with Store(tmp_path / f"{number % 3}.db") as other:
                other["a"] = number
            begun.set()

    with Store(place):
        thread = threading.Thread(target=loop)
        thread.start()
        assert begun.wait(TIMEOUT)

        def work() -> list[str]:
            files = connections_to(tmp_path)
            for number in range(3):
                with Store(tmp_path / f"{number}.db") as other:
                    other["child"] = number
            return files

        try:
            answers = [forked(work).result() for _ in range(20)]
        finally:
            stop.set()
            thread.join(TIMEOUT)
        assert answers == [[]] * 20  # no connection was inherited: it would hold locks that SQLite believes in


class ForkingGuard:
    """The guard of a connection, with a fork the moment that it is given back: before the caller does anything more."""

    forking = False  # a fork takes and gives guards as well

    def __init__(self, fork) -> None:
        self.lock = threading.RLock()
        self.acquire, self.release = self.lock.acquire, self.lock.release
        self.fork = fork

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()
        if not ForkingGuard.forking and not self.lock._is_owned():
            ForkingGuard.forking = True
            self.fork()
            ForkingGuard.forking = False


@pytest.mark.slow
def test_fork_the_moment_a_statement_has_ended(path, forked, monkeypatch):
    inherited = []

    def guarded(*args: object) -> ThreadConnection:
        slot = ThreadConnection(*args)
        slot.guard = ForkingGuard(lambda: inherited.append(forked(lambda: connections_to(path)).result()))
        return slot

    monkeypatch.setattr("store.engines.sqlite.engine.pool.ThreadConnection", guarded)
    with Store(path) as s:
        s["a"] = s["b"] = 1
        assert (s["a"], "c" in s, list(s), next(iter(s.items()))) == (1, False, ["a", "b"], ("a", 1))
        assert s.get_many(["a", "b"]) == {"a": 1, "b": 1}
    assert len(inherited) > 10
    # None: SQLite keeps those files open whose connection is closed with a statement that is not at its end.
    assert [files for files in inherited if files] == []


def test_fork_while_a_connection_of_no_thread_is_closed(path, forked):
    inherited = []
    with Store(path) as s:
        s["a"] = 1
        watching = s.watch()
        engine = s.opened.engine.handle.engine
        engine.pool._lock = ForkingGuard(lambda: inherited.append(forked(lambda: connections_to(path)).result()))
        watching.close()
    assert inherited
    assert [files for files in inherited if files] == []


@pytest.mark.slow
def test_fork_while_a_backup_is_made(path, tmp_path, forked, program):
    """SQLite in the child would go by the locks that the copy's connection had in the parent."""
    target = tmp_path / "backup.db"
    done_read, done = os.pipe()
    children = []

    def work() -> str:
        os.read(done_read, 1)
        with Store(target, timeout=0.5) as s:
            return write(s, "child", 1)

    def told_of(copied: int, total: int) -> None:
        if copied and not children:
            children.append(forked(lambda: outcome(work)))

    with Store(path) as s:
        s.update({str(i): "x" * 1000 for i in range(1000)})
        s.backup(target, progress=told_of)
    os.write(done, b"x")
    answer = children[0].result()
    os.close(done_read)
    os.close(done)
    assert "use spawn" in answer
    assert program(WRITE, target).output() == ""


# -- locks


@pytest.mark.slow
def test_holder_that_is_killed_while_its_child_lives_blocks_nobody(path, program):
    source = """
        import os, sys
        from store import Store
        s = Store(sys.argv[1])
        s["a"] = 1
        with Store(sys.argv[2]) as other, other.lock("job"), s.transaction():
            s["a"] = 2
            if not os.fork():
                print("child lives", flush=True)
                os.read(0, 1)  # until the test ends
                os._exit(0)
            os.read(0, 1)
    """
    other = path.with_name("other.db")
    holder = program(source, path, other)
    assert holder.line() == "child lives"
    holder.kill()
    with Store(path, timeout=10) as s, Store(other) as named:
        s["b"] = 2
        assert dict(s) == {"a": 1, "b": 2}
        with named.lock("job", timeout=10):
            pass


def test_named_lock_held_at_a_fork(place, forked):
    with Store(place) as s:
        job = s.lock("job")
        with job:

            def work() -> list[str]:
                answers = [outcome(lambda: s.lock("job", timeout=0.05).__enter__())]
                s["child"] = 1  # it holds up no writer
                return [*answers, outcome(lambda: job.__exit__(None, None, None))]

            answers = forked(work).result()
            assert answers[0].startswith("LockTimeout: ")  # it is the parent's
            with closing(Store(place)) as other:  # and still is, after the child left the block
                tried = in_thread(lambda: other.lock("job", timeout=0.05).__enter__())
                assert isinstance(tried, LockTimeout)
        assert forked(lambda: s.lock("job").acquire(timeout=10)).result() is True
        assert s["child"] == 1


def test_lock_is_not_held_in_a_forked_child(place: str, forked: Any) -> None:
    with Store[Any](place) as s:
        lock = s.lock("job")
        lock.acquire()

        def child() -> list[Any]:
            states = [lock.locked(), lock.lost, s.lock("job").acquire(timeout=0)]
            try:
                lock.release()
            except StoreError:
                states.append("lost")
            return states

        assert forked(child).result() == [False, True, False, "lost"]
        assert lock.locked()
        with s.lock("other") as other:
            assert forked(other.locked).result() is False
        lock.release()
