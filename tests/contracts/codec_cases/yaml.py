"""What the codec yaml can hold, what it cannot, and bytes that are none of its own."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, time, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from shapes import Text, cyclic, nested

LOOKALIKES = [
    "", " ", "~", "null", "yes", "No", "on", "1", "-1", "0o7", "017", "0x1F", "0b1", "1_000", "1e5", "1.0e+5", ".inf", ".nan",
    "1:30", "1:30.5", "<<", "=", "-", "- a", "? a", ": a", "a: b", "a #b", "#", "&a", "*a", "!a", "!!str", "|", ">", "@", "`",
    "%YAML", "---", "...", "--- a", "{", "[", "2024-01-01", "2024-01-01 10:00:00", "'", '"', "''", "\\n", "a\n", "\na",
    " a\n", "a \nb", "\n", "\n\n", "a\n\n b\n", "  \n", "\t", "a\tb", "\r", "\r\n", "a\x85b", "\u2028", "\u2029a", "\ufeff",
    "\x00", "\x07", "\x7f", "\x9f", "\xa0", "\ufffe", "\uffff", "😀", "a\n😀", "é" * 200, "word " * 60, "a" * 2000, "\n" * 5 + "a",
]  # fmt: skip
text = st.text() | st.sampled_from(LOOKALIKES) | st.lists(st.sampled_from([*"ab: -#'\"\n\t\r\x85\u2028\\?|>!&*%@,[]{}"])).map("".join)
zones = st.none() | st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(timezones=zones).map(lambda moment: moment.replace(fold=0))
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | text | st.binary(max_size=100) | st.dates() | moments
)  # fmt: skip
keys = leaves.filter(lambda key: key == key)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5) | st.sets(keys, max_size=5)
    ),
    max_leaves=20,
)
whole = [None, "", [], {}, set(), 0, False, b"", -0.0, *LOOKALIKES, {word: word for word in LOOKALIKES}, [[[]], [{}], {"a": set()}]]


never = [
    (1, 2), frozenset({1}), bytearray(b"x"), 1j, {(1, 2): 3}, {frozenset(): 1}, {(1, 2)}, Text("x"), {Text("x"): 1}, OrderedDict(a=1),
    Decimal(1), time(1), timedelta(1), object(), int, "\ud83d", {"\ud83d": 1}, {"\ud83d"}, 10**5000, cyclic(),
    datetime(2024, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")), datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET")),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(seconds=1))), datetime(2024, 1, 1, fold=1),
]  # fmt: skip
too_deep = [nested(100_000)]
remedy = "the codec 'pickle'"
never_paths = [
    ({"a": [0, {"b": (1,)}]}, r"value\['a'\]\[1\]\['b'\]: YAML has no tuple"),
    ({"a": {(1, 2): 0}}, r"value\['a'\]: YAML keys are"),
]

tokens = st.sampled_from([*"[]{}:,-?#&*!|>'\"%@\n \t\\=~", "- ", ": ", "? ", "a", "1", "<<", "---", "...", "!!set", "!!int", "0x", "é", "2024-01-01"])
programs = st.lists(tokens).map(lambda parts: "".join(parts).encode())
laughs = b"a: &a [x]\n" + b"".join(b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in range(98, 110))
hostile = [
    b"", b"# nothing\n", b"a: 1\n---\nb: 2\n", b"--- 1\n--- 2\n", b"\xff", b"[", b"]", b"{", b"[" * 100_000, b"{a: " * 100_000, b"- " * 100_000,
    b"? " * 100_000, laughs, b"&a [*a]", b"&a x", b"*a", b"a: 1\na: 2\n", b"{1: a, true: b}", b"!!set {a, a}", b"!!set {a: 1}",
    b"!!python/object/apply:os.system [echo]", b"!!python/name:os.system", b"!!python/tuple [1]", b"!mine x", b"!<x> y", b"!!map [a]",
    b"!!seq {a: 1}", b"!!omap [a: 1]", b"!!pairs [a: 1]", b"!!set [a]", b"!!str [a]", b"<<: {a: 1}", b"{<<: {a: 1}}", b"=", b"{[a]: 1}", b"{{a: 1}: 1}",
    b"!!int x", b"!!int ''", b"!!int '-'", b"!!float x", b"!!bool x", b"!!timestamp x", b"2024-02-30", b"2024-01-01 25:00:00", b"!!binary \xc3\xa9",
    b"1" * 20_000, b"1:59" + b":59" * 100_000, b"1:59" + b":59" * 300 + b".5", b"a\x00b", b"\x07", b"%YAML 3.0\n--- a",
    b"\t- a", b"'", b'"', b'"\\ud83d\\ude0"', b"a: b: c", b'"\\UF6aaaaa0"', b'"\\U00110000"', b"%TAG ! tag:yaml.org,2002:python/\n--- !tuple [1]",
]  # fmt: skip
collisions = b"{" + b",".join(b"%d: 0" % (n * (2**61 - 1)) for n in range(1, 2000)) + b"}"
refused = [collisions, b"!!set " + collisions]
junk = [b"", b"\xff\xfe", b"[1, 2", b"\x80\x05]", b"{}garbage", b"\x00" * 1000]
large = [["x" * 300_000, "y\n" * 2_000], list(range(8_000))]
