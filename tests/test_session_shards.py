"""`Sessions(…, shards=N)`: a user's sessions are in one shard, and no operation needs a transaction over two."""

from __future__ import annotations

import asyncio
import copy
import pickle
import secrets
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
from children import Start

from store import Store
from store.aio import AsyncSessions
from store.cache import Cache
from store.errors import Conflict, LockTimeout
from store.mapping.sharding.routes import shard_named
from store.memo import memo
from store.opened.namespace import Namespace
from store.sessions import FOREVER, Sessions

SHARDS = 5


@pytest.fixture
def sessions(location: str, clock: Any) -> Iterator[Sessions]:
    with Sessions(location, ttl=100, clock=clock, shards=SHARDS) as opened:
        yield opened


def spread(sessions: Sessions) -> list[int]:
    """How many sessions each shard has."""
    return [len(store) for store in sessions.store.stores]  # type: ignore[union-attr]


def apart(sessions: Sessions, user: str | None = "ann") -> tuple[str, str]:
    """An id of nobody, and the name of a user whose sessions are in another shard."""
    while True:
        id, name = sessions.create({"n": 1}), f"{user}{secrets.token_hex(4)}"
        other = sessions.create({}, user=name)
        here, there = (sessions._records.at(sessions._name(one)) for one in (id, other))
        sessions.delete(other)
        if here is not there:
            return id, name
        sessions.delete(id)


def test_sessions_of_nobody_are_spread(sessions: Sessions) -> None:
    for _ in range(200):
        sessions.create({})
    assert min(spread(sessions)) > 15
    assert (len(sessions), sum(1 for _ in sessions.records())) == (200, 200)


def test_sessions_of_a_user_are_in_one_shard(sessions: Sessions) -> None:
    for number in range(30):
        sessions.create({"n": number}, user="ann")
    assert sorted(spread(sessions)) == [0] * (SHARDS - 1) + [30]
    assert len(sessions.by("ann").records()) == 30
    assert sessions.by("ann").end() == 30


def test_rotation_to_another_shard_keeps_data_and_expiry(sessions: Sessions, clock: Any) -> None:
    id, user = apart(sessions)
    before = sessions.record(id)
    clock.advance(30)
    new = sessions.rotate(id, user=user, change=lambda data: data.update(role="admin"))
    assert (sessions.load(id), sessions.load(new), len(sessions)) == (None, {"n": 1, "role": "admin"}, 1)
    assert before is not None and sessions.record(new).expires == before.expires  # type: ignore[union-attr]
    newer = sessions.rotate(new, user=None, ttl=FOREVER)
    assert sessions.record(newer).expires is None  # type: ignore[union-attr]
    clock.advance(71)
    assert sessions.load(newer) == {"n": 1, "role": "admin"}


def test_rotation_has_what_another_wrote_meanwhile(sessions: Sessions) -> None:
    id, user = apart(sessions)
    calls = []

    def change(data: dict[str, Any]) -> None:
        calls.append(dict(data))
        if len(calls) == 1:  # between the read and the deletion
            assert sessions.save(id, {"n": 2})
        data["role"] = "admin"

    new = sessions.rotate(id, user=user, change=change)
    assert calls == [{"n": 1}, {"n": 2}]
    assert (sessions.load(new), sessions.load(id), len(sessions)) == ({"n": 2, "role": "admin"}, None, 1)


def test_rotation_of_a_session_that_ends_meanwhile_leaves_none(sessions: Sessions) -> None:
    id, user = apart(sessions)
    assert sessions.rotate(id, user=user, change=lambda _: sessions.delete(id)) is None
    assert (len(sessions), len(sessions.by(user))) == (0, 0)


