"""Expired records: never shown, deleted once their seal was checked, and their memory is free again."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from redis_server import RedisServer

from store import Store
from store.engines.contract import Fields, Order, in_pages
from store.errors import Tampered

SESSION = {"user": 1_234_567, "cart": ["a thing", "another"], "csrf": "x" * 40, "seen": 1_800_000_000.5}
BATCH = 1000


@pytest.fixture
def s(redis_url: str, clock: Any) -> Iterator[Store[Any]]:
    with Store[Any](redis_url, clock=clock) as opened:
        yield opened


def fill(s: Store[Any], first: int, last: int, ttl: float) -> None:
    """Records as `put` would write them, in bulk."""
    ns = s.opened
    now = ns.clock()
    for start in range(first, last, BATCH):
        names = [f"{number:032x}" for number in range(start, min(last, start + BATCH))]
        ns.engine.load([ns.values.pack(ns.name, name, SESSION, now, now + ttl) for name in names])


def key_of(s: Store[Any], part: str) -> bytes:
    found: bytes = getattr(s.opened.engine.handle.server.keys(""), part)  # type: ignore[attr-defined]
    return found


def used_memory(server: RedisServer) -> int:
    server.ask("MEMORY", "PURGE")
    return int(server.ask("INFO", "memory")["used_memory"])


def test_expired_records_are_in_no_list(s: Store[Any], clock: Any) -> None:
    fill(s, 0, 2000, ttl=10)
    s.update(b=1, a=2)
    s.put("later", 3, ttl=100)
    assert len(s) == 2003
    clock.advance(10)
    assert (len(s), sorted(s)) == (3, ["a", "b", "later"])
    assert list(s.names()) == ["a", "b", "later"] and list(s.names(prefix="0")) == []
    assert dict(s.items()) == {"a": 2, "b": 1, "later": 3} and "0" * 32 not in s
    assert s.get("0" * 32) is None
    assert s.purge() == 2000
    assert (len(s), s.purge()) == (3, 0)


def test_purge_leaves_what_was_written_meanwhile(s: Store[Any], clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(s, 0, 600, ttl=10)
    clock.advance(20)
    engine = s.opened.engine
    s.opened.purging.left = 10**9  # no write purges in passing
    scan = engine.scan
    written = iter([f"{number:032x}" for number in (3, 5)])

    def writing(*args: Any, **how: Any) -> Any:
        page = scan(*args, **how)
        for name in written:
            s[name] = "new"
        return page

    monkeypatch.setattr(engine, "scan", writing)
    assert s.purge() == 598
    assert len(s) == 2 and set(s.values()) == {"new"}


@pytest.fixture
def english(tmp_path: Path) -> dict[str, str]:
    """The variables of a language in which texts have another order than their bytes."""
    made = subprocess.run(
        ["localedef", "-i", "en_US", "-f", "UTF-8", str(tmp_path / "en_US.UTF-8")], capture_output=True, check=False
    )
    if not (tmp_path / "en_US.UTF-8").is_dir():
        pytest.skip(f"LOCALE CANNOT BE MADE HERE: {made.stderr.decode()}")
    return {"LOCPATH": str(tmp_path), "LC_ALL": "en_US.UTF-8"}


@pytest.mark.skipif(shutil.which("localedef") is None, reason="LOCALEDEF IS NOT INSTALLED")
def test_pages_by_expiry_on_a_server_of_another_language(english: dict[str, str], own_redis: Any, clock: Any) -> None:
    """Many records expire at one moment, and a page begins in the middle of them: Lua compares texts by language."""
    server = own_redis(locale=english)
    assert server.ask("EVAL", "return ('a' < 'B') and 1 or 0", 0) == 1  # bytes: no
    with Store[Any](f"{server.url}?prefix=a:", clock=clock) as s:
        fill(s, 0, 700, ttl=10)
        for limit in (1, 7, 100):
            pages = in_pages(s.opened.engine, "", Order.EXPIRY, limit=limit, fields=Fields.LISTED)
            found = [item.name for item in islice(pages, 1000)]
            assert found == [f"{number:032x}" for number in range(700)], limit


@pytest.mark.damaged
class TestForged:
    """Another program writes to the server: an expiry in the row, or in the index of expiries alone."""

    @pytest.fixture
    def forged(self, s: Store[Any], clock: Any, redis: RedisServer) -> Callable[..., None]:
        def forge(name: str, expires: float | None, *, in_row: bool = True) -> None:
            with redis.client(decode_responses=False) as client:
                row = client.hget(key_of(s, "rows"), name)
                member = struct.pack(">Q", struct.unpack_from("<Q", row)[0]) + name.encode()
                client.zrem(key_of(s, "expiry"), member)
                if expires is not None:
                    client.zadd(key_of(s, "expiry"), {member: expires})
                if in_row:
                    head = struct.pack("<Bd", expires is not None, expires or 0.0)
                    client.hset(key_of(s, "rows"), name, row[:32] + head + row[41:])

        return forge

    def test_expiry_in_the_past_deletes_nothing_and_is_reported(self, s: Store[Any], clock: Any, forged: Any) -> None:
        s.update(a=1, b=2)
        forged("a", clock() - 5)
        with pytest.raises(Tampered):
            s["a"]
        assert s.purge() == 0
        with pytest.raises(Tampered):
            s["a"]
        assert s["b"] == 2

    def test_index_alone_deletes_nothing(self, s: Store[Any], clock: Any, forged: Any) -> None:
        s.update(a=1, b=2)
        forged("a", clock() - 5, in_row=False)
        assert s.purge() == 0
        assert dict(s.items()) == {"a": 1, "b": 2} and s["a"] == 1

    def test_forged_expiries_do_not_keep_a_purge_busy(
        self, s: Store[Any], clock: Any, forged: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("store.opened.purging.PAGE", 3)
        fill(s, 0, 10, ttl=10)
        for number in range(5):  # behind the others by the index, and before them by the row: a cursor would go back
            s[f"a{number}"] = number
            forged(f"a{number}", clock() + 15, in_row=False)
            s.put(f"b{number}", number, ttl=1)
            forged(f"b{number}", clock() + 11, in_row=False)
        clock.advance(20)
        assert s.purge() == 10
        assert [s[f"a{number}"] for number in range(5)] == list(range(5))

    def test_expiry_taken_from_the_row_does_not_make_it_live_on(self, s: Store[Any], clock: Any, forged: Any) -> None:
        s.put("a", 1, ttl=10)
        clock.advance(20)
        forged("a", None)
        with pytest.raises(Tampered):
            s["a"]

    def test_record_that_the_index_lacks_is_expired_all_the_same(self, s: Store[Any], clock: Any, forged: Any) -> None:
        s.put("a", 1, ttl=10)
        forged("a", None, in_row=False)
        assert s["a"] == 1
        clock.advance(20)
        assert "a" not in s and s.get("a") is None


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(20_000, marks=[pytest.mark.heavy]),
        pytest.param(1_000_000, marks=[pytest.mark.huge, pytest.mark.timeout(3600)]),
    ],
)
def test_memory_of_expired_sessions_is_free_again(own_redis: Callable[..., RedisServer], clock: Any, number: int) -> None:
    """What stays is the stream of changes, of bounded length."""
    server = own_redis()
    with Store[Any](f"{server.url}?prefix=t:", clock=clock) as s:
        fill(s, 0, BATCH, ttl=10)
        clock.advance(20)
        assert s.purge() == BATCH  # scripts are loaded, connections are open
        start = used_memory(server)
        fill(s, 0, number, ttl=10)
        full = used_memory(server)
        clock.advance(20)
        assert len(s) == 0 and list(s) == []
        assert s.purge() == number
        end = used_memory(server)
        stream = server.ask("XLEN", key_of(s, "changes"))
    print(f"\nused_memory: {start:,} at the start, {full:,} with {number:,} sessions, {end:,} after the purge")
    print(f"{(full - start) / number:.0f} bytes for each; the stream has {stream:,} entries")
    assert stream < 11_000
    assert end - start < 2 * 2**20
