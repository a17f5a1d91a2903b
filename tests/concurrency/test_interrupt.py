"""Ctrl-C at any moment: the store heals itself, nothing is half-written, and nobody is locked out."""

from __future__ import annotations

import fcntl
import gc
import itertools
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from free import check_free_elsewhere, needs_capability
from interrupting import Interrupter
from postgres_beside import check_unlocked

from store import Store
from store.engines.sqlite.opening import attach as sqlite_attach
from store.errors import StoreError


def op_set(s: Store) -> None:
    s["a"] = "new"


def op_first_set(s: Store) -> None:
    if s.opened.engine.care is None:
        pytest.skip(f"the engine {s.opened.engine.kind} has no care")
    s.opened.engine.care.forget_sealers_but(set())  # as with the first write of all
    s["a"] = "new"


def op_delete(s: Store) -> None:
    del s["a"]


def op_pop(s: Store) -> None:
    s.pop("a")


def op_put(s: Store) -> None:
    s.put("a", "new", if_version=s.record("a"))


def op_modify(s: Store) -> None:
    s.modify("a", lambda value: "new")


def op_edit(s: Store) -> None:
    with s.edit("a") as value:
        value["x"] = "new"


def op_transaction(s: Store) -> None:
    with s.transaction():
        s["a"] = "new"
        s["b"] = "new"


def op_nested(s: Store) -> None:
    with s.transaction():
        s["a"] = "new"
        with s.transaction():
            s["b"] = "new"


def op_update(s: Store) -> None:
    s.update(a="new", b="new")


def op_lock(s: Store) -> None:
    if s.opened.engine.locks is None:
        pytest.skip(f"the engine {s.opened.engine.kind} has no locks")
    with s.lock("job"):
        s["a"] = "new"


def op_read(s: Store) -> None:
    assert s["a"] == OLD_A
    assert len(s.get_many(["a", "b"])) == 2
    assert len(list(s.items())) == len(s)
    assert s == dict(s)


OLD_A = {"x": "old"}
NEW = {  # operation → what "a" and "b" are when it is through
    op_set: ("new", "old"),
    op_first_set: ("new", "old"),
    op_delete: (None, "old"),
    op_pop: (None, "old"),
    op_put: ("new", "old"),
    op_modify: ("new", "old"),
    op_edit: ({"x": "new"}, "old"),
    op_transaction: ("new", "new"),
    op_nested: ("new", "new"),
    op_update: ("new", "new"),
    op_lock: ("new", "old"),
    op_read: (OLD_A, "old"),
}


@pytest.fixture
def store(location) -> Iterator[Store]:
    with Store(location, timeout=2) as s:
        s.update({str(i): i for i in range(4)})
        yield s


