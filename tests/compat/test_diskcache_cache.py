"""`Cache`: each behaviour on diskcache and on `store.compat.diskcache`, with the same result."""

from __future__ import annotations

import io
import math
import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from diskcaches import Clock

BIG = b"picture" * 100_000


# -- one item


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -1, 2**200, 1.5, math.inf, "", "text", "ü\0\ud7ff", b"", b"\0\xff", BIG, "long " * 50_000, (1, "a"),
        [1, [2]], {"a": {1, 2}}, {1: 2}, list(range(50_000)),
    ],
    ids=lambda value: f"{type(value).__name__}-{str(value)[:12]}",
)  # fmt: skip
def test_value_comes_back(cache: Any, value: Any) -> None:
    assert cache.set("key", value) is True
    found = cache["key"]
    assert found == value and type(found) is type(value)
    assert cache.get("key") == value
    assert cache.pop("key") == value
    assert cache.get("key", "none") == "none"


KEYS = [
    "", "text", "a\0b", "\1", "\2a", "\U0010ffff", b"", b"text", b"\xff\0", 0, 1, -7, 2**63 - 1, -(2**63), 2**63, 1.5,
    -0.25, 1e300, math.inf, -math.inf, None, True, False, 1 + 2j, (), (1, "a"), (1.0, "a"), ((None, b"x"), [1, {"k": 2}]),
    [1, 2], {"a": 1}, frozenset({1}), int, (str, 3),
]  # fmt: skip


def test_keys_of_every_type_are_different_items(cache: Any) -> None:
    for number, key in enumerate(KEYS):
        cache[key] = number
    assert len(cache) == len(KEYS)
    assert [cache[key] for key in KEYS] == list(range(len(KEYS)))
    assert list(cache) == KEYS
    assert [type(key) for key in cache] == [type(key) for key in KEYS]
    for key in KEYS:
        assert key in cache
        del cache[key]
    assert list(cache) == []


def test_equal_numbers_are_one_key(cache: Any) -> None:
    for one, other in [(1, 1.0), (0.0, -0.0), (0, 0.0), (2**53, float(2**53)), (-5.0, -5)]:
        cache[one] = "first"
        assert cache[other] == "first" and other in cache
        cache[other] = "second"
        assert cache[one] == "second"
        assert list(cache) == [one] == [other]
        cache.clear()


def test_keys_that_are_no_one_key(cache: Any) -> None:
    for one, other in [(1, True), (0, False), ("1", 1), (b"a", "a"), ((1,), (1.0,)), (2**53 + 1, float(2**53)), ("", b"")]:
        cache[one] = "one"
        assert other not in cache
        assert cache.get(other) is None
        cache.clear()


class Point:
    """A key of a class of the program's."""

    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and self.x == other.x

    def __hash__(self) -> int:
        return self.x


def test_key_of_a_class_of_the_program(cache: Any) -> None:
    cache[Point(1)] = "one"
    cache.set((Point(2), "b"), io.BytesIO(b"two"), read=True)
    assert cache[Point(1)] == "one" and cache[Point(2), "b"] == b"two"
    assert list(cache) == [Point(1), (Point(2), "b")]
    assert cache.incr(Point(3), 5) == 5 and cache.incr(Point(3)) == 6
    assert cache.peekitem() == (Point(3), 6)
    assert cache.pop(Point(1)) == "one" and Point(1) not in cache


def test_missing_key(cache: Any) -> None:
    for act in (cache.__getitem__, cache.read, cache.__delitem__):
        with pytest.raises(KeyError, match="'no'"):
            act("no")
    assert cache.get("no") is None and cache.get("no", 5) == 5
    assert cache.get("no", 5, expire_time=True) == (5, None)
    assert cache.get("no", tag=True) == (None, None)
    assert cache.get("no", expire_time=True, tag=True) == (None, None, None)
    assert cache.pop("no", 5, tag=True) == (5, None)
    assert cache.pop("no", expire_time=True, tag=True) == (None, None, None)
    assert cache.delete("no") is False and cache.touch("no") is False
    assert "no" not in cache


