"""`writeback=True`: values that were read stay live; what changed, and only that, is written back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from store import Store
from store.errors import NotSerializable, ReadOnly, StoreError


class User:
    def __init__(self, name: str) -> None:
        self.name = name


@pytest.fixture
def s(place: str, clock: Any) -> Iterator[Store[Any]]:
    with Store[Any](place, writeback=True, clock=clock, timeout=20) as opened:
        yield opened


def revisions(s: Store[Any]) -> dict[str, int]:
    return {record.name: record.revision for record in s.records()}


class TestLiveValues:
    def test_are_the_same_object_each_time(self, s: Store[Any], seen: Store[Any]) -> None:
        mine = [1]
        s["a"] = mine
        seen["b"] = [2]
        assert s["a"] is mine
        assert s["b"] is s["b"] is s.get("b") is s.setdefault("b", 5) is s.get_many(["b"])["b"]
        assert dict(s.items())["b"] is s["b"] is list(s.values())[1]

    def test_are_written_by_sync(self, s: Store[Any], seen: Store[Any]) -> None:
        s["a"] = {"list": [1]}
        s["a"]["list"].append(2)
        assert seen["a"] == {"list": [1]}, "not before"
        s.sync()
        assert seen["a"] == {"list": [1, 2]}

    def test_are_written_by_close(self, place: str, seen: Store[Any]) -> None:
        s = Store[Any](place, writeback=True)
        s["a"] = [1]
        s["a"].append(2)
        s.close()
        assert seen["a"] == [1, 2]

    def test_are_written_when_the_store_is_collected(self, place: str, seen: Store[Any]) -> None:
        s = Store[Any](place, writeback=True)
        s["a"] = [1]
        s["a"].append(2)
        del s
        assert seen["a"] == [1, 2]

    def test_are_written_although_the_block_failed(self, place: str, seen: Store[Any]) -> None:
        with pytest.raises(RuntimeError), Store[Any](place, writeback=True) as s:
            s["a"] = [1]
            s["a"].append(2)
            raise RuntimeError
        assert seen["a"] == [1, 2]  # as shelve

    def test_are_let_go_by_sync(self, s: Store[Any], seen: Store[Any]) -> None:
        s["a"] = [1]
        s.sync()
        seen["a"] = [9]
        assert s["a"] == [9]

    def test_changed_through_values_and_items(self, s: Store[Any], seen: Store[Any]) -> None:
        seen.update({f"n{i}": [i] for i in range(600)})
        for value in s.values():
            value.append("values")
        for _, value in s.items():
            value.append("items")
        for value in s.get_many(["n0"]).values():
            value.append("get_many")
        s.sync()
        assert seen["n0"] == [0, "values", "items", "get_many"]
        assert all(seen[f"n{i}"] == [i, "values", "items"] for i in range(1, 600))

    def test_instance_whose_attribute_changed(self, s: Store[Any], seen: Store[Any]) -> None:
        seen["u"] = User("alice")
        s["u"].name = "bob"
        s.sync()
        assert seen["u"].name == "bob"

    def test_setdefault_gives_the_live_default(self, s: Store[Any], seen: Store[Any]) -> None:
        s.setdefault("a", []).append(1)
        s.setdefault("a", []).append(2)
        s.sync()
        assert seen["a"] == [1, 2]

    def test_of_each_namespace_are_its_own(self, s: Store[Any], seen: Store[Any]) -> None:
        s["a"] = ["outer"]
        with s.within("x") as x, seen.within("x") as seen_x:
            x["a"] = ["inner"]
            x["a"].append(1)
            s["a"].append(2)
            x.sync()
            assert seen_x["a"] == ["inner", 1]
            assert seen["a"] == ["outer"]


class TestOnlyWhatChanged:
    def test_is_written(self, s: Store[Any], seen: Store[Any]) -> None:
        seen.update(a=[1], b=[1], c=[1], u=User("alice"))
        s["a"].append(2)
        assert s["b"] == [1]
        assert s["u"].name == "alice"
        s.sync()
        assert revisions(seen) == {"a": 2, "b": 1, "c": 1, "u": 1}
        assert next(iter(s.values())) == [1, 2]
        s.sync()
        s.sync()
        assert revisions(seen) == {"a": 2, "b": 1, "c": 1, "u": 1}

    def test_is_written_once_after_an_assignment(self, s: Store[Any], seen: Store[Any]) -> None:
        s["a"] = [1]
        s.sync()
        assert revisions(seen) == {"a": 1}
        s["a"] = [1]
        s["a"].append(2)
        s.sync()
        assert revisions(seen) == {"a": 3}

    def test_change_that_was_taken_back_is_none(self, s: Store[Any], seen: Store[Any]) -> None:
        seen["a"] = [1, 2]
        s["a"].append(3)
        s["a"].pop()
        s.sync()
        assert revisions(seen) == {"a": 1}

    def test_keeps_expiry_codec_protocol_and_place(self, s: Store[Any], seen: Store[Any], clock: Any) -> None:
        before = seen.put("a", [1], ttl=60, codec="json")
        seen.put("b", [1], protocol=2)
        clock.advance(10)
        s["b"].append(2)
        s["a"].append(2)
        s.sync()
        after = seen.record("a")
        assert (after.expires, after.codec, after.created) == (before.expires, "json", before.created)
        assert seen.record("b").protocol == 2
        assert list(seen.items()) == [("a", [1, 2]), ("b", [1, 2])]


class TestFailures:
    def test_one_that_cannot_be_written_leaves_the_others(self, s: Store[Any], seen: Store[Any]) -> None:
        seen.update(a=[1], b=[1], c=[1])
        s["a"].append(2)
        s["b"].append(lambda: 0)
        s["c"].append(2)
        with pytest.raises(NotSerializable, match="record 'b'") as caught:
            s.sync()
        assert caught.value.name == "b"
        assert dict(seen) == {"a": [1, 2], "b": [1], "c": [1, 2]}
        s["b"].pop()  # it is live still, and can be mended
        s["b"].append(2)
        s.sync()
        assert seen["b"] == [1, 2]

    def test_several_that_cannot_be_written_are_all_named(self, s: Store[Any], seen: Store[Any]) -> None:
        seen.update(a=[1], b=[1])
        for name in ("a", "b"):
            s[name].append(lambda: 0)
        with pytest.raises(NotSerializable, match="record 'a'") as caught:
            s.sync()
        assert ["record 'b'" in note for note in caught.value.__notes__] == [True]
        s.clear()

    def test_close_reports_it_and_closes(self, place: str, seen: Store[Any]) -> None:
        s = Store[Any](place, writeback=True)
        s["a"], s["b"] = [1], [1]
        s["a"].append(lambda: 0)
        s["b"].append(2)
        with pytest.raises(NotSerializable):
            s.close()
        assert dict(seen) == {"a": [1], "b": [1, 2]}
        with pytest.raises(ValueError, match="closed"):
            s["a"]
        s.close()

    def test_reader_may_change_its_copy_until_it_syncs(self, place: str, seen: Store[Any]) -> None:
        seen.update(a=[1], b=[1])
        with Store[Any](place, mode="r", writeback=True) as s:
            assert s["b"] == [1]
            s.sync()
            s["a"].append(2)
            with pytest.raises(ReadOnly):
                s.sync()
            s["a"].pop()
        assert dict(seen) == {"a": [1], "b": [1]}


def test_close_inside_its_transaction_is_refused(place: str) -> None:
    s = Store[Any](place, writeback=True)
    with s.transaction():
        s["a"] = [1]
        with pytest.raises(StoreError, match="inside its transaction"):
            s.close()
        s["a"].append(2)
    s.close()
    with Store[Any](place) as seen:
        assert seen["a"] == [1, 2]


def test_forked_child_leaves_live_values_to_its_parent(place):
    with Store(place, writeback=True) as s, Store(place) as beside:
        s["a"] = [1]
        s["a"].append(2)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                assert s["a"] == [1]  # what is stored, not what the parent has changed
                s.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert beside["a"] == [1]
        s.sync()
        assert beside["a"] == [1, 2]
