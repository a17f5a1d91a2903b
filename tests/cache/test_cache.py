"""The methods of `Cache` on one record and on many, lifetimes, and figures."""

from __future__ import annotations

import pydoc
from pathlib import Path
from typing import Any

import pytest

import store
from store import Store, errors
from store.cache import Cache


class TestOneRecord:
    def test_get_with_default_by_place_and_by_name(self, c: Cache[Any]) -> None:
        c["a"] = 1
        assert (c.get("a"), c.get("x"), c.get("x", 2), c.get("x", default=3)) == (1, None, 2, 3)

    def test_set_replaces_value_and_lifetime(self, c: Cache[Any], clock: Any) -> None:
        c.set("a", 1, ttl=10)
        c.set("a", 2)
        clock.advance(11)
        assert c["a"] == 2

    def test_set_refuses_what_a_store_refuses(self, c: Cache[Any]) -> None:
        for name in (1, None, b"a"):
            with pytest.raises(TypeError, match="name is a str"):
                c.set(name, 1)  # type: ignore[arg-type]
        with pytest.raises(errors.NotSerializable):
            c.set("a", lambda: 1)
        with pytest.raises(ValueError, match="ttl"):
            c.set("a", 1, ttl=0)
        assert "a" not in c

    def test_add_stores_only_what_is_not_there(self, c: Cache[Any], clock: Any) -> None:
        assert c.add("a", 1, ttl=10)
        assert not c.add("a", 2)
        assert not c.add("a", 2, tag="t")
        assert (c["a"], c.tag_of("a")) == (1, None)
        clock.advance(10)
        assert c.add("a", 3, tag="t")
        assert (c["a"], c.tag_of("a")) == (3, "t")

    def test_incr_and_decr(self, c: Cache[Any]) -> None:
        assert (c.incr("n"), c.incr("n", 5), c.decr("n"), c.decr("n", 2, default=9)) == (1, 6, 5, 3)
        assert (c.incr("m", default=10), c.decr("k", default=10)) == (11, 9)
        c["text"] = "1"
        for wrong in (lambda: c.incr("text"), lambda: c.incr("n", 1.5), lambda: c.decr("n", "1")):  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="whole numbers"):
                wrong()
        assert c["n"] == 3

    def test_modify_changes_what_is_there(self, c: Cache[Any], clock: Any) -> None:
        c.set("n", [1], ttl=10, tag="t")
        assert c.modify("n", lambda value: [*value, 2]) == [1, 2]
        with pytest.raises(KeyError):
            c.modify("x", lambda value: value)
        with pytest.raises(TypeError):
            c.modify("n", lambda value: value + 1)
        assert (dict(c), c.tag_of("n")) == ({"n": [1, 2]}, "t")
        clock.advance(10)
        assert "n" not in c

    def test_incr_keeps_the_lifetime(self, c: Cache[Any], clock: Any) -> None:
        c.set("n", 1, ttl=10)
        clock.advance(9)
        assert c.incr("n") == 2
        clock.advance(1)
        assert "n" not in c

    def test_touch_gives_a_new_lifetime(self, c: Cache[Any], clock: Any) -> None:
        c.set("a", 1, ttl=10)
        assert c.touch("a", 100)
        clock.advance(50)
        assert c.touch("a", None)
        clock.advance(1e6)
        assert c["a"] == 1
        assert not c.touch("x", 5)
        with pytest.raises(ValueError, match="ttl"):
            c.touch("x", -1)

    def test_pop_delete_and_popitem(self, c: Cache[Any]) -> None:
        c.update(a=1, b=2, d=3, e=4)
        assert (c.pop("a"), c.pop("a", None), c.pop("a", default=7)) == (1, None, 7)
        with pytest.raises(KeyError, match="a"):
            c.pop("a")
        assert (c.delete("b"), c.delete("b")) == (True, False)
        assert (c.popitem(last=False), c.popitem()) == (("d", 3), ("e", 4))

    def test_setdefault(self, c: Cache[Any]) -> None:
        assert (c.setdefault("a", 1), c.setdefault("a", 2), c.setdefault("n")) == (1, 1, None)
        assert list(c) == ["a", "n"]


