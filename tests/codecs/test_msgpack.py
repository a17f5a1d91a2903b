"""The bytes of the codec msgpack as other programs see them, and what the bytes of strangers may cost."""

from __future__ import annotations

import struct
import sys
import tracemalloc
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.codecs.restricted.limits import MAX_COLLISIONS, MODULUS
from store.errors import Corrupt, NotSerializable

library = pytest.importorskip("msgpack", reason="msgpack is not installed: its codec is not tested")

from store.codecs.msgpack import MAX_NESTING, codec  # noqa: E402 - it needs the library


def encoded(value: Any) -> bytes:
    return codec.encode(value, 1)


def restricted(body: bytes) -> Any:
    return codec.decode_restricted(body, allow={})


def nested(depth: int, wrap: Any) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = wrap(value)
    return value


# -- as it is on disk


@pytest.mark.parametrize(
    "value, body",
    [
        ([None, True, 1, -1], b"\x94\xc0\xc3\x01\xff"),
        ({"a": 1.5}, b"\x81\xa1a\xcb\x3f\xf8" + b"\0" * 6),
        (b"x", b"\xc4\x01x"),
        (2**64 - 1, b"\xcf" + b"\xff" * 8),
        (2**64, b"\xc7\x09\x01\x01" + b"\0" * 8),
        (-(2**63), b"\xd3\x80" + b"\0" * 7),
        (-(2**63) - 1, b"\xc7\x09\x01\xff\x7f" + b"\xff" * 7),
        (2**127 - 1, b"\xd8\x01\x7f" + b"\xff" * 15),
        (-(2**127), b"\xd8\x01\x80" + b"\0" * 15),
        (2**127, b"\xc7\x11\x01\x00\x80" + b"\0" * 15),
        (datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC), b"\xd6\xff\x00\x00\x00\x05"),
        (datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), b"\xc7\x0c\xff\x3b\x9a\xc6\x18" + b"\xff" * 8),
        (datetime(2024, 1, 2, 3, 4, 5), b"\xc7\x13\x022024-01-02T03:04:05"),
        (datetime(2024, 1, 2, tzinfo=timezone(timedelta(hours=-3))), b"\xc7\x19\x022024-01-02T00:00:00-03:00"),
        (date(2024, 1, 2), b"\xc7\x0a\x032024-01-02"),
    ],
)
def test_bytes_of_a_value(value: Any, body: bytes) -> None:
    assert encoded(value) == body
    for found in (codec.decode(body), restricted(body)):
        assert (type(found), found) == (type(value), value)
        assert getattr(found, "tzinfo", None) == getattr(value, "tzinfo", None)


def test_body_read_by_the_library_alone() -> None:
    body = encoded({"n": [1, 2**70], "at": datetime(2024, 1, 1, tzinfo=UTC)})
    found = library.unpackb(body)
    assert found["n"] == [1, library.ExtType(1, (2**70).to_bytes(9, "big"))]
    assert found["at"].to_datetime() == datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "body, value",
    [
        (b"\xca\x3f\xc0\x00\x00", 1.5), (b"\xcc\x01", 1), (b"\xd1\xff\xff", -1), (b"\xd9\x01a", "a"),
        (b"\xda\x00\x01a", "a"), (b"\xdb\x00\x00\x00\x01a", "a"), (b"\xc5\x00\x01a", b"a"), (b"\xdc\x00\x01\x07", [7]),
        (b"\xc6\x00\x00\x00\x01a", b"a"), (b"\xdd\x00\x00\x00\x01\x07", [7]), (b"\xde\x00\x01\x07\x08", {7: 8}),
        (b"\xdf\x00\x00\x00\x01\x07\x08", {7: 8}), (b"\xd2\xff\xff\xff\xfe", -2), (b"\xd0\x80", -128), (b"\xe0", -32),
        (b"\xcd\x01\x00", 256), (b"\xce\x01\x00\x00\x00", 2**24), (b"\xd3" + b"\xff" * 8, -1), (b"\xc2", False),
        (b"\xd7\xff" + struct.pack(">Q", (999_000 << 34) | 1), datetime(1970, 1, 1, 0, 0, 1, 999, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_forms_that_other_programs_write(body: bytes, value: Any) -> None:
    for found in (codec.decode(body), restricted(body)):
        assert (type(found), found) == (type(value), value)


def test_order_of_a_dict_is_kept() -> None:
    value = {"z": 1, 3: 2, None: 3, b"a": 4, date(2024, 1, 1): 5, 2**80: 6}
    for found in (codec.decode(encoded(value)), restricted(encoded(value))):
        assert list(found.items()) == list(value.items())


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: {"k": v}], ids=["lists", "dicts"])
def test_nesting_as_deep_as_can_be_written_is_read_with_restraint(wrap: Any) -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)  # for the check of what can be held
    try:
        body = encoded(nested(MAX_NESTING, wrap))
        with pytest.raises(NotSerializable, match=r"recursion.*the codec 'pickle'"):
            encoded(nested(MAX_NESTING + 1, wrap))
    finally:
        sys.setrecursionlimit(before)
    value = restricted(body)
    for _ in range(MAX_NESTING):
        (value,) = value if type(value) is list else value.values()
    assert value == 1
    assert codec.describe(body)[1].count("[") + codec.describe(body)[1].count("{") == MAX_NESTING
    with pytest.raises(Corrupt, match="nests containers"):
        restricted(b"\x91" * MAX_NESTING + b"\x90")


