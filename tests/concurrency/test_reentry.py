"""A signal handler uses the store, wherever in an operation of its own thread it strikes.

What it writes is kept if it was told so, and refused at once otherwise; the struck operation keeps its promise.
"""

from __future__ import annotations

import fcntl
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from free import check_free_elsewhere, needs_capability
from postgres_beside import check_unlocked
from striking import Strike, signal_handler

from store import Store
from store.errors import InUse, StoreError
from store.memo import memo
from store.sessions import Sessions

SAMPLE = 37  # each so many-th line is struck, from another one on for each handler; with `-m huge` all are

BEFORE = {"job": {"n": 0}, "other": 1}


def op_set(s: Store[Any]) -> None:
    s["job"] = {"n": 1}


def op_put(s: Store[Any]) -> None:
    s.put("job", {"n": 1}, ttl=600)


def op_modify(s: Store[Any]) -> None:
    s.modify("job", lambda value: {"n": value["n"] + 1})


def op_update(s: Store[Any]) -> None:
    s.update(job={"n": 1})


def op_pop(s: Store[Any]) -> None:
    s.pop("job")


def op_del(s: Store[Any]) -> None:
    del s["job"]


def op_setdefault(s: Store[Any]) -> None:
    s.setdefault("new", {"n": 1})


def op_edit(s: Store[Any]) -> None:
    with s.edit("job") as value:
        value["n"] = 1


def op_transaction(s: Store[Any]) -> None:
    with s.transaction():
        s["job"] = {"n": 1}


def op_iterate(s: Store[Any]) -> None:
    assert [name for name in s if name in BEFORE] == list(BEFORE)
    assert [dict(s.items())[name] for name in BEFORE] == list(BEFORE.values())
    assert s.get_many(list(BEFORE)) == BEFORE


def op_compact(s: Store[Any]) -> None:
    if s.opened.engine.care is None:
        pytest.skip(f"the engine {s.opened.engine.kind} has no care")
    s.compact()


def op_purge(s: Store[Any]) -> None:
    s.purge()


def op_close(s: Store[Any]) -> None:
    with s.within("") as other:
        assert other["other"] == 1


def op_rotate(s: Store[Any]) -> None:
    with Sessions(s) as sessions:
        id = sessions.create({"n": 1})
        assert sessions.load(sessions.rotate(id)) == {"n": 1}


# Operation → what the record "job" and the record "new" are once it is through.
AFTER: dict[Callable[[Store[Any]], None], tuple[Any, Any]] = {
    op_set: ({"n": 1}, None),
    op_put: ({"n": 1}, None),
    op_modify: ({"n": 1}, None),
    op_update: ({"n": 1}, None),
    op_pop: (None, None),
    op_del: (None, None),
    op_setdefault: ({"n": 0}, {"n": 1}),
    op_edit: ({"n": 1}, None),
    op_transaction: ({"n": 1}, None),
    op_iterate: ({"n": 0}, None),
    op_compact: ({"n": 0}, None),
    op_purge: ({"n": 0}, None),
    op_close: ({"n": 0}, None),
    op_rotate: ({"n": 0}, None),
}
BLOCKS = (op_edit, op_transaction)  # of the program's own: what strikes in them joins them


class Stop(BaseException):
    """Raised by a handler."""


class Handler:
    """What strikes: whether the store told it that all was done, and what it raises then."""

    def __init__(self, s: Store[Any], kind: str) -> None:
        self.s = s
        self.kind = kind
        self.strikes = 0
        self.returned = False
        self.read: Any = None

    def __call__(self) -> None:
        self.strikes += 1
        self.returned = False
        with suppress(InUse):
            self.work()
            self.returned = True
        if self.kind == "exits":
            raise SystemExit(0)
        if self.kind == "raises":
            raise Stop

    def work(self) -> None:
        if self.kind == "reads":
            self.read = self.s.get("job") if "job" in self.s else None
            assert self.s["other"] == 1
            assert list(self.s.items())
        elif self.kind == "modifies":
            self.s.modify("stopped", lambda _: self.strikes)
        elif self.kind == "opens":
            with self.s.transaction():
                self.s["stopped"] = self.strikes
        elif self.kind == "closes":
            with self.s.within("") as other:
                other["stopped"] = self.strikes
        else:
            self.s["stopped"] = self.strikes


