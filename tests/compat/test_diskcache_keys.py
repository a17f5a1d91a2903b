"""Keys as names: reversible, in the order of SQLite, and nothing of a name is ever decoded as code."""

from __future__ import annotations

import math
import random
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.compat import diskcache as dc
from store.compat.diskcache import keys, numbers
from store.errors import Corrupt, NotSerializable

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.complex_numbers(allow_nan=False) | st.sampled_from([int, str, dict, dc.ENOVAL, dc.UNKNOWN])
)  # fmt: skip
KEYS = st.recursive(
    SCALARS,
    lambda part: st.lists(part) | st.lists(part).map(tuple) | st.dictionaries(st.text(), part)
    | st.frozensets(st.integers() | st.text()) | st.sets(st.binary()),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(KEYS)
@pytest.mark.slow
def test_key_comes_back_from_its_name(key: Any) -> None:
    name = keys.name_of(key)
    again = keys.key_of(name)
    assert again == key and type(again) in (type(key), int)
    assert "\0" not in name and keys.name_of(again) == name


NUMBERS = st.integers(numbers.SMALLEST, numbers.LARGEST) | st.floats(allow_nan=False)


@settings(deadline=None)
@given(NUMBERS, NUMBERS)
def test_names_of_numbers_have_their_order(one: float, other: float) -> None:
    first, second = keys.name_of(one), keys.name_of(other)
    assert (first < second, first == second) == (one < other, one == other)


@settings(deadline=None)
@given(st.text(), st.text())
def test_names_of_text_have_its_order(one: str, other: str) -> None:
    first, second = keys.name_of(one), keys.name_of(other)
    assert (first < second, first == second) == (one < other, one == other)


@pytest.mark.slow
def test_numbers_next_to_each_other_keep_their_order() -> None:
    made = random.Random(18)
    found = [struct.unpack("d", struct.pack("Q", made.getrandbits(64)))[0] for _ in range(3000)]
    found = [number for number in found if number == number]
    found += [made.getrandbits(made.randrange(1, 64)) * made.choice((1, -1)) for _ in range(3000)]
    found += [math.nextafter(number, math.inf) for number in map(float, found)]
    found += [2**53, 2**53 + 1, float(2**53), 2**63 - 1, float(2**63), -(2**63), 0.1, 0.30000000000000004, 5e-324]
    found.sort()
    names = [numbers.text_of(number) for number in found]
    assert names == sorted(names) and list(map(numbers.number_of, names)) == found


def test_plain_text_is_its_own_name() -> None:
    for text in ("user:1", "a b", "ä", "500:1", "{}", "~"):
        assert keys.name_of(text) == text
    assert [keys.name_of(key) for key in (42, 0.001, -42, b"a", (1, "a"), None)] == [
        "\x01501:42", "\x01497:1", "\x01-498:57~", "\U0010ffff161", '\U0010ffff2[1,"a"]', "\U0010ffff2null",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "rest",
    ["\x01", "\x01501:420", "\x01501:4x", "\x01999:1", "\x01-0~", "\x02a", "\x02\x01a", "a\x01b", "\U0010ffff", "\U0010ffff1zz"]
    + ["\U0010ffff2" + form for form in ("", "{}", '{"type":"os"}', '{"x":1}', '{"list":[1],"set":[]}', '{"bytes":5}', "[" * 50_000)],
)  # fmt: skip
def test_name_that_no_key_has_is_reported(rest: str, tmp_path: Path) -> None:
    with pytest.raises(Corrupt, match="no key of diskcache has this name"):
        keys.key_of(rest)
    with dc.Cache(tmp_path) as cache:
        cache.store[rest] = 1
        with pytest.raises(Corrupt, match="deletes it") as raised:
            list(cache)
        assert raised.value.name == rest
        del cache.store[rest]
        assert list(cache) == []


def test_digest_is_asked_for_in_its_record(tmp_path: Path) -> None:
    with dc.Cache(tmp_path) as cache:
        key = (dc.Cache, "of a class")
        cache[key] = 1
        (name,) = cache.store
        assert keys.is_digest(name) and len(name) == 2 + 2 * keys.DIGEST_BYTES
        assert list(cache) == [key] and cache.disk.put(key) == (name, True)
        with pytest.raises(Corrupt):
            keys.key_of(name)


@pytest.mark.parametrize("key", [float("nan"), "\ud800"])
def test_key_that_none_can_be(key: Any, tmp_path: Path) -> None:
    with dc.Cache(tmp_path) as cache, pytest.raises(ValueError):
        cache[key] = 1


def test_key_that_cannot_be_pickled(tmp_path: Path) -> None:
    with dc.Cache(tmp_path) as cache, pytest.raises(NotSerializable, match="a key of class function cannot be pickled"):
        cache[lambda: None] = 1


def test_nan_inside_of_a_tuple_is_a_key(tmp_path: Path) -> None:
    with dc.Cache(tmp_path) as cache:
        cache[(math.nan, 1)] = "found"
        assert cache[(float("nan"), 1)] == "found"