class TestManyRecords:
    def test_get_many_in_the_order_asked(self, c: Cache[Any]) -> None:
        c.update(a=1, b=2)
        assert list(c.get_many(["b", "x", "a", "b"]).items()) == [("b", 2), ("a", 1)]

    def test_set_many_has_one_lifetime_and_tag(self, c: Cache[Any], clock: Any) -> None:
        c["a"] = 0
        c.set_many({"a": 1, "b": 2}, ttl=10, tag="t")
        c.set_many([("d", 3)], ttl=None)
        assert [c.tag_of(name) for name in "abd"] == ["t", "t", None]
        clock.advance(10)
        assert list(c) == ["d"]

    def test_set_many_without_ttl_takes_that_of_the_cache(self, location: str, clock: Any) -> None:
        with Cache[Any](location, clock=clock, ttl=5) as c:
            c.set_many({"a": 1})
            c.set_many({"b": 1}, tag="t")
            c.set_many({"d": 1}, ttl=None, tag="t")
            clock.advance(5)
            assert list(c) == ["d"]

    @pytest.mark.parametrize("tag", [None, "t"])
    def test_set_many_that_fails_stores_nothing(self, c: Cache[Any], tag: str | None) -> None:
        with pytest.raises(errors.NotSerializable):
            c.set_many({"a": 1, "b": lambda: 1}, tag=tag)
        assert not c

    @pytest.mark.slow
    def test_set_many_of_more_than_a_batch(self, c: Cache[Any]) -> None:
        c.set_many(((f"n{number}", number) for number in range(1200)), tag="t")
        assert (len(c), c.tag_of("n1199")) == (1200, "t")
        assert c.evict("t") == 1200

    def test_delete_many_and_clear(self, c: Cache[Any]) -> None:
        c.update(a=1, b=2, d=3)
        assert c.delete_many(["a", "x", "b"]) == 2
        with pytest.raises(TypeError, match="names are several"):
            c.delete_many("d")
        c.clear()
        assert not c


class TestLifetimes:
    def test_ttl_of_the_cache(self, location: str, clock: Any) -> None:
        with Cache[Any](location, clock=clock, ttl=5) as c:
            c["a"] = 1
            c.set("b", 1, ttl=50)
            c.set("d", 1, ttl=None)
            c.incr("n")
            c.add("e", 1)
            clock.advance(5)
            assert list(c) == ["b", "d"]
            assert c.get("a", "gone") == "gone"

    def test_purge_deletes_what_has_expired(self, c: Cache[Any], clock: Any) -> None:
        c.set_many({f"n{number}": number for number in range(20)}, ttl=5, tag="t")
        c["a"] = 1
        clock.advance(5)
        assert (c.purge(), c.purge(), list(c)) == (20, 0, ["a"])
        assert [len(c.store.within(f"cache#{part}")) for part in ("notes", "tags")] == [0, 0]


