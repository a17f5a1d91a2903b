"""`destroy` removes the keys of one store, and of no other on the same server."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("redis", reason="redis-py is not installed: the engine on Redis was not tested")

from redis_server import RedisServer

import store
from store import Store
from store.engines.redis.location import parse
from store.engines.redis.server import server_at
from store.errors import StoreNotFound


def with_prefix(url: str, prefix: str) -> str:
    """That location, with `prefix` behind the prefix that it has."""
    return f"{url}{prefix}"


@pytest.mark.parametrize(("ours", "others"), [
    ("", "x:"), ("x", "x:y:"), ("a*", "ab"), ("a?", "ab"), ("[ab]", "a"), ("a\\", "a"), ("a%23", "a%23b"),
    ("é", "éé"),
])  # fmt: skip
def test_stores_whose_prefixes_begin_alike(redis_url: str, ours: str, others: str) -> None:
    ours, others = with_prefix(redis_url, ours), with_prefix(redis_url, others)
    for url in (ours, others):
        with Store[str](url) as s, Store[str](url, namespace="a}#b") as beside:
            s["a"] = beside["a"] = url
    store.destroy(ours)
    with pytest.raises(StoreNotFound):
        Store(ours, mode="r")
    for name in ("", "a}#b"):
        with Store[str](others, mode="r", namespace=name) as s:
            assert dict(s) == {"a": others} and not s.verify().damage
    store.destroy(others)


def test_nothing_is_left(redis: RedisServer, redis_url: str) -> None:
    prefix = parse(redis_url).prefix
    names = ["", "#", "a#b#c", "}", "}#{", "{", "a\nb", "\U0001f600", "rows", ":rows", "x" * 200]
    for name in names:
        with Store[object](redis_url, namespace=name) as s:
            s.update(a=1, b=2)
            with s.lock(f"{name}a"), s.edit("d", {}):
                pass
            s.put("c", 1, ttl=100)
    assert redis.ask("KEYS", f"{prefix}*")
    store.destroy(redis_url)
    assert redis.ask("KEYS", f"{prefix}*") == []


def test_destroy_where_no_store_was_opened(redis_url: str, tmp_path: Path) -> None:
    empty = server_at(parse(with_prefix(redis_url, "empty")))  # kept, as by a traceback
    with pytest.raises(StoreNotFound):
        store.destroy(empty.shown)
    with Store[int](redis_url) as s:
        s["a"] = 1
    store.destroy(redis_url)
    with pytest.raises(StoreNotFound):
        store.destroy(redis_url)
