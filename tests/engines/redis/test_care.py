"""Verifying a store that something else has damaged: all that is there is found, whatever is broken beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from store import Store
from store.engines.redis.keys import keys_of
from store.engines.redis.location import parse

redis = pytest.importorskip("redis", reason="redis-py is not installed: the engine was not tested")


@pytest.fixture
def server(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(parse(redis_url).urls[0]) as client:
        yield client


@pytest.fixture
def keys(redis_url: str) -> Any:
    return keys_of(parse(redis_url).prefix, "")


@pytest.mark.parametrize("bytes_", [b"", b"short", b"no row, but longer than the head of one would be"])
def test_damaged_rows_are_named_and_sound_ones_beside_them_are_read(redis_url, server, keys, bytes_):
    with Store[Any](redis_url) as s:
        s.update({f"n{number:03}": number for number in range(250)})
        damaged = ["n000", "n001", "n120", "n249"]
        for name in damaged:
            server.hset(keys.rows, name, bytes_)
        found = s.verify()
    assert found.sealed == 246
    assert sorted(found.corrupt) == [("", name) for name in damaged]


def test_rows_that_an_index_does_not_have_are_read_and_reported(redis_url, server, keys):
    with Store[Any](redis_url) as s:
        s.update({f"n{number:03}": "x" * number for number in range(250)})
        server.zrem(keys.order, "n007", "n201")
        server.zrem(keys.names, "n007", "n202")
        found = s.verify()
    assert (found.sealed, found.corrupt) == (250, [])
    reported = {(name, index) for name in ("n007", "n201", "n202") for index in (keys.order, keys.names)
                if any(repr(name.encode()) in line and index.decode() in line for line in found.damage)}  # fmt: skip
    assert reported == {("n007", keys.order), ("n007", keys.names), ("n201", keys.order), ("n202", keys.names)}


def test_what_a_transaction_has_written_is_verified_in_it(redis_url, server, keys):
    with Store[Any](redis_url) as s:
        s.update(a=1, b=2, c=3)
        server.hset(keys.rows, "b", b"short")
        with s.transaction():
            del s["a"]
            s["d"] = 4
            found = s.verify()
        assert (found.sealed, found.corrupt) == (2, [("", "b")])
