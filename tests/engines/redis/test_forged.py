"""What another program wrote to the keys of a store: a clear error, nothing half-done, and no endless loop."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from redis_rows import beside

from store import Cache, Store
from store.engines.redis.keys import Keys, keys_of, lock_key, store_keys
from store.engines.redis.location import parse
from store.errors import Corrupt, NotAStore, StorageError, StoreError

if TYPE_CHECKING:
    from redis import Redis

pytestmark = pytest.mark.damaged


class Forger:
    """The keys of the namespace `""`, and a client that changes them behind the store's back."""

    def __init__(self, client: Redis, prefix: str) -> None:
        self.client: Any = client
        self.keys: Keys = keys_of(prefix, "")

    def content(self) -> dict[str, Any]:
        """All records and indexes."""
        keys, client = self.keys, self.client
        return {
            "rows": client.hgetall(keys.rows),
            **{part: client.zrange(getattr(keys, part), 0, -1, withscores=True) for part in ("order", "names", "expiry")},
        }


@pytest.fixture
def s(url: str) -> Iterator[Store[Any]]:
    with Store[Any](url) as opened:
        yield opened


@pytest.fixture
def forger(url: str, s: Store[Any]) -> Iterator[Forger]:
    for number in range(5):
        s.put(f"k{number}", number, ttl=1000 if number % 2 else None)
    with beside(url) as (client, prefix):
        yield Forger(client, prefix)


@pytest.mark.parametrize("name", ["k1", "k2"])  # with an expiry, and without one
@pytest.mark.parametrize("length", [0, 1, 8, 16, 33, 38, 41, 45, 46, 60])
class TestRowThatIsCut:
    @pytest.fixture(autouse=True)
    def cut(self, forger: Forger, name: str, length: int) -> None:
        forger.client.hset(forger.keys.rows, name, forger.client.hget(forger.keys.rows, name)[:length])

    def test_every_reader_names_it(self, s: Store[Any], name: str) -> None:
        for read in (s.__getitem__, s.record, lambda name: s.modify(name, id)):
            with pytest.raises(Corrupt, match=f"record '{name}'.*delete it, or restore it"):
                read(name)
        assert s["k0"] == 0 and name in str(s.verify())

    def test_it_can_be_deleted(self, s: Store[Any], name: str) -> None:
        del s[name]
        assert len(s) == 4 and name not in list(s) and not s.verify().damage

    def test_it_can_be_replaced(self, s: Store[Any], name: str) -> None:
        s[name] = "new"
        assert s[name] == "new" and len(s) == 5 and list(s)[-1] == name and not s.verify().damage
        s.clear()
        assert not s.verify().damage

    def test_compare_and_set_does_not_replace_it(self, s: Store[Any], name: str) -> None:
        with pytest.raises(StoreError):
            s.add(name, "new")
        with pytest.raises(Corrupt):
            s[name]


@pytest.mark.parametrize("value", ["abc", "", "nan", "inf", "1e300", "1.5", "9007199254740993"])
@pytest.mark.parametrize("field", ["next", "version", "bytes"])
def test_field_that_is_no_number(s: Store[Any], forger: Forger, field: str, value: str) -> None:
    meta = forger.keys.meta
    before, sound = forger.content(), forger.client.hget(meta, field)
    forger.client.hset(meta, field, value)
    writes = [
        lambda: s.put("k1", "new"), lambda: s.put("k5", "new"), lambda: s.update(k1=1, k9=2), s.popitem,
        lambda: s.modify("k1", id), lambda: s.__delitem__("k1"),
    ]  # fmt: skip
    for write in writes:
        with pytest.raises(StorageError, match=f"field '{field}' of the key .*nothing was written. Set it with HSET"):
            write()
    assert forger.content() == before
    assert s["k1"] == 1 and len(s) == 5
    forger.client.hset(meta, field, sound)
    s["k1"] = "new"
    assert list(s) == ["k0", "k1", "k2", "k3", "k4"] and not s.verify().damage


