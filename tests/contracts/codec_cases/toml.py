"""What the codec toml can hold, what it cannot, and bytes that are none of its own."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from shapes import Text

from store.codecs.plain import same as same_in_order

text = st.text() | st.text(st.sampled_from("\"'\\\r\n\t\x00\x7f\x85\u2028\ufeff #=[].é😀"))
zones = st.none() | st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(timezones=zones).map(lambda moment: moment.replace(fold=0))
leaves = (
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | text | st.dates() | moments
    | st.times().map(lambda moment: moment.replace(fold=0))
)  # fmt: skip
tables = st.recursive(
    st.dictionaries(text, leaves, max_size=3),
    lambda inner: st.dictionaries(text, leaves | inner | st.lists(inner | leaves, max_size=4), max_size=4),
    max_leaves=12,
)
values = tables
sample = {"a": 2.5, "b": [1, "x", {"c": True}], "d": {"e": [{"f": "g" * 120}, {"when": date(2024, 1, 1)}]}}
shown = ("2.5", "2024-01-01", "[[d.e]]")
changed = {"a": 1, "b": []}


def same(one: Any, other: Any) -> bool:
    """Tables come after plain values."""
    return same_in_order(one, other, ordered=False)


class Whole(int):
    """An int, and not quite."""


def inside(value: Any) -> tuple[Any, ...]:
    return {"key": [value]}, {"a": {"b": [[{"c": value}]]}}


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def cyclic() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["a"] = [value]
    return value


whole: list[Any] = [{}, {"": 0}, {"a": {}}, nested(100)]
never = [
    None, (1, 2), {1}, b"x", 1j, 2**63, -(2**63) - 1, {1: 2}, {None: 1}, {("a",): 1}, Text("x"), Whole(1), {Text("x"): 1},
    OrderedDict(a=1), Decimal(1), timedelta(1), "\ud83d", {"\ud83d": 1}, cyclic(),
    datetime(2024, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")), datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET")),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(seconds=1))), datetime(2024, 1, 1, fold=1),
    time(1, tzinfo=UTC), time(1, fold=1), object(), 10**5000,
]  # fmt: skip
too_deep = [nested(100_000)]
remedy = "the codec 'pickle'"
never_paths = [
    ({"a": [0, {"b": None}]}, r"value\['a'\]\[1\]\['b'\]: TOML has no NoneType"),
    ([1], "value: TOML holds a dict with str keys and nothing else, not list; use the codec 'json'"),
    ({"a": {"b": 2**63}}, r"value\['a'\]\['b'\]: .*64 bits"),
]

KEY = b".".join([b"a"] * 64)
tokens = st.sampled_from([*"[]{}=,.\"'\\#\n ", '"""', "'''", "[[", "]]", "a", "b.c", "1", "1979-05-27", "07:32:00", "inf", "true", "é"])
programs = st.lists(tokens).map(lambda parts: "".join(parts).encode())
hostile = [
    b"\xff", b".", b"a", b"a=", b"a=1\na=2", b"[a]\n[a]", b"a=[" * 100_000, b"a=" + b"{a=" * 100_000, b"a=1\x00",
    b"\xef\xbb\xbfa=1", b"a=" + b"1" * 5000, b"a=2024-02-30", b"a=\"\\ud800\"", b"a\r=1", b"a='x\n'", b"'''a'''=1",
    b"a={b=1,b=2}", b"a.b=1\n[a]\nb=2", b'"' * 100_001, b"'" * 100_001, b"a " * 100_000, b'a="' + b'\\"' * 100_000,
    b'a="""' + b'\\"' * 100_000,
]  # fmt: skip
refused = [
    b"a" + b".a" * 50_000 + b"=1",
    b"a='''\n\"''' #\"\nb=[{" + b"a." * 50_000 + b"a=1}]",  # quotes that a careless reader would take for others
    b'a="""\\"""" \' """\n[' + b"'a' . " * 50_000 + b"a]\r\n",
    b"[a]\n" + b"".join(b"%d.%s=1\n" % (n, KEY) for n in range(4_000)),
]
junk = [b"\xff\xfe", b"[1, 2", b"\x80\x05]", b"{}garbage", b"N.N.", b"\x00" * 1000]
large = [{"a": "x" * 1_000_000}, {"a": list(range(50_000))}]
