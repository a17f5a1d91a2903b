"""Not run: what a type checker must make of a program that uses `store`. Checked by test_typing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import Any, Unpack, assert_type

import store
from store import ABSENT, Record, Store, settings
from store.aio import AsyncSessions, AsyncStore
from store.cache import Cache, CacheStats
from store.codecs import pickle
from store.errors import RecordError, StorageError
from store.memo import CacheInfo, memo
from store.opened.options import StoreOptions
from store.sessions import FOREVER, Sessions
from store.settings import Settings


class User:
    name: str


class Upper:
    name = "upper"

    def encode(self, value: Any) -> bytes:
        return str(value).upper().encode()

    def decode(self, body: bytes) -> str:
        return body.decode()


@store.versioned(2)
class Member:
    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def __upgrade__(cls, state: dict[str, Any], from_version: int) -> dict[str, Any]:
        return state


def codecs() -> None:
    s = Store[str]("app.db", codec=Upper(), renames={"old.User": "new.User", "old.Other": User}, on_missing="placeholder")
    assert_type(s.put("a", "x", codec=Upper), Record)
    assert_type(Member("a"), Member)
    store.codecs.register(Upper())
    store.codecs.register(Upper, "other")
    assert_type(store.codecs.pickle.dumps([1]), bytes)
    assert_type(pickle.dumps([1]), bytes)


def mapping(s: Store[int]) -> None:
    assert_type(s["a"], int)
    assert_type(s.get("a"), int | None)
    assert_type(s.get("a", 5), int)
    assert_type(s.get("a", "default"), int | str)
    assert_type(s.pop("a"), int)
    assert_type(s.pop("a", None), int | None)
    assert_type(s.popitem(), tuple[str, int])
    assert_type(s.setdefault("a", 1), int)
    assert_type(list(s), list[str])
    assert_type(list(s.keys()), list[str])
    assert_type(list(s.values()), list[int])
    assert_type(list(s.items()), list[tuple[str, int]])
    assert_type(list(reversed(s)), list[str])
    assert_type(s | {"b": "text"}, dict[str, int | str])
    assert_type(dict(s), dict[str, int])
    assert_type(len(s), int)
    s["a"] = 1
    s |= {"b": 2}
    s.update({"a": 1}, b=2)
    s.update([("a", 1)])
    plain: MutableMapping[str, int] = s
    plain["a"] = 2


def cache(c: Cache[int]) -> None:
    assert_type(c["a"], int)
    assert_type(c.get("a"), int | None)
    assert_type(c.get("a", 5), int)
    assert_type(c.get("a", default="text"), int | str)
    assert_type(c.pop("a"), int)
    assert_type(c.pop("a", None), int | None)
    assert_type(c.popitem(last=False), tuple[str, int])
    assert_type(c.get_many(["a"]), dict[str, int])
    assert_type(c.get_or_compute("a", lambda: 1, ttl=5, early=1.0, tag="t"), int)
    assert_type(c.add("a", 1, ttl=None, tag="t"), bool)
    assert_type(c.stats(), CacheStats)
    assert_type(c | {"b": "text"}, dict[str, int | str])
    assert_type(c.store, Store[int])
    c.set("a", 1, ttl=5, tag="t")
    c.set_many({"a": 1}, ttl=None)
    with Cache[str]("cache.db", max_bytes=None, policy="lfu", codec="json", timeout=5) as opened:
        assert_type(opened["a"], str)
    assert_type(Cache("cache.db")["a"], Any)

    @c.memoize
    def double(x: int) -> int:
        return 2 * x

    @c.memoize(ttl=5, tag="t")
    def text(x: int) -> str:
        return str(x)

    assert_type(double(1), int)
    assert_type(text(1), str)
    assert_type(text.cache_info(), CacheInfo)


def records(s: Store[User]) -> None:
    assert_type(s.put("a", User(), ttl=5, codec="json", protocol=1, if_version=ABSENT), Record)
    assert_type(s.record("a"), Record)
    assert_type(s.records("prefix"), Iterator[Record])
    assert_type(s.record("a").expires is None, bool)
    assert_type(s.names(limit=5), list[str])
    assert_type(s.get_many(["a"]), dict[str, User])
    assert_type(s.touch("a", None), Record)
    assert_type(s.purge(), int)
    assert_type(s.put("a", User(), ttl=None, if_version=s.record("a")).version, str)
    assert_type(s.put("a", User(), if_version="1-ab"), Record)
    assert_type(s.touch("a"), Record)
    assert_type(s.add("a", User(), ttl=None), bool)
    assert_type(s.delete("a", if_version=s.record("a")), bool)
    assert_type(s.delete_many(["a"]), int)
    assert_type(s.delete_prefix("a"), int)
    assert_type(s.records("prefix", after="a", limit=5, reverse=True), Iterator[Record])
    assert_type(s.get_with_record("a"), tuple[User, Record])
    assert_type(s.popitem(last=False), tuple[str, User])
    assert_type(s.clear(), None)
    assert_type(s.namespaces(), list[str])
    assert_type(s.backup(Path("backup.db"), progress=lambda done, total: print(done / total)).bytes, int)
    assert_type(store.restore("backup.db", "app.db").replaced, bool)


def steps(s: Store[dict[str, int]], n: Store[int]) -> None:
    with s.edit("a", default={}) as value:
        assert_type(value, dict[str, int])
        value["x"] = 1
    assert_type(n.modify("n", lambda value: value + 1, 0), int)
    with s.transaction(), s.within("x") as x:
        assert_type(x, Store[dict[str, int]])
    with s.lock("job", timeout=5) as lock:
        assert_type(lock.fence, int | None)
    assert_type(s.lock("job").acquire(blocking=False), bool)
    assert_type(n.incr("n", 2, default=5), int)
    assert_type(n.transact(lambda inside: str(inside["n"])), str)
    if (found := n.get("n", ABSENT)) is not ABSENT:
        assert_type(found, int)


@memo("cache.db", ttl=5)
def load(city: str, *, day: int = 1) -> list[str]:
    return [city] * day


@memo(Path("cache.db"), exceptions=KeyError)
async def fetch(city: str) -> bytes:
    return city.encode()


class Service:
    @memo("cache.db", ignore="self")
    def method(self, x: int) -> str:
        return str(x)

    @memo("cache.db")
    @staticmethod
    def static_below(x: int) -> str:
        return str(x)

    @staticmethod
    @memo("cache.db")
    def static_above(x: int) -> str:
        return str(x)

    @memo("cache.db")
    @classmethod
    def class_below(cls, x: int) -> str:
        return str(x)

    @classmethod
    @memo("cache.db")
    def class_above(cls, x: int) -> str:
        return str(x)

    @memo("cache.db")
    @classmethod
    async def fetched(cls, x: int) -> str:
        return str(x)


async def memoized(s: Service) -> None:
    assert_type(Service.static_below(1), str)
    assert_type(Service.static_above(1), str)
    assert_type(Service.class_below(1), str)
    assert_type(Service.class_above(1), str)
    assert_type(s.class_below(1), str)
    assert_type(s.class_above(1), str)
    assert_type(await Service.fetched(1), str)
    assert_type(Service.static_below.forget(1), bool)
    assert_type(Service.class_below.forget(1), bool)
    assert_type(Service.class_below.cache_info(), CacheInfo)
    assert_type(load("Oslo", day=2), list[str])
    assert_type(load.uncached("Oslo"), list[str])
    assert_type(load.forget("Oslo", day=2), bool)
    assert_type(load.cache_info(), CacheInfo)
    assert_type(await fetch("Oslo"), bytes)
    assert_type(s.method(1), str)
    assert_type(s.method.forget(1), bool)
    assert_type(Service.method(s, 1), str)


def layer(location: str, **options: Unpack[StoreOptions]) -> Store[int]:
    """How a layer above passes options on."""
    return Store(location, **options)


def opening() -> None:
    assert_type(layer("app.db", trust="own", ttl=5), Store[int])
    Store[int]("app.db", on_unreadable="skip", mode="r", durability="full")
    Store[int]("app.db", on_unreadable=lambda name, error: None)
    with Store[int]("app.db") as s:
        assert_type(s, Store[int])
    with Store("app.db") as anything:
        assert_type(anything, Store[Any])
    declared: Store[list[str]] = Store(Path("app.db"), namespace="x", ttl=5.0, trust="own", key=b"a secret of 16 bytes")
    assert_type(declared["a"], list[str])
    with store.open("shelf", "c", None, True) as shelf:
        assert_type(shelf, Store[Any])
    assert_type(store.Shelf is Store, bool)


@store.allow
class Allowed:
    x: int


def errors(error: RecordError, disk: StorageError) -> None:
    assert_type(Allowed().x, int)
    assert_type(error.name, str | None)
    assert_type(disk.errno, int | None)


def visits(s: Sessions) -> None:
    with Sessions("app.db", ttl=FOREVER, key="k" * 16, mode="w") as sessions:
        assert_type(sessions, Sessions)
    id = s.create({"user": 1}, ttl=60)
    assert_type(s.load(id), dict[str, Any] | None)
    assert_type(s.save(id, {}, ttl=FOREVER), bool)
    with s.edit(id) as data:
        assert_type(data, dict[str, Any])
    assert_type(s.rotate(s.create({}, user="ann"), user=None), str | None)
    assert_type(s.create({}, id=id), str)
    assert_type([s.by("ann").load(record) for record in s.by("ann")], list[dict[str, Any] | None])
    assert_type(s.by("ann").end(but=id), int)


def prefs_of_a_program(store: Store[Any]) -> None:
    with Settings(User, "app.db", namespace="x", env_prefix="X_", mode="r") as prefs:
        assert_type(prefs, Settings[User])
        prefs.name = "Alice"
        assert_type(settings.typed(prefs).name, str)
        assert_type(settings.as_object(prefs), User)
        assert_type(settings.as_dict(prefs, with_env=True), dict[str, Any])
        assert_type(settings.export(prefs, "toml"), str)
        settings.update(prefs, {"name": "Bob"})
        with settings.on_change(prefs, "name", lambda old, new: None) as handle:
            handle.stop()
        settings.close(prefs)
    assert_type(Settings(User, store), Settings[User])
    assert_type(settings.for_app(User, "myapp"), Settings[User])
    assert_type(settings.typed(settings.for_app(User, "myapp", env_prefix="X_", mode="r")).name, str)


async def awaited(s: AsyncStore[int], sessions: AsyncSessions) -> None:
    assert_type(await s.getitem("a"), int)
    assert_type(await s.get("a"), int | None)
    assert_type(await s.get("a", "default"), int | str)
    assert_type(await s.pop("a", None), int | None)
    assert_type(await s.popitem(), tuple[str, int])
    assert_type(await s.put("a", 1, ttl=5, codec="json"), Record)
    assert_type(await s.modify("a", lambda value: value + 1, 0), int)
    assert_type(await s.names(limit=5), list[str])
    assert_type(await s.add("a", 1, ttl=None), bool)
    assert_type(await s.incr("a", default=5), int)
    assert_type(await s.delete("a", if_version=await s.record("a")), bool)
    assert_type(await s.delete_prefix("a"), int)
    assert_type(await s.get_with_record("a"), tuple[int, Record])
    assert_type(await s.transact(lambda inside: str(inside["a"])), str)
    assert_type(await s.lock("a").acquire(blocking=False), bool)
    assert_type(await s.get_many(["a"]), dict[str, int])
    assert_type((await s.backup("backup.db", progress=lambda done, total: None)).bytes, int)
    assert_type(s.records("prefix"), AsyncIterator[Record])
    async for name, value in s.items():
        assert_type((name, value), tuple[str, int])
    async with s.edit("a") as number, s.within("x") as inner:
        assert_type(number, int)
        assert_type(inner, AsyncStore[int])
    assert_type(await sessions.create({"cart": []}, ttl=5), str)
    assert_type(await sessions.rotate(None), str | None)
    assert_type(await sessions.by("ann").records(), list[Record])
    assert_type(await sessions.by("ann").end(but=None), int)