def test_time_of_a_repeated_write_that_is_no_number(s: Store[Any], forger: Forger) -> None:
    forger.client.hset(forger.keys.meta, "retried", "abc")
    s["k1"] = "new"
    assert s["k1"] == "new" and forger.client.hget(forger.keys.meta, "retried") is None


@pytest.mark.parametrize("is_gone", [False, True])
def test_entry_in_the_stream_beyond_the_version(s: Store[Any], forger: Forger, is_gone: bool) -> None:
    """Also one that was deleted again: the server gives no lower id after it."""
    before, changes = forger.content(), forger.keys.changes
    entry = forger.client.xadd(changes, {"a": "b"})
    if is_gone:
        forger.client.xdel(changes, entry)
    writes = [lambda: s.put("k1", "new"), lambda: s.put("k9", 1), lambda: s.__delitem__("k1"), s.clear, s.popitem]
    for write in writes:
        with pytest.raises(StorageError, match=r"stream .*:changes.*nothing was written. Delete that key"):
            write()
    assert forger.content() == before
    forger.client.delete(changes)
    s["k9"] = 9
    assert list(s)[-1] == "k9" and not s.verify().damage


def test_entry_beyond_the_version_of_one_of_two_namespaces(s: Store[Any], forger: Forger, url: str) -> None:
    with Store[Any](url, namespace="#notes") as notes:
        notes["a"] = 1
        forger.client.xadd(keys_of(forger.keys.rows.decode().partition("{")[0], "#notes").changes, {"a": "b"})
        before = forger.content()
        with pytest.raises(StorageError, match=r"stream .*#notes:changes"), s.transaction():
            s["k0"], notes["a"] = 10, 11
        assert forger.content() == before and notes["a"] == 1
        s["k0"] = 12
        assert s["k0"] == 12