def test_add_only_where_there_is_none(cache: Any, now: Clock) -> None:
    assert cache.add("key", 1, expire=10) is True
    assert cache.add("key", 2) is False and cache["key"] == 1
    now.advance(11)
    assert cache.add("key", 3, tag="t") is True and cache.get("key", tag=True) == (3, "t")


def test_incr_and_decr(cache: Any, now: Clock) -> None:
    assert [cache.incr("n"), cache.incr("n", 10), cache.decr("n", 4), cache.decr("m", 3)] == [1, 11, 7, -3]
    assert cache.incr("f", 0.5, default=1) == 1.5 and cache.incr("f", 1) == 2.5
    with pytest.raises(KeyError):
        cache.incr("no", default=None)
    with pytest.raises(KeyError):
        cache.decr("no", default=None)
    cache["text"] = "a"
    with pytest.raises(TypeError):
        cache.incr("text")
    cache.set("n", 5, expire=10, tag="t")
    assert cache.incr("n") == 6
    assert cache.get("n", expire_time=True, tag=True) == (6, now.now + 10, "t")
    now.advance(11)
    assert cache.incr("n", default=100) == 101
    assert cache.get("n", expire_time=True, tag=True) == (101, None, None)


def test_set_replaces_expiry_and_tag(cache: Any, now: Clock) -> None:
    cache.set("key", 1, expire=10, tag="t")
    cache["key"] = 2
    assert cache.get("key", expire_time=True, tag=True) == (2, None, None)
    cache.set("key", 3, expire=5)
    assert cache.get("key", expire_time=True, tag=True) == (3, now.now + 5, None)


@pytest.mark.parametrize("tag", ["text", "", 5, -1.5, b"bytes", "500:1", "\0"])
def test_tag_of_any_type_comes_back(cache: Any, tag: Any) -> None:
    cache.set("a", 1, tag=tag)
    cache.set("b", 2, tag="other")
    assert cache.get("a", tag=True) == (1, tag)
    assert cache.peekitem(last=False, tag=True) == (("a", 1), tag)
    assert cache.evict(tag) == 1 and list(cache) == ["b"]
    assert cache.evict("none") == 0


@pytest.mark.slow
def test_evict_takes_what_has_the_tag_now(cache: Any) -> None:
    for number in range(250):
        cache.set(number, number, tag="odd" if number % 2 else "even")
    cache.set(0, "again", tag="odd")
    cache[2] = "no tag"
    assert cache.evict("even") == 123
    assert cache.evict("even") == 0
    assert cache.evict("odd") == 126
    assert list(cache) == [2] and cache.evict(None) == 0


# -- files