@pytest.mark.parametrize("error", [LockTimeout("another program writes"), KeyboardInterrupt()])
def test_rotation_that_fails_half_way_leaves_the_old_session(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    id, user = apart(sessions)
    delete = Store.delete

    def failing(self: Store[Any], name: str, *, if_version: Any = None) -> bool:
        if if_version is not None:
            raise error
        return delete(self, name)

    monkeypatch.setattr(Store, "delete", failing)
    with pytest.raises(type(error)):
        sessions.rotate(id, user=user)
    assert (sessions.load(id), len(sessions), len(sessions.by(user))) == ({"n": 1}, 1, 0)


STANDS = """
from store import Store
from store.sessions import Sessions
delete = Store.delete
def standing(self, name, **options):
    print("written", flush=True)
    sys.stdin.readline()
    return delete(self, name, **options)
with Sessions(sys.argv[1], shards=5) as sessions:
    Store.delete = standing
    print(sessions.rotate(sys.argv[2], user=sys.argv[3]))
"""


@pytest.fixture
def rotating(place: str, start: Start) -> Callable[[str, str], Any]:
    """A process that stands between the two steps of a rotation."""

    def begin(id: str, user: str) -> Any:
        child = start("import sys\n" + STANDS, place, id, user)
        assert child.hear() == "written"
        return child

    return begin


def test_process_that_dies_between_the_two_steps_leaves_the_old_session(place: str, rotating: Any) -> None:
    with Sessions(place, shards=SHARDS) as sessions:
        id, user = apart(sessions)
        rotating(id, user).kill()
        assert sessions.load(id) == {"n": 1}
        (orphan,) = sessions.by(user).records()  # whose id is in nobody's cookie
        assert sessions.by(user).end() == 1
        again = sessions.rotate(id, user=user)
        assert (sessions.load(again), len(sessions)) == ({"n": 1}, 1)
        assert orphan.expires is not None


@pytest.mark.slow
def test_end_during_a_login_leaves_no_session_of_the_user(place: str, rotating: Any) -> None:
    with Sessions(place, shards=SHARDS) as sessions:
        id, user = apart(sessions)
        child = rotating(id, user)
        assert sessions.by(user).end() == 1
        child.say()
        new = child.hear()
        assert (sessions.load(id), sessions.load(new), len(sessions)) == (None, None, 0)


def test_sessions_of_two_keys_are_ended_those_of_the_newest_last(location: str) -> None:
    old, new = sha256(b"old").digest(), sha256(b"new").digest()
    with Store(location, key=[old], trust="own") as store, Sessions(store, shards=SHARDS) as before:
        ids = [before.create({}, user=f"user {number}") for number in range(20)]
        with Store(location, key=[new, old], trust="own") if location != ":memory:" else store as again:
            with Sessions(again, shards=SHARDS) as sessions:
                ids += [sessions.create({}, user=f"user {number}") for number in range(20)]
                for number in range(20):
                    by = sessions.by(f"user {number}")
                    tag = sessions._records.tags.id_for(f"user {number}").rpartition(".")[2]
                    assert by._prefixes()[-1] == by._by_shard()[-1][-1] == f"{tag}."
                    assert len(by.records()) == by.end() == 2
                assert (len(sessions), {sessions.load(id) for id in ids}) == (0, {None})


def test_rotation_to_an_id_of_the_frameworks_own(sessions: Sessions) -> None:
    ids = [secrets.token_urlsafe(32) for _ in range(20)]
    for id in ids:
        assert sessions.rotate(sessions.create({"id": id}), new=id) == id
    assert [sessions.load(id) for id in ids] == [{"id": id} for id in ids]
    mine = sessions.create({})
    with pytest.raises(Conflict):
        sessions.rotate(mine, new=ids[0])
    with pytest.raises(ValueError, match="32 to 128"):
        sessions.rotate(mine, new="short")
    with pytest.raises(TypeError, match="no place for a user"):
        sessions.rotate(mine, new=ids[1], user="ann")
    assert (sessions.load(mine), len(sessions)) == ({}, 21)
    assert sessions.rotate("forged", new=secrets.token_urlsafe(32)) is None


def test_pickle_and_copy_open_as_many_shards(place: str) -> None:
    with Sessions(place, ttl=FOREVER, shards=3) as sessions:
        id = sessions.create({"n": 1})
        for again in (pickle.loads(pickle.dumps(sessions)), copy.copy(sessions)):
            with again:
                assert (again.load(id), again.ttl, again.namespace) == ({"n": 1}, FOREVER, "sessions")
                assert len(again.store.stores) == 3


def test_open_store_is_sharded_too(location: str) -> None:
    with Store(location, trust="own") as store:
        with Sessions(store, shards=3) as sessions:
            id = sessions.create({"n": 1}, user="ann")
            with sessions.edit(id) as data:
                data["n"] += 1
            assert sessions.load(id) == {"n": 2}
        assert store.namespaces()[0] == "#shards"


def test_tasks_have_shards(place: str) -> None:
    async def main() -> Any:
        async with AsyncSessions(place, shards=3) as sessions:
            id = await sessions.create({"n": 1})
            id = await sessions.rotate(id, user="ann")
            async with sessions.edit(id) as data:
                data["n"] += 1
            return await sessions.load(id), await sessions.length(), await sessions.by("ann").end()

    assert asyncio.run(main()) == ({"n": 2}, 1, 1)


# -- transactions


@pytest.fixture
def shards_of_transactions(monkeypatch: pytest.MonkeyPatch) -> list[set[Any]]:
    """The shards that each outermost transaction names, or that an operation inside of it reads or writes."""
    found: list[set[Any]] = []

    def note(*spaces: Namespace) -> None:
        shards = (shard_named(ns.name) for ns in spaces)
        found[-1].update((shard.namespace, shard.number) for shard in shards if shard is not None)

    def transaction(self: Namespace, *others: Namespace, begin: Any = Namespace.transaction, **options: Any) -> Any:
        if not self.in_transaction():
            found.append(set())
        note(self, *others)
        return begin(self, *others, **options)

    def watch(name: str) -> None:
        original = getattr(Namespace, name)

        def call(self: Namespace, *args: Any, **options: Any) -> Any:
            if self.in_transaction():
                note(self)
            return original(self, *args, **options)

        monkeypatch.setattr(Namespace, name, call)

    monkeypatch.setattr(Namespace, "transaction", transaction)
    for name in ("get", "find_at", "look", "put", "pack"):
        watch(name)
    return found


def test_no_operation_of_sessions_needs_a_transaction_over_two_shards(
    sessions: Sessions, shards_of_transactions: list[set[Any]], clock: Any
) -> None:
    for user in ("ann", "bob", None, None):
        id = sessions.create({"n": 0}, user=user)
        sessions.save(id, {"n": 1}, ttl=50)
        with sessions.edit(id) as data:
            data["n"] = 2
        sessions.touch(id, ttl=60)
        for new in ("ann", "bob", None, "cid"):
            id = sessions.rotate(id, user=new) or ""
        sessions.rotate(sessions.create({}), new=secrets.token_urlsafe(32))
    sessions.by("cid").end()
    sessions.by("ann").end()
    clock.advance(1000)
    sessions.clear_expired()
    assert len(shards_of_transactions) > 30
    assert [shards for shards in shards_of_transactions if len(shards) > 1] == []


def test_no_operation_of_a_cache_or_of_results_needs_a_transaction_over_two_shards(
    location: str, shards_of_transactions: list[set[Any]], clock: Any
) -> None:
    with Cache(location, clock=clock, shards=4, max_records=400) as cache:
        cache.set_many({f"n{number}": number for number in range(30)}, tag="t", ttl=50)
        cache.update({f"m{number}": number for number in range(30)})
        cache.set("a", 1, tag="u")
        cache.add("b", 1, tag="u"), cache.incr("b"), cache.touch("b", 10), cache.modify("b", str), cache.pop("a")
        cache.setdefault("c", 1), cache.popitem(), cache.delete_many(["n1", "n2", "m3"]), cache.get_many(["n1", "m4"])
        cache.get_or_compute("d", list, tag="u", early=1.0)

        @cache.memoize(exceptions=ValueError, tag="u")
        def half(x: int) -> float:
            if x % 2:
                raise ValueError(x)
            return x / 2

        for x in range(10):
            try:
                half(x)
            except ValueError:
                half.forget(x)
        half.forget_all()
        cache.discard_unreadable("a"), cache.evict("u"), cache.cull()
        clock.advance(60)
        cache.purge(), cache.clear()
    with Store(location) as store:
        square = memo(store, shards=4, exceptions=ZeroDivisionError, ttl=1000)(lambda x: 1 // x)
        for x in (0, 1, 2, 3):
            try:
                square(x)
            except ZeroDivisionError:
                assert square.forget(x)
        assert square.forget_all() == 3
    assert len(shards_of_transactions) > 30
    assert [shards for shards in shards_of_transactions if len(shards) > 1] == []
