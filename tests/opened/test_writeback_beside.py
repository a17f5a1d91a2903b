"""`writeback=True` beside other writes, rollbacks, expiry and threads: what is pending is not lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from free import needs_held

from store import Store
from store.errors import LockTimeout, NotSerializable


@pytest.fixture
def s(place: str, clock: Any) -> Iterator[Store[Any]]:
    with Store[Any](place, writeback=True, clock=clock, timeout=20) as opened:
        yield opened


class TestOtherWrites:
    """They replace what was live, and it does not come back."""

    @pytest.mark.parametrize(
        "delete",
        [
            lambda s: s.__delitem__("a"),
            lambda s: s.pop("a"),
            lambda s: s.popitem(),
            lambda s: s.clear(),
        ],
        ids=["del", "pop", "popitem", "clear"],
    )
    def test_deleted_record_stays_away(self, s: Store[Any], seen: Store[Any], delete: Any) -> None:
        s["a"] = [1]
        s["a"].append(2)
        delete(s)
        s.sync()
        assert dict(seen) == {}
        assert "a" not in s

    def test_pop_and_popitem_give_the_live_value(self, s: Store[Any]) -> None:
        s.update(a=[1], b=[1])
        s["a"].append(2)
        s["b"].append(2)
        assert s.pop("a") == [1, 2]
        assert s.popitem() == ("b", [1, 2])

    @pytest.mark.parametrize(
        "write",
        [
            lambda s: s.__setitem__("a", [9]),
            lambda s: s.put("a", [9]),
            lambda s: s.update(a=[9]),
            lambda s: s.__ior__({"a": [9]}),
            lambda s: s.modify("a", lambda _: [9]),
        ],
        ids=["set", "put", "update", "ior", "modify"],
    )
    def test_assignment_wins(self, s: Store[Any], seen: Store[Any], write: Any) -> None:
        s["a"] = [1]
        s["a"].append(2)
        write(s)
        assert s["a"] == [9]
        s.sync()
        assert seen["a"] == [9]

    def test_edit_and_modify_go_on_from_the_live_value(self, s: Store[Any], seen: Store[Any]) -> None:
        s["a"] = [1]
        s["a"].append(2)
        with s.edit("a") as value:
            assert value == [1, 2]
            value.append(3)
        assert seen["a"] == s["a"] == [1, 2, 3]
        s["a"].append(4)
        assert s.modify("a", lambda value: [*value, 5]) == [1, 2, 3, 4, 5]
        s.sync()
        assert seen["a"] == [1, 2, 3, 4, 5]

    def test_touch_outlives_the_sync(self, s: Store[Any], seen: Store[Any]) -> None:
        s.put("a", [1], ttl=10)
        s["a"].append(2)
        s.touch("a", None)
        s.sync()
        assert seen["a"] == [1, 2]
        assert seen.record("a").expires is None

    def test_between_handles_the_last_to_write_back_wins(self, s: Store[Any], seen: Store[Any]) -> None:
        s["a"] = [1]
        s["a"].append(2)
        seen["a"] = ["theirs"]
        s.sync()
        assert seen["a"] == [1, 2]

    def test_unchanged_live_value_does_not_overwrite_that_of_others(self, s: Store[Any], seen: Store[Any]) -> None:
        s["a"] = [1]
        assert s["a"] == [1]
        seen["a"] = ["theirs"]
        s.sync()
        assert seen["a"] == ["theirs"]


class TestRollback:
    """What was pending before is pending again; what the transaction assigned is gone."""

    def test_of_a_transaction_drops_what_it_assigned(self, s: Store[Any], seen: Store[Any]) -> None:
        s["a"] = [1]
        with pytest.raises(RuntimeError), s.transaction():
            s["a"] = [2]
            s["b"] = [1]
            s.update(c=[1])
            assert s["c"] == [1]
            raise RuntimeError
        assert s["a"] == [1]
        for name in ("b", "c"):
            assert name not in s
        s.sync()
        assert dict(seen) == {"a": [1]}

    @pytest.mark.parametrize(
        "step",
        [
            lambda s: s.sync(),
            lambda s: s.__setitem__("a", [9]),
            lambda s: s.put("a", [9], ttl=5),
            lambda s: s.update(a=[9]),
            lambda s: s.__delitem__("a"),
            lambda s: s.pop("a"),
            lambda s: s.popitem(),
            lambda s: s.clear(),
            lambda s: s.touch("a", 5),
            lambda s: s.modify("a", lambda _: [9]),
            lambda s: _append_by_edit(s),  # noqa: PLW0108 - it is defined below
            lambda s: (s.sync(), s["a"].append(9)),
        ],
        ids=[
            "sync",
            "set",
            "put",
            "update",
            "del",
            "pop",
            "popitem",
            "clear",
            "touch",
            "modify",
            "edit",
            "read again",
        ],
    )
    def test_of_a_transaction_keeps_what_was_pending(self, s: Store[Any], seen: Store[Any], step: Any) -> None:
        seen["a"] = [1]
        live = s["a"]
        live.append(2)
        with pytest.raises(RuntimeError), s.transaction():
            step(s)
            raise RuntimeError
        assert seen["a"] == [1]
        assert s["a"] is live
        live.append(3)
        s.sync()
        assert seen["a"] == [1, 2, 3]
        assert seen.record("a").expires is None

    def test_of_a_failed_update_keeps_what_was_pending(self, s: Store[Any], seen: Store[Any]) -> None:
        seen["a"] = [1]
        s["a"].append(2)
        with pytest.raises(NotSerializable):
            s.update(b=1, c=lambda: 0)
        s.sync()
        assert dict(seen) == {"a": [1, 2]}

    def test_of_a_failed_edit_keeps_what_was_pending(self, s: Store[Any], seen: Store[Any]) -> None:
        seen["a"] = [1]
        s["a"].append(2)
        with pytest.raises(RuntimeError), s.edit("a") as value:
            value.append("not to be seen")
            raise RuntimeError
        s.sync()
        assert seen["a"] == [1, 2]

    def test_of_a_savepoint_goes_back_to_what_was_before_it(self, s: Store[Any], seen: Store[Any]) -> None:
        with s.transaction():
            s["a"] = [1]
            with pytest.raises(RuntimeError), s.transaction():
                s["a"] = [2]
                raise RuntimeError
            s["a"].append("more")
        s.sync()
        assert seen["a"] == [1, "more"]


def _append_by_edit(s: Store[Any]) -> None:
    with s.edit("a") as value:
        value.append(9)


class TestExpiry:
    def test_of_a_live_value_drops_it(self, s: Store[Any], seen: Store[Any], clock: Any) -> None:
        s.put("a", [1], ttl=10)
        s["a"].append(2)
        clock.advance(10)
        assert "a" not in s
        assert s.get("a") is None
        s.sync()
        assert dict(seen) == {}

    @pytest.mark.parametrize("how", ["read", "edit"])
    def test_of_a_live_value_does_not_reach_the_next_record(
        self, s: Store[Any], seen: Store[Any], clock: Any, how: str
    ) -> None:
        s.put("a", [1], ttl=10)
        s["a"].append(2)
        clock.advance(10)
        seen["a"] = ["new"]
        if how == "read":
            assert s["a"] == ["new"]
        else:
            with s.edit("a") as value:
                assert value == ["new"]
        s.sync()
        assert seen["a"] == ["new"]
        if how == "read":
            assert seen.record("a").revision == 1


class TestThreads:
    def test_sync_waits_for_a_transaction_that_reads(self, s: Store[Any], seen: Store[Any]) -> None:
        """The transaction has the writer's lock; sync must not have anything that its reads wait for."""
        seen.update(a=[1], b=[1])
        s["a"].append(2)
        inside, go_on = threading.Event(), threading.Event()
        found: list[Any] = []

        def other() -> None:
            with s.transaction():
                inside.set()
                go_on.wait(10)
                found.append((s["b"], s["a"]))

        def sync() -> None:
            go_on.set()
            s.sync()

        threads = [threading.Thread(target=other), threading.Thread(target=sync)]
        threads[0].start()
        assert inside.wait(10)
        threads[1].start()
        for thread in threads:
            thread.join(15)
        assert found == [([1], [1, 2])]
        assert seen["a"] == [1, 2]

    def test_reads_of_many_give_one_object(self, s: Store[Any], seen: Store[Any]) -> None:
        seen["a"] = [1]
        barrier, found = threading.Barrier(8), []

        def read() -> None:
            barrier.wait(10)
            found.append(s["a"])

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len({id(value) for value in found}) == 1
        assert len(found) == 8

    def test_sync_that_times_out_keeps_what_was_pending(self, place: str, seen: Store[Any]) -> None:
        needs_held(seen)
        seen["a"] = [1]
        s = Store[Any](place, writeback=True, timeout=0)
        s["a"].append(2)
        inside, done = threading.Event(), threading.Event()

        def other() -> None:
            with seen.transaction():
                inside.set()
                done.wait(10)

        thread = threading.Thread(target=other)
        thread.start()
        assert inside.wait(10)
        with pytest.raises(LockTimeout):
            s.sync()
        done.set()
        thread.join(10)
        s.close()
        assert seen["a"] == [1, 2]