def test_value_from_a_file(cache: Any, tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(BIG)
    with open(tmp_path / "picture", "rb") as file:
        assert cache.set("a", file, read=True, tag="t") is True
    assert cache["a"] == BIG
    with cache.read("a") as handle:
        assert handle.read(7) == b"picture" and handle.tell() == 7
        assert handle.seek(-7, io.SEEK_END) == len(BIG) - 7 and handle.read() == b"picture" and handle.read() == b""
        assert handle.seek(0) == 0 and handle.readline(3) == b"pic"
        assert handle.readable() and handle.name
    handle, tag = cache.get("a", read=True, tag=True)
    with handle:
        assert b"".join(iter(lambda: handle.read(65536), b"")) == BIG and tag == "t"
    assert cache.pop("a") == BIG


def test_handle_of_a_small_file_and_of_large_bytes_alone(cache: Any) -> None:
    cache.set("small", io.BytesIO(b"abc"), read=True)
    cache["bytes"], cache["large"] = b"abc", b"x" * 32768
    with cache.get("small", read=True) as handle:
        assert handle.read() == b"abc"
    with cache.get("large", read=True) as handle:
        assert handle.read() == b"x" * 32768
    assert cache.get("bytes", read=True) == b"abc"
    cache["list"] = [1]
    assert cache.get("list", read=True) == [1]
    assert cache.set("text", "no file", read=True) and cache["text"] == "no file"


@pytest.mark.parametrize("text", ["some text", ""])
def test_file_that_is_open_in_text_mode_is_a_type_error(cache: Any, text: str) -> None:
    for store in (cache.set, cache.add):
        with pytest.raises(TypeError):
            store("a", io.StringIO(text), read=True)
    assert "a" not in cache


def test_handle_outlives_its_item(cache: Any) -> None:
    cache.set("a", io.BytesIO(BIG * 4), read=True)
    with cache.read("a") as handle:
        del cache["a"]
        assert handle.read() == BIG * 4


def test_file_that_was_read_from_begins_where_it_is(cache: Any) -> None:
    file = io.BytesIO(b"head and body")
    file.read(9)
    assert cache.add("a", file, read=True) is True
    assert cache["a"] == b"body"


# -- expiry


def test_expired_item_is_not_found(cache: Any, now: Clock) -> None:
    cache.set("a", 1, expire=10)
    assert cache.get("a", expire_time=True) == (1, now.now + 10)
    now.advance(11)
    assert cache.get("a") is None and "a" not in cache and cache.pop("a") is None
    with pytest.raises(KeyError):
        cache["a"]
    with pytest.raises(KeyError):
        del cache["a"]
    assert cache.touch("a") is False


def test_touch(cache: Any, now: Clock) -> None:
    cache.set("a", 1, expire=10, tag="t")
    assert cache.touch("a", expire=100) is True
    now.advance(50)
    assert cache.get("a", expire_time=True, tag=True) == (1, now.now + 50, "t")
    assert cache.touch("a") is True
    now.advance(10_000)
    assert cache.get("a", expire_time=True) == (1, None)


@pytest.mark.parametrize("expire", [0, -1])
def test_expiry_that_is_over_at_once(cache: Any, now: Clock, expire: float) -> None:
    cache["a"] = 1
    assert cache.touch("a", expire=expire) is True and cache.get("a") is None
    assert cache.set("b", 1, expire=expire) is True and cache.get("b") is None
    assert cache.add("c", 1, expire=expire) is True and cache.get("c") is None
    cache["d"] = 1
    assert cache.add("d", 1, expire=expire) is False and cache["d"] == 1
    assert cache.set("d", 2, expire=expire) is True and "d" not in cache


def test_expired_items_count_until_they_are_deleted(cache: Any, now: Clock) -> None:
    cache.reset("cull_limit", 0)
    for number in range(150):
        cache.set(number, number, expire=1 + number)
    now.advance(100.5)
    assert len(cache) == 150
    assert list(cache) == list(range(150)) and next(reversed(cache)) == 149
    assert cache.expire() == 100
    assert len(cache) == 50 and list(cache) == list(range(100, 150))
    assert cache.expire(now.now + 20) == 20
    assert cache.expire() == 0 and len(cache) == 30


def test_write_deletes_expired_items(cache: Any, now: Clock) -> None:
    cache.reset("cull_limit", 0)
    for number in range(10):
        cache.set(number, number, expire=1)
    now.advance(2)
    cache.reset("cull_limit", 10)
    cache["new"] = 1
    assert list(cache) == ["new"]


# -- order, queues


def test_order_is_that_of_insertion(cache: Any) -> None:
    for key in "cab":
        cache[key] = key
    cache["c"] = "again"
    cache.set("d", 1)
    del cache["a"]
    cache["a"] = 1
    assert list(cache) == ["c", "b", "d", "a"] and list(reversed(cache)) == ["a", "d", "b", "c"]
    assert cache.peekitem() == ("a", 1) and cache.peekitem(last=False) == ("c", "again")


def test_iterkeys_is_in_the_order_of_keys(cache: Any) -> None:
    keys = [10, 9.5, -3, "b", "a", "", b"z", b"", "ä", 2**60, -1e10, 0.001, "\0", "Z", math.inf, "\U0010ffff", b"\xff"]
    for key in keys:
        cache[key] = None
    expected = [-1e10, -3, 0.001, 9.5, 10, 2**60, math.inf, "", "\0", "Z", "a", "b", "ä", "\U0010ffff", b"", b"z", b"\xff"]
    assert list(cache.iterkeys()) == expected
    assert list(cache.iterkeys(reverse=True)) == expected[::-1]


def test_iteration_while_items_come_and_go(cache: Any) -> None:
    for number in range(350):
        cache[number] = number
    seen = []
    for key in cache:
        seen.append(key)
        cache[key + 10_000] = None  # not seen: added after it began
        if key == 5:
            for gone in range(200, 350):
                del cache[gone]
    assert seen == list(range(200))


@pytest.mark.parametrize("prefix", [None, "jobs", "", "a-b", "ä\0"])
def test_queue(cache: Any, prefix: str | None) -> None:
    def key(number: int) -> Any:
        return number if prefix is None else f"{prefix}-{number}"

    assert cache.pull(prefix) == (None, None) and cache.peek(prefix, default=5) == 5
    assert cache.push("b", prefix) == key(500000000000000)
    assert cache.push("c", prefix) == key(500000000000001)
    assert cache.push("a", prefix, side="front") == key(499999999999999)
    assert cache.peek(prefix) == (key(499999999999999), "a")
    assert cache.peek(prefix, side="back") == (key(500000000000001), "c")
    assert cache[key(500000000000000)] == "b"
    assert cache.pull(prefix, side="back") == (key(500000000000001), "c")
    assert cache.push("d", prefix) == key(500000000000001)
    assert [cache.pull(prefix)[1] for _ in range(4)] == ["a", "b", "d", None]
    assert cache.pull(prefix, (1, 2), expire_time=True) == ((1, 2), None)
    assert len(cache) == 0


def test_queues_do_not_mix(cache: Any) -> None:
    cache.push(1, "a")
    cache.push(2, "a-b")
    cache.push(3)
    cache.push(4, "a-")
    cache["a-x"], cache["a-0"], cache[3.5] = 5, 6, 7
    assert cache.pull("a-b") == ("a-b-500000000000000", 2)
    assert cache.pull() == (3.5, 7) and cache.pull() == (500000000000000, 3) and cache.pull() == (None, None)
    assert cache.pull("a") == ("a-500000000000000", 1)
    assert cache.pull("a", side="back") == (None, None)
    assert cache.pull("a-") == ("a--500000000000000", 4)


def test_queue_with_expiry_and_tag(cache: Any, now: Clock) -> None:
    cache.push("gone", expire=1)
    cache.push("a", expire=10, tag="t")
    now.advance(2)
    assert cache.peek(expire_time=True, tag=True) == ((500000000000001, "a"), now.now + 8, "t")
    assert cache.pull(tag=True) == ((500000000000001, "a"), "t")
    assert cache.push(io.BytesIO(BIG), prefix="f", read=True) == "f-500000000000000"
    assert cache.pull("f") == ("f-500000000000000", BIG)


def test_peekitem_passes_over_expired_items(cache: Any, now: Clock) -> None:
    with pytest.raises(KeyError, match="dictionary is empty"):
        cache.peekitem()
    cache.set("a", 1, expire=20, tag="t")
    cache.set("b", 2, expire=1)
    now.advance(2)
    assert cache.peekitem() == ("a", 1)
    assert cache.peekitem(expire_time=True, tag=True) == (("a", 1), now.now + 18, "t")


# -- transactions


def test_transaction_is_all_or_nothing(cache: Any) -> None:
    cache["a"] = 1
    with pytest.raises(ZeroDivisionError), cache.transact():
        cache["a"] = 2
        cache.set("b", 3, tag="t")
        with cache.transact(retry=True):
            cache.push("c")
            assert cache["a"] == 2 and len(cache) == 3
        1 / 0
    assert list(cache) == ["a"] and cache["a"] == 1 and cache.evict("t") == 0
    with cache.transact(), cache.transact():
        cache.incr("a")
        cache.incr("total", 2.5)
    assert (cache["a"], cache["total"]) == (2, 2.5)


# -- settings


def test_default_settings(dc: ModuleType, cache: Any) -> None:
    for name, value in dc.DEFAULT_SETTINGS.items():
        assert getattr(cache, name) == value
        assert cache.reset(name) == value
    with pytest.raises(AttributeError):
        cache.no_such_setting


def test_default_settings_are_the_same() -> None:
    theirs = pytest.importorskip("diskcache")
    import store.compat.diskcache as ours

    assert ours.DEFAULT_SETTINGS == theirs.DEFAULT_SETTINGS
    assert set(ours.EVICTION_POLICY) == set(theirs.EVICTION_POLICY)
    assert {*theirs.__all__} - {"DjangoCache"} == {*ours.__all__}


def test_settings_are_kept_in_the_file(dc: ModuleType, tmp_path: Path, opened: Any) -> None:
    first = opened(dc.Cache(tmp_path / "c", size_limit=10**9, eviction_policy="least-recently-used", mine="x"))
    second = opened(dc.Cache(tmp_path / "c"))
    assert (second.size_limit, second.eviction_policy, second.mine) == (10**9, "least-recently-used", "x")
    assert second.reset("size_limit", 10**8) == 10**8 == second.size_limit
    assert first.size_limit == 10**9  # as it was when it was opened
    assert first.reset("size_limit") == 10**8 == first.size_limit
    third = opened(dc.Cache(tmp_path / "c", size_limit=10**7))
    assert third.size_limit == 10**7 == first.reset("size_limit")
    with pytest.raises(ValueError):
        first.reset("no_such_setting")


def test_disk_settings_reach_the_disk(dc: ModuleType, tmp_path: Path, opened: Any) -> None:
    cache = opened(dc.Cache(tmp_path / "c", disk_min_file_size=10, disk_pickle_protocol=4))
    assert (cache.disk.min_file_size, cache.disk.pickle_protocol) == (10, 4)
    cache["a"] = b"0123456789"
    with cache.read("a") as handle:
        assert handle.read() == b"0123456789"
    cache.reset("disk_min_file_size", 1000)
    assert cache.disk.min_file_size == 1000
    cache["b"] = b"0123456789"
    assert cache.read("b") == b"0123456789"


def test_tag_index_setting(dc: ModuleType, tmp_path: Path, opened: Any) -> None:
    cache = opened(dc.Cache(tmp_path / "c", tag_index=True))
    assert cache.tag_index == 1
    cache.drop_tag_index()
    assert cache.tag_index == 0
    cache.create_tag_index()
    assert cache.tag_index == 1 == cache.reset("tag_index")


def test_count_and_size_settings(cache: Any) -> None:
    cache["a"], cache["b"] = 1, b"x" * 2_000_000
    assert cache.reset("count") == 2 and cache.count == 2
    assert cache.reset("size") == 2_000_000


def test_statistics(dc: ModuleType, cache: Any) -> None:
    cache["a"] = 1
    cache["a"], cache.get("a"), cache.get("b")
    assert cache.stats() == (0, 0)  # from here on they are counted
    cache["a"], cache.get("a"), cache.get("a", tag=True), cache.get("b"), "a" in cache, cache.get("b", expire_time=True)
    assert cache.stats() == (3, 2) and (cache.reset("hits"), cache.reset("misses")) == (3, 2)
    assert cache.stats(enable=False) == (3, 2)
    cache["a"], cache.get("b")
    assert cache.stats(enable=True, reset=True) == (3, 2)
    cache["a"]
    assert cache.stats(enable=False, reset=True) == (1, 0)
    assert cache.stats() == (0, 0)


def test_statistics_as_an_argument(dc: ModuleType, tmp_path: Path, opened: Any) -> None:
    cache = opened(dc.Cache(tmp_path / "c", statistics=True))
    cache.get("a")
    assert cache.stats() == (0, 1)


# -- bounds


def fill(cache: Any, number: int, size: int = 10_000) -> None:
    for key in range(number):
        cache[key] = b"x" * size


@pytest.mark.parametrize("policy", ["least-recently-stored", "least-recently-used", "least-frequently-used"])
def test_size_limit_holds(dc: ModuleType, tmp_path: Path, opened: Any, policy: str) -> None:
    cache = opened(dc.Cache(tmp_path / "c", size_limit=2_000_000, eviction_policy=policy))
    fill(cache, 150, 30_000)
    assert cache.volume() <= 2_100_000 and 40 < len(cache) < 80
    assert 149 in cache


def test_policy_none_keeps_everything(dc: ModuleType, tmp_path: Path, opened: Any) -> None:
    cache = opened(dc.Cache(tmp_path / "c", size_limit=500_000, eviction_policy="none"))
    fill(cache, 100)
    assert len(cache) == 100 and cache.volume() > 500_000 and cache.cull() == 0 and len(cache) == 100


def test_cull_limit_0_leaves_eviction_to_cull(dc: ModuleType, tmp_path: Path, opened: Any) -> None:
    cache = opened(dc.Cache(tmp_path / "c", size_limit=500_000, cull_limit=0))
    fill(cache, 100)
    assert len(cache) == 100 and cache.volume() > 500_000
    assert cache.cull() >= 50
    assert cache.volume() <= 500_000 and 0 < len(cache) <= 50
    assert 99 in cache and 0 not in cache


def test_limit_that_is_reset_holds_from_the_next_write(cache: Any) -> None:
    fill(cache, 100)
    cache.reset("size_limit", 500_000)
    fill(cache, 120)
    assert cache.volume() <= 550_000


def test_files_count_as_volume(cache: Any) -> None:
    before = cache.volume()
    cache["a"] = b"x" * 5_000_000
    assert 5_000_000 <= cache.volume() - before < 5_100_000
    del cache["a"]
    assert cache.volume() - before < 200_000


def test_clear(cache: Any) -> None:
    fill(cache, 250, 10)
    cache.set("t", 1, tag="t")
    assert cache.clear() == 251
    assert len(cache) == 0 and cache.clear() == 0 and cache.evict("t") == 0


# -- memoize


def test_memoize(cache: Any) -> None:
    calls = []

    @cache.memoize(tag="squares", expire=60)
    def square(number: float, *, log: Any = None) -> float:
        """The square."""
        calls.append(number)
        return number * number

    assert [square(3), square(3), square(3.0), square(4)] == [9, 9, 9.0, 16]
    assert calls == [3, 3.0, 4]  # a tuple with 3 is not one with 3.0
    assert square.__name__ == "square" and square.__doc__ == "The square." and square.__wrapped__(5) == 25
    assert cache[square.__cache_key__(3)] == 9
    assert cache.get(square.__cache_key__(4), tag=True) == (16, "squares")
    assert cache.evict("squares") == 3
    square(3)
    assert calls == [3, 3.0, 4, 5, 3]


def test_keys_of_calls(dc: ModuleType, cache: Any) -> None:
    keys = []
    for options in ({}, {"typed": True}, {"name": "n"}, {"name": "n", "ignore": {1, "b"}}):

        def function(*args: Any, **kwargs: Any) -> None:
            """Does nothing."""

        made = cache.memoize(**options)(function)
        keys += [made.__cache_key__(1, "x"), made.__cache_key__(1, b=2, a=3.0), made.__cache_key__()]
    name = f"{__name__}.test_keys_of_calls.<locals>.function"
    assert keys == [
        (name, 1, "x", None), (name, 1, None, "a", 3.0, "b", 2), (name, None),
        (name, 1, "x", None, int, str), (name, 1, None, "a", 3.0, "b", 2, int, float, int), (name, None),
        ("n", 1, "x", None), ("n", 1, None, "a", 3.0, "b", 2), ("n", None),
        ("n", 1, None), ("n", 1, None, "a", 3.0), ("n", None),
    ]  # fmt: skip


def test_memoize_of_none_typed_and_expired(cache: Any, now: Clock) -> None:
    calls = []

    @cache.memoize(expire=10, typed=True)
    def nothing(value: Any) -> None:
        calls.append(value)

    nothing(1), nothing(1), nothing(True), nothing([1, {"a": {2}}]), nothing([1, {"a": {2}}])
    assert calls == [1, True, [1, {"a": {2}}]]
    now.advance(11)
    nothing(1)
    assert calls[-1] == 1 and len(calls) == 4

    @cache.memoize(expire=0)
    def never(value: Any) -> int:
        return len(calls)

    assert never(1) == 4
    calls.append(None)
    assert never(1) == 5
    with pytest.raises(TypeError, match="name cannot be callable"):
        cache.memoize(never)


# -- the cache itself


def test_close_and_use_again(cache: Any) -> None:
    cache["a"] = 1
    cache.close()
    cache.close()
    assert cache["a"] == 1
    with cache as same:
        assert same is cache
        cache["b"] = 2
    assert list(cache) == ["a", "b"]


def test_pickled_cache_opens_the_same_folder(cache: Any, opened: Any) -> None:
    cache["a"] = 1
    other = opened(pickle.loads(pickle.dumps(cache)))
    assert other["a"] == 1 and other.directory == cache.directory and other.timeout == cache.timeout
    other["b"] = 2
    assert cache["b"] == 2


def test_directory(dc: ModuleType, tmp_path: Path, opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHES", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert opened(dc.Cache("$CACHES/a/b")).directory == str(tmp_path / "a" / "b")
    assert opened(dc.Cache("~/c")).directory == str(tmp_path / "home" / "c")
    assert opened(dc.Cache(tmp_path / "d", timeout=5)).timeout == 5
    temporary = opened(dc.Cache())
    assert Path(temporary.directory).name.startswith("diskcache-") and Path(temporary.directory).is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        opened(dc.Cache(tmp_path / "file" / "cache"))


def test_disk_must_be_a_disk(dc: ModuleType) -> None:
    for wrong in (dict, "Disk", dc.Disk("folder")):
        with pytest.raises(ValueError, match="disk must subclass"):
            dc.Cache(disk=wrong)


def test_hash_of_keys_is_portable(dc: ModuleType, tmp_path: Path) -> None:
    disk = dc.Disk(str(tmp_path))
    hashes = [disk.hash(key) for key in ("text", "ä", b"bytes", 5, -5, 2**40, 1.5, 0)]
    assert hashes == [73859526, 36438376, 107741736, 5, 4294967290, 256, 147325240, 0]


def test_check_finds_unknown_files_and_empty_folders(dc: ModuleType, cache: Any, recwarn: Any) -> None:
    cache["a"], cache["b"] = 1, b"x" * 2_000_000
    assert cache.check() == []
    folder = Path(cache.directory)
    (folder / "sub").mkdir()
    (folder / "sub" / "stranger").write_text("")
    (folder / "empty").mkdir()
    assert [warning.category for warning in cache.check()] == [dc.UnknownFileWarning, dc.EmptyDirWarning]
    cache.check(fix=True)
    assert not (folder / "sub" / "stranger").exists()
    cache.check(fix=True)
    assert cache.check() == [] and cache["b"] == b"x" * 2_000_000


def test_constants(dc: ModuleType) -> None:
    for name in ("ENOVAL", "UNKNOWN"):
        constant = getattr(dc, name)
        assert repr(constant) == name
        assert issubclass(dc.Timeout, Exception)
        assert issubclass(dc.EmptyDirWarning, UserWarning) and issubclass(dc.UnknownFileWarning, UserWarning)


def test_endless_expiry_is_none(cache: Any) -> None:
    assert cache.set("a", 1, expire=math.inf) and cache.add("b", 1, expire=math.inf) and cache.touch("a", math.inf)
    assert (cache["a"], cache["b"]) == (1, 1)
