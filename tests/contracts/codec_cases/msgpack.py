"""What the codec msgpack can hold, what it cannot, and bytes that are none of its own."""

from __future__ import annotations

import math
import struct
from collections import OrderedDict, namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from shapes import Text, cyclic, nested

offsets = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)).map(
    lambda offset: timezone(timedelta(seconds=offset // timedelta(seconds=1)))
)
zones = st.none() | st.just(UTC) | offsets
moments = st.datetimes(timezones=zones).map(lambda moment: moment.replace(fold=0))
integers = st.integers() | st.integers(-(2**64) - 2, 2**64 + 2) | st.integers(-(2**300), 2**300)
scalars = (
    st.none() | st.booleans() | integers | st.floats() | st.text() | st.binary() | moments | st.dates()
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=20) | st.dictionaries(scalars, inner, max_size=20), max_leaves=30
)


class Colour(IntEnum):
    RED = 1


class Summer(tzinfo):
    """A tzinfo of a program's own."""

    def utcoffset(self, moment: Any) -> timedelta:
        return timedelta(hours=2)


Point = namedtuple("Point", "x y")


never = [
    (1, 2), {1}, frozenset({1}), bytearray(b"x"), memoryview(b"x"), 1j, Text("x"), {Text("x"): 1}, Point(1, 2),
    {(1, 2): 3}, {Point(1, 2): 3}, Colour.RED, {Colour.RED: 1}, OrderedDict(a=1), Decimal(1), Fraction(1, 2), time(1),
    timedelta(1), UUID(int=1), range(3), object(), int, len,
    datetime(2024, 10, 27, 2, 30, fold=1), datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC")),
    datetime(2024, 1, 1, tzinfo=Summer()), {datetime(2024, 1, 1, tzinfo=Summer()): 1},
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET")),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(microseconds=1))),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1, microseconds=1))),
    "\ud83d", "\ud83d\ude00", {"\ud83d": 1}, nested(1100), cyclic(),
]  # fmt: skip
too_deep = [nested(100_000)]
remedy = "the codec 'pickle'"
never_paths = [
    ({"a": [0, {"b": {1}}]}, r"value\['a'\]\[1\]\['b'\]: MessagePack has no set"),
    ([{b"k": (1,)}], r"value\[0\]\[b'k'\]: MessagePack has no tuple"),
    ({"a": ["\ud800"]}, r"value\['a'\]\[0\]: MessagePack cannot hold it: .*surrogates"),
    ([datetime(2024, 1, 1, fold=1)], r"value\[0\]: .*fold is 1"),
    ({"t": datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC"))}, r"value\['t'\]: .*ZoneInfo.*astimezone"),
    ({1: datetime(2024, 1, 1, tzinfo=timezone(timedelta(0), "GMT"))}, r"value\[1\]: .*has a name"),
]
sample = ["a", {"b": [1, 2.5, None, True], 7: b"bytes", "big": 2**70, "at": datetime(2024, 2, 29, 12, tzinfo=UTC)}]
shown = ("a", "2.5", "b'bytes'", str(2**70), "datetime.datetime(2024, 2, 29, 12, 0, tzinfo=datetime.timezone.utc)")
whole = [None, "", b"", [], {}, 0, False, 2**64, -(2**63) - 1, date(1, 1, 1), datetime(1, 1, 1), math.nan, -0.0]
large = ["x" * 5_000_000, list(range(500_000)), [2**100_000], {"k": b"\0" * 1_000_000}, nested(500)]
truncation_is_always_found = True


def extension(code: int, data: bytes) -> bytes:
    return b"\xc9" + struct.pack(">Ib", len(data), code) + data


def timestamp(seconds: int, nanoseconds: int = 0) -> bytes:
    return extension(-1, struct.pack(">Iq", nanoseconds, seconds))


tokens = st.sampled_from(
    [
        b"\x01", b"\xff", b"\x90", b"\x92", b"\x80", b"\x81", b"\x82", b"\xa1a", b"\xa2\xc3\xa9", b"\xc0", b"\xc1",
        b"\xc2", b"\xc4\x01x", b"\xca" + b"\x7f" * 4, b"\xcb" + b"\x40" * 8, b"\xcc\x80", b"\xcf" + b"\xff" * 8,
        b"\xd3" + b"\x80" * 8, b"\xd9\x01a", b"\xdc\x00\x02", b"\xde\x00\x01", b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff", b"\xd6\xff\x00\x00\x00\x01", b"\xd5\x01\x00\x80", b"\xc7\x09\x01\x7f" + b"\xff" * 8,
        extension(2, b"2024-01-01T00:00:00"), extension(3, b"2024-01-01"), extension(2, b"2024-01-01"),
    ]
)  # fmt: skip
programs = st.lists(tokens | st.binary(max_size=2), max_size=30).map(b"".join)
hostile = [
    b"", b"\xc1", b"\x01\x01", b"\x91", b"\x81\x01", b"\x81\x90\x01", b"\x81\x80\x01", b"\xa1\xff", b"\xa3\xed\xa0\x80",
    b"\xc4\x02x", b"\xd9\x02x", b"\xcb\x00", b"\xdc\x00", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff",
    b"\xdd\x7f\xff\xff\xff\x01", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01",
    b"\xd4\x05x", b"\xd4\x7fx", b"\xd4\xfex", b"\xd4\x80x", extension(0, b""),
    b"\xd4\x01\x05", extension(1, b""), extension(1, b"\x7f" + b"\xff" * 7), extension(1, b"\0" + b"\xff" * 8),
    extension(1, b"\x00" * 20 + b"\x01"), extension(1, b"\xff" * 20), extension(1, b"\x80" + b"\0" * 7),
    extension(1, b"\0\0\1" + b"\0" * 8), extension(1, b"\xff\xff\x7f" + b"\xff" * 7),
    extension(2, b""), extension(2, b"2024-01-01"), extension(2, b"2024-01-01 00:00:00"), extension(2, b"20240101T00"),
    extension(2, b"2024-01-01T00:00:00+00:00"), extension(2, b"2024-01-01T00:00:00Z"),
    extension(2, b"2024-02-30T00:00:00"), extension(2, b"2024-01-01T00:00:00+25:00"),
    extension(2, b"2024-01-01T00:00:00+00:00:00.000001"),
    extension(2, "2024-01-01T00:00:0\u0660".encode()), extension(3, b"2024-02-30"), extension(3, b"2024-W01-1"),
    extension(3, b"2024-01-01T00:00:00"), extension(-1, b"xx"), extension(-1, b""), extension(-1, b"x" * 16),
    timestamp(253402300800), timestamp(-62135596801), timestamp(2**62), timestamp(-(2**63)), timestamp(0, 10**9),
]  # fmt: skip
refused = [
    b"\x82\x01\x02\x01\x03", b"\x82\x01\x02\xc3\x03", b"\x82\xa1a\x01\xd9\x01a\x02", b"\x91" * 1025 + b"\x01",
    b"\x91" * 100_000 + b"\x01", b"\x81\x01" * 50_000 + b"\x01", (b"\xdd\x00\x0f\x00\x00") * 200_000,
]  # fmt: skip
