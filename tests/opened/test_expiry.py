"""`ttl`: an expired record is absent, everywhere, from the very second on; its name makes a new record."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from store import ABSENT, Store
from store.errors import Untrusted
from store.memo import memo
from store.settings import Settings


@dataclass
class Limits:
    tries: int = 3


@pytest.fixture
def half(s: Store[Any], clock: Any) -> Store[Any]:
    """A store whose records `b` and `d` have just expired; `a` and `c` go on."""
    s.put("a", 1)
    s.put("b", [2], ttl=10)
    s.put("c", 3, ttl=20)
    s.put("d", [4], ttl=10)
    clock.advance(10)
    return s


class TestAbsence:
    def test_begins_when_the_time_is_up_and_not_before(self, s: Store[Any], clock: Any) -> None:
        s.put("a", 1, ttl=10)
        clock.advance(9.999)
        assert s["a"] == 1
        clock.advance(0.001)
        assert "a" not in s

    def test_for_a_single_name(self, half: Store[Any]) -> None:
        assert "b" not in half
        assert "b" not in half.keys()  # noqa: SIM118
        assert ("b", [2]) not in half.items()
        assert [2] not in half.values()
        for read in (lambda: half["b"], lambda: half.record("b"), lambda: half.touch("b", 5)):
            with pytest.raises(KeyError) as caught:
                read()
            assert caught.value.args == ("b",)
        assert half.get("b", "gone") == "gone"

    def test_for_a_delete(self, half: Store[Any]) -> None:
        with pytest.raises(KeyError):
            del half["b"]
        with pytest.raises(KeyError):
            half.pop("b")
        assert half.pop("b", "gone") == "gone"

    def test_for_counts(self, half: Store[Any], clock: Any) -> None:
        assert len(half) == len(half.keys()) == half.stats().records == 2
        assert "2 records" in repr(half)
        assert half
        half.pop("a")
        clock.advance(10)
        assert not half
        assert len(half) == 0

    def test_for_iteration(self, half: Store[Any]) -> None:
        assert list(half) == ["a", "c"]
        assert list(reversed(half)) == ["c", "a"]
        assert list(half.values()) == [1, 3]
        assert list(half.items()) == [("a", 1), ("c", 3)]
        assert list(reversed(half.items())) == [("c", 3), ("a", 1)]

    def test_for_comparison_and_copies(self, half: Store[Any]) -> None:
        assert half == {"a": 1, "c": 3}
        assert dict(half) == half | {} == {} | half == {"a": 1, "c": 3}
        assert half.keys() == {"a", "c"}

    def test_for_names_records_and_get_many(self, half: Store[Any]) -> None:
        assert half.names() == ["a", "c"]
        assert half.names(reverse=True) == ["c", "a"]
        assert half.names("b") == half.names("b", reverse=True) == []
        assert half.names(limit=2) == ["a", "c"], "the limit counts what is there"
        assert half.names(after="a", limit=1) == ["c"]
        assert [record.name for record in half.records()] == ["a", "c"]
        assert list(half.get_many(["d", "c", "b", "a"])) == ["c", "a"]

    def test_for_popitem(self, half: Store[Any]) -> None:
        assert half.popitem() == ("c", 3)
        assert half.popitem() == ("a", 1)
        with pytest.raises(KeyError):
            half.popitem()

    def test_for_edit_and_modify(self, half: Store[Any]) -> None:
        with pytest.raises(KeyError), half.edit("b"):
            pytest.fail("got in")
        with pytest.raises(KeyError):
            half.modify("b", lambda value: value)
        with half.edit("b", default=["fresh"]) as value:
            assert value == ["fresh"]
        assert half.modify("d", lambda value: value, "fresh") == "fresh"

    def test_for_namespaces(self, s: Store[Any], clock: Any) -> None:
        with s.within("x") as x, s.within("y") as y:
            x.put("a", 1, ttl=10)
            y.put("a", 1, ttl=20)
            y.put("b", 1, ttl=5)
            assert s.namespaces() == ["x", "y"]
            clock.advance(10)
            assert s.namespaces() == ["y"]
            assert s.stats().namespaces == 1

    def test_for_a_reader_by_mode_r(self, place: str, clock: Any) -> None:
        with Store[Any](place, clock=clock) as s:
            s["a"] = 1
            s.put("b", 2, ttl=10)
        clock.advance(10)
        with Store[Any](place, mode="r", clock=clock) as reader:
            assert list(reader) == ["a"]

    @pytest.mark.slow
    def test_in_the_middle_of_an_iteration(self, s: Store[Any], clock: Any) -> None:
        for i in range(600):
            s.put(f"n{i}", i, ttl=10 if i >= 300 else 100)
        seen = []
        for name in s:
            seen.append(name)
            if len(seen) == 10:
                clock.advance(50)
        assert seen[:256] == [f"n{i}" for i in range(256)]
        assert seen[256:] == [f"n{i}" for i in range(256, 300)], "the next page knows"


class TestRewrite:
    """The name of an expired record makes a new one: at the end, revision 1, with a creation of its own."""

    @pytest.mark.parametrize(
        "write",
        [
            lambda s: s.__setitem__("b", [9]),
            lambda s: s.put("b", [9]),
            lambda s: s.put("b", [9], if_version=ABSENT),
            lambda s: s.update(b=[9]),
            lambda s: s.update({"a": 1, "b": [9], "c": 3}),
            lambda s: s.__ior__({"b": [9]}),
            lambda s: s.setdefault("b", [9]),
            lambda s: s.modify("b", lambda value: value, [9]),
            lambda s: _edit(s),  # noqa: PLW0108 - it is defined below
        ],
        ids=["set", "put", "put if absent", "update", "update of more", "ior", "setdefault", "modify", "edit"],
    )
    @pytest.mark.parametrize("inside_a_transaction", [False, True])
    def test_makes_a_new_record(self, half: Store[Any], clock: Any, write: Any, inside_a_transaction: bool) -> None:
        if inside_a_transaction:
            with half.transaction():
                write(half)
        else:
            write(half)
        record = half.record("b")
        assert record.revision == 1
        assert record.created == record.modified == datetime.fromtimestamp(clock.now, UTC)
        assert record.expires is None
        assert half["b"] == [9]
        assert list(half) == ["a", "c", "b"]
        assert len(half) == 3

    def test_before_it_expires_keeps_the_place(self, s: Store[Any], clock: Any) -> None:
        s.put("a", 1, ttl=10)
        s["b"] = 1
        clock.advance(9)
        s["a"] = 2
        assert s.record("a").revision == 2
        assert s.record("a").expires is None
        assert list(s) == ["a", "b"]
        clock.advance(1000)
        assert s["a"] == 2

    def test_leaves_other_expired_records_away(self, half: Store[Any]) -> None:
        half["b"] = 1
        assert "d" not in half
        assert half.names() == ["a", "b", "c"]


def _edit(s: Store[Any]) -> None:
    with s.edit("b", [9]):
        pass


class TestTtlOfTheStore:
    def test_is_applied_by_every_assignment(self, location: str, clock: Any) -> None:
        with Store[Any](location, clock=clock, ttl=10) as s:
            s["a"] = 1
            s.update(b=1)
            s.setdefault("c", 1)
            s.put("d", 1)
            s.modify("e", lambda value: value, 1)
            with s.edit("f", []):
                pass
            s |= {"g": 1}
            expiry = datetime.fromtimestamp(clock.now + 10, UTC)
            assert {record.expires for record in s.records()} == {expiry}
            clock.advance(5)
            s["a"] = 2
            assert (s.record("a").expires or expiry) > expiry
            clock.advance(5)
            assert list(s) == ["a"]

    def test_is_not_written_into_the_file(self, place: str, clock: Any) -> None:
        with Store[Any](place, clock=clock, ttl=10) as s:
            s["a"] = 1
        with Store[Any](place, clock=clock) as s:
            s["b"] = 1
            clock.advance(10)
            assert list(s) == ["b"]


class TestTouch:
    def test_gives_a_new_lifetime(self, s: Store[Any], clock: Any) -> None:
        before = s.put("a", [1], ttl=10)
        clock.advance(5)
        after = s.touch("a", 100)
        assert after == s.record("a")
        assert after.expires == datetime.fromtimestamp(clock.now + 100, UTC)
        assert (after.revision, after.created) == (2, before.created)
        clock.advance(50)
        assert s["a"] == [1]
        assert s.touch("a", None).expires is None
        clock.advance(1e6)
        assert s["a"] == [1]
        s.touch("a", 1)
        clock.advance(1)
        assert "a" not in s

    def test_keeps_codec_and_protocol(self, s: Store[Any]) -> None:
        s.put("a", 1, codec="json")
        assert s.touch("a", 5).codec == "json"
        s.put("a", 1, protocol=2)
        assert s.touch("a", 5).protocol == 2

    def test_of_a_missing_name(self, s: Store[Any]) -> None:
        with pytest.raises(KeyError) as caught:
            s.touch("gone", 5)
        assert caught.value.args == ("gone",)

    @pytest.mark.damaged
    def test_of_a_record_of_somebody_else_is_refused(self, place: str) -> None:
        with Store[Any](place, key="the key of others") as s:
            before = s.put("a", 1, ttl=1000)
        with pytest.warns(UserWarning, match="does not hold"):
            mine = Store[Any](place, key="a key of my own!")
        with mine:
            with pytest.raises(Untrusted, match="assign the value again"):
                mine.touch("a", 5)
            assert mine.record("a") == before
            assert mine["a"] == 1


class TestPurge:
    def test_deletes_what_has_expired(self, half: Store[Any], clock: Any) -> None:
        assert half.purge() == 2
        assert half.purge() == 0
        assert dict(half) == {"a": 1, "c": 3}
        clock.advance(10)
        assert half.purge() == 1
        assert dict(half) == {"a": 1}

    def test_leaves_no_row(self, path: Path, clock: Any) -> None:
        with Store[Any](path, clock=clock) as s:
            s.put("a", 1, ttl=10)
            s["b"] = 2
            clock.advance(10)
            assert s.purge() == 1
        with closing(sqlite3.connect(path)) as conn:
            assert conn.execute("SELECT name FROM records").fetchall() == [("b",)]

    def test_is_for_its_own_namespace(self, s: Store[Any], clock: Any) -> None:
        with s.within("x") as x:
            s.put("a", 1, ttl=10)
            x.put("a", 1, ttl=10)
            clock.advance(10)
            assert (x.purge(), s.purge()) == (1, 1)


class TestBadTtl:
    @pytest.mark.parametrize(
        ("ttl", "error", "message"),
        [
            *((ttl, ValueError, "seconds above 0") for ttl in (0, -1, -0.5, math.nan, math.inf, -math.inf)),
            *((ttl, TypeError, "seconds") for ttl in ("60", True, b"", [1], datetime(2030, 1, 1))),
        ],
    )
    def test_changes_nothing(
        self, s: Store[Any], location: str, ttl: Any, error: type[Exception], message: str
    ) -> None:
        s["a"] = 1
        for call in (lambda: s.put("a", 2, ttl=ttl), lambda: s.touch("a", ttl), lambda: Store[Any](location, ttl=ttl)):
            with pytest.raises(error, match=f"ttl is a number of {message}"):
                call()
        assert s.record("a").revision == 1

    def test_number_that_no_float_can_hold(self, s: Store[Any]) -> None:
        with pytest.raises(ValueError, match="ttl"):
            s.put("a", 1, ttl=10**400)


@pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf, 10**400, "noon", None])
def test_clock_that_gives_no_moment_changes_and_deletes_nothing(place, now):
    moment: list[Any] = [1_800_000_000.0]
    with Store(place, clock=lambda: moment[0]) as s:
        s["a"] = 1
        s.put("t", 1, ttl=100)
        moment[0] = now
        calls = (
            lambda: s.__setitem__("b", 1), lambda: s["a"], lambda: s["t"], lambda: s.put("c", 1, ttl=5),
            lambda: s.touch("a", 5), lambda: len(s), lambda: dict(s), s.purge, lambda: s.pop("t"),
            lambda: s.modify("a", lambda value: 2), lambda: s.update(q=1), s.names, lambda: s.record("a"),
        )  # fmt: skip
        for call in calls:
            with pytest.raises((ValueError, TypeError), match=r"clock\(\) gives"):
                call()
        moment[0] = 1_800_000_001.0
        assert dict(s) == {"a": 1, "t": 1}


class TestLifetimeTooShortForTheClock:
    """At 1.8e9 seconds a float has steps of 2e-7: `now + 1e-9 == now`."""

    TINY = 1e-9

    def test_put_gives_a_record_that_has_expired(self, s: Store[Any], clock: Any) -> None:
        record = s.put("a", 1, ttl=self.TINY)
        assert record.name == "a"
        assert record.expires is not None
        assert record.expires.timestamp() == clock.now
        assert "a" not in s
        assert s.put("a", 2).revision == 1  # it was absent, so this one is new
        assert s["a"] == 2

    def test_touch_gives_a_record_that_has_expired(self, s: Store[Any], clock: Any) -> None:
        s["a"] = 1
        record = s.touch("a", self.TINY)
        assert record.expires is not None
        assert record.expires.timestamp() == clock.now
        assert "a" not in s
        with pytest.raises(KeyError):
            s.touch("a", 1.0)

    def test_of_a_store(self, location: str, clock: Any) -> None:
        with Store[Any](location, ttl=self.TINY, clock=clock) as s:
            s["a"] = 1
            s.update(b=2)
            assert s.setdefault("c", 3) == 3
            assert s.modify("d", lambda value: value, default=4) == 4
            with s.edit("e", default=[]) as value:
                value.append(5)
            assert s.put("f", 6).name == "f"
            assert dict(s) == {}
            assert len(s) == 0

    def test_of_what_writeback_keeps(self, location: str, clock: Any) -> None:
        with Store[Any](location, ttl=self.TINY, clock=clock, writeback=True) as s:
            s.put("a", [1])
            assert s.get("a") is None

    def test_of_a_store_does_not_hold_for_settings_in_it(self, place: str) -> None:
        with Store[Any](place, ttl=self.TINY) as s, Settings(Limits, s) as settings:
            settings.tries = 5
            assert Settings(Limits, s).tries == 5

    def test_of_what_memo_keeps(self, place: str) -> None:
        @memo(place, ttl=self.TINY)
        def double(number: int) -> int:
            return number * 2

        assert [double(2), double(2)] == [4, 4]
        assert double.cache_info().errors == 0
        double.close()
