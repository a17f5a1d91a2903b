"""`copy`: records as they are, in another store, which seals them anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import store
from store import Store, StoreNotFound
from store.care.copy import Copied
from store.errors import Corrupt, StorageError, Tampered, Untrusted

SECRET, OTHER = b"a secret of 16 bytes or more", b"another secret of 16 bytes"


@pytest.fixture
def source(path: Path, clock: Any) -> Iterator[Store[Any]]:
    with Store[Any](path.with_name("source.db"), clock=clock, spill_bytes=1000) as s:
        s["a"] = [1]
        clock.advance(1)
        s["a"] = [2]
        s.put("json", {"x": 1}, codec="json", ttl=50)
        s["large"] = bytes(5000)
        s.put("gone", 1, ttl=5)
        s["last"] = "last"
        with s.within("users") as users:
            users["a"] = "ann"
        clock.advance(10)
        yield s


@pytest.fixture(params=["file", "memory"])
def target(request: pytest.FixtureRequest, path: Path, clock: Any) -> Iterator[Store[Any]]:
    with Store[Any](path if request.param == "file" else ":memory:", clock=clock, spill_bytes=1000) as s:
        yield s


def facts(s: Store[Any]) -> list[Any]:
    """All that is to be the same in the copy, in order of insertion."""
    found = []
    for namespace in s.namespaces():
        with s.within(namespace) as part:
            for name in part:
                record = part.record(name)
                times = record.created, record.modified, record.expires
                found.append((namespace, name, part[name], record.revision, record.codec, record.protocol, times))
    return found


def test_everything_is_as_it_was(source: Store[Any], target: Store[Any]) -> None:
    assert store.copy(source, target) == Copied(records=5, unchanged=0, expired=1)
    assert facts(target) == facts(source)
    assert target.verify().ok
    assert {record.sealed_by for record in target.records()} == {source.record("a").sealed_by}


def test_again_changes_nothing(source: Store[Any], target: Store[Any]) -> None:
    store.copy(source, target)
    before = facts(target)
    assert store.copy(source, target) == Copied(records=0, unchanged=5, expired=1)
    assert facts(target) == before
    source["a"] = [3]
    assert store.copy(source, target).records == 1
    assert target["a"] == [3]
    assert target.record("a").revision == source.record("a").revision


def test_what_is_there_is_replaced_and_other_records_stay(source: Store[Any], target: Store[Any]) -> None:
    for _ in range(7):
        target["a"] = "old"
    target["other"] = 1
    store.copy(source, target)
    assert (target["a"], target.record("a").revision, target["other"]) == ([2], 2, 1)


def test_one_namespace(source: Store[Any], target: Store[Any]) -> None:
    assert store.copy(source, target, namespace="users").records == 1
    assert target.namespaces() == ["users"]
    assert store.copy(source, target, namespace="nobody") == Copied(0, 0, 0)


def test_by_paths_with_a_key_of_their_own(path: Path) -> None:
    one, other = path.with_name("one.db"), path.with_name("other.db")
    with Store[Any](one, key=SECRET) as s:
        s["a"] = {1}
    assert store.copy(one, f"sqlite:///{other}", key=SECRET).records == 1
    with Store[Any](other, key=SECRET, trust="own") as s:
        assert s["a"] == {1}
    with pytest.raises(StoreNotFound):
        store.copy(path.with_name("none.db"), other)


def test_from_memory(path: Path) -> None:
    with Store[Any](":memory:") as s:
        s["a"] = bytes(3_000_000)
        store.copy(s, path)
    with Store[Any](path) as s:
        assert s["a"] == bytes(3_000_000)


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*key")
def test_records_of_others_stay_foreign(path: Path) -> None:
    one, other = path.with_name("one.db"), path.with_name("other.db")
    with Store[Any](one, key=OTHER) as s:
        s["a"] = 1
    assert store.copy(one, other, key=SECRET).records == 1
    with Store[Any](other, key=SECRET, trust="own") as s, pytest.raises(Untrusted):
        s["a"]


@pytest.mark.damaged
def test_damaged_record_stays_damaged(source: Store[Any], target: Store[Any], clock: Any) -> None:
    engine = source.opened.engine
    row = source.opened.find("a")
    assert row is not None
    engine.put(row._replace(body=row.body + b"x"))
    store.copy(source, target)
    with pytest.raises((Tampered, Corrupt)):
        target["a"]
    assert target["last"] == "last"


def test_refuses_what_makes_no_sense(source: Store[Any], path: Path) -> None:
    for place in (source, source.location):
        with pytest.raises(ValueError, match="the same store"):
            store.copy(source, place)
    with pytest.raises(TypeError, match="location"):
        store.copy(source, 5)  # type: ignore[arg-type]
    source.close()
    with pytest.raises(store.StoreClosed):
        store.copy(source, path)


@pytest.mark.damaged
@pytest.mark.filterwarnings("ignore:.*key")
def test_large_value_of_another_does_not_go_into_memory(path: Path) -> None:
    with Store[Any](path, key=OTHER, spill_bytes=1000) as s:
        s["a"] = bytes(5000)
    with (
        Store[Any](path, key=SECRET) as s,
        Store[Any](":memory:", key=SECRET) as target,
        pytest.raises(StorageError, match="memory"),
    ):
        store.copy(s, target)


def test_written_back_values_are_copied_and_forgotten(place: str) -> None:
    with Store[Any](place, writeback=True) as s, Store[Any](":memory:", writeback=True) as target:
        s["a"] = []
        s["a"].append(1)
        target["a"] = ["old"]
        assert target["a"] == ["old"]
        store.copy(s, target)
        assert target["a"] == [1]
