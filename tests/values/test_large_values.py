"""Large values in and out of each engine, whatever it keeps them in."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from buffered import Buffered
from free import needs_capability

from store import Store
from store.errors import ReadOnly, StoreClosed

BIG, OTHER = b"big" * 1000, b"other" * 1000
LIMIT = 1000


def small(location: str, **options: Any) -> Store[Any]:
    return Store(location, **{"spill_bytes": LIMIT, **options})


def has_parts(s: Store[Any]) -> bool:
    """Whether the engine keeps large values in parts of their own."""
    return s.opened.engine.blobs is not None


VALUES = [
    BIG,
    "é" * 2000,
    list(range(2000)),
    {"a": BIG, "b": [OTHER]},
    bytearray(BIG),
    b"x" * (LIMIT - 100),
    os.urandom(3_000_000),
]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
@pytest.mark.parametrize("protocol", [2, 5])
def test_values_come_back(kept: str, value: Any, protocol: int) -> None:
    with small(kept, protocol=protocol) as s:
        s["it"] = value
        assert s["it"] == value
    with small(kept, mode="r", trust="own") as s:
        assert s["it"] == value and s.verify().ok


@pytest.mark.parametrize("codec", ["pickle", "numpy"])
@pytest.mark.parametrize("mmap", [True, False])
def test_arrays_come_back(kept: str, codec: str, mmap: bool) -> None:
    numpy = pytest.importorskip("numpy")
    arrays = [
        numpy.arange(5000), numpy.arange(6000.0).reshape(20, 300), numpy.asfortranarray(numpy.eye(60)),
        numpy.zeros((0, 3)), numpy.array(5),
    ]  # fmt: skip
    with small(kept, codec=codec, mmap=mmap) as s:
        for number, array in enumerate(arrays):
            s[str(number)] = array
    with small(kept, codec=codec, mmap=mmap, trust="own") as s:
        for number, array in enumerate(arrays):
            found = s[str(number)]
            assert (found.dtype, found.shape, found.flags.f_contiguous) == (
                array.dtype,
                array.shape,
                array.flags.f_contiguous,
            )
            assert (found == array).all()
            if array.nbytes > LIMIT and codec == "pickle":
                assert found.flags.writeable != (mmap and has_parts(s))


def test_many_buffers_and_a_large_body_in_one_value(kept: str) -> None:
    value = {f"{number:040}": Buffered(bytes([number]) * 2000) for number in range(60)}
    with small(kept) as s:
        s["it"] = value
        assert s.stats().spill_files == (61 if has_parts(s) else 0)
    with small(kept) as s:
        assert {name: bytes(held.data) for name, held in s["it"].items()} == {
            name: bytes(held.data) for name, held in value.items()
        }


def test_sizes_count_the_parts(kept: str) -> None:
    with small(kept) as s:
        s.update(a=BIG, b=1)
        needs_capability(s, "blobs")
        stats = s.stats()
        assert stats.spill_files == 1 and stats.spill_bytes > len(BIG) and stats.bytes > stats.spill_bytes
        assert s.record("a").size == stats.spill_bytes


def edited(s: Store[Any]) -> None:
    with s.edit("it") as value:
        value.append(BIG)


def modified(s: Store[Any]) -> None:
    s.modify("it", lambda value: [*value, BIG])


def swapped(s: Store[Any]) -> None:
    s.put("it", [OTHER, BIG], if_version=s.record("it"))


def in_transaction(s: Store[Any]) -> None:
    with s.transaction():
        value = s.pop("it")
        s["it"] = [*value, BIG]


@pytest.mark.parametrize("change", [edited, modified, swapped, in_transaction])
def test_changed_from_another_handle(kept: str, change: Callable[[Store[Any]], None]) -> None:
    with small(kept) as s, small(kept) as other:
        s["it"] = [OTHER]
        assert other["it"] == [OTHER]
        change(s)
        assert s["it"] == other["it"] == [OTHER, BIG]
        assert s.stats().spill_files == has_parts(s) and s.verify().ok


def test_writeback(kept: str) -> None:
    with small(kept) as s:
        s["it"] = [OTHER]
    with small(kept, writeback=True) as s:
        s["it"].append(BIG)
    with small(kept) as s:
        assert s["it"] == [OTHER, BIG]


def test_update_is_all_or_nothing(kept: str) -> None:
    with small(kept) as s:
        s.update(a=BIG, b=1)
        with pytest.raises(ZeroDivisionError), s.transaction():
            s.update(a=1, b=BIG, c=OTHER)
            assert dict(s) == {"a": 1, "b": BIG, "c": OTHER}
            raise ZeroDivisionError
        assert dict(s) == {"a": BIG, "b": 1} and s.verify().ok
        s.update(a=1, b=BIG, c=OTHER)
        assert dict(s) == {"a": 1, "b": BIG, "c": OTHER} and s.verify().ok
        assert list(s.items()) == [("a", 1), ("b", BIG), ("c", OTHER)]


def test_expired_record_is_purged_with_its_parts(kept: str, clock: Any) -> None:
    with small(kept, clock=clock) as s:
        s.put("it", BIG, ttl=10)
        s.touch("it", 20)
        clock.advance(15)
        assert s["it"] == BIG
        clock.advance(15)
        assert "it" not in s and s.purge() == 1
        assert s.compact() and s.verify().orphans == []


def test_read_only_and_closed_stores_write_none(kept: str) -> None:
    with small(kept) as s:
        s["it"] = BIG
    with small(kept, mode="r") as s, pytest.raises(ReadOnly):
        s["it"] = OTHER
    with pytest.raises(StoreClosed):
        s["it"] = OTHER
    with small(kept, mode="r") as s:
        assert s["it"] == BIG and s.verify().ok
