"""How many round trips an operation takes on Redis. Counts, not times: each is a wait for the server."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("redis", reason="redis-py is not installed: the engine on Redis was not tested")

from redis.connection import AbstractConnection

from store import Store
from store.engines.contract import Order, every_row, in_pages
from store.engines.redis.leases import MOST_BYTES
from store.engines.redis.reading import PAGE_SPACES
from store.errors import Corrupt
from store.sessions import Sessions


@pytest.fixture
def round_trips(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many answers were read since the last call."""
    count = 0
    read_response = AbstractConnection.read_response

    def counted(self: AbstractConnection, *args: object, **options: object) -> object:
        nonlocal count
        count += 1
        return read_response(self, *args, **options)

    def since() -> int:
        nonlocal count
        found, count = count, 0
        return found

    monkeypatch.setattr(AbstractConnection, "read_response", counted)
    return since


@pytest.fixture
def s(redis_url: str) -> Iterator[Store]:
    """A store whose first write, which looks for what has expired, is done; the server has its scripts."""
    with Store(redis_url) as opened:
        opened["x"] = 0
        opened.update(x=opened["x"])
        opened.modify("x", lambda number: {})
        with opened.edit("x"):
            pass
        del opened["x"]
        yield opened


def test_set_and_get_are_one_round_trip_each(s, round_trips):
    round_trips()
    s["x"] = 1
    assert round_trips() == 1
    assert s["x"] == 1
    assert round_trips() == 1
    assert s.get_many(["x", "y"]) == {"x": 1}
    assert round_trips() == 1
    del s["x"]
    assert round_trips() == 1


def test_update_is_one_round_trip(s, round_trips):
    round_trips()
    s.update({f"n{number}": number for number in range(20)})
    assert round_trips() == 1
    s.update({"x": 1}, y=2)
    assert round_trips() == 1
    assert len(s) == 22


def test_modify_is_two_round_trips(s, round_trips):
    s["x"] = 1
    round_trips()
    assert s.modify("x", lambda number: number + 1) == 2
    assert round_trips() == 2
    with s.edit("y", {}) as value:
        value["changed"] = True
    assert round_trips() == 2
    assert s.get_many(["x", "y"]) == {"x": 2, "y": {"changed": True}}


def test_look_for_what_has_expired_asks_few_of_many_namespaces(s, round_trips):
    for number in range(3 * PAGE_SPACES):
        s.within(f"n{number}")["x"] = number
    engine = s.opened.engine
    round_trips()
    page = engine.scan(None, Order.EXPIRY, until=engine.now(), limit=1)
    assert page.items == [] and page.next is not None
    assert round_trips() <= 1 + PAGE_SPACES
    assert len(list(every_row(engine))) == 3 * PAGE_SPACES
    assert list(in_pages(engine, None, Order.EXPIRY, until=math.inf)) == []


def test_session_is_loaded_in_one_round_trip_and_saved_in_two(s, round_trips):
    sessions = Sessions(s)
    id = sessions.create({"cart": []})
    assert sessions.load(id) and sessions.save(id, {}) and sessions.touch(id)
    round_trips()
    data = sessions.load(id)
    assert round_trips() == 1
    assert sessions.save(id, {**data, "cart": [1]})
    assert round_trips() == 2
    assert sessions.save(id, {"cart": [2]}, ttl=60)
    assert round_trips() == 2
    assert sessions.touch(id, ttl=120)
    assert round_trips() == 2
    assert sessions.load(id) == {"cart": [2]}
    assert not sessions.save("x" * 43, {}) and not sessions.touch("x" * 43) and not sessions.delete("x" * 43)
    assert sessions.delete(id) and not sessions.delete(id)


def test_edit_that_changes_nothing_gives_its_lease_back(s, round_trips, redis):
    s["x"] = {}
    round_trips()
    with s.edit("x"):
        pass
    assert round_trips() == 2
    assert s.modify("x", len) == 0
    assert redis.ask("KEYS", "*:leases") == []


def test_large_record_comes_after_its_lease(s, round_trips):
    s["x"] = "x" * MOST_BYTES
    round_trips()
    assert s.modify("x", len) == MOST_BYTES
    assert round_trips() == 3


def test_damaged_record_is_an_error_of_its_edit_and_leaves_no_lease(s, redis, redis_url):
    s["x"] = 1
    prefix = redis_url.rpartition("=")[2]
    redis.ask("HSET", f"{prefix}{{=}}:rows", "x", "no row at all, but longer than the head of one would be")
    with pytest.raises(Corrupt):
        s.modify("x", len)
    assert redis.ask("KEYS", "*:leases") == []


def test_verifying_reads_pages_not_records(s, round_trips):
    s.update({f"n{number:03}": number for number in range(500)})
    round_trips()
    assert s.verify().sealed == 500
    assert round_trips() < 30
