"""`edit` and `modify`: read, change, write back as one step."""

from __future__ import annotations

import datetime
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from textwrap import dedent
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from children import SHORT_LEASES

from store import Store
from store.errors import Conflict, NotSerializable, StoreError


class Color(Enum):
    RED = 1


class Point(NamedTuple):
    x: Any
    y: Any


@dataclass
class User:
    name: str
    tags: list[str] = field(default_factory=list)


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self) -> None:
        self.a, self.b = 1, [2]


class TestEdit:
    def test_writes_the_change_back(self, s: Store[Any]) -> None:
        s["a"] = {"theme": "dark"}
        with s.edit("a") as value:
            value["theme"] = "light"
            assert s["a"] == {"theme": "dark"}, "not before the block ends"
        assert s["a"] == {"theme": "light"}
        assert s.record("a").revision == 2

    @pytest.mark.parametrize(
        "value",
        [
            {"a": 1, "b": [1, 2]},
            [1, "two", [3]],
            {1, "a", (2, 3), None},
            User("alice", ["x"]),
            Slotted(),
            bytearray(b"abc"),
            deque([1, 2], maxlen=5),
            Counter("abracadabra"),
            OrderedDict(b=1, a=2),
            defaultdict(list, a=[1]),
            ({"in": "a tuple"},),
            Point([1], 2),
            {f"key {i}" for i in range(200)},
            [[1, 2]] * 3,
            [Color.RED, datetime.date(2030, 1, 1), Decimal("1.5"), "x" * 100_000, b"y" * 100_000],
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_unchanged_value_is_not_written(self, s: Store[Any], value: Any) -> None:
        before = s.put("a", value)
        for _ in range(2):
            with s.edit("a") as found:
                repr(found), found == value, hash(type(found))
        assert s.record("a") == before

    def test_unchanged_nest_of_shared_references_is_not_written(self, s: Store[Any]) -> None:
        inner = ["shared", "shared"]
        knot: dict[str, Any] = {"one": inner, "two": inner, "user": User("shared", inner)}
        knot["self"] = knot
        before = s.put("a", knot)
        with s.edit("a") as found:
            assert found["one"] is found["two"] is found["user"].tags
            assert found["self"] is found
        assert s.record("a") == before

    @pytest.mark.parametrize(
        ("value", "change"),
        [
            ({"a": 1}, lambda value: value.update(a=2)),
            ({"a": 1, "b": 2}, lambda value: value.update(a=value.pop("a"))),  # the order is a change too
            ([1], lambda value: value.append(2)),
            ([True], lambda value: value.__setitem__(0, 1)),  # equal, and yet another value
            ([0.0], lambda value: value.__setitem__(0, -0.0)),
            ({1}, lambda value: value.add(2)),
            (User("a"), lambda value: setattr(value, "name", "b")),
            (User("a"), lambda value: value.tags.append("b")),
            (Slotted(), lambda value: value.b.append(3)),
            (([],), lambda value: value[0].append(1)),
            (Point([], 1), lambda value: value.x.append(1)),
            (bytearray(b"a"), lambda value: value.extend(b"b")),
            ({"deep": [{"er": [1]}]}, lambda value: value["deep"][0]["er"].append(2)),
        ],
    )
    def test_any_change_is_written(self, s: Store[Any], value: Any, change: Any) -> None:
        s["a"] = value
        with s.edit("a") as found:
            change(found)
            expected = repr(found)
        assert s.record("a").revision == 2
        if type(value) is not Slotted:
            assert repr(s["a"]) == expected

    def test_keeps_expiry_codec_protocol_place_and_creation(self, s: Store[Any], clock: Any) -> None:
        s.put("a", [1], ttl=60, codec="json")
        s.put("b", [1], protocol=2)
        s["c"] = 1
        before = s.record("a")
        clock.advance(10)
        for name in ("a", "b"):
            with s.edit(name) as value:
                value.append(2)
        after = s.record("a")
        assert (after.expires, after.codec, after.created) == (
            before.expires, "json", before.created,
        )  # fmt: skip
        assert (after.modified - before.modified).total_seconds() == 10
        assert s.record("b").protocol == 2
        assert list(s) == ["a", "b", "c"]

    def test_exception_writes_nothing(self, s: Store[Any]) -> None:
        before = s.put("a", [1])
        with pytest.raises(RuntimeError, match="mine"), s.edit("a") as value:
            value.append(2)
            raise RuntimeError("mine")
        assert s["a"] == [1]
        assert s.record("a") == before

    def test_exception_undoes_other_writes_of_the_block(self, s: Store[Any]) -> None:
        s["a"] = [1]
        with pytest.raises(RuntimeError), s.edit("a"):
            s["b"] = 1
            raise RuntimeError
        assert list(s) == ["a"]

    def test_value_that_became_unserializable_writes_nothing(self, s: Store[Any]) -> None:
        before = s.put("a", [1])
        with pytest.raises(NotSerializable) as caught, s.edit("a") as value:
            value.append(lambda: 0)
        assert caught.value.name == "a"
        assert s.record("a") == before
        s["b"] = "the lock is free"

    def test_missing_name(self, s: Store[Any]) -> None:
        with pytest.raises(KeyError) as caught, s.edit("gone"):
            pytest.fail("got in")
        assert caught.value.args == ("gone",)
        assert list(s) == []
        s["b"] = "the lock is free"

    def test_default_is_given_and_stored(self, s: Store[Any]) -> None:
        with s.edit("a", default=[]) as value:
            value.append(1)
        with s.edit("a", default=[]) as value:
            value.append(2)
        assert s["a"] == [1, 2]
        with s.edit("b", {}):
            pass
        assert s["b"] == {}
        assert s.record("b").revision == 1

    def test_default_is_not_stored_after_an_exception(self, s: Store[Any]) -> None:
        with pytest.raises(RuntimeError), s.edit("a", default=[]):
            raise RuntimeError
        assert "a" not in s

    def test_default_gets_the_ttl_of_the_store(self, location: str, clock: Any) -> None:
        with Store[Any](location, clock=clock, ttl=10) as s:
            with s.edit("a", []):
                pass
            assert s.record("a").expires is not None

    @pytest.mark.parametrize(
        "value",
        [
            1, 1.5, 1j, True, "text", b"bytes", None, ..., (), (1, "a", (2,)), frozenset({1, (2,)}), range(3),
            slice(1), Color.RED, Point(1, 2), datetime.datetime(2030, 1, 1), datetime.date(2030, 1, 1),
            datetime.timedelta(1), datetime.UTC, UUID(int=1), Decimal(1), Fraction(1, 2), int, User,
        ],
        ids=repr,
    )  # fmt: skip
    def test_immutable_value_is_a_type_error_that_names_modify(self, s: Store[Any], value: Any) -> None:
        before = s.put("a", value)
        with pytest.raises(TypeError, match=r"modify\('a'"), s.edit("a"):
            pytest.fail("got in")
        with pytest.raises(TypeError, match=r"modify\('b'"), s.edit("b", value):
            pytest.fail("got in")
        assert s.record("a") == before
        assert "b" not in s

    def test_nested_on_one_name_raises(self, s: Store[Any]) -> None:
        s["a"], s["b"] = [1], [1]
        with s.edit("a") as value:
            with pytest.raises(StoreError, match="record 'a' is being edited"), s.edit("a"):
                pytest.fail("got in")
            with s.edit("b") as other:
                with pytest.raises(StoreError, match="being edited"), s.edit("a"):
                    pytest.fail("got in")
                other.append(2)
            with s.within("x") as x, x.edit("a", []) as namesake:
                namesake.append(3)
            value.append(2)
        assert (s["a"], s["b"]) == ([1, 2], [1, 2])

    def test_one_after_the_other_in_a_transaction(self, s: Store[Any]) -> None:
        with s.transaction():
            for i in range(3):
                with s.edit("a", []) as value:
                    value.append(i)
        assert s["a"] == [0, 1, 2]

    @pytest.mark.parametrize(
        "interfere",
        [
            lambda s: s.__setitem__("a", [9]),
            lambda s: s.put("a", [1]),
            lambda s: s.update(a=[9]),
            lambda s: s.pop("a"),
            lambda s: s.clear(),
            lambda s: s.modify("a", lambda value: [*value, 9]),
            lambda s: (s.pop("a"), s.put("a", [1])),
        ],
    )
    def test_assignment_inside_is_a_conflict(self, s: Store[Any], interfere: Any, clock: Any) -> None:
        before = s.put("a", [1])
        with pytest.raises(Conflict, match="inside its own edit"), s.edit("a") as value:
            clock.advance(1)
            interfere(s)
            value.append(2)
        assert s.record("a") == before
        assert s["a"] == [1]

    def test_assignment_inside_where_the_default_was_given_is_a_conflict(self, s: Store[Any]) -> None:
        with pytest.raises(Conflict), s.edit("a", []):
            s["a"] = [9]
        assert "a" not in s

    def test_assignment_inside_stands_where_the_value_did_not_change(self, s: Store[Any]) -> None:
        s["a"] = [1]
        with s.edit("a"):
            s["a"] = [9]
        assert s["a"] == [9]

    def test_record_that_expires_inside_stays_expired(self, s: Store[Any], clock: Any) -> None:
        s.put("a", [1], ttl=10)
        with s.edit("a") as value:
            value.append(2)
            clock.advance(11)
        assert "a" not in s
        s["a"] = 1
        assert s.record("a").revision == 1

    def test_name_that_is_no_str(self, s: Store[Any]) -> None:
        with pytest.raises(TypeError, match="int"):
            s.edit(1)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="int"):
            s.modify(1, lambda value: value)  # type: ignore[arg-type]


class TestModify:
    def test_stores_and_gives_the_result(self, s: Store[Any]) -> None:
        s["n"] = 1
        assert s.modify("n", lambda value: value + 1) == 2
        assert s["n"] == 2
        assert s.record("n").revision == 2

    def test_default(self, s: Store[Any]) -> None:
        assert s.modify("n", lambda value: value + 1, 0) == 1
        assert s.modify("n", lambda value: value + 1, default=0) == 2
        with pytest.raises(KeyError) as caught:
            s.modify("gone", lambda value: value)
        assert caught.value.args == ("gone",)
        assert list(s) == ["n"]

    def test_default_may_be_none(self, s: Store[Any]) -> None:
        assert s.modify("n", lambda value: [value], None) == [None]

    def test_keeps_expiry_codec_and_protocol(self, s: Store[Any], clock: Any) -> None:
        before = s.put("n", 1, ttl=60, codec="json")
        clock.advance(10)
        s.modify("n", lambda value: value + 1)
        after = s.record("n")
        assert (after.expires, after.codec, after.protocol) == (before.expires, "json", 1)

    def test_exception_of_the_function_writes_nothing(self, s: Store[Any]) -> None:
        before = s.put("n", [1])

        def fail(value: list[int]) -> None:
            value.append(2)
            s["other"] = 1
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            s.modify("n", fail)
        assert s.record("n") == before
        assert list(s) == ["n"]

    def test_result_that_cannot_be_stored_writes_nothing(self, s: Store[Any]) -> None:
        before = s.put("n", 1)
        with pytest.raises(NotSerializable):
            s.modify("n", lambda value: lambda: value)
        assert s.record("n") == before


@pytest.mark.slow
def test_edit_and_modify_lose_nothing_between_processes(place: str, crowd: Any) -> None:
    crowd(
        4,
        """
        with Store(sys.argv[1]) as s:
            for i in range(60):
                with s.edit("list", default=[]) as value:
                    value.append([int(sys.argv[2]), i])
                s.modify("count", lambda value: value + 1, 0)
        print("null")
        """,
        place,
    )
    with Store[Any](place) as s:
        assert s["count"] == 240
        assert sorted(s["list"]) == [[number, i] for number in range(4) for i in range(60)]


@pytest.mark.slow
def test_edit_of_another_process_is_waited_for(place: str, start: Any) -> None:
    with Store[Any](place) as s:
        s["a"] = [1]
        other = start(
            """
            import sys
            from store import Store
            with Store(sys.argv[1]) as s, s.edit("a") as value:
                value.append(2)
                print("inside", flush=True)
                input()
            print("1")
            """,
            place,
        )
        other.hear()
        assert s["a"] == [1], "a reader is not held up"
        with Store[Any](place, timeout=0.1) as impatient:
            with pytest.raises(TimeoutError, match=r"another (writer|client)"), impatient.edit("a"):
                pytest.fail("got in")
        other.say()
        with s.edit("a") as value:
            assert value == [1, 2]
            value.append(3)
        assert other.result() == 1
        assert s["a"] == [1, 2, 3]


@pytest.mark.slow
def test_edit_of_a_process_that_is_killed_writes_nothing(place: str, start: Any) -> None:
    with Store[Any](place) as s:
        before = s.put("a", [1])
        other = start(
            SHORT_LEASES
            + dedent("""
            import sys
            from store import Store
            with Store(sys.argv[1]) as s, s.edit("a") as value:
                value.append(2)
                s["b"] = 1
                print("inside", flush=True)
                input()
            """),
            place,
        )
        other.hear()
        other.kill()
        with s.edit("a") as value:
            assert value == [1]
        assert s.record("a") == before
        assert list(s) == ["a"]
