"""What is run again where other writers came first, and where the program is told instead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from postgres_beside import admin as admin
from postgres_beside import beside as beside

from store import Store
from store.errors import Conflict, LockTimeout
from store.opened.namespace import Namespace
from store.opened.restarts import restarted


@pytest.fixture
def quick_detection(admin: Any) -> Iterator[None]:
    """The server finds deadlocks after 50 ms, and not after a second."""
    admin.execute("ALTER DATABASE postgres SET deadlock_timeout = '50ms'")
    yield
    admin.execute("ALTER DATABASE postgres RESET deadlock_timeout")


@pytest.fixture
def s(quick_detection: None, postgres_url: str) -> Iterator[Store[Any]]:
    with Store[Any](postgres_url, timeout=30) as opened:
        yield opened


@pytest.fixture
def put(s: Store[Any], beside: Any) -> Callable[[str, Any], None]:
    """Another writer puts a record, and is done when this returns."""
    return lambda name, value: beside(lambda: s.__setitem__(name, value)).result()


class TestOvertakenByAPut:
    """Where there is no record there is no row to lock, so that a plain put comes first."""

    def test_modify(self, s, put):
        seen = []

        def change(value: int) -> int:
            if not seen:
                put("a", 10)
            seen.append(value)
            return value + 1

        assert s.modify("a", change, 0) == 11 == s["a"]
        assert seen == [0, 10]

    def test_transact(self, s, put):
        seen = []

        def work(store: Store[Any]) -> int:
            with store.edit("a", {"n": 0}) as value:
                seen.append(value["n"])
                value["n"] += 1
                return len(seen)

        assert s.transact(work) == 1 and s["a"] == {"n": 1}

    def test_modify_around_an_edit(self, s, put):
        seen = []

        def change(value: int) -> int:
            with s.edit("a", {"n": 0}) as inner:
                if not seen:
                    put("a", {"n": 10})
                seen.append(inner["n"])
                inner["n"] += 1
            return value + 1

        assert s.modify("count", change, 0) == 1
        assert s["a"] == {"n": 11} and seen == [0, 10]

    @pytest.mark.parametrize("operation", [
        lambda s: s.incr("a"), lambda s: s.add("a", 1), lambda s: s.setdefault("a", 1), lambda s: s.put("a", 1),
    ], ids=["incr", "add", "setdefault", "put"])  # fmt: skip
    def test_operations_whose_gap_is_the_library_own(self, s, put, operation, monkeypatch):
        """Between reading and writing, where no function of the program runs."""
        engine = s.opened.engine
        original, puts = engine.put, []

        def interleaved(row: Any) -> Any:
            if threading.current_thread() is threading.main_thread() and not puts:
                puts.append(row)
                put("a", 10)
            return original(row)

        monkeypatch.setattr(engine, "put", interleaved)
        found = operation(s)
        assert puts and s["a"] == {11: 11, False: 10, 10: 10}.get(found, 1)

    def test_inside_a_block_of_the_program_it_is_a_conflict(self, s, put):
        def change(value: int) -> int:
            put("a", 10)
            return value + 1

        s["lock"] = {}
        with pytest.raises(Conflict, match="nothing of the transaction was kept") as caught, s.edit("lock"):
            s["b"] = 1
            s.modify("a", change, 0)
        assert caught.value.name == "a" and s["a"] == 10 and "b" not in s

    def test_block_that_ignores_it_commits_nothing(self, s, put):
        s["lock"] = {}
        with pytest.raises(Conflict), s.edit("lock"):
            s["b"] = 1
            assert "a" not in s
            put("a", 10)
            with suppress(Conflict):
                s["a"] = 1
            with pytest.raises(Conflict):
                s["b"] = 2
        assert dict(s) == {"lock": {}, "a": 10}

    def test_nested_block_that_is_undone_ends_alone(self, s, put):
        s["lock"] = {}
        with s.edit("lock"):
            s["b"] = 1
            with suppress(Conflict), s.transaction():
                assert "a" not in s
                put("a", 10)
                s["a"] = 1
            s["c"] = s["a"] + 1
        assert dict(s) == {"lock": {}, "a": 10, "b": 1, "c": 11}


class TestNotRunAgain:
    def test_conflict_that_the_function_raised(self, s):
        calls = []

        def change(value: int) -> int:
            calls.append(value)
            raise Conflict("mine")

        with pytest.raises(Conflict, match="mine"):
            s.modify("a", change, 0)
        with pytest.raises(Conflict, match="mine"):
            s.transact(lambda store: change(1))
        assert calls == [0, 1]

    def test_conflict_of_a_block_on_another_store(self, s, put, postgres_url):
        """It ended a transaction, but not this one."""
        calls = []
        with Store[Any](f"{postgres_url}&prefix=other_") as other:

            def change(value: int) -> int:
                calls.append(value)
                with other.edit("a", {}):
                    other_thread = threading.Thread(target=lambda: other.__setitem__("a", {"theirs": 1}))
                    other_thread.start()
                    other_thread.join()
                return value + 1

            with pytest.raises(Conflict):
                s.modify("a", change, 0)
        assert calls == [0] and "a" not in s

    def test_comparison_that_fails(self, s):
        record = s.put("a", 1)
        s["a"] = 2
        with pytest.raises(Conflict, match="is not the one that was read"):
            s.put("a", 3, if_version=record)
        with pytest.raises(Conflict, match="is not the one that was read"):
            s.transact(lambda store: store.delete("a", if_version=record))

    def test_error_of_the_function_after_it_caught_the_conflict(self, s, put):
        def change(value: int) -> int:
            put("b", 1)
            with suppress(Conflict):
                s["b"] = 2
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            s.modify("a", lambda value: change(value) if "b" not in s else 5, 0)
        assert dict(s) == {"b": 1}


def test_others_that_come_first_all_the_time_end_at_the_timeout(s, beside):
    """Each time that it is run there is no record when it is read, and there is one when it is written."""
    names = []

    @restarted
    def operation(ns: Namespace) -> None:
        names.append(f"n{len(names)}")
        with ns.transaction(names=(names[-1],)):
            assert ns.find(names[-1]) is None
            beside(lambda: s.__setitem__(names[-1], "theirs")).result()
            ns.assign(names[-1], "mine")

    with s.within("") as short:
        short.opened.options = short.opened.options._replace(timeout=0.2)
        with pytest.raises(LockTimeout, match=r"came first for 0\.2 seconds"):
            operation(short.opened)
    assert len(names) > 1 and set(s.values()) == {"theirs"}


# -- in circles


def both(*work: Callable[[], Any]) -> list[Any]:
    """The results of several threads, or their errors."""
    found: dict[int, Any] = {}

    def run(number: int) -> None:
        try:
            found[number] = work[number]()
        except Exception as exc:
            found[number] = exc

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "they wait for one another"
    return [found[number] for number in range(len(work))]


class TestCircles:
    def test_nested_edits_in_opposite_orders(self, s):
        s.update(a={"n": 0}, b={"n": 0})
        met = threading.Barrier(2)

        def edit(first: str, second: str) -> None:
            with s.edit(first) as one:
                one["n"] += 1
                met.wait(60)
                with s.edit(second) as two:
                    two["n"] += 1

        found = both(lambda: edit("a", "b"), lambda: edit("b", "a"))
        assert sorted(type(one).__name__ for one in found) == ["Conflict", "NoneType"]
        assert s["a"] == s["b"] == {"n": 1}

    def test_nested_modifications_in_opposite_orders_both_succeed(self, s):
        s.update(a=0, b=0)
        met = threading.Barrier(2)

        def modify(first: str, second: str) -> None:
            def outer(value: int) -> int:
                with suppress(threading.BrokenBarrierError):
                    met.wait(5)
                s.modify(second, lambda other: other + 1)
                return value + 1

            s.modify(first, outer)
            met.abort()

        assert both(lambda: modify("a", "b"), lambda: modify("b", "a")) == [None, None]
        assert (s["a"], s["b"]) == (2, 2)

    def test_transact_around_edits_of_another_namespace(self, s):
        """Each has a namespace of its own for itself, and so the circle is closed in the third one."""
        met = threading.Barrier(2)
        with s.within("x") as x, s.within("y") as y:
            s.update(a=0, b=0)

            def work(first: str, second: str) -> Callable[[Store[Any]], None]:
                def change(value: int) -> int:
                    with suppress(threading.BrokenBarrierError):
                        met.wait(2)
                    s.modify(second, lambda other: other + 1)
                    return value + 1

                return lambda store: s.modify(first, change) and store.__setitem__("done", first)

            assert both(lambda: x.transact(work("a", "b")), lambda: y.transact(work("b", "a"))) == [None, None]
            assert (s["a"], s["b"], x["done"], y["done"]) == (2, 2, "a", "b")

    def test_transactions_of_two_namespaces_in_opposite_orders(self, s):
        met = threading.Barrier(2)
        with s.within("x") as x, s.within("y") as y:

            def write(first: Store[Any], second: Store[Any]) -> Callable[[Store[Any]], None]:
                def work(_: Store[Any]) -> None:
                    first["n"] = first.get("n", 0) + 1
                    with suppress(threading.BrokenBarrierError):
                        met.wait(2)
                    second["n"] = second.get("n", 0) + 1

                return work

            found = both(lambda: x.transact(write(x, y)), lambda: y.transact(write(y, x)))
            assert found == [None, None] and (x["n"], y["n"]) == (2, 2)

    def test_update_beside_an_edit_that_writes_what_it_waits_behind(self, s, beside):
        s.update(a={"n": 0}, b=0, c=0)
        with suppress(Conflict), s.edit("a") as value:
            value["n"] = 1
            s["c"] = 1
            other = beside(lambda: s.update(c=2, b=2))
            other.waits()
            s["b"] = 1
        assert other.result() is None
        assert (s["b"], s["c"]) == (2, 2)

    def test_enclosing_edit_goes_on_where_the_inner_one_was_a_conflict(self, s):
        s.update(a={"n": 0}, b={"n": 0})
        met = threading.Barrier(2)

        def edit(first: str, second: str) -> bool:
            with s.edit(first) as one:
                one["n"] += 1
                met.wait(60)
                try:
                    with s.edit(second) as two:
                        two["n"] += 10
                except Conflict:
                    return False
            return True

        assert sorted(both(lambda: edit("a", "b"), lambda: edit("b", "a"))) == [False, True]
        assert s["a"]["n"] + s["b"]["n"] == 12
