"""No transaction overwrites what another writer committed after it was read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from postgres_beside import admin as admin
from postgres_beside import beside as beside

from store import ABSENT, Store
from store.errors import Conflict


@pytest.fixture
def s(postgres_url: str) -> Iterator[Store[Any]]:
    with Store[Any](postgres_url, timeout=30) as opened:
        yield opened


class Undo(Exception):
    """Leaves a nested transaction."""


@pytest.fixture
def put(s: Store[Any], beside: Any) -> Callable[..., None]:
    """Another writer puts records, and is done when this returns."""

    def by_another(**values: Any) -> None:
        def work() -> None:
            for name, value in values.items():
                s[name] = value

        assert beside(work).result() is None

    return by_another


class TestPutBesideAnEdit:
    def test_waits_where_there_is_a_record(self, s, beside):
        s["a"] = {"n": 0}
        with s.edit("a") as value:
            value["n"] = 1
            other = beside(lambda: s.__setitem__("a", {"n": 2}))
            other.waits()
        assert other.result() is None
        assert s["a"] == {"n": 2} and s.record("a").revision == 3

    def test_of_a_missing_record_stays_and_the_edit_conflicts(self, s, put):
        with pytest.raises(Conflict) as caught, s.edit("a", {"n": 0}) as value:
            value["n"] = 1
            s["other"] = 1
            put(a={"n": 2})
        assert caught.value.name == "a" and dict(s) == {"a": {"n": 2}}

    def test_of_a_missing_record_after_a_nested_transaction_was_undone(self, s, put):
        """What was read before a savepoint was read after it too."""
        with pytest.raises(Conflict), s.edit("a", {"n": 0}) as value:
            with suppress(Undo), s.transaction():
                raise Undo
            put(a={"n": 2})
            value["n"] = 1
        assert s["a"] == {"n": 2}

    def test_of_a_record_that_the_block_deleted_waits(self, s, beside):
        s["a"] = {"n": 0}
        s["b"] = 0
        with s.edit("a") as value:
            value["n"] = 1
            del s["b"]
            other = beside(lambda: s.__setitem__("b", 1))
            other.waits()
            s["b"] = 2
        other.result()
        assert dict(s) == {"a": {"n": 1}, "b": 1}

    @pytest.mark.parametrize("write", [
        lambda s: s.__setitem__("b", 1),
        lambda s: s.update(b=1, c=1),
        lambda s: s.put("b", 1),
        lambda s: s.modify("b", lambda value: 1, 0),
        lambda s: s.setdefault("b", 1),
        lambda s: s["b"],
    ], ids=["set", "update", "put", "modify", "setdefault", "read"])  # fmt: skip
    def test_of_another_record_that_its_block_missed(self, s, put, write):
        s["a"] = {"n": 0}
        with pytest.raises(Conflict), s.edit("a"):
            assert "b" not in s
            put(b="theirs")
            write(s)
        assert dict(s) == {"a": {"n": 0}, "b": "theirs"}


class TestAfterASavepoint:
    """ROLLBACK TO SAVEPOINT releases the locks of what was read since."""

    def test_value_that_was_read_in_it_is_not_written_over_a_newer_one(self, s, put):
        s.update(a={"n": 0}, b=1)
        with pytest.raises(Conflict), s.edit("a"):
            with suppress(Undo), s.transaction():
                found = s["b"]
                raise Undo
            put(b=10)
            s["b"] = found + 1
        assert s["b"] == 10

    def test_value_that_was_read_in_it_is_written_where_nobody_came(self, s):
        s.update(a={"n": 0}, b=1)
        with s.edit("a"):
            with suppress(Undo), s.transaction():
                found = s["b"]
                s["b"] = 50
                raise Undo
            s["b"] = found + 1
        assert s["b"] == 2 and s.record("b").revision == 2

    def test_value_that_is_read_again_is_the_newer_one(self, s, put):
        s.update(a={"n": 0}, b=1)
        with s.edit("a"):
            with suppress(Undo), s.transaction():
                assert s["b"] == 1
                raise Undo
            put(b=10)
            s["b"] = s["b"] + 1
        assert s["b"] == 11

    def test_deleting_what_was_read_in_it(self, s, put):
        s.update(a={"n": 0}, b=1)
        with pytest.raises(Conflict), s.edit("a"):
            with suppress(Undo), s.transaction():
                assert s["b"] == 1
                raise Undo
            put(b=10)
            del s["b"]
        assert s["b"] == 10

    def test_namespace_that_it_took_is_taken_again(self, s, beside):
        with s.within("other") as other, s.transaction():
            with suppress(Undo), s.transaction():
                assert other.get("n") is None
                raise Undo
            before = other.get("n", 0)
            writer = beside(lambda: other.__setitem__("n", 10))
            writer.waits()
            other["n"] = before + 1
        writer.result()
        with s.within("other") as other:
            assert other["n"] == 10 and other.record("n").revision == 2


class TestReplacedWhileItWaits:
    """A row that is deleted and inserted again while a statement waits for it is not in that statement's snapshot."""

    @pytest.mark.parametrize("times", [1, 2])
    @pytest.mark.parametrize("operation", [
        lambda s: s.modify("a", lambda value: value + 1),
        lambda s: s.pop("a"),
        lambda s: s.incr("a"),
        lambda s: s.touch("a", None).revision,
        lambda s: s.delete("a", if_version=s.record("a")),
    ], ids=["modify", "pop", "incr", "touch", "delete"])  # fmt: skip
    def test_is_found(self, s, beside, operation, times):
        s.update(a=0, lock={})
        waiting = None
        for number in range(times):
            with s.edit("lock"):
                s.pop("a", None)
                s["a"] = number + 1
                if waiting is None:
                    waiting = beside(lambda: operation(s))
                    waiting.waits()
        found = waiting.result()
        assert found in (1, 2, 3) or (isinstance(found, Conflict) and "is not the one that was read" in str(found))

    def test_deleted_by_a_statement_that_waited_for_the_namespace(self, s, beside):
        s["a"] = 1
        with s.transaction():
            del s["a"]
            s["a"] = 2
            other = beside(lambda: s.delete("a"))
            other.waits()
        assert other.result() is True and "a" not in s

    def test_batch_is_deleted_whole_or_not_at_all(self, s, beside):
        s["a"] = 1
        with s.edit("lock", {}):
            s["a"] = 2
            s["b"] = 2
            other = beside(lambda: s.delete_many(["b", "a"]))
            other.waits()
        assert other.result() == 2 and "a" not in s and "b" not in s

    def test_clear_leaves_no_half_of_a_batch(self, s, beside):
        s["a"] = 1
        with s.edit("lock", {}):
            s["a"] = 2
            s["b"] = 2
            other = beside(s.clear)
            other.waits()
        other.result()
        assert dict(s) == {}


class TestCompareAndSet:
    def test_one_of_two(self, s, beside):
        record = s.put("a", 0)
        with s.edit("lock", {}):
            s.put("a", 1, if_version=record)
            other = beside(lambda: s.put("a", 2, if_version=record))
            other.waits()
        assert isinstance(other.result(), Conflict) and s["a"] == 1

    def test_only_where_there_is_none(self, s, beside):
        with s.edit("lock", {}):
            s["a"] = 1
            other = beside(lambda: s.put("a", 2, if_version=ABSENT))
            other.waits()
        assert isinstance(other.result(), Conflict) and s["a"] == 1

    def test_only_where_there_is_none_beside_one_that_was_undone(self, s, beside):
        with suppress(Undo), s.edit("lock", {}):
            s["a"] = 1
            other = beside(lambda: s.put("a", 2, if_version=ABSENT).revision)
            other.waits()
            raise Undo
        assert other.result() == 1 and s["a"] == 2
