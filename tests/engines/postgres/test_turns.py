"""Everybody gets a turn: writers beside transactions, transactions beside writers, and threads beside a small pool."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from postgres_beside import admin as admin
from postgres_beside import beside as beside

from store import Store
from store.engines.postgres import transaction_locks
from store.errors import LockTimeout

WRITERS = 6


@pytest.fixture
def s(postgres_url: str) -> Iterator[Store[Any]]:
    with Store[Any](postgres_url, timeout=60) as opened:
        yield opened


class TestWholeNamespace:
    def test_transaction_gets_its_turn_beside_writers_that_never_pause(self, s, beside):
        stop = threading.Event()

        def write(number: int) -> int:
            done = 0
            while not stop.is_set():
                s[f"w{number}"] = done = done + 1
            return done

        writers = [beside(lambda number=number: write(number)) for number in range(WRITERS)]
        try:
            for _ in range(20):
                with s.transaction():
                    s["x"] = s.get("x", 0) + 1
        finally:
            stop.set()
        assert s["x"] == 20
        assert [writer.result() for writer in writers] == [s[f"w{number}"] for number in range(WRITERS)]

    def test_writers_go_on_while_one_waits_for_an_edit(self, s, beside):
        """A transaction that waits in the server's queue holds up everybody, and so it does not stay there."""
        with s.edit("open", {}):
            waiting = beside(lambda: s.transact(len))
            waiting.waits()
            for number in range(100):
                assert beside(lambda number=number: s.__setitem__("a", number)).result() is None
            assert waiting._thread.is_alive()
        assert waiting.result() == 2

    def test_transaction_beside_edits_that_overlap_at_all_times(self, postgres_url, beside):
        """Those that begin while it is in the server's queue come after it."""
        with Store[Any](postgres_url, timeout=60) as s, s.within("") as other:
            done = threading.Event()
            begun = [threading.Semaphore(0), threading.Semaphore(0)]

            def edit(number: int) -> None:
                begun[number].acquire()
                while not done.is_set():
                    with s.edit(f"open{number}", {}):
                        begun[1 - number].release()  # the other one begins before this one ends
                        if not done.is_set():
                            begun[number].acquire(timeout=0.05)  # it cannot, behind the transaction
                begun[1 - number].release()

            editors = [beside(lambda number=number: edit(number)) for number in range(2)]
            begun[0].release()
            try:
                assert other.transact(lambda store: store.add("turn", 1))
            finally:
                done.set()
                for semaphore in begun:
                    semaphore.release()
            assert [editor.result() for editor in editors] == [None, None]

    def test_threads_that_wait_come_before_the_one_that_begins_again(self, s, beside, monkeypatch):
        """In the order in which they came: one that begins again and again would keep all others out."""
        monkeypatch.setattr(transaction_locks, "FIRST_WAIT", 60.0)  # they stay in the server's queue

        def append(number: int) -> None:
            with s.transaction():
                s["order"] = [*s["order"], number]

        s["order"] = []
        with s.transaction():
            waiting = []
            for number in range(3):
                waiting.append(beside(lambda number=number: append(number)))
                waiting[-1].waits(number + 1)
        append(3)
        assert [one.result() for one in waiting] == [None] * 3
        assert s["order"] == [0, 1, 2, 3]

    def test_timeout_of_a_transaction_that_gets_no_turn(self, postgres_url, s, beside):
        with Store[Any](postgres_url, timeout=0.3) as short, s.edit("open", {}):
            error = beside(lambda: short.transact(len)).result()
            assert isinstance(error, LockTimeout) and "kept the namespace '' for 0.3 seconds" in str(error)
            error = beside(lambda: short.modify("open", lambda value: value, {})).result()
            assert isinstance(error, LockTimeout)
        assert short is not s and "open" in s

    def test_purge_beside_an_open_edit(self, postgres_url, clock, beside):
        with Store[Any](postgres_url, clock=clock, timeout=60) as s:
            s["b"] = 1
            s.put("old", 1, ttl=10)
            s.put("renewed", 1, ttl=10)
            clock.advance(20)
            scan = s.opened.engine.scan

            def renew_after(*args: Any, **options: Any) -> Any:
                """Another writer replaces a record after it was found to have expired."""
                page = scan(*args, **options)
                beside(lambda: s.__setitem__("renewed", 2)).result()
                return page

            s.opened.engine.scan = renew_after
            with s.edit("open", {}):
                assert beside(s.purge).result() == 1
            assert dict(s) == {"b": 1, "renewed": 2, "open": {}}


class TestPool:
    def test_fewer_connections_than_threads_in_transactions(self, postgres_url, beside):
        with Store[Any](f"{postgres_url}&pool_size=2", timeout=60) as s:

            def work(number: int) -> None:
                for _ in range(5):
                    s.transact(lambda store: store.__setitem__("n", store.get("n", 0) + 1))
                    with s.edit(f"e{number}", {"n": 0}) as value:
                        value["n"] += len(s.names("e", limit=1))

            threads = [beside(lambda number=number: work(number)) for number in range(8)]
            assert [thread.result() for thread in threads] == [None] * 8
            assert s["n"] == 40

    def test_no_connection_in_time_is_said(self, postgres_url, beside):
        with Store[Any](f"{postgres_url}&pool_size=1", timeout=0.3) as s:
            s["a"] = 1
            with s.transaction():
                for work in (lambda: s["a"], lambda: s.transact(len), lambda: s.__setitem__("a", 2)):
                    error = beside(work).result()
                    assert isinstance(error, LockTimeout) and "raise pool_size in the URL" in str(error)
                s["a"] = 3
            assert beside(lambda: s["a"]).result() == 3

    def test_thread_in_a_transaction_asks_the_clock_on_its_own_connection(self, postgres_url):
        with Store[Any](f"{postgres_url}&pool_size=1", timeout=5) as s, s.transaction():
            s.opened.engine.handle.server._offset_at = float("-inf")
            s.put("a", 1, ttl=60)
            assert s["a"] == 1


class TestOneThread:
    def test_two_stores_on_one_url_are_in_one_transaction(self, postgres_url):
        with Store[Any](postgres_url) as one, Store[Any](postgres_url) as two:
            with pytest.raises(ZeroDivisionError), one.transaction():
                one["a"] = 1
                with two.transaction():
                    assert two["a"] == 1
                    two["b"] = 2
                1 / 0
            assert dict(two) == {}
            with one.edit("a", {"n": 1}), two.transaction():
                two["b"] = 2
            assert dict(one) == {"b": 2, "a": {"n": 1}}

    def test_nested_transaction_of_an_edit_excludes_nobody(self, s, beside):
        s["b"] = 1
        with s.edit("a", {"n": 1}), s.transaction():
            assert beside(lambda: s.__setitem__("b", 2)).result() is None
            assert s["b"] == 2

    def test_generator_that_is_abandoned_in_a_block(self, s, beside):
        def generate() -> Iterator[int]:
            with s.transaction():
                s["a"] = 1
                yield 1

        abandoned = generate()
        next(abandoned)
        del abandoned
        assert "a" not in s and beside(lambda: s.transact(len)).result() == 0
        s["b"] = 1
        assert dict(s) == {"b": 1}

    def test_generator_that_another_thread_abandons(self, s, beside):
        def generate() -> Iterator[int]:
            with s.edit("a", {}):
                s["b"] = 1
                yield 1

        kept = [generate()]
        next(kept[0])
        assert beside(kept.clear).result() is None
        assert "b" not in s
        s["c"] = 1
        assert dict(s) == {"c": 1} and beside(lambda: s.transact(len)).result() == 1
