"""What the codec json can hold, what it cannot, and bytes that are none of its own."""

from __future__ import annotations

import math
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from hypothesis import strategies as st
from shapes import Text, cyclic, nested

text = st.text()
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5), max_leaves=25
)


never = [
    (1, 2), {1}, b"x", bytearray(b"x"), 1j, math.nan, math.inf, -math.inf, {1: 2}, {True: 1}, {None: 1},
    Text("x"), {Text("x"): 1}, OrderedDict(a=1), Decimal(1), Fraction(1, 2), date(2024, 1, 1),
    datetime(2024, 1, 1, tzinfo=UTC), timedelta(1), UUID(int=1), range(3), object(), int, len,
    "\ud83d\ude00", {"\ud83d\ude00": 1}, 10**5000, cyclic(),
]  # fmt: skip
too_deep = [nested(100_000)]
remedy = "the codec 'pickle'"
never_paths = [({"a": [0, {"b": {1}}]}, r"value\['a'\]\[1\]\['b'\]: JSON has no set")]

tokens = st.sampled_from([*'[]{}:,"\\', "\\u", "d800", "1", "-", "e9", ".", "null", "true", "NaN", " ", "é"])
programs = st.lists(tokens).map(lambda parts: "".join(parts).encode())
hostile = [
    b"", b".", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"NaN", b"[Infinity]", b"-Infinity", b"1" * 5000,
    b'"\xff"', b'"', b"[1]x", b"{1:2}", b"\xef\xbb\xbf[]",
]  # fmt: skip
