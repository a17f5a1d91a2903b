"""Each way of changing a store inside each other one: of one store, of two on one file, and of two files."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.errors import LockTimeout, StoreError
from store.system.locking import WriterLock

TIMEOUT = 60.0  # seconds

# What one can be inside of.
BLOCKS: dict[str, Callable[[Store, str], AbstractContextManager[Any] | _Inside]] = {
    "lock": lambda s, name: s.lock(name),
    "transaction": lambda s, name: s.transaction(),
    "edit": lambda s, name: s.edit(name),
    "iteration": lambda s, name: iterating(s),
    "modify": lambda s, name: _Inside(lambda block: modify(s, name, block)),
    "update": lambda s, name: _Inside(lambda block: update(s, name, block)),
    "within": lambda s, name: nullcontext(s.within("another")),
}


@contextmanager
def iterating(s: Store) -> Iterator[None]:
    names = iter(s)
    next(names)
    yield
    list(names)


class _Inside:
    """Stands for a `with` where the store calls back: the block is run in that call."""

    def __init__(self, call: Callable[[Callable[[], None]], None]) -> None:
        self.call = call


def modify(s: Store, name: str, block: Callable[[], None]) -> None:
    def change(value: list[Any]) -> list[Any]:
        block()
        return [*value, "modified"]

    s.modify(name, change)


def update(s: Store, name: str, block: Callable[[], None]) -> None:
    def pairs() -> Iterator[tuple[str, Any]]:
        yield f"{name} updated", 1
        block()
        yield f"{name} updated", 2

    s.update(pairs())


def run(outer: Any, block: Callable[[], None]) -> None:
    if isinstance(outer, _Inside):
        outer.call(block)
    else:
        with outer:
            block()


IN_TRANSACTION = ("transaction", "edit", "modify", "update")


@pytest.fixture(params=["one store", "one file", "two files", "file and memory"])
def pair(request: pytest.FixtureRequest, path: Path) -> Iterator[tuple[Store, Store]]:
    with ExitStack() as stack:
        first = stack.enter_context(Store(path, timeout=10))
        if request.param == "one store":
            second = first
        else:
            places = {"one file": path, "two files": path.with_name("another.db"), "file and memory": ":memory:"}
            second = stack.enter_context(Store(places[request.param], timeout=10))
        for one in (first, second):
            one.update(a=[], b=[], c=[])
        yield first, second


def free(*stores: Store) -> None:
    """Another thread may write, and take the named locks, at once."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for s in stores:
                s["free"] = 1
                for name in ("a", "b"):
                    with s.lock(name, timeout=0):
                        pass
        except BaseException as exc:
            failures.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(TIMEOUT)
    assert not thread.is_alive() and failures == []


@pytest.mark.parametrize("swapped", [False, True])
def test_each_block_in_each_other_works_or_raises_at_once(pair: tuple[Store, Store], swapped: bool) -> None:
    first, second = reversed(pair) if swapped else pair
    for outer in BLOCKS:
        for inner in BLOCKS:
            reached: list[str] = []

            def block(reached: list[str] = reached, inner: str = inner) -> None:
                run(BLOCKS[inner](second, "b"), lambda: reached.append("inside"))
                second["c"] = [*second["c"], 1]

            def nest(outer: str = outer, block: Callable[[], None] = block) -> None:
                run(BLOCKS[outer](first, "a"), block)

            before = dict(first), dict(second)
            if inner == "lock" and outer in IN_TRANSACTION:
                with pytest.raises(StoreError, match="take the lock first"):
                    nest()
                assert (dict(first), dict(second)) == before, (outer, inner)
            else:
                nest()
                assert reached == ["inside"], (outer, inner)
                assert second["c"] == [*before[1]["c"], 1]
            free(first, second)


def test_edits_of_one_record_by_two_stores_of_a_file_raise_at_once(path: Path) -> None:
    with Store(path) as first, Store(path) as second:
        first["a"] = []
        with pytest.raises(StoreError, match="edited by this thread already"), first.edit("a"), second.edit("a"):
            pytest.fail("got in")
        free(first, second)


# -- two that wait for each other


