"""This store on Redis, and the limit: redis-py alone, with the store's own scripts and rows."""

from __future__ import annotations

import pickle
import struct
import time
from collections.abc import Iterator
from itertools import chain, count
from typing import Any

from ..remote.peers import STORE, Kind, Pairs, Peer, batches
from ..session import PROTOCOL
from .connecting import TWO_WEEKS, connect, url_of
from .libraries import ONLY_SESSIONS
from .visits import Visits, id_of, sessions_of, visit

BARE = "bare redis-py"
DATABASE = 0
SHARDS = 12
NOW = 1_700_000_000.0


def prefixed(url: str, prefix: str) -> str:
    return f"{url_of(url, DATABASE)}?prefix={prefix}:"


class ThisStore:
    def __init__(self, url: str, **options: Any) -> None:
        from store import Store
        from store.sessions import Sessions

        self.store: Store[Any] = Store(prefixed(url, "bench"), **options)
        self.get, self.set, self.delete = self.store.__getitem__, self.store.__setitem__, self.store.__delitem__
        self.update, self.get_many, self.items = self.store.update, self.store.get_many, self.store.items
        self.sessions = Sessions(prefixed(url, "bench"))

    def edit(self, name: str) -> Any:
        return _visit(self.sessions, name)

    def close(self) -> None:
        self.sessions.close()
        self.store.close()


class Bare:
    """It seals nothing, checks nothing, and retries nothing but what redis-py does."""

    def __init__(self, url: str) -> None:
        from store.engines.contract import PAGE_ROWS
        from store.engines.redis.keys import keys_of
        from store.engines.redis.packing import MAX_BYTES
        from store.engines.redis.reading import PAGE_BYTES
        from store.engines.redis.scripts.reading import GET, SCAN
        from store.engines.redis.scripts.writing import APPLY
        from store.engines.redis.writing import KEPT_CHANGES, WRITTEN_KEYS

        self.client = connect(url, DATABASE)
        self.keys, self.sessions = keys_of("bare:", ""), keys_of("bare:", "sessions")
        self.id = self.client.hget(self.keys.meta, "id")
        for script in (GET, APPLY, SCAN):
            self.client.script_load(script.text)
        self._get, self._apply, self._scan = GET.digest, APPLY.digest, SCAN.digest
        self._most, self._page, self._page_bytes, self._kept = MAX_BYTES, PAGE_ROWS, PAGE_BYTES, KEPT_CHANGES
        self._token, self._written = count(), WRITTEN_KEYS
        self.close = self.client.close

    def _found(self, keys: Any, *names: str) -> Any:
        return self.client.evalsha(self._get, 2, keys.rows, keys.meta, self.id, 0, self._most, *names)

    def change(self, keys: Any, *steps: Any) -> Any:
        token = b"%12d" % next(self._token)
        keys = keys[: self._written]
        return self.client.evalsha(self._apply, len(keys), *keys, self.id, b"", token, b"", self._kept, *steps)

    def get(self, name: str) -> Any:
        return _value(self._found(self.keys, name)[0])

    def set(self, name: str, value: Any) -> None:
        self.change(self.keys, *_step(name, value))

    def delete(self, name: str) -> None:
        self.change(self.keys, b"D", name, b"", b"", b"")

    def update(self, pairs: Pairs) -> None:
        self.change(self.keys, *chain.from_iterable(_step(*pair) for pair in pairs))

    def get_many(self, names: list[str]) -> dict[str, Any]:
        found = self._found(self.keys, *names)
        return {name: _value(row) for name, row in zip(names, found, strict=True) if row is not None}

    def items(self) -> Iterator[tuple[str, Any]]:
        keys, after = self.keys, "-inf"
        end = self.client.hget(keys.meta, "next")
        more = True
        while more:
            more, last, _, *found = self.client.evalsha(
                self._scan, 3, keys.rows, keys.order, keys.meta, self.id, "inserted", 0, self._page, self._page_bytes,
                0, after, end,
            )  # fmt: skip
            yield from ((name.decode(), _value(row)) for name, row in zip(found[::2], found[1::2], strict=True))
            after = b"(" + last

    def edit(self, name: str) -> Any:
        data = visit(_value(self._found(self.sessions, name)[0]))
        self.change(self.sessions, *_step(name, data, time.time() + TWO_WEEKS))
        return data


