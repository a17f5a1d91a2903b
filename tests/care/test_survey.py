"""`survey`: what it counts, lists and leaves out, on every engine."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.care import survey as survey_module
from store.care.survey import EXPIRIES, Share, Survey, survey
from store.errors import StoreClosed


@pytest.fixture(autouse=True)
def enough_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A survey that is given no time has as much as it needs: a busy machine may stand still for seconds."""
    monkeypatch.setitem(survey.__kwdefaults__, "seconds", 3600.0)


def expiries(found: Survey) -> dict[str, int]:
    assert [label for label, _ in found.expiries] == list(EXPIRIES)
    return {label: number for label, number in found.expiries if number}


def names(records: list[Any]) -> list[str]:
    return [record.name for record in records]


def test_survey_of_an_empty_store(s: Store[Any]) -> None:
    found = survey(s.opened)
    assert (found.records, found.bytes, found.namespaces, found.codecs) == (0, 0, {}, {})
    assert (expiries(found), found.largest, found.damaged, found.complete) == ({}, [], 0, True)


def test_survey_counts_by_namespace_and_codec(s: Store[Any]) -> None:
    s["a"] = "x"
    s.put("b", [1], codec="json")
    with s.within("other") as other:
        other["c"] = bytes(1000)
    found = survey(s.opened)
    sizes = {name: s.record(name).size for name in "ab"}
    large = found.namespaces["other"].bytes
    assert large > 1000
    assert found.namespaces == {"": Share(2, sum(sizes.values())), "other": Share(1, large)}
    assert found.codecs == {"pickle": Share(2, sizes["a"] + large), "json": Share(1, sizes["b"])}
    assert (found.records, found.bytes, found.complete) == (3, sum(sizes.values()) + large, True)
    assert survey(s.opened, namespace="other").namespaces == {"other": Share(1, large)}
    assert survey(s.opened, namespace="nothing").records == 0


def test_survey_tells_when_records_expire(s: Store[Any], clock: Any) -> None:
    lifetimes = {"gone": 1, "minute": 30, "hour": 61, "day": 3700, "week": 90_000, "month": 10**6, "later": 10**8}
    for name, ttl in lifetimes.items():
        s.put(name, 0, ttl=ttl)
    s["never"] = 0
    clock.advance(1)
    found = survey(s.opened)
    assert expiries(found) == dict.fromkeys(EXPIRIES, 1)
    assert found.records == 7  # one has expired
    assert names(found.soonest) == ["minute", "hour", "day", "week", "month", "later"]


def test_survey_lists_the_largest_and_the_newest(s: Store[Any], clock: Any) -> None:
    for number in range(5):
        clock.advance(1)
        s[str(number)] = bytes(100 * number)
    clock.advance(1)
    s["0"] = b"again"
    found = survey(s.opened, listed=3)
    assert names(found.largest) == ["4", "3", "2"]
    assert names(found.newest) == ["0", "4", "3"]


def test_survey_ends_after_so_many_records_and_takes_of_each_namespace(s: Store[Any]) -> None:
    s.update({f"{number:04}": number for number in range(700)})
    with s.within("small") as small:
        small["x"] = 1
    found = survey(s.opened, most=600)
    assert (found.records, found.complete) == (600, False)
    assert found.namespaces.keys() == {"", "small"}
    assert survey(s.opened, most=1000).complete


def test_survey_ends_when_its_time_is_over(s: Store[Any]) -> None:
    s["a"] = 1
    found = survey(s.opened, seconds=0)
    assert (found.records, found.complete) == (0, False)


def test_survey_reads_no_value(s: Store[Any], asked: Any) -> None:
    s["a"] = bytes(10_000)
    statements = asked(s)
    survey(s.opened)
    assert statements and not any(" body," in statement.replace("length(body)", "") for statement in statements)


@pytest.mark.damaged
def test_survey_of_times_that_no_date_has(path: Path) -> None:
    with Store[Any](path) as s:
        s.update({"a": 1, "b": 2, "c": 3})
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("UPDATE records SET expires = 9e999, created = -9e999 WHERE name = 'b'")
    with Store[Any](path, mode="r") as s:
        found = survey(s.opened)
    assert (found.records, found.damaged, found.complete) == (3, 0, True)


@pytest.mark.damaged
def test_survey_counts_damaged_records_and_goes_on_with_the_others(path: Path) -> None:
    with Store[Any](path) as s:
        s.update({"a": 1, "b": 2})
        with s.within("other") as other:
            other["c"] = 3
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA writable_schema=1")
        conn.execute("UPDATE sqlite_schema SET sql = replace(sql, 'STRICT', '') WHERE name = 'records'")
        conn.commit()
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("UPDATE records SET modified = 'soon' WHERE name = 'b'")
        conn.execute("UPDATE records SET name = x'07' WHERE name = 'c'")
        conn.commit()
        conn.execute("PRAGMA writable_schema=1")
        conn.execute("UPDATE sqlite_schema SET sql = sql || ' STRICT' WHERE name = 'records'")
        conn.commit()
    with Store[Any](path, mode="r") as s:
        found = survey(s.opened)
    assert (found.records, found.damaged) == (1, 2)
    assert not found.complete
    assert names(found.newest) == ["a"]


def test_survey_of_a_closed_store(s: Store[Any]) -> None:
    s.close()
    with pytest.raises(StoreClosed):
        survey(s.opened)


def test_survey_of_very_many_namespaces_reads_the_first_ones(s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey_module, "MOST_NAMESPACES", 2)
    for name in "cab":
        with s.within(name) as inner:
            inner["x"] = 1
    found = survey(s.opened)
    assert (sorted(found.namespaces), found.left_out, found.complete) == (["a", "b"], True, False)
    assert not survey(s.opened, namespace="c").left_out
    s.within("c").clear()
    found = survey(s.opened)
    assert (sorted(found.namespaces), found.left_out, found.complete) == (["a", "b"], False, True)


@pytest.mark.damaged
def test_namespaces_that_are_no_text_take_no_place_of_others(path: Path) -> None:
    with Store[Any](path) as s:
        for name in ("a", "b", "c", "d"):
            with s.within(name) as inner:
                inner["x"] = 1
        with closing(sqlite3.connect(path)) as conn, conn:
            conn.execute("UPDATE records SET namespace = CAST(x'61ff' AS TEXT) WHERE namespace = 'b'")
        engine = s.opened.engine
        assert engine.namespaces(0.0) == engine.namespaces(0.0, None, 3) == ["a", "c", "d"]
        assert engine.namespaces(0.0, "a", 1) == ["c"]
