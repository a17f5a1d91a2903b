"""Not run: what a type checker must refuse. Checked by test_typing: each marked line, and no other, is an error."""

from __future__ import annotations

from typing import Unpack

import store
from store import Store, settings
from store.aio import AsyncSessions, AsyncStore
from store.cache import Cache
from store.memo import memo
from store.opened.options import StoreOptions
from store.sessions import Sessions
from store.settings import Settings


class NoCodec:
    name = "none"

    def encode(self, value: object) -> bytes:
        return b""


def layer(location: str, **options: Unpack[StoreOptions]) -> None:
    Store(location, **options)


def wrong_cache(c: Cache[int]) -> None:
    c["a"] = "text"  # error
    c.set("a", 1, 5)  # error
    c.set("a", 1, tag=5)  # error
    c.get_or_compute("a", str)  # error
    Cache("cache.db", policy="mru")  # error
    Cache("cache.db", writeback=True)  # error
    Cache("cache.db", max_byte=5)  # error


def wrong(s: Store[int], users: Store[list[str]]) -> None:
    s["a"] = "text"  # error
    s[1]  # error
    s["a"].append(1)  # error
    s.update({"a": "text"})  # fine to the checker: `update` takes what dict takes
    s.put("a", "text")  # error
    s.put("a", 1, 5)  # error
    s.modify("a", str)  # error
    with users.edit("a") as value:
        value.append(5)  # error
    users.names(5)  # error
    s.backup("backup.db", print)  # error
    store.restore("backup.db")  # error
    s.put("a", 1, codec=5)  # error
    Store[int]("app.db", codec=NoCodec())  # error
    Store[int]("app.db", renames=["a.A"])  # error
    store.versioned("2")  # error
    Store("app.db", "namespace")  # error
    Store[int]("app.db", timeout="5")  # error
    store.allow(5)  # error
    users.record("a").revision = 5  # error
    users.record("a").id  # error
    Store("app.db", trust="dta")  # error
    Store("app.db", mode="rw")  # error
    Store("app.db", durability="none")  # error
    Store("app.db", on_missing="skip")  # error
    Store("app.db", on_unreadable="placeholder")  # error
    store.open("app.db", "x")  # error
    s.put("a", 1, if_revision=1)  # error
    s.put("a", 1, if_version=0)  # error
    s.delete("a", if_version=store.ABSENT)  # error
    s.incr("a", 1.5)  # error
    s.add("a", "text")  # error
    s.lock("a").acquire("yes")  # error
    layer("app.db", tll=5)  # error
    store.AsyncStore("x", tll=3)  # error
    store.AsyncStore("x", trust="dta")  # error
    store.Sessions("x", maxage=1)  # error
    layer("app.db", trust="dta")  # error


@memo("cache.db")
def load(city: str) -> int:
    return len(city)


class Service:
    @memo("cache.db")
    @classmethod
    def named(cls, x: int) -> str:
        return str(x)

    @memo("cache.db")
    @staticmethod
    def twice(x: int) -> int:
        return 2 * x


def wrong_calls() -> None:
    Service.named("1")  # error
    Service.named.forget()  # error
    Service.twice("1")  # error
    load(5)  # error
    load("Oslo").upper()  # error
    load.forget()  # error
    memo("cache.db", tll=5)  # error


def wrong_sessions(s: Sessions) -> None:
    Sessions("app.db", maxage=1)  # error
    AsyncSessions("app.db", maxage=1)  # error
    AsyncSessions("app.db", ttl=None)  # error
    Sessions("app.db", trust="dta")  # error
    Sessions("app.db", ttl=None)  # error
    s.create({}, ttl=None)  # error
    s.save("id", {}, ttl="60")  # error
    s.create({}, user=7)  # error
    s.by(7)  # error


def wrong_settings(prefs: Settings[Store[int]]) -> None:
    settings.typed(prefs).nothing  # error
    settings.export(prefs)  # error
    settings.on_change(prefs, "x", None)  # error
    settings.as_object(prefs) + 1  # error
    settings.reset("theme")  # error
    Settings(5, "app.db")  # error
    Settings(NoCodec, "app.db", timeoutt=5)  # error
    Settings(NoCodec, "app.db", trust="dta")  # error
    settings.typed(settings.for_app(NoCodec, "myapp")).nothing  # error
    store.codecs.pickle.nothing  # error


async def awaited(s: AsyncStore[int]) -> None:
    await s.set("a", "text")  # error
    await s.put("a", "text")  # error
    await s.put("a", 1, tll=5)  # error
    await s.touch("a", "5")  # error
    await s.delete("a", if_version=0)  # error
    await s.incr("a", 1.5)  # error
    s.length() + 1  # error