RAISING = ("exits", "raises")
KINDS = ("writes", "reads", "exits", "raises", "modifies", "opens", "closes")


@pytest.fixture
def s(location: str) -> Iterator[Store[Any]]:
    with Store(location, timeout=5) as s:
        yield s


@pytest.fixture
def spilling(place: str) -> Iterator[Store[Any]]:
    """Each value is in files beside the database."""
    with Store(place, timeout=5, spill_bytes=1) as s:
        yield s


def needs_locks(s: Store[Any]) -> None:
    if s.opened.engine.locks is None:
        pytest.skip(f"the engine {s.opened.engine.kind} has no locks")


def strikes(s: Store[Any], operation: Callable[[Store[Any]], None], kind: str, step: int) -> Iterator[str]:
    """Strike at each `step`-th line of the operation; gives the lines, after each one."""
    handler = Handler(s, kind)
    first = KINDS.index(kind) + list(AFTER).index(operation)
    with signal_handler(handler) as strike:
        for line in itertools.count(1 + first % min(step, 7), step):
            s.clear()
            s.update(**BEFORE, stopped=0)
            struck = Strike(line, strike, raises=kind in RAISING)
            with suppress(SystemExit, Stop), struck:
                operation(s)
            if not struck.where:
                return
            check(s, operation, handler, struck.where)
            yield struck.where


def check(s: Store[Any], operation: Callable[[Store[Any]], None], handler: Handler, where: str) -> None:
    """All is as it was promised."""
    found, after = (s.get("job"), s.get("new")), AFTER[operation]
    stops = handler.kind in RAISING
    assert found in ((BEFORE["job"], None), after) if stops else found == after, where
    if handler.kind == "reads":
        assert not handler.returned or handler.read in (BEFORE["job"], after[0]), where
    elif not (stops and operation in BLOCKS):
        assert s["stopped"] == (handler.strikes if handler.returned else 0), where
    s["next"] = where
    assert_free(s, where)


