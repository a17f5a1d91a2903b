"""`add` and `incr`: one of many makes a record, and a number that many add to loses no addition."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import pytest

from store import NotSerializable, ReadOnly, Store


@pytest.fixture
def s(location: str, clock: Any) -> Iterator[Store[Any]]:
    with Store[Any](location, clock=clock, ttl=100) as opened:
        yield opened


class Size(IntEnum):
    ONE = 1


def test_add_stores_where_there_is_nothing(s: Store[Any]) -> None:
    assert s.add("a", 1) is True
    assert s.add("a", 2) is False
    assert (s["a"], s.record("a").revision) == (1, 1)
    del s["a"]
    assert s.add("a", 3) is True


def test_add_takes_an_expired_record_for_none(s: Store[Any], clock: Any) -> None:
    s.add("a", 1, ttl=10)
    clock.advance(9)
    assert s.add("a", 2) is False
    clock.advance(2)
    assert s.add("a", 3) is True
    assert s.record("a").revision == 1


def test_lifetime_is_that_of_the_store_unless_given(s: Store[Any], clock: Any) -> None:
    s.add("store's", 1)
    s.add("own", 1, ttl=5)
    s.add("for ever", 1, ttl=None)
    s.incr("count")
    s.put("put", 1)
    s.put("put for ever", 1, ttl=None)
    lives = {record.name: record.expires and (record.expires - record.created).total_seconds() for record in s.records()}
    assert lives == {"store's": 100, "own": 5, "for ever": None, "count": 100, "put": 100, "put for ever": None}
    assert s.touch("put", None).expires is None
    assert s.touch("put").expires == s.record("store's").expires


def test_add_that_cannot_be_stored_leaves_nothing(s: Store[Any]) -> None:
    with pytest.raises(NotSerializable):
        s.add("a", lambda: 1)
    with pytest.raises(ValueError, match="ttl"):
        s.add("a", 1, ttl=0)
    with pytest.raises(TypeError, match="name"):
        s.add(1, 1)  # type: ignore[arg-type]
    assert "a" not in s


def test_incr_counts_from_the_default(s: Store[Any]) -> None:
    assert [s.incr("a"), s.incr("a", 5), s.incr("a", -10), s.incr("b", 2, default=40)] == [1, 6, -4, 42]
    assert (s["a"], s["b"], s.record("a").revision) == (-4, 42, 3)
    assert s.incr("a", 10**40) == s["a"] == 10**40 - 4


def test_incr_keeps_lifetime_and_codec(s: Store[Any], clock: Any) -> None:
    before = s.put("a", 1, ttl=7, codec="json")
    clock.advance(3)
    assert s.incr("a") == 2
    after = s.record("a")
    assert (after.expires, after.codec, after.created) == (before.expires, "json", before.created)
    clock.advance(5)
    assert s.incr("a") == 1


@pytest.mark.parametrize("value", [True, 1.5, "1", None, [1], Size.ONE], ids=repr)
def test_incr_of_what_is_no_int(s: Store[Any], value: Any) -> None:
    s["a"] = value
    with pytest.raises(TypeError, match="record 'a'"):
        s.incr("a")
    with pytest.raises(TypeError, match="delta"):
        s.incr("b", value)
    with pytest.raises(TypeError, match="default"):
        s.incr("b", default=value)
    assert (list(s), s["a"], s.record("a").revision) == (["a"], value, 1)


def test_inside_a_transaction_they_are_undone_with_it(s: Store[Any]) -> None:
    s["n"] = 5
    with pytest.raises(ZeroDivisionError), s.transaction():
        assert s.incr("n") == 6
        assert s.add("a", 1)
        1 / 0
    assert dict(s) == {"n": 5}


def test_writeback_sees_the_sum(place: str) -> None:
    with Store[Any](place, writeback=True) as s:
        s["n"] = 1
        assert s["n"] == 1
        assert s.incr("n") == s["n"] == 2
        assert s.add("n", 5) is False


def test_read_only_store_refuses(place: str) -> None:
    Store(place)["a"] = 1
    with Store[Any](place, mode="r") as s:
        with pytest.raises(ReadOnly):
            s.incr("a")
        with pytest.raises(ReadOnly):
            s.add("b", 1)
        assert s.add("a", 1) is False


@pytest.mark.slow
def test_no_addition_of_any_process_is_lost(place: str, crowd: Any) -> None:
    Store(place).close()
    added = crowd(
        4,
        """
        with Store(sys.argv[1]) as s:
            made = sum(s.add(f"n{i}", int(sys.argv[2])) for i in range(40))
            print(json.dumps([made, *(s.incr("sum") for _ in range(100))]))
        """,
        place,
    )
    with Store[Any](place) as s:
        assert s["sum"] == 400
        assert sum(made for made, *_ in added) == 40
    assert sorted(count for _, *counts in added for count in counts) == list(range(1, 401))
