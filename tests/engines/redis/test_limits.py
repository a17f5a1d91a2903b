"""What the engine refuses says what to do instead, and doing it works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("redis", reason="redis-py is not installed: the engine on Redis was not tested")

from redis_server import RedisServer

import store.engines.redis
from store import Store, errors
from store.engines.redis.errors import RIGHTS

PAGE = Path(store.engines.redis.__file__).with_name("README.md")


def test_all_as_of_one_moment_may_be_read_page_by_page(redis_url: str) -> None:
    with Store[int](redis_url) as s:
        s["a"] = 1
        with pytest.raises(errors.Unsupported, match=r"take a `dict\(\)` of the store"):
            s == {"a": 1}  # noqa: B015
        with pytest.raises(errors.Unsupported, match=r"take a `dict\(\)` of the store"):
            s | {"b": 2}
        assert dict(s) == {"a": 1}


def test_transaction_over_two_namespaces_names_the_way_out(redis_url: str) -> None:
    with Store[int](redis_url, namespace="a") as s, Store[int](redis_url, namespace="b") as other:
        with pytest.raises(errors.Unsupported, match="keep records that change together in one namespace"):
            with s.transaction():
                s["x"], other["x"] = 1, 1
        assert "x" not in s and "x" not in other


def test_rights_of_the_page_suffice(own_redis: Callable[..., RedisServer]) -> None:
    server = own_redis()
    users = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("ACL SETUSER")]
    assert len(users) == 2 and users[0].endswith(RIGHTS)  # of the programs, and of those that read
    for line in users:
        server.ask(*line.split())
    with Store[int](f"{server.url_of('app:password')}?prefix=app:") as s:
        s["a"] = s.incr("b")
        with s.lock("c"):
            s.put("d", 1, ttl=60)
    with Store[int](f"{server.url_of('look:password')}?prefix=app:", mode="r") as s:
        assert dict(s) == {"b": 1, "a": 1, "d": 1} and s.verify().sealed == 3 and s.stats().records == 3
    with pytest.raises(errors.ReadOnly, match="may not do that"):
        with Store[int](f"{server.url_of('look:password')}?prefix=app:") as s:
            s["a"] = 2
