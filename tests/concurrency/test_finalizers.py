"""The garbage collector runs finalizers amid operations of the same thread, and some of them use the store."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from striking import Cycle, Strike

from store import Store
from store.engines.sqlite.opening import attach
from store.errors import InUse

TIMES = 300


@pytest.fixture
def often() -> Iterator[None]:
    """Collections come at every few objects."""
    before = gc.get_threshold()
    gc.set_threshold(40, 5, 5)
    yield
    gc.set_threshold(*before)


@pytest.fixture
def s(location: str) -> Iterator[Store[Any]]:
    with Store(location, timeout=5) as s:
        yield s


class Node:
    """In a cycle."""

    def __init__(self) -> None:
        self.me = self


references: list[Any] = []  # whose callbacks are still to come

MAKERS: dict[str, Callable[[Callable[[], object]], object]] = {
    "__del__": Cycle,
    "finalize": lambda work: weakref.finalize(Node(), work),
    "reference": lambda work: references.append(weakref.ref(Node(), lambda _: work())),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_finalizers_that_write_are_heard_or_refused(s, often, make):
    s.update(n=0, freed=0)
    made = noted = refused = 0

    def note() -> None:
        nonlocal noted, refused
        try:
            s.modify("freed", lambda n: n + 1)
            noted += 1
        except InUse:
            refused += 1

    for number in range(TIMES):
        make(note)
        made += 1
        s.put("x", number, ttl=100)
        s.modify("n", lambda n: n + 1)
        assert s["x"] == number
    make(note)
    made += 1
    gc.collect()  # outside of any operation
    references.clear()
    assert (s["n"], s["freed"]) == (TIMES, noted)
    assert noted + refused == made > noted > 0


def test_finalizers_that_read_see_what_is_committed(path, often):
    with Store(path, cache_bytes=0) as s:
        s.update({f"k{number}": number for number in range(50)})
        s["n"] = 0
        found: list[int] = []
        for number in range(TIMES):
            Cycle(lambda number=number: found.append(s["n"] - number))
            s.modify("n", lambda n: n + 1)
            assert len(dict(s.items())) == 51
        assert found
        assert set(found) <= set(range(TIMES))
        assert s["n"] == TIMES


def test_handles_that_the_collector_closes_disturb_nothing(path, often):
    """An error in a finalizer would be a warning, which fails the test."""
    with Store(path, timeout=5) as s:
        s["n"] = 0
        for number in range(TIMES):
            cycle: list[Any] = [s.within(f"space {number % 7}")]
            cycle[0]["last"] = number
            cycle.append(cycle)
            del cycle
            s.update(n=number)
            s.modify("n", lambda n: n + 1)
            assert s["n"] == number + 1
        gc.collect()
        assert s.opened.engine.handle.engine.handles == 1


def op_put(s: Store[Any]) -> None:
    s.put("a", 1, ttl=60)


def op_read(s: Store[Any]) -> None:
    assert len(list(s.items())) == len(s) == 1


@pytest.mark.parametrize("operation", [op_put, op_read])
def test_live_values_of_a_dropped_handle_are_written_after_the_operation(path, operation: Callable[..., None]):
    gc.collect()
    gc.disable()
    try:
        with Store(path, timeout=5) as s:
            for line in range(1, 2000, 97):
                s.clear()
                s["a"] = 1
                cycle: list[Any] = [Store(path, namespace="live", writeback=True)]
                cycle[0]["list"] = []
                cycle[0]["list"].append(line)
                cycle.append(cycle)
                del cycle
                with Strike(line, gc.collect) as struck:
                    operation(s)
                gc.collect()
                with s.within("live") as live:
                    assert live["list"] == [line], struck.where
                assert s.opened.engine.handle.engine.handles == 1
                if not struck.where:
                    break
            assert line > 97
    finally:
        gc.enable()


def test_generator_in_a_transaction_that_is_dropped_amid_an_operation(path):
    """What it holds is rolled back once that is over, and the operation does what it was told."""
    gc.collect()
    gc.disable()
    try:
        with Store(path, timeout=5) as s:
            for line in range(1, 2000, 23):
                s.update(a=0, b=0)

                def block() -> Iterator[None]:
                    with s.transaction():
                        s["b"] = 1
                        yield

                cycle: list[Any] = [block()]
                next(cycle[0])
                cycle.append(cycle)
                del cycle
                with Strike(line, gc.collect) as struck:
                    s.get("a")
                gc.collect()
                s["a"] = line
                assert (s["a"], s["b"]) == (line, 0), struck.where
                if not struck.where:
                    break
            assert line > 23
    finally:
        gc.enable()


def test_store_that_is_collected_while_another_one_closes(path, monkeypatch):
    """Both find the same engine without a handle; a collection comes at any allocation in between."""

    class Closing(list[Any]):
        def append(self, entry: Any) -> None:
            super().append(entry)
            if inner:
                attach.detach(inner.pop())

    inner = []
    monkeypatch.setattr(attach, "_closing", Closing())
    first, second = Store(path), Store(path)
    lease = attach.retain(first.opened.engine.handle.engine)
    second.close()
    lease.is_open = False
    inner.append(lease)
    first.close()
    assert attach._closing == [] and not attach.is_open(str(path))
