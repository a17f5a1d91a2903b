"""`reshard`: records move to another number of shards as they are, and nothing is lost when it is ended on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from children import Start

import store
from store import Store, errors
from store.cache import Cache
from store.errors import ShardsMismatch
from store.mapping.sharding import resharding
from store.mapping.sharding.layout import Layout, layout_of, record_layout
from store.mapping.sharding.routes import shard_named
from store.mapping.sharding.sharded import open_shards
from store.memo import memo
from store.sessions import Sessions


def shards_in(place: str) -> set[int]:
    """The numbers of shards that the store has namespaces of."""
    with Store(place) as s:
        return {shard.shards for one in s.namespaces() if (shard := shard_named(one)) is not None}


@pytest.fixture
def filled(place: str, clock: Any) -> Iterator[dict[str, Any]]:
    """A namespace `memo` of 300 records; what is known of each."""
    with Store(place, namespace="memo", clock=clock) as s:
        for number in range(300):
            clock.advance(0.01)
            s.put(f"n{number * 7919 % 1009}", number, ttl=None if number % 3 else 1000)
        s["n0"] = "again"
        known = {record.name: facts(record) for record in s.records()}
    yield known


def facts(record: Any) -> tuple[Any, ...]:
    return record.revision, record.created, record.modified, record.expires, record.codec, record.size, record.sealed_by


@pytest.mark.parametrize("numbers", [(4, 8, 3, 1), (1, 2, 1)])
@pytest.mark.slow
def test_records_stay_as_they_are(place: str, filled: dict[str, Any], numbers: tuple[int, ...], clock: Any) -> None:
    with Store(place, namespace="memo", clock=clock) as s:
        order = list(s)
    for number in numbers:
        with Store(place, clock=clock) as s:
            done = store.reshard(s, "memo", number)
        assert (done.records, done.expired) == (300, 0) or number == numbers[0] == 1
        with open_shards(place, "memo", number, "memo", {"clock": clock}) as s:
            assert {record.name: facts(record) for record in s.records()} == filled
            assert list(s) == order
            assert s["n0"] == "again"
        assert shards_in(place) == ({number} if number > 1 else set())
    with Store(place) as s:
        assert s.namespaces() == ["memo"]
        assert s.verify().ok


def test_expired_records_are_left_out(place: str, filled: dict[str, Any], clock: Any) -> None:
    clock.advance(2000)
    with Store(place, clock=clock) as s:
        done = store.reshard(s, "memo", 4)
    assert done.records == 201  # one of them was written again, for ever
    assert done.expired <= 99  # writers delete some in passing


def test_to_the_number_that_there_is_does_nothing(place: str) -> None:
    with Sessions(place, shards=2) as sessions:
        id = sessions.create({})
    assert store.reshard(place, "sessions", 2) == resharding.Resharded(0, 0)
    with Sessions(place, shards=2) as sessions:
        assert sessions.load(id) == {}


def test_large_values_move_with_their_files(place: str) -> None:
    with open_shards(place, "memo", 2, "memo", {"spill_bytes": 1000}) as s:
        s.update({f"n{number}": bytes([number]) * 5000 for number in range(10)})
    store.reshard(place, "memo", 5)
    with open_shards(place, "memo", 5, "memo", {}) as s:
        assert s == {f"n{number}": bytes([number]) * 5000 for number in range(10)}
        assert s.verify().ok
        s.compact()
        assert s == {f"n{number}": bytes([number]) * 5000 for number in range(10)}


def test_sessions_of_a_user_stay_together(place: str) -> None:
    with Sessions(place) as sessions:
        ids = [sessions.create({"n": n}, user=f"user {n % 5}") for n in range(40)]
    for shards in (3, 7):
        store.reshard(place, "sessions", shards)
        with Sessions(place, shards=shards) as sessions:
            assert [sessions.load(id) for id in ids] == [{"n": n} for n in range(40)]
            assert [len(sessions.by(f"user {n}")) for n in range(5)] == [8] * 5
    with Sessions(place, shards=7) as sessions:
        assert sessions.by("user 1").end() == 8


def test_tags_and_costs_of_a_cache_move_with_its_records(place: str) -> None:
    with Cache(place) as cache:
        for number in range(40):
            cache.set(f"n{number}", number, tag=f"t:{number % 4}", ttl=1000)
        cache["plain"] = 1
    for shards in (3, 2):
        store.reshard(place, "cache", shards)
        with Cache(place, shards=shards) as cache:
            assert [cache.tag_of(f"n{number}") for number in range(40)] == [f"t:{number % 4}" for number in range(40)]
            assert cache.tag_of("plain") is None
    with Cache(place, shards=2) as cache:
        assert cache.evict("t:1") == 10
        assert len(cache) == 31
    store.reshard(place, "cache", 1)
    with Cache(place) as cache:
        assert (cache.evict("t:2"), len(cache)) == (10, 21)


def test_results_of_functions_are_found_again(place: str) -> None:
    calls = []

    def compute(x: int) -> int:
        calls.append(x)
        if x < 0:
            raise ValueError(x)
        return x

    def all_of(shards: int) -> None:
        f = memo(place, shards=shards, exceptions=ValueError, name="compute", source=False)(compute)
        for x in range(20):
            assert f(x) == x
        for x in range(-5, 0):
            with pytest.raises(ValueError):
                f(x)
        f.close()

    all_of(4)
    assert len(calls) == 25
    store.reshard(place, "memo", 7)
    all_of(7)
    assert len(calls) == 25


def test_kind_is_asked_for_where_nothing_tells_it(place: str) -> None:
    with Store(place, namespace="mine") as s:
        s["a"] = 1
    with pytest.raises(ValueError, match="one of sessions, cache, memo, not None"):
        store.reshard(place, "mine", 4)
    assert store.reshard(place, "mine", 4, kind="cache").records == 1
    with pytest.raises(ShardsMismatch, match="has the shards of cache, not of memo"):
        store.reshard(place, "mine", 2, kind="memo")
    assert store.reshard(place, "mine", 2).records == 1


def test_there_is_no_store_to_move(tmp_path: Path) -> None:
    with pytest.raises(errors.StoreNotFound):
        store.reshard(tmp_path / "none.db", "sessions", 4)


class Stop(BaseException):
    """A process that is killed."""


@pytest.mark.parametrize("step", range(10))
def test_ended_at_any_step_it_has_lost_nothing(place: str, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """At each write of the layout or of records, and at each deletion of a namespace."""
    with Sessions(place, shards=2) as sessions:
        ids = [sessions.create({"n": n}) for n in range(30)]
    left = [step]

    def stopping(call: Any) -> Any:
        def stop(*args: Any) -> Any:
            if not left[0]:
                raise Stop
            left[0] -= 1
            return call(*args)

        return stop

    with monkeypatch.context() as patched:
        patched.setattr(resharding, "record_layout", stopping(record_layout))
        patched.setattr(resharding.Moving, "_write", stopping(resharding.Moving._write))
        patched.setattr(resharding.Moving, "_clear", stopping(resharding.Moving._clear))
        patched.setattr(resharding, "_delete_others", stopping(resharding._delete_others))
        try:
            store.reshard(place, "sessions", 3)
        except Stop:
            pass
    with Store(place) as s:
        found = layout_of(s.opened, "sessions")
    assert found in (Layout(2, "sessions"), Layout(2, "sessions", 3), Layout(3, "sessions"))
    if found.moving_to:
        for shards in (1, 2, 3):
            with pytest.raises(ShardsMismatch, match=r"being moved to 3 shards; if that was interrupted, run store\.reshard"):
                Sessions(place, shards=shards)
        with pytest.raises(ShardsMismatch, match="is being moved to 3"):
            store.reshard(place, "sessions", 4)
    store.reshard(place, "sessions", 3)
    assert shards_in(place) == {3}
    with Sessions(place, shards=3) as sessions:
        assert [sessions.load(id) for id in ids] == [{"n": n} for n in range(30)]
        assert len(sessions) == 30


@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_record_of_somebody_else_ends_it_with_nothing_changed(place: str) -> None:
    with Sessions(place, shards=2) as sessions:
        ids = [sessions.create({"n": n}) for n in range(30)]
        space = sessions.store.stores[1].namespace
    with Store(place, namespace=space, key="5e" * 32, codec="json") as s:
        s["planted"] = {"user": "root"}
    with pytest.raises(errors.Untrusted, match="it cannot move to another shard") as caught:
        store.reshard(place, "sessions", 3)
    assert (caught.value.name, caught.value.namespace) == ("planted", space)
    with Sessions(place, shards=2) as sessions:
        assert [sessions.load(id) for id in ids] == [{"n": n} for n in range(30)]
    with Store(place, namespace=space) as s:  # as the message says
        assert s.delete("planted")
    store.reshard(place, "sessions", 3)
    with Sessions(place, shards=3) as sessions:
        assert len(sessions) == 30


@pytest.mark.slow
def test_two_at_once_take_turns(place: str, start: Start) -> None:
    with Sessions(place, shards=2) as sessions:
        ids = [sessions.create({"n": n}) for n in range(30)]
    moves = "import sys\nimport store\nprint(store.reshard(sys.argv[1], 'sessions', int(sys.argv[2])).records)"
    moved = [start(moves, place, number) for number in (3, 5, 8)]
    assert [child.hear() for child in moved] == ["30"] * 3
    with Store(place) as s:
        found = layout_of(s.opened, "sessions")
    assert found is not None and found.moving_to is None
    assert shards_in(place) == {found.shards}
    with Sessions(place, shards=found.shards) as sessions:
        assert [sessions.load(id) for id in ids] == [{"n": n} for n in range(30)]