class TestFigures:
    def test_hits_and_misses(self, c: Cache[Any]) -> None:
        c["a"] = 1
        c.get("a"), c["a"], c.get("x"), c.get_many(["a", "x", "y"]), c.setdefault("a", 2), c.setdefault("b", 2)
        "a" in c, len(c), list(c), list(c.items()), c.pop("b")  # none of which is counted
        with pytest.raises(KeyError):
            c["x"]
        stats = c.stats()
        assert (stats.hits, stats.misses, stats.evictions, stats.hit_rate) == (4, 5, 0, 4 / 9)
        c.reset_stats()
        assert (c.stats().hits, c.stats().misses, c.stats().hit_rate) == (0, 0, None)

    def test_stats_name_the_bounds(self, location: str) -> None:
        with Cache[Any](location, max_bytes=2**20, max_records=7, policy="fifo") as c:
            c["a"] = "x" * 1000
            stats = c.stats()
            assert (stats.max_bytes, stats.max_records, stats.policy) == (2**20, 7, "fifo")
            assert stats.records == 1 and 1000 <= stats.bytes < 2**18
            assert stats.eviction_error is None
            assert c.bounds == (2**20, 7, "fifo", 0)

    def test_log_and_free_pages_of_a_file(self, path: Path) -> None:
        with Cache[Any](path) as c:
            c.set_many({f"n{number}": "x" * 1000 for number in range(500)})
            full = c.stats()
            c.clear()
            empty = c.stats()
            assert full.bytes > 500_000 > empty.bytes
            assert full.log_bytes > 0
            assert empty.free_bytes >= full.bytes - empty.bytes > full.free_bytes


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "error", "says"),
        [
            ({"max_bytes": 1000}, ValueError, "max_bytes is a number from 262144 up"),
            ({"max_bytes": 1e9}, TypeError, "max_bytes is a whole number"),
            ({"max_records": 0}, ValueError, "max_records is a number from 1 up"),
            ({"max_records": True}, TypeError, "max_records is a whole number"),
            ({"cull_records": 1}, ValueError, "from 0 to max_records"),
            ({"cull_records": 3, "max_records": 2}, ValueError, "from 0 to max_records"),
            ({"cull_records": -1, "max_records": 2}, ValueError, "cull_records is a number from 0 up"),
            ({"policy": "mru"}, ValueError, "one of lru, lfu, lrw, fifo, none"),
            ({"writeback": True}, TypeError, "no writeback"),
            ({"ttl": 0}, ValueError, "ttl"),
            ({"trust": "dta"}, ValueError, "trust"),
        ],
    )
    def test_wrong_option_makes_no_file(self, tmp_path: Path, options: Any, error: type[Exception], says: str) -> None:
        with pytest.raises(error, match=says):
            Cache(tmp_path / "new.db", **options)
        assert not (tmp_path / "new.db").exists()

    def test_options_of_the_store_are_handed_on(self, path: Path) -> None:
        with Cache[Any](path, codec="json", timeout=5) as c:
            c.set("a", {"b": [1]}, tag="t")
            assert c.store.record("a").codec == "json"
            assert c.opened.options.timeout == 5

    def test_cache_keeps_to_its_namespace(self, path: Path) -> None:
        with Store[Any](path) as s, Cache[Any](path) as c:
            s["a"] = 1
            c.set("a", 2, tag="t")
            assert (s["a"], c["a"], c.namespace, c.store.namespace) == (1, 2, "cache", "cache")
            c.clear()
            assert list(s) == ["a"]


class TestBlocks:
    def test_transaction_undoes_records_and_tags(self, c: Cache[Any]) -> None:
        c.set("a", 1, tag="t")
        with pytest.raises(LookupError):
            with c.transaction():
                c.set("a", 2, tag="u")
                c.set("b", 2, tag="u")
                c.delete("a")
                raise LookupError
        assert (dict(c), c.tag_of("a"), c.evict("u"), c.evict("t")) == ({"a": 1}, "t", 0, 1)

    def test_lock_excludes_others(self, c: Cache[Any]) -> None:
        with c.lock("job"):
            assert not c.lock("job").acquire(blocking=False)


def test_values_are_copies_and_large_ones_come_back(c: Cache[Any]) -> None:
    value = {"list": [1], "bytes": bytes(3_000_000)}
    c["a"] = value
    value["list"].append(2)  # type: ignore[union-attr]
    assert c["a"] == {"list": [1], "bytes": bytes(3_000_000)}
    assert c["a"] is not c["a"]


def test_is_loaded_on_use_under_the_name_of_the_package() -> None:
    assert store.Cache is Cache
    assert "Cache" in dir(store)


def test_every_public_method_has_a_page() -> None:
    for name in dir(Cache):
        if not name.startswith("_"):
            assert (getattr(Cache, name).__doc__ or "").strip(), name
    page = pydoc.plain(pydoc.render_doc(Cache))
    assert " at 0x" not in page
    assert "ttl: 'Seconds' = UNSET" in page
