"""What else people keep Python objects in Redis with, used as documented; and redis-py with a key for each record."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from typing import Any

from ..remote.peers import Kind, Pairs, Peer, batches
from ..session import PROTOCOL
from .connecting import TWO_WEEKS, connect, url_of
from .visits import Visits, sessions_of, visit

PLAIN, FLASK, DJANGO, DICT, KEY_VALUE = range(1, 6)  # their databases


class Plain:
    """A key for each record, which is what most programs do by hand: no order, no count, no seal."""

    def __init__(self, url: str) -> None:
        self.client = connect(url, PLAIN)
        self._get_all = getattr(self.client, "mget_nonatomic", self.client.mget)
        self.close = self.client.close

    def get(self, name: str) -> Any:
        return pickle.loads(self.client.get(f"plain:{name}"))

    def set(self, name: str, value: Any) -> None:
        self.client.set(f"plain:{name}", pickle.dumps(value, PROTOCOL))

    def delete(self, name: str) -> None:
        self.client.delete(f"plain:{name}")

    def update(self, pairs: Pairs) -> None:
        with self.client.pipeline(transaction=False) as pipeline:
            for name, value in pairs:
                pipeline.set(f"plain:{name}", pickle.dumps(value, PROTOCOL))
            pipeline.execute()

    def get_many(self, names: list[str]) -> dict[str, Any]:
        found = self._get_all([f"plain:{name}" for name in names])
        return {name: pickle.loads(body) for name, body in zip(names, found, strict=True) if body is not None}

    def items(self) -> Iterator[tuple[str, Any]]:
        keys: list[bytes] = []
        for key in self.client.scan_iter("plain:*", count=500):
            keys.append(key)
            if len(keys) == 500:
                yield from self._bodies(keys)
                keys = []
        yield from self._bodies(keys)

    def _bodies(self, keys: list[bytes]) -> Iterator[tuple[str, Any]]:
        found = self._get_all(keys) if keys else []
        yield from ((key[6:].decode(), pickle.loads(body)) for key, body in zip(keys, found, strict=True))

    def edit(self, name: str) -> Any:
        data = visit(pickle.loads(self.client.get(f"session:{name}")))
        self.client.set(f"session:{name}", pickle.dumps(data, PROTOCOL), ex=TWO_WEEKS)
        return data


def fill_plain(url: str, pairs: Pairs) -> None:
    peer = Plain(url)
    for key in list(peer.client.scan_iter("plain:*", count=500)):  # others have records in a cluster's only database
        peer.client.delete(key)
    fill(peer, pairs)
    for name, data in sessions_of(pairs):
        peer.client.set(f"session:{name}", pickle.dumps(data, PROTOCOL), ex=TWO_WEEKS)
    peer.close()


class FlaskSession:
    """Its interface on a node; it takes no client of a cluster."""

    def __init__(self, url: str) -> None:
        from flask import Flask
        from flask_session.redis import RedisSessionInterface

        self.client = connect(url, FLASK)
        app = Flask("bench")
        self.visits = Visits(app, RedisSessionInterface(app, self.client))
        self.edit, self.close = self.visits.visit, self.client.close


def fill_flask(url: str, pairs: Pairs) -> None:
    peer = FlaskSession(url)
    peer.client.flushdb()
    peer.visits.fill(pairs, lambda interface, id, data: interface.session_class(data, sid=id))
    peer.close()


def _configure(url: str) -> None:
    """Django has one configuration in a process."""
    import django
    from django.conf import settings

    if settings.configured:
        return
    cache = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url_of(url, DJANGO), "TIMEOUT": None,
    }  # fmt: skip
    settings.configure(
        CACHES={"default": cache}, USE_TZ=True, SECRET_KEY="of a benchmark",
        INSTALLED_APPS=["django.contrib.sessions"], SESSION_ENGINE="django.contrib.sessions.backends.cache",
    )  # fmt: skip
    django.setup()


class Django:
    """Its cache, and its sessions in that cache."""

    def __init__(self, url: str) -> None:
        _configure(url)
        from django.contrib.sessions.backends.cache import SessionStore
        from django.core.cache import cache

        self.cache, self.sessions, self.close = cache, SessionStore, cache.close
        self.get, self.set, self.delete, self.get_many = cache.get, cache.set, cache.delete, cache.get_many

    def update(self, pairs: Pairs) -> None:
        self.cache.set_many(dict(pairs))

    def edit(self, name: str) -> Any:
        session = visit(self.sessions(_key(name)))
        session.save()
        return dict(session.items())


def _key(name: str) -> str:
    return name.replace(":", "")  # letters and digits are allowed


def fill_django(url: str, pairs: Pairs) -> None:
    peer = Django(url)
    peer.cache.clear()
    fill(peer, pairs)
    for name, data in sessions_of(pairs):
        peer.cache.set(peer.sessions(_key(name)).cache_key, data, TWO_WEEKS)
    peer.close()


class Dict:
    """`redis-dict`: JSON with a type in front; each item of `items` is a command of its own."""

    def __init__(self, url: str) -> None:
        from redis_dict import RedisDict

        self.client = connect(url, DICT)
        self.dict = RedisDict("bench", redis=self.client)
        self.sessions = RedisDict("sessions", redis=self.client, expire=TWO_WEEKS)
        self.get, self.set, self.delete = self.dict.__getitem__, self.dict.__setitem__, self.dict.__delitem__
        self.items, self.close = self.dict.items, self.client.close

    def update(self, pairs: Pairs) -> None:
        self.dict.update(dict(pairs))

    def edit(self, name: str) -> Any:
        self.sessions[name] = data = visit(self.sessions[name])
        return data


def fill_dict(url: str, pairs: Pairs) -> None:
    peer = Dict(url)
    peer.client.flushdb()
    fill(peer, pairs)
    peer.sessions.update(dict(sessions_of(pairs)))
    peer.close()


class KeyValue:
    """`RedisStore` of py-key-value: JSON, and each call runs in an event loop of its own."""

    def __init__(self, url: str) -> None:
        from key_value.aio.stores.redis import RedisStore

        self._loop = asyncio.new_event_loop()
        self.store = RedisStore(url=url_of(url, KEY_VALUE))
        self.wait = self._loop.run_until_complete
        self.wait(self.store.setup())

    def get(self, name: str) -> Any:
        return self.wait(self.store.get(name, collection="bench"))

    def set(self, name: str, value: Any) -> None:
        self.wait(self.store.put(name, value, collection="bench"))

    def delete(self, name: str) -> None:
        self.wait(self.store.delete(name, collection="bench"))

    def update(self, pairs: Pairs) -> None:
        names, values = zip(*pairs, strict=True)
        self.wait(self.store.put_many(names, values, collection="bench"))

    def get_many(self, names: list[str]) -> dict[str, Any]:
        return dict(zip(names, self.wait(self.store.get_many(names, collection="bench")), strict=True))

    def edit(self, name: str) -> Any:
        data = visit(self.wait(self.store.get(name, collection="sessions")))
        self.wait(self.store.put(name, data, collection="sessions", ttl=TWO_WEEKS))
        return data

    def close(self) -> None:
        self.wait(self.store.close())
        self._loop.close()


def fill_key_value(url: str, pairs: Pairs) -> None:
    peer = KeyValue(url)
    peer.wait(peer.store.destroy())
    fill(peer, pairs)
    for name, data in sessions_of(pairs):
        peer.wait(peer.store.put(name, data, collection="sessions", ttl=TWO_WEEKS))
    peer.close()


def fill(peer: Peer, pairs: Pairs) -> None:
    for batch in batches(pairs):
        peer.update(batch)


ONLY_SESSIONS = frozenset({"get", "set", "delete", "update", "get_many", "items"})
GET_SET = Kind("redis-py, a key for each", Plain, fill_plain, modules=("redis",), note="`GET`, `SET`, `MGET` and `pickle` alone")
KINDS = (
    GET_SET,
    Kind(
        "Django Redis cache", Django, fill_django, lacks=frozenset({"items"}), modules=("django", "redis"),
        note="sessions are those in the cache",
    ),
    Kind(
        "Flask-Session", FlaskSession, fill_flask, lacks=ONLY_SESSIONS, modules=("flask_session", "redis"),
        note="in Flask: a request and a response",
    ),
    Kind(
        "redis-dict", Dict, fill_dict, lacks=frozenset({"get_many"}), modules=("redis_dict",),
        note="JSON; `items` is a command for each record",
    ),
    Kind(
        "py-key-value", KeyValue, fill_key_value, lacks=frozenset({"items"}), modules=("key_value.aio", "redis"),
        note="JSON; asynchronous: each call enters the event loop",
    ),
)  # fmt: skip