class Turns:
    """Threads that hold one store each and write to the next one's, all at once."""

    def __init__(self, stores: list[Store]) -> None:
        self.stores = stores
        self.all_hold = threading.Barrier(len(stores))
        self.failures: dict[int, BaseException] = {}
        self.took: dict[int, float] = {}

    def run(self) -> None:
        threads = [threading.Thread(target=self._turn, args=(number,)) for number in range(len(self.stores))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive()

    def _turn(self, number: int) -> None:
        mine, next_ = self.stores[number], self.stores[(number + 1) % len(self.stores)]
        try:
            with mine.transaction():
                mine[f"by {number}"] = 1
                self.all_hold.wait(TIMEOUT)
                next_[f"by {number}"] = 1
        except BaseException as exc:
            self.failures[number] = exc


def opened(stack: ExitStack, folder: Path, names: str) -> list[Store]:
    places = [":memory:" if name == "M" else folder / f"{name}.db" for name in names]
    return [stack.enter_context(Store(place, timeout=TIMEOUT)) for place in places]


@pytest.mark.parametrize("names", ["ab", "ba", "aM", "Ma", "MM", "abc", "cba", "bMa", "acbd"])
def test_ring_of_threads_is_broken_by_whoever_waits_against_the_order(tmp_path: Path, names: str) -> None:
    with ExitStack() as stack:
        stores = opened(stack, tmp_path, names)
        turns = Turns(stores)
        began = time.monotonic()
        turns.run()
        assert time.monotonic() - began < TIMEOUT / 2, "it was the timeout that ended it"
        assert turns.failures and len(turns.failures) < len(names)
        for number, error in turns.failures.items():
            assert isinstance(error, LockTimeout)
            assert "begin again, the transaction of" in str(error)
            assert all(f"by {number}" not in s for s in stores), "nothing was kept"
        for number in set(range(len(names))) - set(turns.failures):
            assert sum(f"by {number}" in s for s in stores) == 2
        free(*stores)


def test_error_names_the_stores_in_the_order_to_take_them(tmp_path: Path) -> None:
    with ExitStack() as stack:
        turns = Turns(opened(stack, tmp_path, "ba"))
        turns.run()
        (error,) = turns.failures.values()
        assert f"the transaction of {tmp_path}/a.db, then of {tmp_path}/b.db" in str(error)


NESTER = """
    import sys
    from store import Store
    from store.errors import LockTimeout

    others = [Store(path) for path in sys.argv[4:]]
    with Store(sys.argv[1], timeout=60) as outer, Store(sys.argv[2], timeout=60) as inner:
        for number in range(int(sys.argv[3])):
            while True:
                try:
                    with outer.transaction():
                        outer.modify("count", lambda n: n + 1)
                        print("holds", flush=True)
                        sys.stdin.readline()
                        inner.modify("count", lambda n: n + 1)
                    print("done", flush=True)
                    sys.stdin.readline()
                    break
                except LockTimeout as exc:
                    print("gave up" if "begin again" in str(exc) else exc, flush=True)
                    sys.stdin.readline()
"""


@pytest.mark.slow
def test_ring_of_two_processes(tmp_path: Path, program: Callable[..., Any]) -> None:
    """Each time it is the one that waits against the order; it begins again when the other one is through."""
    a, b = tmp_path / "a.db", tmp_path / "b.db"
    rounds = 5
    with Store(a) as first, Store(b) as second:
        first["count"] = second["count"] = 0
        along, against = program(NESTER, a, b, rounds), program(NESTER, b, a, rounds)
        for _ in range(rounds):
            assert [one.line() for one in (along, against)] == ["holds"] * 2
            for one in (along, against):
                one.tell()
            assert against.line() == "gave up"
            assert along.line() == "done"
            against.tell()
            assert against.line() == "holds"
            against.tell()
            assert against.line() == "done"
            for one in (along, against):
                one.tell()
        assert (along.output(), against.output()) == ("", "")
        assert first["count"] == second["count"] == 2 * rounds


@pytest.mark.slow
def test_ring_through_a_store_that_this_process_has_open_and_never_wrote_to(tmp_path: Path, program: Any) -> None:
    a, b, c = (tmp_path / f"{name}.db" for name in "abc")
    for path in (a, b, c):
        with Store(path) as s:
            s["count"] = 0
    nesters = [program(NESTER, a, b, 1), program(NESTER, b, c, 1), program(NESTER, c, a, 1, b)]
    assert [one.line() for one in nesters] == ["holds"] * 3
    for one in nesters:
        one.tell()
    against = nesters.pop()
    assert against.line() == "gave up"
    for one in reversed(nesters):
        assert one.line() == "done"
        one.tell()
    against.tell()
    assert against.line() == "holds"
    against.tell()
    assert against.line() == "done"
    against.tell()
    assert [one.output() for one in (*nesters, against)] == [""] * 3


HOLDER = """
    import sys
    from store import Store
    with Store(sys.argv[1]) as s:
        while True:
            with s.transaction():
                s["x"] = 1
                print("holds", flush=True)
                if sys.stdin.readline() == "wait\\n":
                    with Store(sys.argv[2]) as other:
                        other["x"] = 1
            sys.stdin.readline()
"""


def waits(lock: Path) -> bool:
    """Whether the holder of that lock says that it waits for another."""
    return lock.read_bytes()[1:2].isdigit()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.slow
def test_against_the_order_a_writer_that_does_not_nest_is_waited_for(tmp_path: Path, program: Any) -> None:
    """Also where one that was killed while it waited left its line behind."""
    a, b = tmp_path / "a.db", tmp_path / "b.db"
    with Store(a, timeout=TIMEOUT) as first, Store(b, timeout=TIMEOUT) as second:
        killed = program(HOLDER, a, b)
        assert killed.line() == "holds"
        with second.transaction():
            killed.tell("wait")
            until(lambda: waits(Path(f"{a}.lock")))
            killed.kill()
        assert waits(Path(f"{a}.lock"))
        holder = program(HOLDER, a, b)
        assert holder.line() == "holds"
        threading.Timer(0.2, holder.tell).start()  # 20 looks along the lines; more would show no more
        with second.transaction():
            first["mine"] = second["mine"] = 1
        assert first["mine"] == second["mine"] == 1
        assert holder.process.poll() is None


def test_nothing_is_left_in_the_lock_file_of_who_waited(tmp_path: Path) -> None:
    with ExitStack() as stack:
        stores = opened(stack, tmp_path, "ab")
        Turns(stores).run()
        assert [waits(tmp_path / f"{name}.db.lock") for name in "ab"] == [False, False]


def test_line_of_another_user_opens_no_file(tmp_path: Path) -> None:
    """What a lock file says is followed only to locks that this process has."""
    with ExitStack() as stack:
        a, b = opened(stack, tmp_path, "ab")
        a["x"] = b["x"] = 1
        pipe = tmp_path / "pipe.lock"
        os.mkfifo(pipe)
        holder, leave = threading.Event(), threading.Event()

        def hold() -> None:
            with a.transaction():
                a.opened.engine.handle.engine.writer_lock.say(b"1 %s\n" % str(pipe).encode())
                holder.set()
                assert leave.wait(TIMEOUT)

        thread = threading.Thread(target=hold)
        thread.start()
        assert holder.wait(TIMEOUT)
        threading.Timer(0.1, leave.set).start()
        with b.transaction():
            a["x"] = 2
        thread.join(TIMEOUT)
        assert a["x"] == 2


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"1", b"x y\n", b"9" * 9000, b"\xff\xfe \xff\n", b"1 \n", "² a\n".encode()]
)
def test_line_that_makes_no_sense_is_none(tmp_path: Path, line: bytes) -> None:
    from store.system.deadlock import Waiting

    locks = {name: WriterLock(None) for name in "ab"}
    for name, lock in locks.items():
        lock.label = name
    locks["a"].say(line)
    waiting = Waiting(locks["a"], [locks["b"]], locks.get)
    assert [waiting.look() for _ in range(3)] == [False] * 3


@pytest.mark.heavy
def test_many_that_nest_in_both_orders_and_many_that_do_not(tmp_path: Path) -> None:
    """Nobody times out; every transaction that gave up, and was begun again, counts once."""
    with ExitStack() as stack:
        stores = opened(stack, tmp_path, "abM")
        for s in stores:
            s["count"] = 0
        failures: list[BaseException] = []
        gave_up = [0]

        def work(number: int) -> None:
            try:
                for i in range(40):
                    outer, inner = stores[(number + i) % 3], stores[(number + i + 1 + number % 2) % 3]
                    while number % 4:
                        try:
                            with outer.transaction():
                                outer.modify("count", lambda n: n + 1)
                                inner.modify("count", lambda n: n + 1)
                            break
                        except LockTimeout as exc:
                            assert "begin again" in str(exc)
                            gave_up[0] += 1
                    else:
                        outer.modify("count", lambda n: n + 1)
            except BaseException as exc:
                failures.append(exc)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive()
        assert failures == []
        assert sum(s["count"] for s in stores) == 40 * (6 * 2 + 2)
        print("gave up", gave_up)
