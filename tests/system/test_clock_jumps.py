"""A clock that is set back, or far ahead and back again: each moment sees what `expires` says at that moment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from store import ABSENT, Conflict, Store
from store.sessions import Sessions

HOUR, YEAR = 3600.0, 365 * 86400.0


@pytest.fixture
def s(path: Path, clock: Any) -> Iterator[Store[Any]]:
    with Store[Any](path, clock=clock) as opened:
        yield opened


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


class TestDates:
    @pytest.mark.parametrize("how", ["assign", "put", "update", "modify", "edit", "touch", "in a transaction"])
    def test_no_record_was_modified_before_it_was_created(self, s: Store[Any], clock: Any, how: str) -> None:
        created = s.put("a", [1]).created
        clock.advance(-HOUR)
        with s.transaction() if how == "in a transaction" else s.within("other"):
            _write(s, how)
        record = s.record("a")
        assert (record.created, record.modified, record.revision) == (created, created, 2)
        clock.advance(2 * HOUR)
        s["a"] = [3]
        assert s.record("a").modified == at(clock.now)

    def test_record_that_is_returned_is_the_one_that_is_stored(self, s: Store[Any], clock: Any) -> None:
        s["a"] = 1
        clock.advance(-HOUR)
        assert s.put("a", 2) == s.record("a")
        assert s.touch("a", 5) == s.record("a")
        assert s.put("a", b"x" * 2_000_000) == s.record("a")
        assert s.put("a", 2) == s.record("a")


def _write(s: Store[Any], how: str) -> None:
    if how == "put":
        s.put("a", [2])
    elif how == "update":
        s.update(a=[2])
    elif how == "modify":
        s.modify("a", lambda value: [2])
    elif how == "edit":
        with s.edit("a") as value:
            value.append(2)
    elif how == "touch":
        s.touch("a", None)
    else:
        s["a"] = [2]


class TestExpiry:
    def test_is_judged_by_the_clock_as_it_is(self, s: Store[Any], clock: Any) -> None:
        s.put("a", 1, ttl=10)
        s["b"] = 2
        for ahead, there in ((0, True), (20, False), (-15, True), (-YEAR, True), (YEAR + 4.9, True), (0.1, False)):
            clock.advance(ahead)
            for _ in range(2):  # from the cache the second time
                assert (s.get("a"), "a" in s, len(s)) == (1 if there else None, there, 1 + there)
                assert s.get_many(["a", "b"]) == ({"a": 1, "b": 2} if there else {"b": 2})
                assert list(s) == (["a", "b"] if there else ["b"])

    def test_cached_count_is_good_for_its_own_time_only(self, s: Store[Any], clock: Any) -> None:
        s.put("a", 1, ttl=10)
        clock.advance(10)
        s.put("b", 1, ttl=10)
        assert [len(s), len(s)] == [1, 1]
        clock.advance(-5)
        assert [len(s), len(s)] == [2, 2]
        clock.advance(5)
        assert len(s) == 1
        clock.advance(10)
        assert len(s) == 0

    def test_reader_of_another_handle_agrees(self, s: Store[Any], path: Path, clock: Any) -> None:
        with Store[Any](path, mode="r", clock=clock) as reader:
            s.put("a", 1, ttl=10)
            for ahead, there in ((0, True), (20, False), (-15, True), (-HOUR, True)):
                clock.advance(ahead)
                assert (reader.get("a"), len(reader)) == (1 if there else None, there)

    def test_what_is_written_at_a_wrong_time_lives_as_long_as_it_says(self, s: Store[Any], clock: Any) -> None:
        clock.advance(YEAR)
        assert s.put("a", 1, ttl=10).expires == at(clock.now + 10)
        clock.advance(-YEAR)
        assert s["a"] == 1  # for a year, as `record` tells
        assert s.touch("a", 10).expires == at(clock.now + 10)
        clock.advance(10)
        assert "a" not in s

    def test_name_that_was_written_again_while_it_had_expired(self, s: Store[Any], clock: Any) -> None:
        old = s.put("a", "old", ttl=10)
        clock.advance(20)
        s["a"] = "new"
        clock.advance(-15)
        assert s["a"] == "new"
        assert (s.record("a").revision, len(s)) == (1, 1)
        assert s.record("a").created > old.created

    def test_purge_takes_what_has_expired_by_now(self, s: Store[Any], clock: Any) -> None:
        s.put("a", 1, ttl=10)
        s.put("b", 1, ttl=HOUR)
        clock.advance(20)
        clock.advance(-15)
        assert s.purge() == 0
        assert list(s) == ["a", "b"]
        clock.advance(5)
        assert s.purge() == 1
        clock.advance(-YEAR)
        assert list(s) == ["b"]
        assert len(s) == 1

    def test_time_before_1970(self, s: Store[Any], clock: Any) -> None:
        clock.now = -5.0
        s.put("a", 1, ttl=10)
        assert (s["a"], s["a"], len(s)) == (1, 1, 1)
        clock.advance(5)  # 0, at which nobody looks for the file
        assert (s["a"], len(s)) == (1, 1)
        clock.advance(5)
        assert (s.get("a"), len(s)) == (None, 0)


class TestIdentity:
    @pytest.mark.parametrize("ahead", [-YEAR, -1e-3, 1e-3, YEAR])
    def test_record_that_was_deleted_and_made_again(self, s: Store[Any], clock: Any, ahead: float) -> None:
        before = s.put("a", 1)
        del s["a"]
        clock.advance(ahead)
        after = s.put("a", 2)
        assert after.revision == before.revision  # which alone would be taken for it
        with pytest.raises(Conflict):
            s.put("a", 3, if_version=before)
        assert s["a"] == 2
        assert s.put("a", 3, if_version=after).revision == 2

    def test_record_that_was_written_again(self, s: Store[Any], clock: Any) -> None:
        before = s.put("a", 1)
        clock.advance(-HOUR)
        s["a"] = 2
        with pytest.raises(Conflict):
            s.put("a", 3, if_version=before)
        with pytest.raises(Conflict), s.edit("list", []) as value:
            clock.advance(-HOUR)
            s["list"] = ["other"]
            value.append(1)

    def test_name_that_must_be_free(self, s: Store[Any], clock: Any) -> None:
        s.put("a", 1, ttl=10)
        clock.advance(20)
        clock.advance(-15)
        with pytest.raises(Conflict):
            s.put("a", 2, if_version=ABSENT)
        assert s["a"] == 1


def test_watch_tells_of_what_is_gone_and_is_there_again(s: Store[Any], clock: Any) -> None:
    with s.watch(timeout=0) as watch:
        s.put("a", 1, ttl=10)
        assert [change.kind for change in watch] == ["set"]
        clock.advance(20)
        assert [change.kind for change in watch] == ["expired"]
        clock.advance(-15)
        s["b"] = 1
        assert [(change.name, change.kind) for change in watch] == [("a", "set"), ("b", "set")]
        clock.advance(-HOUR)
        s["b"] = 2
        assert [(change.name, change.kind) for change in watch] == [("b", "set")]
        clock.advance(2 * HOUR)
        assert [change.name for change in watch] == ["a"]


def test_session_lives_by_the_clock_as_it_is(path: Path, clock: Any) -> None:
    with Sessions(path, ttl=HOUR, clock=clock) as sessions:
        id = sessions.create({"user": 1})
        clock.advance(-YEAR)
        assert sessions.load(id) == {"user": 1}
        assert sessions.touch(id)  # which never makes a life shorter; a ttl that is given does
        assert sessions.record(id).expires == at(clock.now + YEAR + HOUR)
        assert sessions.touch(id, ttl=HOUR)
        assert sessions.save(id, {"user": 2})
        clock.advance(2 * HOUR)
        assert sessions.load(id) is None
        clock.advance(-1.5 * HOUR)
        new = sessions.rotate(id)
        assert (sessions.load(id), sessions.load(new), len(sessions)) == (None, {"user": 2}, 1)
        clock.advance(YEAR)
        assert (sessions.clear_expired(), len(sessions)) == (1, 0)
