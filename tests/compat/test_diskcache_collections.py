"""`FanoutCache`, `Deque` and `Index`: each behaviour on diskcache and on `store.compat.diskcache`."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from diskcaches import Clock

# -- FanoutCache


@pytest.fixture
def fanout(dc: ModuleType, tmp_path: Path, opened: Any) -> Any:
    return opened(dc.FanoutCache(tmp_path / "fanout", shards=4, timeout=1))


def test_fanout_items(fanout: Any, now: Clock) -> None:
    assert fanout.set("a", 1, expire=10, tag="t") is True
    assert fanout.add("a", 2) is False and fanout.add("b", io.BytesIO(b"file"), read=True) is True
    assert fanout.get("a", expire_time=True, tag=True) == (1, now.now + 10, "t")
    assert fanout["a"] == 1 and "a" in fanout and "no" not in fanout
    with fanout.read("b") as handle:
        assert handle.read() == b"file"
    with pytest.raises(KeyError):
        fanout.read("no")
    with pytest.raises(KeyError):
        fanout["no"]
    with pytest.raises(KeyError):
        del fanout["no"]
    fanout["c"] = [1]
    assert fanout.incr("n", 2) == 2 and fanout.decr("n") == 1
    assert fanout.touch("c", expire=5) is True and fanout.touch("no") is False
    assert fanout.pop("c", tag=True) == ([1], None) and fanout.pop("c", 5) == 5
    assert fanout.delete("b") is True and fanout.delete("b") is False
    del fanout["n"]
    assert list(fanout) == ["a"] and len(fanout) == 1
    now.advance(20)
    assert fanout.expire() == 1 and len(fanout) == 0


@pytest.mark.slow
def test_fanout_many(fanout: Any) -> None:
    for number in range(100):
        fanout.set(number, number, tag=number % 3)
    assert set(fanout) == set(range(100)) and list(fanout) == list(reversed(fanout))[::-1]
    assert fanout.evict(0) == 34 and fanout.evict(0, retry=True) == 0
    assert fanout.cull() == 0 and fanout.check() == []
    assert fanout.clear() == 66 and fanout.volume() > 0


def test_fanout_settings(dc: ModuleType, fanout: Any) -> None:
    assert fanout.size_limit == 2**28 and fanout.cull_limit == 10 and fanout.timeout == 1
    assert isinstance(fanout.disk, dc.Disk)
    assert fanout.reset("size_limit", 10**8) == 10**8 == fanout.size_limit
    assert fanout.reset("tag_index") == 0
    fanout.create_tag_index()
    assert fanout.tag_index == 1
    fanout.drop_tag_index()
    assert fanout.tag_index == 0
    with pytest.raises((AttributeError, AssertionError)):
        fanout.no_such_setting
    with pytest.raises(AssertionError, match="retry must be True"), fanout.transact(retry=False):
        pass


@pytest.mark.slow
def test_fanout_size_limit_is_that_of_all_shards(dc: ModuleType, tmp_path: Path, opened: Any) -> None:
    fanout = opened(dc.FanoutCache(tmp_path / "f", shards=2, size_limit=4_000_000))
    for key in range(200):
        fanout.set(key, b"x" * 50_000, retry=True)
    assert 2_000_000 < fanout.volume() < 4_400_000


def test_fanout_transaction(fanout: Any) -> None:
    with pytest.raises(ZeroDivisionError), fanout.transact():
        for number in range(10):
            fanout[number] = number
        1 / 0
    assert len(fanout) == 0


def test_fanout_parts(dc: ModuleType, fanout: Any) -> None:
    part, deque, index = fanout.cache("a/b"), fanout.deque("a/b", maxlen=2), fanout.index("a/b")
    assert part.directory == str(Path(fanout.directory, "cache", "a", "b"))
    assert deque.directory == str(Path(fanout.directory, "deque", "a", "b")) and deque.maxlen == 2
    assert index.directory == str(Path(fanout.directory, "index", "a", "b"))
    part["x"], index["x"] = 1, 2
    deque.extend("abc")
    assert fanout.cache("a/b") is part and fanout.deque("a/b") is deque and fanout.index("a/b") is index
    assert (len(fanout), dict(index), list(deque)) == (0, {"x": 2}, ["b", "c"])
    assert (deque.cache.eviction_policy, index.cache.eviction_policy) == ("none", "none")
    for one in (part, deque.cache, index.cache):
        one.close()


def test_fanout_pickles_and_opens_again(fanout: Any, opened: Any) -> None:
    fanout["a"] = 1
    other = opened(pickle.loads(pickle.dumps(fanout)))
    assert (other["a"], other.timeout, other.directory) == (1, 1, fanout.directory)
    with fanout:
        fanout["b"] = 2
    assert fanout["b"] == 2 == other["b"]


def test_fanout_statistics_and_memoize(fanout: Any) -> None:
    @fanout.memoize(name="f", tag="t")
    def double(x: int) -> int:
        return 2 * x

    fanout.stats(enable=True)
    assert [double(1), double(1), double(2)] == [2, 2, 4]
    assert fanout.stats(reset=True) == (1, 2) and fanout["f", 1, None] == 2
    assert fanout.evict("t") == 2


# -- Deque


@pytest.fixture
def deque(dc: ModuleType, tmp_path: Path, opened: Any) -> Any:
    return opened(dc.Deque(directory=str(tmp_path / "deque")))


def test_deque_both_ends(deque: Any) -> None:
    deque.append("b")
    deque.appendleft("a")
    deque.extend("cd")
    deque.extendleft("yx")
    assert list(deque) == ["x", "y", "a", "b", "c", "d"] == list(reversed(deque))[::-1]
    assert (deque.peek(), deque.peekleft(), deque.pop(), deque.popleft(), len(deque)) == ("d", "x", "d", "x", 4)


def test_deque_by_position(deque: Any) -> None:
    deque += range(250)
    assert [deque[0], deque[249], deque[-1], deque[-250], deque[101]] == [0, 249, 249, 0, 101]
    deque[120], deque[-1] = "middle", "last"
    assert deque[120] == "middle" and deque.peek() == "last"
    del deque[120]
    del deque[0]
    assert deque[0] == 1 and deque[119] == 121 and len(deque) == 248
    for wrong in (248, -249):
        with pytest.raises(IndexError, match="index out of range"):
            deque[wrong]
        with pytest.raises(IndexError):
            deque[wrong] = 1
        with pytest.raises(IndexError):
            del deque[wrong]


def test_deque_maxlen(dc: ModuleType, tmp_path: Path, deque: Any, opened: Any) -> None:
    assert deque.maxlen == float("inf")
    deque.extend("abcde")
    deque.maxlen = 3
    assert list(deque) == ["c", "d", "e"]
    deque.append("f")
    deque.appendleft("z")
    assert list(deque) == ["z", "d", "e"]
    other = opened(dc.Deque("12345", str(tmp_path / "other"), maxlen=2))
    assert list(other) == ["4", "5"] and other.maxlen == 2
    again = opened(pickle.loads(pickle.dumps(other)))
    assert list(again) == ["4", "5"] and again.maxlen == 2 and again == other
    copied = opened(other.copy())
    assert copied == other and copied.directory == other.directory and copied.maxlen == 2


def test_deque_rotate_reverse_remove_count(deque: Any) -> None:
    deque.rotate(3)
    deque.reverse()
    assert list(deque) == []
    deque += "abcde"
    for steps, expected in [(2, "deabc"), (-2, "abcde"), (12, "deabc"), (-7, "abcde"), (0, "abcde"), (5, "abcde")]:
        deque.rotate(steps)
        assert "".join(deque) == expected
    with pytest.raises(TypeError, match="integer argument expected, got float"):
        deque.rotate(1.5)
    deque.reverse()
    assert "".join(deque) == "edcba"
    deque.append("e")
    assert deque.count("e") == 2 and deque.count("z") == 0
    deque.remove("e")
    assert "".join(deque) == "dcbae"
    with pytest.raises(ValueError, match="value not in deque"):
        deque.remove("z")
    deque.clear()
    for act in (deque.pop, deque.popleft, deque.peek, deque.peekleft):
        with pytest.raises(IndexError, match="from an empty deque"):
            act()


def test_deque_compares_as_a_sequence(dc: ModuleType, deque: Any) -> None:
    deque += [1, 2, 3]
    assert deque == [1, 2, 3] and deque == (1, 2, 3) and deque != [1, 2] and deque != [1, 2, 4]
    assert deque < [1, 2, 4] and deque < [1, 2, 3, 0] and deque <= [1, 2, 3] and deque > [1, 2] and deque >= [0, 9, 9, 9]
    assert deque != {} and deque != 5 and deque != {1, 2, 3}
    with pytest.raises(TypeError):
        sorted([deque, 5])
    with pytest.raises(TypeError):
        hash(deque)
    assert repr(deque) == f"Deque(directory={deque.directory!r})"
    assert 2 in deque and 9 not in deque and deque.index(3) == 2


def test_deque_on_a_cache_and_its_transaction(dc: ModuleType, cache: Any) -> None:
    deque = dc.Deque.fromcache(cache, [5, 6], maxlen=3)
    assert deque.cache is cache and deque.directory == cache.directory
    with pytest.raises(ZeroDivisionError), deque.transact():
        deque.append(7)
        deque.popleft()
        1 / 0
    assert list(deque) == [5, 6]


# -- Index


@pytest.fixture
def index(dc: ModuleType, tmp_path: Path, opened: Any) -> Any:
    return opened(dc.Index(str(tmp_path / "index")))


def test_index_is_made_as_a_dict_is(dc: ModuleType, tmp_path: Path, opened: Any) -> None:
    for arguments in [({"a": 1, "b": 2},), ([("a", 1), ("b", 2)],), (None, {"a": 1, "b": 2})]:
        assert dict(opened(dc.Index(*arguments))) == {"a": 1, "b": 2}
    named = opened(dc.Index(str(tmp_path / "i"), {"a": 0}, a=1, b=2))
    assert dict(named) == {"a": 1, "b": 2} and named.directory == str(tmp_path / "i")
    assert dict(opened(dc.Index(str(tmp_path / "i")))) == {"a": 1, "b": 2}
    assert repr(named) == f"Index({named.directory!r})"


def test_index_items(index: Any) -> None:
    index["b"], index["a"], index[1] = 2, 1, "one"
    index["b"] = 3
    assert list(index) == ["b", "a", 1] and list(reversed(index)) == [1, "a", "b"]
    assert list(index.items()) == [("b", 3), ("a", 1), (1, "one")] and list(index.values()) == [3, 1, "one"]
    assert index.get("no") is None and "a" in index and index.setdefault("a", 9) == 1 and index.setdefault("n", None) is None
    for act in (index.pop, index.__getitem__, index.__delitem__):
        with pytest.raises(KeyError):
            act("no")
    assert index.pop("no", None) is None and index.pop("n") is None
    assert index.peekitem() == (1, "one") and index.peekitem(last=False) == ("b", 3)
    assert index.popitem() == (1, "one") and index.popitem(last=False) == ("b", 3)
    index.clear()
    for act in (index.peekitem, index.popitem):
        with pytest.raises(KeyError, match="dictionary is empty"):
            act()


def test_index_compares_as_a_dict(dc: ModuleType, index: Any, opened: Any) -> None:
    index.update(a=1, b=2)
    assert index == {"b": 2, "a": 1} and index != {"a": 1} and index != {"a": 1, "b": 3} and index != {"a": 1, "c": 2}
    assert index == OrderedDict(a=1, b=2) and index != OrderedDict(b=2, a=1)
    assert index == opened(dc.Index([("a", 1), ("b", 2)])) and index != opened(dc.Index([("b", 2), ("a", 1)]))
    with pytest.raises(TypeError):
        hash(index)


def test_index_queue_transaction_and_pickle(dc: ModuleType, index: Any, cache: Any, opened: Any) -> None:
    assert index.push("x", "p") == "p-500000000000000" and index.pull("p") == ("p-500000000000000", "x")
    with pytest.raises(ZeroDivisionError), index.transact():
        index["a"] = 1
        1 / 0
    assert len(index) == 0
    index["a"] = 1
    assert dict(opened(pickle.loads(pickle.dumps(index)))) == {"a": 1}
    other = dc.Index.fromcache(cache, {"a": 1}, b=2)
    assert other.cache is cache and dict(other) == {"a": 1, "b": 2}