_HEAD = struct.Struct("<QQddBdIB")
_NUMBERS = struct.Struct("<qqHHHH")
_NO_TEXT = 0xFFFF
_BODY_BYTES = struct.Struct("<I"), 41
_TEXTS = b"builtins.dict" + b"3.11.0" + b"pickle"
_AFTER_HEAD = bytes(24) + _NUMBERS.pack(123_456_789, PROTOCOL, 13, 6, _NO_TEXT, 6) + _TEXTS


def _step(name: str, value: Any, expires: float | None = None) -> tuple[Any, ...]:
    """A record as the script takes it, and its row as the store packs it."""
    body = pickle.dumps(value, PROTOCOL)
    head = _HEAD.pack(0, 1, NOW, NOW, expires is not None, expires or 0.0, len(body), 24)
    return b"P", name, b"", head + _AFTER_HEAD + body, b"" if expires is None else repr(expires)


def _value(row: bytes) -> Any:
    form, place = _BODY_BYTES
    return pickle.loads(row[-form.unpack_from(row, place)[0] :])


def fill_bare(url: str, pairs: Pairs) -> None:
    from store import Store

    for namespace in ("", "sessions"):
        with Store[Any](prefixed(url, "bare"), namespace=namespace) as made:
            made.clear()
            made["x"] = None  # a namespace is made by its first write
            del made["x"]
    peer = Bare(url)
    _fill(peer, pairs)
    for name, data in sessions_of(pairs):
        peer.change(peer.sessions, *_step(name, data, time.time() + TWO_WEEKS))
    peer.close()


def fill_store(url: str, pairs: Pairs) -> None:
    peer = ThisStore(url)
    peer.store.clear()
    _fill(peer, pairs)
    _fill_sessions(peer.sessions, pairs)
    peer.close()


class InFlask:
    """Our sessions, as a Flask application opens and saves them."""

    def __init__(self, url: str) -> None:
        from flask import Flask

        from store.integrations.flask import StoreSessionInterface

        interface = StoreSessionInterface(prefixed(url, "flask"))
        self.sessions = interface.sessions
        self.visits = Visits(Flask("bench"), interface)
        self.edit, self.close = self.visits.visit, self.sessions.close


class InShards:
    """Sessions spread over several namespaces, and so over the primaries of a cluster."""

    def __init__(self, url: str) -> None:
        from store.sessions import Sessions

        self.sessions = Sessions(prefixed(url, "shards"), shards=SHARDS)
        self.close = self.sessions.close

    def edit(self, name: str) -> Any:
        return _visit(self.sessions, name)


def fill_in_shards(url: str, pairs: Pairs) -> None:
    peer = InShards(url)
    _fill_sessions(peer.sessions, pairs)
    peer.close()


def fill_in_flask(url: str, pairs: Pairs) -> None:
    peer = InFlask(url)
    _fill_sessions(peer.sessions, pairs)
    peer.close()


def _visit(sessions: Any, name: str) -> Any:
    id = id_of(name)
    data = visit(sessions.load(id))
    sessions.save(id, data)
    return data


def _fill_sessions(sessions: Any, pairs: Pairs) -> None:
    sessions.store.clear()
    for name, data in sessions_of(pairs):
        sessions.create(data, id=id_of(name))


def _fill(peer: Peer, pairs: Pairs) -> None:
    for batch in batches(pairs):
        peer.update(batch)


KINDS = (
    Kind(BARE, Bare, fill_bare, modules=("redis",), note="the same scripts and rows, by `redis` and `pickle` alone"),
    Kind(STORE, ThisStore, fill_store, modules=("redis",)),
    Kind(
        f"store, {SHARDS} shards", InShards, fill_in_shards, lacks=ONLY_SESSIONS, modules=("redis",),
        note="`Sessions(…, shards=…)`",
    ),
    Kind(
        "store in Flask", InFlask, fill_in_flask, lacks=ONLY_SESSIONS, modules=("redis", "flask"),
        note="in Flask: a request and a response",
    ),
)  # fmt: skip
