"""`memo` between threads and processes: one computes, the others wait, and nobody waits for ever."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from free import needs_held

from store import Store
from store.memo import Memoized, memo
from store.memo import turns as memo_turns
from store.memo.records import BUSY, Records

WAIT = 30.0  # seconds, for what takes milliseconds

OTHERS = """
    import sys
    from store.memo import memo

    path, counter, gate = sys.argv[1:4]

    @memo(path, name="load", source=False)
    def load(x):
        with open(counter, "a") as lines:
            lines.write("ran\\n")
        with open(gate) as stream:  # until somebody opens it for writing
            stream.read()
        return [x]

    print("calls", flush=True)
    print(load(7))
"""

# It computes f(1), says so, and waits for a line.
HOLDER = """
    import sys
    from store.memo import memo

    @memo(sys.argv[1], name="f", source=False)
    def f(x):
        print("computing", flush=True)
        sys.stdin.readline()
        return "theirs"

    print(f(1), flush=True)
"""

# Two of these cross: each is inside of one function, and calls the one that the other is inside of.
CROSSING = """
    import sys
    from store.memo import memo

    path, mine = sys.argv[1:3]

    def body(name, other):
        if name != mine:
            return name
        print("inside", flush=True)
        sys.stdin.readline()
        return name + other(1)

    @memo(path, name="f", source=False)
    def f(x):
        return body("f", g)

    @memo(path, name="g", source=False)
    def g(x):
        return body("g", f)

    print({"f": f, "g": g}[mine](1))
"""


@pytest.fixture
def s(place: str) -> Iterator[Store[Any]]:
    with Store[Any](place) as opened:
        yield opened


class Calls:
    """Calls in threads of their own."""

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.threads: list[threading.Thread] = []

    def start(self, call: Callable[[], Any]) -> None:
        def run() -> None:
            try:
                self.results.append(call())
            except BaseException as exc:
                self.results.append(exc)

        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def all(self) -> list[Any]:
        for thread in self.threads:
            thread.join(WAIT)
            assert not thread.is_alive()
        return self.results


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released by each thread that begins to wait for another of this process."""
    begun, wait = threading.Semaphore(0), memo_turns.wait

    def begins(turn: memo_turns.Turn, seconds: float | None) -> bool:
        begun.release()
        return wait(turn, seconds)

    monkeypatch.setattr(memo_turns, "wait", begins)
    return begun


