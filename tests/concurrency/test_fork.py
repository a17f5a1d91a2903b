"""A process that forks while it has a store open: both sides go on, and nobody's writes are lost."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import threading
import warnings
from contextlib import closing

import pytest
from forking import WRITE, outcome, write

from store import Store
from store.engines.sqlite.engine import synced_log

# -- idle


@pytest.mark.slow
def test_fork_while_idle(path, forked, seen):
    with Store(path) as s:
        s["a"] = 1

        def work() -> object:
            assert s["a"] == 1
            s["child"] = 2
            with Store(path) as other:  # a handle of its own shares the engine
                other["other"] = 3
            return s["child"]

        child = forked(work)
        s["parent"] = 4
        assert child.result() == 2
        s["after"] = 5
        assert dict(s) == seen() == {"a": 1, "child": 2, "other": 3, "parent": 4, "after": 5}


def test_child_inherits_no_descriptor_of_the_store(place, forked):
    with Store(place) as s:
        s["a"] = 1

        def inherited() -> list[str]:
            names = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
            return [name for name in names if name.startswith(str(place))]

        assert forked(inherited).result() == []
        s["a"] = 2


def test_child_does_not_inherit_the_log_that_a_thread_syncs(path, forked, monkeypatch):
    waits, goes_on, plain = threading.Event(), threading.Event(), synced_log.sync_data

    def sync(descriptor: int) -> None:
        waits.set()
        assert goes_on.wait(60)
        plain(descriptor)

    def inherited() -> list[str]:
        found = [
            os.readlink(f"/proc/self/fd/{entry.name}") for entry in os.scandir("/proc/self/fd") if entry.is_symlink()
        ]
        return [name for name in found if "-wal" in name]

    with Store(path, durability="full") as s:
        s["a"] = 1
        monkeypatch.setattr(synced_log, "sync_data", sync)
        thread = threading.Thread(target=s.__setitem__, args=("b", 2))
        thread.start()
        assert waits.wait(60)
        child = forked(inherited)
        goes_on.set()
        thread.join()
        assert child.result() == []
        assert dict(s) == {"a": 1, "b": 2}


@pytest.mark.slow
def test_both_sides_count_together(place, forked):
    with Store(place) as s:
        s["count"] = 0

        def count() -> str:
            for _ in range(200):
                s.modify("count", lambda value: value + 1)
            return "done"

        children = [forked(count) for _ in range(2)]
        assert count() == "done"
        assert [child.result() for child in children] == ["done"] * 2
        assert s["count"] == 600


@pytest.mark.slow
def test_grandchild_writes_too(path, forked, seen):
    with Store(path) as s:
        s["a"] = 1

        def work() -> object:
            s["child"] = 2
            grandchild = forked(lambda: write(s, "grandchild", 3))
            s["meanwhile"] = 4
            return grandchild.result()

        assert forked(work).result() == "written"
        assert seen() == {"a": 1, "child": 2, "grandchild": 3, "meanwhile": 4}


# -- in a transaction


@pytest.mark.slow
def test_fork_in_a_transaction(path, forked, program, seen):
    with Store(path) as s:
        s["a"] = 1
        with s.transaction():
            s["a"] = 2

            def work() -> list[str]:
                return [
                    outcome(lambda: s["a"]),
                    outcome(lambda: write(s, "child", 1)),
                    outcome(lambda: s.modify("a", lambda value: value)),
                    outcome(lambda: len(s)),
                    outcome(lambda: Store(path)),
                    outcome(lambda: Store(path, mode="r")),
                    outcome(lambda: forked(lambda: outcome(lambda: s["a"])).result()),
                ]

            answers = forked(work).result()
            s["b"] = 3
        assert all(answer.startswith("StoreError: ") and "use spawn" in answer for answer in answers), answers
        s["after"] = 4
        assert program(WRITE, path).output() == ""
        assert dict(s) == seen() == {"a": 2, "b": 3, "after": 4, "third": 3}


@pytest.mark.slow
def test_child_that_leaves_the_inherited_transaction(path, forked, program, seen):
    with Store(path) as s:
        s["a"] = 1
        block = s.transaction()
        with block:
            s["a"] = 2
            answers = [forked(lambda: block.__exit__(None, None, None)).result()]  # it must not commit
            answers += [forked(lambda: block.__exit__(ValueError, ValueError(), None)).result()]  # nor roll back
            answers += [forked(s.close).result()]
            s["b"] = 3
        assert answers[0].startswith("StoreError: ")
        assert answers[1:] == [None, None]
        assert program(WRITE, path).output() == ""
        assert dict(s) == seen() == {"a": 2, "b": 3, "third": 3}


def test_other_handles_of_a_file_forked_in_a_transaction(path, forked):
    with Store(path) as s, Store(path, mode="r") as reading:
        s["a"] = 1
        assert reading["a"] == 1
        with s.transaction():
            s["a"] = 2
            # SQLite would take no real lock for it: its table of locks is one for the file.
            answer = forked(lambda: reading["a"]).result()
        assert answer.startswith("StoreError: ")
        assert "use spawn" in answer
        assert reading["a"] == 2


def test_other_files_of_a_process_forked_in_a_transaction(place, tmp_path, forked):
    with Store(place) as s, Store(tmp_path / "other.db") as other:
        with s.transaction():
            s["a"] = 1
            assert forked(lambda: write(other, "child", 1)).result() == "written"
        assert dict(s) == {"a": 1}
        assert dict(other) == {"child": 1}


@pytest.mark.slow
def test_child_that_exits_inside_the_inherited_transaction(path, program):
    source = """
        import atexit, os, sys
        from store import Store
        s = Store(sys.argv[1])
        s["a"] = 1
        with s.transaction():
            s["a"] = 2
            s["b"] = list(range(10_000))
            child = os.fork()
            if not child:
                sys.exit(0)  # leaves the block, runs what is registered with atexit, and frees all objects
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            s["c"] = 3
        print(s["a"], len(s["b"]), s["c"])
    """
    first = program(source, path)
    code, out, err = first.end()
    assert (code, out) == (0, "0\n2 10000 3\n")
    assert "Traceback" not in err
    with Store(path) as s:
        assert list(s) == ["a", "b", "c"]


# -- the rest


@pytest.mark.slow
def test_pool_of_forked_processes(place):
    with Store(place) as s:
        s["count"] = 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context = multiprocessing.get_context("fork")
            global pool_store
            pool_store = s
            with context.Pool(4) as pool:
                assert sorted(pool.map(_in_pool, range(40))) == list(range(40))
                pool.close()
                pool.join()
        assert s["count"] == 40
        assert len(s) == 41


pool_store: Store | None = None


def _in_pool(number: int) -> int:
    assert pool_store is not None
    pool_store[str(number)] = number
    pool_store.modify("count", lambda value: value + 1)
    return pool_store[str(number)]


def test_in_memory_store_after_a_fork(forked):
    with Store(":memory:") as s:
        s["a"] = 1

        def work() -> dict:
            s["child"] = 2
            with s.transaction():
                s["both"] = 3
            return dict(s)

        child = forked(work)
        s["parent"] = 4
        assert child.result() == {"a": 1, "child": 2, "both": 3}  # a copy of its own
        assert dict(s) == {"a": 1, "parent": 4}


@pytest.mark.slow
def test_child_that_exits_normally_leaves_the_parent_its_store(path, program):
    source = """
        import os, sys, threading
        from store import Store
        s = Store(sys.argv[1])
        s["a"] = 1
        for how in ("sys.exit", "return"):
            child = os.fork()
            if not child:
                assert s["a"] == 1
                s[how] = "child"
                if how == "sys.exit":
                    s.close()
                sys.exit(0)
            assert os.waitpid(child, 0)[1] == 0
            s["after " + how] = "parent"
        with s.transaction():
            print(list(s))
    """
    assert program(source, path).output() == "['a', 'sys.exit', 'after sys.exit', 'return', 'after return']\n"
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("SELECT count(*) FROM records").fetchone() == (5,)


def test_subprocess_beside_a_transaction(place, program):
    with Store(place) as s:
        with s.transaction():
            s["a"] = 1
            child = program("print('no fork handler runs, and nothing is inherited')")
            assert child.output() != ""
            assert s["a"] == 1
        assert dict(s) == {"a": 1}