def assert_free(s: Store[Any], where: str) -> None:
    if s.location.startswith("postgresql:"):
        check_unlocked(s, where)
    elif "://" in s.location:
        check_free_elsewhere(s, where, ["a", "job", "next"])
    elif s.location != ":memory:":
        with open(f"{s.location}.lock", "rb+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pytest.fail(f"the writer's lock was kept after a strike at {where}")


@pytest.mark.parametrize(
    "operation",
    [pytest.param(operation, marks=[pytest.mark.slow] * (operation is op_rotate)) for operation in AFTER],
    ids=lambda operation: operation.__name__,
)
def test_signal_handler_that_strikes_an_operation(s, operation):
    needs_capability(s, "care" if operation is op_compact else None)
    for kind in KINDS:
        assert list(strikes(s, operation, kind, SAMPLE)), kind


@pytest.mark.huge
@pytest.mark.timeout(900)
@pytest.mark.parametrize("handling", KINDS)  # a parameter `kind` would be that of the engines' contract
@pytest.mark.parametrize("operation", AFTER, ids=lambda operation: operation.__name__)
def test_signal_handler_that_strikes_any_line_of_an_operation(s, operation, handling):
    needs_capability(s, "care" if operation is op_compact else None)
    assert len(list(strikes(s, operation, handling, 1))) > SAMPLE or operation is op_compact  # of nothing, in memory


@pytest.mark.parametrize("operation", [op_set, op_modify, op_compact], ids=lambda operation: operation.__name__)
def test_signal_handler_that_writes_files_amid_an_operation_with_files(spilling, operation):
    """It waits for no lock of its own thread, and takes no file for what an interrupt left."""
    assert list(strikes(spilling, operation, "writes", 2 * SAMPLE))


@pytest.mark.huge
@pytest.mark.timeout(900)
@pytest.mark.parametrize("operation", AFTER, ids=lambda operation: operation.__name__)
def test_signal_handler_that_writes_files_at_any_line(spilling, operation):
    for kind in KINDS:
        assert list(strikes(spilling, operation, kind, 5))


def test_signal_handler_that_strikes_the_first_use_in_a_thread(path):
    """It may be the first one itself: the connection that is used then is the thread's, for as long as that lives."""
    with Store(path) as s:
        s["a"] = 0
        engine = s.opened.engine.handle.engine
        for line in itertools.count(1, 1):
            engine.pool._local = threading.local()  # as a new thread finds it
            with signal_handler(lambda: s.record("a")) as strike, Strike(line, strike) as struck:
                s["a"] = line
            assert not engine.connection().is_orphaned(), struck.where
            assert s["a"] == line
            if not struck.where:
                break
        engine.pool._new(s)  # closes the connections of those that have ended
        assert sum(slot.conn is not None for slot in engine.pool.all()) <= 2


def test_signal_handler_in_the_block_of_the_program_joins_it(s):
    def handle() -> None:
        s["stopped"] = s["job"]

    with signal_handler(handle) as strike:
        with s.transaction():
            s["job"] = 1
            strike()
        assert s["stopped"] == 1
        with pytest.raises(KeyError), s.transaction():
            s["job"] = 2
            strike()
            raise KeyError
        assert s["stopped"] == s["job"] == 1


def test_function_that_an_operation_calls_goes_on_in_it(s):
    """What `modify`, `update` and pickling call is a part of them, and no handler."""
    s.update(a=1, b=1)

    def both(value: int) -> int:
        s["b"] = s["b"] + 1
        with s.transaction():
            s["c"] = s["b"]
        return value + s["b"]

    assert s.modify("a", both) == 3
    s.update((name, s[name] + 1) for name in ("a", "b"))
    assert dict(s) == {"a": 4, "b": 3, "c": 2}
    with pytest.raises(ZeroDivisionError):
        s.modify("a", lambda value: s.pop("b") // 0)
    assert s["b"] == 3


def test_error_of_a_refused_handler_says_what_to_do(place):
    with Store(place) as s:
        errors: list[InUse] = []

        def handle() -> None:
            try:
                s["other"] = 2
            except InUse as exc:
                errors.append(exc)

        with signal_handler(handle) as strike:
            for line in itertools.count(1):
                with Strike(line, strike) as struck:
                    s["a"] = line
                if not struck.where:
                    break
                assert s["a"] == line, struck.where
        assert len(errors) > 5
        for error in errors:
            assert error.path == s.location
            assert "signal handler or a finalizer: nothing of it was done; note what is to be done" in str(error)


def test_signal_handler_that_takes_the_named_lock_which_it_struck(s):
    needs_locks(s)

    def handle() -> None:
        with suppress(StoreError), s.lock("job", timeout=600):
            pass

    def operation() -> None:
        with s.lock("job", timeout=600):
            pass

    with signal_handler(handle) as strike:
        for line in itertools.count(1):
            with Strike(line, strike) as struck:
                operation()
            if not struck.where:
                break
    assert line > 20


def test_signal_handler_that_calls_the_memoized_function_which_it_struck(s):
    needs_locks(s)
    memoized = memo(s)(abs)
    found: list[int] = []
    with signal_handler(lambda: found.append(memoized(-1))) as strike:
        for line in itertools.count(1, SAMPLE):
            s.within("memo").clear()
            with suppress(RecursionError), Strike(line, strike) as struck:
                assert memoized(-1) == 1
            if not struck.where:
                break
    assert len(found) > 3
    assert set(found) == {1}