@pytest.fixture
def finds_busy(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when a caller found that another process has the lock, and goes on to wait for it."""
    found, lock = threading.Event(), Records.lock

    @contextmanager
    def takes(self: Records, name: str, seconds: float) -> Iterator[str]:
        with lock(self, name, 0) as state:
            if state != BUSY:
                yield state
                return
        found.set()
        with lock(self, name, seconds) as state:
            yield state

    monkeypatch.setattr(Records, "lock", takes)
    return found


class Gate:
    """A function that says when it runs, and goes on when it is let."""

    def __init__(self) -> None:
        self.inside, self.go = threading.Semaphore(0), threading.Event()
        self.ran = 0
        self.does: Callable[[], Any] = lambda: "result"

    def __call__(self, x: Any = 1) -> Any:
        self.ran += 1
        self.inside.release()
        assert self.go.wait(WAIT)
        return self.does()

    def memo(self, s: Store[Any], **options: Any) -> Memoized[..., Any]:
        return memo(s, name="gate", source=False, **options)(self)


def test_threads_wait_for_the_one_that_computes(s: Store[Any], waits: threading.Semaphore) -> None:
    gate, calls = Gate(), Calls()
    f = gate.memo(s)
    for _ in range(6):
        calls.start(f)
    assert gate.inside.acquire(timeout=WAIT)
    for _ in range(5):
        assert waits.acquire(timeout=WAIT)
    gate.go.set()
    assert calls.all() == ["result"] * 6
    assert gate.ran == 1
    assert f.cache_info()[:2] == (5, 1)
    assert memo_turns._turns == {}


def test_other_arguments_do_not_wait(s: Store[Any]) -> None:
    gate, calls = Gate(), Calls()
    f = gate.memo(s)
    for x in range(3):
        calls.start(lambda x=x: f(x))
    for _ in range(3):
        assert gate.inside.acquire(timeout=WAIT)
    gate.go.set()
    assert calls.all() == ["result"] * 3


def test_waiting_threads_go_on_after_an_exception(s: Store[Any], waits: threading.Semaphore) -> None:
    gate, calls, errors = Gate(), Calls(), [KeyError("first")]

    def does() -> str:
        if errors:
            raise errors.pop()
        return "second"

    gate.does = does
    f = gate.memo(s)
    calls.start(f)
    assert gate.inside.acquire(timeout=WAIT)
    for _ in range(2):
        calls.start(f)
        assert waits.acquire(timeout=WAIT)
    gate.go.set()
    assert sorted(map(repr, calls.all())) == ["'second'", "'second'", "KeyError('first')"]
    assert gate.ran == 2


@pytest.mark.filterwarnings("ignore:.*cannot be stored:RuntimeWarning")
def test_waiting_threads_compute_side_by_side_what_cannot_be_stored(s: Store[Any], waits: threading.Semaphore) -> None:
    gate, calls, together = Gate(), Calls(), threading.Barrier(3, timeout=WAIT)
    f = gate.memo(s)
    calls.start(f)
    assert gate.inside.acquire(timeout=WAIT)
    gate.does = lambda: (threading.current_thread() is first or together.wait(), threading.Lock())[1]
    first = calls.threads[0]
    for _ in range(3):
        calls.start(f)
        assert waits.acquire(timeout=WAIT)
    gate.go.set()
    assert [type(result) for result in calls.all()] == [type(threading.Lock())] * 4


def test_patience_has_an_end(s: Store[Any], waits: threading.Semaphore) -> None:
    gate, calls = Gate(), Calls()
    f = gate.memo(s, wait=0)
    calls.start(f)
    assert gate.inside.acquire(timeout=WAIT)
    calls.start(f)
    assert gate.inside.acquire(timeout=WAIT)  # both are in
    gate.go.set()
    assert calls.all() == ["result"] * 2


def test_call_inside_a_transaction_does_not_wait_for_who_will_write(s: Store[Any]) -> None:
    needs_held(s)
    gate, calls = Gate(), Calls()
    f = gate.memo(s)
    calls.start(f)
    assert gate.inside.acquire(timeout=WAIT)
    with s.transaction():
        gate.go.set()  # the other thread comes to its end only when it can write
        assert f() == "result"
    assert calls.all() == ["result"]
    assert gate.ran == 2


def test_two_threads_that_cross_do_not_wait_for_each_other(s: Store[Any]) -> None:
    both, calls = threading.Barrier(2, timeout=WAIT), Calls()
    role = threading.local()

    def body(name: str, other: Any) -> str:
        if role.mine != name:
            return name
        both.wait()
        return name + str(other(1))

    f: Any = memo(s, name="f", source=False)(lambda x: body("f", g))
    g: Any = memo(s, name="g", source=False)(lambda x: body("g", f))

    def run(name: str) -> Any:
        role.mine = name
        return {"f": f, "g": g}[name](1)

    calls.start(lambda: run("f"))
    calls.start(lambda: run("g"))
    found = calls.all()
    # One waits for the other, who may not wait too, and computes: "fg" and "gf" or, having waited, "ggf".
    assert all(isinstance(result, str) for result in found), found
    assert {result[0] for result in found} == {"f", "g"}


def test_calls_inside_of_different_ones_wait_for_what_they_share(s: Store[Any], waits: threading.Semaphore) -> None:
    gate, calls = Gate(), Calls()
    shared = gate.memo(s)
    page = memo(s, name="page", source=False)(lambda x: (x, shared()))
    for x in range(4):
        calls.start(lambda x=x: page(x))
    assert gate.inside.acquire(timeout=WAIT)
    for _ in range(3):
        assert waits.acquire(timeout=WAIT)
    gate.go.set()
    assert sorted(calls.all()) == [(x, "result") for x in range(4)]
    assert gate.ran == 1


def test_recursion_by_way_of_a_thread_with_the_context(s: Store[Any]) -> None:
    def f(x: int) -> str:
        calls, context = Calls(), copy_context()
        calls.start(lambda: context.run(memoized, x))
        return type(calls.all()[0]).__name__

    memoized: Any = memo(s, name="f", source=False)(f)
    assert memoized(1) == "RecursionError"


# -- processes


@pytest.mark.heavy
def test_eight_processes_and_four_threads_compute_once(path: Path, tmp_path: Path, program: Callable[..., Any]) -> None:
    counter, gate = tmp_path / "counter", tmp_path / "gate"
    os.mkfifo(gate)
    Store(path).close()
    children = [program(OTHERS, path, counter, gate) for _ in range(8)]
    assert [child.line() for child in children] == ["calls"] * 8

    @memo(path, name="load", source=False)
    def load(x: int) -> Any:
        with open(counter, "a") as lines:
            lines.write("ran\n")
        gate.read_bytes()
        return [x]

    calls = Calls()
    for _ in range(4):
        calls.start(lambda: load(7))
    gate.write_bytes(b"")  # once whoever computes is there
    assert calls.all() == [[7]] * 4
    assert [child.output() for child in children] == ["[7]\n"] * 8
    assert counter.read_text() == "ran\n"
    load.close()


@pytest.fixture
def held(path: Path, program: Callable[..., Any], finds_busy: threading.Event) -> Iterator[tuple[Any, Any, Calls]]:
    """A process that computes, the same function here, and a call of it that waits for that process."""
    child = program(HOLDER, path)
    assert child.line() == "computing"
    f, calls = memo(path, name="f", source=False)(lambda x: "ours"), Calls()
    calls.start(lambda: f(1))
    assert finds_busy.wait(WAIT)
    yield child, f, calls
    f.close()


@pytest.mark.slow
def test_killed_process_frees_the_others(held: tuple[Any, Any, Calls]) -> None:
    child, _, calls = held
    child.kill()
    assert calls.all() == ["ours"]


@pytest.mark.slow
def test_result_of_another_process_is_waited_for(held: tuple[Any, Any, Calls]) -> None:
    child, f, calls = held
    child.tell()
    assert calls.all() == ["theirs"]
    assert child.output() == "theirs\n"
    assert f.cache_info() == (1, 0, 1, 0)


@pytest.mark.slow
def test_patience_with_another_process_has_an_end(path: Path, program: Callable[..., Any]) -> None:
    child = program(HOLDER, path)
    assert child.line() == "computing"
    f = memo(path, name="f", source=False, wait=0.01)(lambda x: "ours")
    assert f(1) == "ours"
    child.tell()
    assert child.output() == "theirs\n"
    f.close()


@pytest.mark.slow
def test_two_processes_that_cross_do_not_wait_for_each_other(path: Path, program: Callable[..., Any]) -> None:
    first, second = program(CROSSING, path, "f"), program(CROSSING, path, "g")
    assert (first.line(), second.line()) == ("inside", "inside")
    first.tell()
    assert first.output() == "fg\n"  # it computed g beside the second, which is inside of it still
    second.tell()
    assert second.output() in ("gf\n", "gfg\n")


def test_fork_while_a_thread_computes(place: str, forked: Callable[..., Any]) -> None:
    gate, calls = Gate(), Calls()
    with Store[Any](place) as s:
        f = gate.memo(s)
        calls.start(f)
        assert gate.inside.acquire(timeout=WAIT)
        child = forked(lambda: (dict(memo_turns._turns), memo(s, name="other", source=False)(lambda: "child")()))
        assert child.result() == ({}, "child")
        gate.go.set()
        assert calls.all() == ["result"]


def test_locks_of_calls_leave_no_files(path: Path) -> None:
    with Store[Any](path) as s:
        f = memo(s, name="f", source=False)(lambda x: x)
        assert [f(x) for x in range(40)] == list(range(40))
        assert not list(Path(f"{path}-locks").iterdir())
