"""`transaction(*stores)`: several namespaces of one location change as one, on every engine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from free import needs_held

from store import Store
from store.errors import StoreClosed


@pytest.fixture
def x(s: Store[Any]) -> Iterator[Store[Any]]:
    with s.within("x") as opened:
        yield opened


@pytest.fixture
def y(s: Store[Any]) -> Iterator[Store[Any]]:
    with s.within("y") as opened:
        yield opened


def test_all_of_it_or_nothing(s, x, y):
    with s.transaction(x, y):
        s["a"], x["a"], y["a"] = 1, 2, 3
    with pytest.raises(ZeroDivisionError), x.transaction(s, y, x):
        s["a"], x["b"], y["c"] = 4, 5, 6
        del y["a"]
        1 / 0
    assert (dict(s), dict(x), dict(y)) == ({"a": 1}, {"a": 2}, {"a": 3})


def test_anything_but_a_store_is_refused(s):
    with pytest.raises(TypeError, match="takes other stores of the same location, not 'x'"):
        s.transaction("x")


def test_nests(s, x, y):
    with s.transaction():
        s["a"] = 1
        with pytest.raises(ZeroDivisionError), x.transaction(y):
            x["a"], y["a"] = 1, 1
            1 / 0
        with x.transaction(y):
            y["a"] = 2
    with s.transaction(x), y.transaction(x):
        x["b"] = y["a"]
    assert (dict(s), dict(x), dict(y)) == ({"a": 1}, {"b": 2}, {"a": 2})


def test_opposite_orders_wait_for_one_another_and_not_in_a_circle(s, x, y):
    needs_held(s)
    begun = threading.Barrier(2)

    def move(first: Store[Any], second: Store[Any]) -> None:
        begun.wait(60)
        for _ in range(20):
            with first.transaction(second):
                total = first.get("n", 0) + second.get("n", 0)
                first["n"], second["n"] = total + 1, 0

    threads = [threading.Thread(target=move, args=pair) for pair in ((x, y), (y, x))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert x["n"] + y["n"] == 40


def test_store_at_another_place_is_refused(s, x, tmp_path):
    with Store[Any](tmp_path / "other.db") as file, Store[Any](":memory:") as memory:
        for other in (file, memory):
            with pytest.raises(ValueError, match="one transaction is on one location, and these stores are on"):
                s.transaction(x, other)
            with pytest.raises(ValueError, match="namespaces of one store"):
                other.transaction(s)
    assert dict(s) == {}


def test_second_handle_on_the_same_place_is_not_another_one(s):
    if s.location == ":memory:":
        pytest.skip("memory has no second handle by its location")
    with Store[Any](s.location, namespace="z") as z:
        with pytest.raises(ZeroDivisionError), s.transaction(z):
            z["a"] = 1
            1 / 0
        assert dict(z) == {}


def test_closed_one_is_refused(s, x):
    x.close()
    with pytest.raises(StoreClosed):
        s.transaction(x)
