"""Notes of uses on the server: gathered, in a table of fixed size, and never in the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("redis", reason="redis-py is not installed: the engine on Redis was not tested")

from redis_server import RedisServer

from store import Store
from store.engines import gathering
from store.engines.access_table import MAX_SLOTS, MIN_SLOTS, SLOT_BYTES
from store.engines.capabilities import Figures
from store.engines.redis.accesses import RedisAccesses


@pytest.fixture
def s(redis_url: str) -> Iterator[Store[int]]:
    with Store[int](redis_url) as s:
        s.update(a=1, b=2, c=3)
        yield s


def accesses_of(s: Store[Any], records: int = 100) -> RedisAccesses:
    found = s.opened.engine.eviction.accesses("", records)  # type: ignore[union-attr]
    assert isinstance(found, RedisAccesses)
    return found


@pytest.fixture
def accesses(s: Store[int]) -> Iterator[RedisAccesses]:
    found = accesses_of(s)
    yield found
    found.close()


def table_of(s: Store[Any]) -> bytes:
    found: bytes = s.opened.engine.handle.server.keys("").accesses  # type: ignore[attr-defined]
    return found


@pytest.fixture
def trips(s: Store[int], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is asked of the server from now on."""
    client, found = s.opened.engine.handle.server.client, []  # type: ignore[attr-defined]

    def counted(ask: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *call, **how: (found.append(call[0]), ask(*call, **how))[1]

    monkeypatch.setattr(client, "run", counted(client.run))
    monkeypatch.setattr(client, "command", counted(client.command))
    return found


def test_a_thousand_notes_are_one_round_trip(accesses: RedisAccesses, trips: list[Any]) -> None:
    for _ in range(gathering.GATHERED // 2 - 1):
        accesses.note("a"), accesses.note("b"), accesses.count(hits=1)
    assert trips == []
    accesses.note("a"), accesses.note("b")
    assert len(trips) == 1
    a, b, c = accesses.uses(["a", "b", "c"])
    assert len(trips) == 2 and c is None and a is not None and b is not None and a.frequency > 5 < b.frequency
    assert accesses.figures() == Figures(499, 0, 0)
    trips.clear()
    accesses.flush()
    assert trips == [], "there is nothing to bring"


def test_table_has_a_fixed_size(s: Store[int], accesses: RedisAccesses, redis: RedisServer) -> None:
    for number in range(5_000):
        accesses.note(f"n{number}")
    accesses.flush()
    assert redis.ask("STRLEN", table_of(s)) == MIN_SLOTS * SLOT_BYTES
    larger = accesses_of(s, 2_000)
    larger.note("a")
    larger.flush()
    assert redis.ask("STRLEN", table_of(s)) == 4096 * SLOT_BYTES, "a larger cache makes it larger"
    accesses.note("b")
    assert all(accesses.uses(["a", "b"]))
    assert redis.ask("STRLEN", table_of(s)) == 4096 * SLOT_BYTES, "and a smaller one leaves it"
    larger.close()


def test_clear_and_destroy_delete_it(s: Store[int], accesses: RedisAccesses, redis: RedisServer, start: Any) -> None:
    accesses.note("a")
    accesses.count(hits=1)
    accesses.flush()
    s.clear()
    assert redis.ask("EXISTS", table_of(s)) == 0 and accesses.uses(["a"]) == [None]
    assert accesses.figures() == Figures(1, 0, 0), "the figures are of the cache, not of its records"
    s["a"] = 1
    accesses.note("a")
    accesses.flush()
    assert redis.ask("EXISTS", table_of(s)) == 1
    program = """
        import sys
        from store.care.destroy import destroy
        destroy(sys.argv[1])
        print("done", flush=True)
        """
    assert start(program, s.location).hear() == "done"
    assert redis.ask("EXISTS", table_of(s)) == 0
    accesses.note("a")
    accesses.flush()
    assert redis.ask("KEYS", f"*{table_of(s).decode()[:4]}*") == [], "a note makes nothing again"


@pytest.mark.parametrize("size", [3, 24, MAX_SLOTS * SLOT_BYTES * 2, 12 * 1024])
def test_table_that_another_program_changed_is_made_anew(
    s: Store[int], accesses: RedisAccesses, redis: RedisServer, size: int
) -> None:
    redis.ask("SETRANGE", table_of(s), size - 1, "x")
    accesses.uses(["a"])
    accesses.note("a")
    accesses.flush()
    assert accesses.uses(["a"])[0] is not None
    assert redis.ask("STRLEN", table_of(s)) == MIN_SLOTS * SLOT_BYTES


def test_key_of_another_type_is_no_error(s: Store[int], accesses: RedisAccesses, redis: RedisServer) -> None:
    redis.ask("SADD", table_of(s), "x")
    accesses.note("a")
    accesses.count(misses=1)
    accesses.flush()
    assert accesses.uses(["a"]) == [None]
    s["a"] = 5
    assert s["a"] == 5
    redis.ask("DEL", table_of(s))
    accesses.flush()
    assert accesses.figures() == Figures(0, 1, 0), "counted once"


def test_server_without_memory_or_away_is_no_error(own_redis: Callable[..., RedisServer]) -> None:
    server = own_redis()
    with Store[int](f"{server.url}?prefix=t:") as s:
        s["a"] = 1
        accesses = accesses_of(s)
        server.ask("CONFIG", "SET", "maxmemory", "1mb")
        accesses.note("a")
        accesses.count(hits=2)
        accesses.flush()
        assert accesses.uses(["a"]) == [None] and accesses.figures() == Figures(2, 0, 0)
        server.ask("CONFIG", "SET", "maxmemory", "0")
        accesses.flush()
        server.kill()
        accesses.note("a")
        accesses.count(hits=1)
        accesses.flush()
        assert accesses.uses(["a"]) == [None] and accesses.figures() == Figures(1, 0, 0)
        accesses.reset()
        accesses.close()


def test_live_bytes_are_a_field_that_writes_keep(s: Store[int], trips: list[Any]) -> None:
    eviction = s.opened.engine.eviction
    trips.clear()
    before = eviction.live_bytes("")
    assert len(trips) == 1
    s["d"] = 4
    row = s.opened.engine.handle.server.command(table_of(s), b"HSTRLEN", table_of(s).replace(b"accesses", b"rows"), b"d")
    assert eviction.live_bytes("") == before + row + len("d")
    del s["d"]
    assert eviction.live_bytes("") == before
    s.clear()
    assert eviction.live_bytes("") == 0


def test_more_random_records_than_one_script_gives(s: Store[int], trips: list[Any]) -> None:
    s.clear()
    ns = s.opened
    for start in range(0, 5_000, 1_000):
        ns.engine.load([ns.values.pack("", f"n{number}", 1, 0.0, None) for number in range(start, start + 1_000)])
    for number in (1_500, 2_500, 4_000, 5_000, 6_000):
        trips.clear()
        names = [found.name for found in ns.engine.eviction.sample("", number)]
        assert len(set(names)) == len(names) == min(number, 5_000)
        assert len(trips) <= 12


def test_sample_of_an_index_that_names_too_much_ends(s: Store[int], redis: RedisServer) -> None:
    redis.ask("ZADD", table_of(s).replace(b"accesses", b"order"), 50, "not there", 51, b"\xff")
    assert {found.name for _ in range(9) for found in s.opened.engine.eviction.sample("", 4)} == {"a", "b", "c"}
