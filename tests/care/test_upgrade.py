"""`store.care.upgrade`: what is re-encoded, what is left, and that nothing is lost on the way."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import store
from store import Store
from store.care.upgrade import Upgraded, upgrade

THEIRS = b"the key of somebody else"


class Point:
    """At version 1 it had x and y."""

    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module with a class that records name; the test puts the class of another version there."""
    module = ModuleType("points_of_a_test")
    Point.__module__ = module.__name__
    module.Point = Point  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    yield module
    Point.__module__ = __name__


def at_version_2(module: ModuleType) -> type:
    @store.versioned(2)
    class Point:
        @classmethod
        def __upgrade__(cls, state: dict[str, Any], from_version: int) -> dict[str, Any]:
            return {"at": (state["x"], state["y"])}

    Point.__module__, Point.__qualname__ = module.__name__, "Point"
    store.allow(Point)
    module.Point = Point  # type: ignore[attr-defined]
    return Point


def outcomes(results: Any) -> dict[str, str]:
    return {result.name: result.outcome for result in results}


def test_protocol_and_codec_of_each_record(place: str, clock: Any) -> None:
    with Store[Any](place, protocol=2, clock=clock) as s:
        s.update(a=[1], b="two")
        s.put("new", 3, protocol=5, ttl=100)
        s.put("json", {"x": 1}, codec="json")
        before = s.record("new")
    clock.advance(10)
    with Store[Any](place, clock=clock) as s:
        assert list(upgrade(s.opened)) == [
            Upgraded("", "a", "upgraded", "pickle 2 → pickle 5"), Upgraded("", "b", "upgraded", "pickle 2 → pickle 5"),
            Upgraded("", "new", "current", ""), Upgraded("", "json", "current", ""),
        ]  # fmt: skip
        assert (s.record("a").protocol, s.record("a").revision) == (5, 2)
        assert s.record("new") == before
        assert outcomes(upgrade(s.opened, codec="json")) == {"a": "upgraded", "b": "upgraded", "new": "upgraded", "json": "current"}
        assert {record.codec for record in s.records()} == {"json"}
        assert s | {} == {"a": [1], "b": "two", "new": 3, "json": {"x": 1}}
        assert list(s) == ["a", "b", "new", "json"]
        assert s.record("new").expires == before.expires


def test_protocol_that_is_asked_for(place: str) -> None:
    with Store[Any](place) as s:
        s["a"] = [1]
        assert outcomes(upgrade(s.opened, protocol=3)) == {"a": "upgraded"}
        assert s.record("a").protocol == 3
        assert s["a"] == [1]


@pytest.mark.parametrize("options", [{"codec": "cbor"}, {"protocol": 9, "codec": "pickle"}, {"codec": 7}])
def test_what_can_never_be_right_is_told_before_anything_is_done(place: str, options: Any) -> None:
    with Store[Any](place, protocol=2) as s:
        s["a"] = [1]
        with pytest.raises((ValueError, TypeError)):
            list(upgrade(s.opened, **options))
        assert s.record("a").revision == 1


def test_dry_run_writes_nothing(place: str) -> None:
    with Store[Any](place, protocol=2) as s:
        s["a"] = [1]
        before = s.record("a")
        with Store[Any](place) as other:
            assert [result.why for result in upgrade(other.opened, dry_run=True)] == ["pickle 2 → pickle 5"]
        assert s.record("a") == before


def test_version_of_a_class(place: str, points: ModuleType) -> None:
    with Store[Any](place) as s:
        s["deep"] = {"of": [Point(1, 2), (Point(3, 4),)]}
        s["plain"] = 1
    new = at_version_2(points)
    with Store[Any](place) as s:
        assert [(result.name, result.why) for result in upgrade(s.opened)] == [
            ("deep", f"{new.__module__}.Point 1 → 2"), ("plain", ""),
        ]  # fmt: skip
        assert outcomes(upgrade(s.opened)) == {"deep": "current", "plain": "current"}
        assert s["deep"]["of"][0].at == (1, 2)
    body = stored(place, "deep")
    assert b"store:version" in body and b"at" in body


def stored(path: Path, name: str) -> bytes:
    with Store[Any](path) as s:
        row = s.opened.find(name)
        assert row is not None
        return row.body


def test_class_that_moved(place: str, points: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store[Any](place) as s:
        s["a"] = [Point(1, 2)]
    monkeypatch.delitem(sys.modules, points.__name__)
    moved = ModuleType("moved_in_a_test")
    moved.Point = Point  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, moved.__name__, moved)
    Point.__module__ = moved.__name__
    with Store[Any](place) as s:
        (result,) = upgrade(s.opened)
        assert (result.outcome, s.record("a").revision) == ("failed", 1)
        assert "'points_of_a_test.Point', which is not there any more" in result.why
    with Store[Any](place, renames={"points_of_a_test.Point": "moved_in_a_test.Point"}) as s:
        (result,) = upgrade(s.opened)
        assert result.why == "points_of_a_test.Point → moved_in_a_test.Point"
        assert outcomes(upgrade(s.opened)) == {"a": "current"}
    with Store[Any](place) as s:
        assert s["a"][0].x == 1
        assert s.record("a").type == "list"


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_only_what_verified_is_sealed_again(path: Path) -> None:
    import sqlite3
    from contextlib import closing

    with Store[Any](path, protocol=2, key=THEIRS) as s:
        s["theirs"] = [1]
    with Store[Any](path, protocol=2) as s:
        s["mine"], s["changed"], s["rotten"] = [1], [2], [3]
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE records SET body = ? WHERE name = 'changed'", (pickle.dumps([9], 2),))
        db.execute("UPDATE records SET body = x'00', seal = x'00' WHERE name = 'rotten'")
        before = db.execute("SELECT * FROM records WHERE name <> 'mine' ORDER BY id").fetchall()
    for trust in ("data", "own", "all"):
        with Store[Any](path, trust=trust) as s:
            results = list(upgrade(s.opened))
        assert outcomes(results) == {
            "theirs": "left", "mine": "upgraded" if trust == "data" else "current", "changed": "left", "rotten": "left",
        }  # fmt: skip
        assert ["not sealed with a key of yours" in result.why for result in results if result.outcome == "left"] == [
            True, False, False,
        ]  # fmt: skip
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT * FROM records WHERE name <> 'mine' ORDER BY id").fetchall() == before