def check_free(s: Store, where: str) -> None:
    """Nobody is kept out: the writer's lock is free, and SQLite's own; on a server, the namespace."""
    if s.location == ":memory:":
        return
    if s.location.startswith("postgresql:"):
        check_unlocked(s, where)
        return
    if "://" in s.location:
        check_free_elsewhere(s, where, ["a", "b"])
        return
    with open(f"{s.location}.lock", "rb+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.fail(f"the writer's lock was kept after an interrupt at {where}")
    with closing(sqlite3.connect(s.location, timeout=0, isolation_level=None)) as conn:
        try:
            conn.execute("BEGIN IMMEDIATE").close()
            conn.execute("ROLLBACK")
        except sqlite3.OperationalError as exc:
            pytest.fail(f"{exc} after an interrupt at {where}")


def check_job(s: Store) -> None:
    """The named lock is free; on a server a thread may be releasing it."""
    if s.opened.engine.locks is not None:
        with s.lock("job", timeout=20 if "://" in s.location else 0):
            pass


def check_whole(s: Store, operation: Callable[[Store], None], where: str) -> None:
    """The records are the old ones, or the new ones."""
    found = s.get("a"), s.get("b")
    assert found in ((OLD_A, "old"), NEW[operation]), where


def moments(s: Store, operation: Callable[[Store], None], first: int = 1, step: int = 1) -> Iterator[Interrupter]:
    """An interrupter for every moment of the operation, or each `step`th, each with the records as they were."""
    needs_capability(s, {op_first_set: "care", op_lock: "locks"}.get(operation))
    for moment in itertools.count(first, step):
        s.update(a=OLD_A, b="old")
        interrupter = Interrupter(moment, __name__)
        yield interrupter
        if interrupter.left > 0:
            assert moment > 20  # it did strike
            return


@pytest.mark.parametrize("operation", NEW, ids=lambda operation: operation.__name__)
def test_interrupt_at_any_moment(store, operation):
    for interrupter in moments(store, operation):
        try:
            with interrupter:
                operation(store)
        except KeyboardInterrupt:
            pass
        check_free(store, interrupter.where)  # before anything else could heal it
        check_whole(store, operation, interrupter.where)
        store["next"] = interrupter.where
        check_job(store)


@pytest.mark.parametrize("operation", NEW, ids=lambda operation: operation.__name__)
@pytest.mark.slow
def test_next_operation_while_the_interrupt_is_being_handled(store, operation):
    for interrupter in moments(store, operation, first=1, step=2):  # the next test has the others
        try:
            with interrupter:
                operation(store)
        except KeyboardInterrupt:
            try:
                raise KeyError  # another exception on top, as clean-up code has them
            except KeyError:
                store["next"] = interrupter.where
            check_free(store, interrupter.where)
            assert store["next"] == interrupter.where
            # Those of a context manager, which are in the traceback now, hold the lock.
            if "ContextManager" not in interrupter.where and not interrupter.where.startswith("Lock.__"):
                check_job(store)
        check_whole(store, operation, interrupter.where)
        check_free(store, interrupter.where)


@pytest.mark.parametrize("operation", NEW, ids=lambda operation: operation.__name__)
@pytest.mark.slow
def test_next_operation_in_an_interactive_session(store, operation, monkeypatch):
    for interrupter in moments(store, operation, first=2, step=2):
        try:
            with interrupter:
                operation(store)
        except KeyboardInterrupt as exc:
            monkeypatch.setattr(sys, "last_value", exc, raising=False)  # kept, with all the frames that it passed
        store["next"] = interrupter.where
        check_free(store, interrupter.where)
        check_whole(store, operation, interrupter.where)
        monkeypatch.undo()  # as long as it is there, each write in a block looks at it


def open_another(s: Store) -> None:
    with Store(s.location, timeout=2) as other:
        other["a"] = "new"


def open_namespace(s: Store) -> None:
    with s.within("another") as other:
        other["a"] = "new"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Python keeps those in a __del__
@pytest.mark.parametrize("operation", [open_another, open_namespace])
@pytest.mark.heavy
def test_interrupt_of_opening_and_closing_closes_and_keeps_nothing(place, operation):
    """Neither is the store closed by what was made of it half-way, nor is a handle counted that nobody has."""
    with Store(place, timeout=2) as s:
        operation(s)
        moment, left = 0, 0
        while not left:
            moment += 7  # each would take a quarter of a minute
            interrupter = Interrupter(moment, __name__)
            try:
                with interrupter:
                    operation(s)
            except KeyboardInterrupt:
                pass
            left = interrupter.left
            check_free(s, interrupter.where)
            s["next"] = moment
            gc.collect(0)
            assert s.opened.engine.handle.engine.handles == len(s.opened.engine.coherence._caches) == 1, (
                interrupter.where
            )
        assert moment > 100
    assert sqlite_attach._engines == {}


def test_interrupt_of_an_inner_block_that_the_outer_one_catches(path):
    with Store(path) as s:
        s["a"] = 1
        moment = 0
        struck = True
        while struck:
            moment += 1
            struck = False
            interrupter = Interrupter(moment, __name__)
            try:
                with s.transaction():
                    s["a"] = moment
                    try:
                        with interrupter, s.transaction():
                            s["b"] = moment
                    except KeyboardInterrupt:
                        struck = True
                    s["c"] = moment
            except StoreError as exc:
                assert "nothing of it was kept" in str(exc)
                found = s["a"], s.get("b"), s.get("c")
                assert moment not in found, (found, interrupter.where)
            else:
                assert (s["a"], s["c"]) == (moment, moment)
            check_free(s, interrupter.where)
        assert dict(s) == {"a": moment, "b": moment, "c": moment}
        assert moment > 20


WAIT = """
    import signal, sys, time
    from store import Store

    sleep = time.sleep
    def tell(seconds):
        print("waits", flush=True)
        time.sleep = sleep
        sleep(seconds)

    # Tests that are run in the background may have been told to ignore SIGINT, and what they start inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Store(sys.argv[1], timeout=600) as s:
        assert s["a"] == 1
        time.sleep = tell
        try:
            s["a"] = 2
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        sys.stdin.readline()
        s["b"] = 2
"""


@pytest.mark.parametrize("held", ["lock file", "database"])
def test_waiting_writer_is_interrupted_promptly(path, program, held):
    with Store(path) as s:
        s["a"] = 1
    with open(f"{path}.lock", "rb+") as lock, closing(sqlite3.connect(path, isolation_level=None)) as conn:
        if held == "lock file":
            fcntl.flock(lock, fcntl.LOCK_EX)
        else:  # by a program that knows nothing of the lock file
            conn.execute("BEGIN IMMEDIATE").close()
        child = program(WAIT, path)
        assert child.line() == "waits"
        os.kill(child.process.pid, signal.SIGINT)
        assert child.line() == "interrupted"  # bounded by the fixture: a tenth of its own timeout
    child.tell()
    assert child.output() == ""
    with Store(path) as s:
        assert dict(s) == {"a": 1, "b": 2}