# -- both ways of reading


tokens = st.sampled_from([bytes([code]) for code in range(256)] + [b"\x00\x00\x00\x01", b"\xd6\xff\0\0\0\1", b"\x01\x01"])


@given(st.lists(tokens, max_size=12).map(b"".join))
@settings(max_examples=100, deadline=None)
def test_value_read_with_restraint_is_that_of_the_library(body: bytes) -> None:
    try:
        value = restricted(body)
    except Corrupt:
        return
    assert repr(codec.decode(body)) == repr(value)


# -- what strangers may cost


@pytest.mark.slow
def test_memory_is_in_proportion_to_the_bytes() -> None:
    """500 lists in one another, each of which announces as many items as there are bytes left."""
    size = 50_000
    body = b"".join(b"\xdd" + struct.pack(">I", size - 5 * 500) for _ in range(500)) + b"\xc0" * (size - 2500)
    tracemalloc.start()
    try:
        with pytest.raises(Corrupt, match="ends too early"):
            restricted(body)
        assert tracemalloc.get_traced_memory()[1] < 100 * size
    finally:
        tracemalloc.stop()


def moment(minutes: int) -> bytes:
    """One moment, written with a different offset each time: keys that are equal, hence a duplicate."""
    zone = timezone(timedelta(minutes=minutes))
    return encoded(datetime(2024, 1, 1, tzinfo=UTC).astimezone(zone))


def map_of(keys: list[bytes]) -> bytes:
    return b"\xdf" + struct.pack(">I", len(keys)) + b"".join(key + b"\xc0" for key in keys)


@pytest.mark.parametrize(
    "key", [lambda n: n * MODULUS, lambda n: -n * MODULUS, lambda n: MODULUS * (n + 2**64) + 7], ids=["up", "down", "far"]
)
def test_keys_of_one_hash_are_refused(key: Any) -> None:
    few = [key(n) for n in range(1, MAX_COLLISIONS)]
    assert len({hash(number) for number in few}) == 1
    assert list(restricted(encoded(dict.fromkeys(few)))) == few
    many = [encoded(key(n)) for n in range(1, 5000)]  # too few to be timed: they are counted
    with pytest.raises(Corrupt, match="made to collide"):
        restricted(map_of(many))


def test_keys_of_one_dict_are_counted_apart_from_those_of_another() -> None:
    few = dict.fromkeys(n * MODULUS for n in range(1, MAX_COLLISIONS))
    assert restricted(encoded([few, few])) == [few, few]


@pytest.mark.parametrize(
    "keys",
    [[b"\x01", b"\x01"], [b"\x01", b"\xc3"], [b"\x00", b"\xcb\x80" + b"\0" * 7], [moment(0), moment(60)]],
    ids=["same", "bool", "float", "offset"],
)
def test_key_that_is_there_twice_is_refused(keys: list[bytes]) -> None:
    with pytest.raises(Corrupt, match="a key twice"):
        restricted(map_of(keys))


def test_large_integer_costs_what_its_bytes_do() -> None:
    value = (1 << 8_000_000) - 1
    body = encoded([value])
    assert len(body) < 1_000_010
    assert restricted(body) == codec.decode(body) == [value]
    text = codec.describe(body)[1]
    assert text.startswith("[a number of ")
    assert len(text) < 110_000


def test_describe_of_what_is_refused_shows_the_bytes() -> None:
    names, text, problem = codec.describe(b"\x92\xa3abc")
    assert (names, text) == ((), r"\x92\xa3abc")
    assert problem is not None and "ends too early" in problem