def test_value_that_the_codec_cannot_hold_stays_as_it_is(place: str) -> None:
    with Store[Any](place) as s:
        s.update(tuple=(1, 2), list=[1, 2])
        results = list(upgrade(s.opened, codec="json"))
        assert outcomes(results) == {"tuple": "failed", "list": "upgraded"}
        assert "record 'tuple': value: JSON has no tuple" in results[0].why
        assert (s["tuple"], s.record("tuple").codec) == ((1, 2), "pickle")


class Careless:
    """Comes back from its first pickle, and not from its second."""

    copies = 0

    def __reduce__(self) -> Any:
        return (Careless.made, ()) if not self.copies else (Careless.lost, ())

    @staticmethod
    def made() -> Careless:
        made = Careless()
        made.copies = 1
        return made

    @staticmethod
    def lost() -> Careless:
        raise LookupError("what it was made of is gone")


def test_value_that_would_not_come_back_stays_as_it_is(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[Careless.__module__], "Careless", Careless, raising=False)
    with Store[Any](place, protocol=4) as s:
        s["a"] = Careless()
        (result,) = upgrade(s.opened, protocol=5)
        assert (result.outcome, s.record("a").protocol) == ("failed", 4)
        assert "what it was made of is gone" in result.why
        assert type(s["a"]).__name__ == "Careless"


def test_all_namespaces_or_one(place: str) -> None:
    with Store[Any](place, protocol=2) as s, s.within("inner") as inner:
        s["a"], inner["b"] = 1, 2
    with Store[Any](place) as s:
        assert outcomes(upgrade(s.opened, namespace="inner")) == {"b": "upgraded"}
        assert outcomes(upgrade(s.opened, namespace="")) == {"a": "upgraded"}
        assert outcomes(upgrade(s.opened)) == {"a": "current", "b": "current"}


def test_batches_are_transactions_of_their_own(place: str) -> None:
    with Store[Any](place, protocol=2) as s:
        s.update({f"n{i}": i for i in range(10)})
    with Store[Any](place) as s:
        results = upgrade(s.opened, batch=4)
        next(results)
        with Store[Any](place) as other:  # nothing is held between two batches
            protocols = [record.protocol for record in other.records()]
            assert protocols == [5] * 4 + [2] * 6
            other["n9"] = "changed meanwhile"
            del other["n8"]
        assert outcomes(results) == {**{f"n{i}": "upgraded" for i in range(1, 8)}, "n9": "current"}
        assert s["n9"] == "changed meanwhile"


def test_interrupted_batch_is_undone(place: str, points: ModuleType) -> None:
    with Store[Any](place, protocol=2) as s:
        s.update({f"n{i}": i for i in range(4)})
        s["last"] = Point(1, 2)

    class Interrupting(Point):
        def __setstate__(self, state: Any) -> None:
            raise KeyboardInterrupt

    points.Point = Interrupting  # type: ignore[attr-defined]
    with Store[Any](place) as s:
        with pytest.raises(KeyboardInterrupt):
            list(upgrade(s.opened))
        assert {record.protocol for record in s.records()} == {2}
        points.Point = Point  # type: ignore[attr-defined]
        assert set(outcomes(upgrade(s.opened)).values()) == {"upgraded"}


def test_expired_records_are_not_upgraded(place: str, clock: Any) -> None:
    with Store[Any](place, protocol=2, clock=clock) as s:
        s.put("short", 1, ttl=10)
        clock.advance(11)
        assert list(upgrade(s.opened, protocol=5)) == []


def test_live_values_of_writeback_are_let_go(place: str) -> None:
    with Store[Any](place, protocol=2, writeback=True) as s:
        s["a"] = [1]
        live = s["a"]
        list(upgrade(s.opened, protocol=5))
        assert s["a"] == [1] and s["a"] is not live


def test_other_writers_come_between(place: str) -> None:
    """A thread that writes while a batch waits for its reader is not held up."""
    with Store[Any](place, protocol=2) as s:
        s.update({f"n{i}": i for i in range(6)})
    with Store[Any](place, timeout=30) as s:
        results = upgrade(s.opened, batch=2)
        next(results)
        writer = threading.Thread(target=s.put, args=("n5", "other"))
        writer.start()
        writer.join(30)
        assert not writer.is_alive()
        assert outcomes(results)["n5"] == "current"