def test_watch_meets_entries_that_are_not_ours(s: Store[Any], forger: Forger) -> None:
    monitor = s.opened.engine.changes.watch("")
    start = monitor.version()
    number = start.number + 1
    for fields in ({"a": "b"}, {"n": b"\xff", "t": "x", "r": "0", "s": "1"}):
        forger.client.xadd(forger.keys.changes, fields, id=f"{number}-1")
        assert monitor.since(start) is None  # so all records are read again
        assert monitor.since(monitor.version()) in (None, set())
        number += 1
    monitor.close()


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("scores", [
    {"k1": float("inf")}, {"k1": float("-inf")}, {"k0": 1.5, "k1": 1.25}, {"k4": 1e300}, {"k3": -7.5},
])  # fmt: skip
def test_scores_that_are_no_ids(
    s: Store[Any], forger: Forger, scores: dict[str, float], limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    forger.client.zadd(forger.keys.order, scores)
    small_pages(s, monkeypatch, limit)
    expected = [name.decode() for name in forger.client.zrangebyscore(forger.keys.order, "-inf", 5)]
    assert few(reversed(s)) == expected[::-1] and len(few(s)) <= 5
    assert list(s.names()) == ["k0", "k1", "k2", "k3", "k4"]
    assert s.verify().damage
    assert sorted(s.popitem()[0] for _ in range(5)) == ["k0", "k1", "k2", "k3", "k4"]


def small_pages(s: Store[Any], monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    engine = s.opened.engine
    scan = engine.scan
    monkeypatch.setattr(engine, "scan", lambda *given, **how: scan(*given, **{**how, "limit": limit}))


def few(names: Any) -> list[str]:
    """The first twenty: an endless list has more."""
    return list(itertools.islice(names, 20))


def test_name_with_a_score_leads_round_in_no_circle(
    s: Store[Any], forger: Forger, monkeypatch: pytest.MonkeyPatch
) -> None:
    forger.client.zadd(forger.keys.names, {"k2": -1})
    small_pages(s, monkeypatch, 2)
    with pytest.raises(StorageError, match=r"out of order.*set its score with ZADD to 0"):
        few(s.names())
    assert any("k2" in problem for problem in s.verify().damage)
    forger.client.zadd(forger.keys.names, {"k2": 0})
    assert few(s.names()) == ["k0", "k1", "k2", "k3", "k4"] and not s.verify().damage


@pytest.mark.parametrize("limit", [1, 2, 500])
@pytest.mark.parametrize("foreign", [b"a\xff", b"k1\xff", b"\xff"])
def test_names_that_are_no_text_hide_no_others(
    s: Store[Any], forger: Forger, monkeypatch: pytest.MonkeyPatch, foreign: bytes, limit: int
) -> None:
    row = forger.client.hget(forger.keys.rows, "k0")
    for number in range(3):
        name = foreign + bytes([200 + number])
        forger.client.hset(forger.keys.rows, name, row)
        forger.client.zadd(forger.keys.names, {name: 0})
        forger.client.zadd(forger.keys.order, {name: 0.5 + number})
        forger.client.zadd(forger.keys.names, {f"k2 without a row {number}": 0})
    small_pages(s, monkeypatch, limit)
    every = ["k0", "k1", "k2", "k3", "k4"]
    assert (few(s.names()), few(s), few(reversed(s))) == (every, every, every[::-1])
    assert few(s.names(prefix="k")) == every


def test_name_of_a_namespace_that_is_no_text(s: Store[Any], forger: Forger) -> None:
    prefix = forger.keys.rows.partition(b"{")[0]
    forger.client.zadd(prefix + b"{#}:spaces", {b"\xff": 0})
    assert s.namespaces() == [""] and not s.verify().damage
    s.purge()


def test_expiries_without_records(s: Store[Any], forger: Forger) -> None:
    entries = {b"\0" * 7 + bytes([number]) + b"gone": 5.0 for number in range(20)} | {b"a": 5.0, b"": 6.0}
    forger.client.zadd(forger.keys.expiry, entries)
    assert len(s) >= 0 and list(s) == ["k0", "k1", "k2", "k3", "k4"]
    assert s.purge() == 0 and dict(s) == {f"k{number}": number for number in range(5)}
    assert sum("has no record" in problem for problem in s.verify().damage) == len(entries)
    s.clear()
    assert not s.verify().damage


@pytest.mark.parametrize("lease", [b"", b"x", b"x" * 23, b"x" * 25])
def test_lease_that_is_none(s: Store[Any], forger: Forger, lease: bytes) -> None:
    for name in ("k0", "k1", "k2"):
        forger.client.hset(forger.keys.leases, name, lease)
    s["k0"] = "new"
    del s["k1"]
    assert s.modify("k2", lambda value: value + 1) == 3
    s.compact()
    s.clear()
    assert len(s) == 0


@pytest.mark.parametrize("lock", [
    {"owner": "x", "until": "abc", "fence": "7"}, {"owner": "x", "fence": "7"}, {"fence": "abc"}, {"fence": "1e300"},
    {"fence": "nan"}, {"fence": "-1"}, {"fence": "inf"},
])  # fmt: skip
def test_lock_that_another_program_wrote(s: Store[Any], forger: Forger, url: str, lock: dict[str, str]) -> None:
    forger.client.hset(lock_key(parse(url).prefix, "a"), mapping=lock)
    with s.lock("a", timeout=5) as held:
        assert 10**15 < held.fence < 2**53  # the server's time in microseconds


@pytest.mark.parametrize("field", ["hits", "misses", "evictions"])
def test_figure_that_is_no_number(url: str, forger: Forger, field: str) -> None:
    with Cache[str](url, namespace="c", max_records=100) as cache:
        cache["a"] = "b"
        meta = keys_of(parse(url).prefix, "c").meta
        forger.client.hset(meta, field, "abc")
        with pytest.raises(StorageError, match=f"field '{field}' .*Set it with HSET to 0"):
            cache.stats()
        assert cache["a"] == "b"
        forger.client.hset(meta, field, 0)
        assert cache.stats().hits >= 0


def test_format_that_is_no_number(url: str, forger: Forger, s: Store[Any]) -> None:
    identity = store_keys(parse(url).prefix).identity
    s.close()
    forger.client.hset(identity, "format", "abc")
    with pytest.raises(NotAStore, match=r"HSET .*format 1"):
        Store(url)
    forger.client.hset(identity, "format", "1")
    with Store[Any](url) as again:
        assert again["k1"] == 1
