"""What the codec avro can hold, what it cannot, and bytes that are none of its own."""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from shapes import Text, cyclic, nested

from store.codecs.avro.file import packed

text = st.text()
leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | text | st.binary()
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5), max_leaves=25
)
shown = ("schema: ", "2.5", '"double"')
whole = [
    None, "", [], {}, 0, False, b"", [None, None], [[], [None]], {"b": None, "a": None}, [{}, {"a": {}}], [True, 1, 1.0, "1", b"1"],
    -(2**63), 2**63 - 1,
]  # fmt: skip


class Whole(int):
    """An int, and not quite."""


never = [
    (1, 2), {1}, bytearray(b"x"), 1j, 2**63, -(2**63) - 1, {1: 2}, {None: 1}, Text("x"), Whole(1), {Text("x"): 1}, OrderedDict(a=1),
    Decimal(1), date(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC), object(), int, "\ud83d", {"\ud83d": 1}, nested(300), cyclic(),
]  # fmt: skip
too_deep = [nested(100_000)]
remedy = "the codec 'pickle'"
never_paths = [({"a": [0, {"b": 2**63}]}, r"value\['a'\]\[1\]\['b'\]: .*64 bits"), (nested(300), "at most 200 deep")]


def file(schema: Any, datum: bytes) -> bytes:
    return packed(schema if isinstance(schema, bytes) else json.dumps(schema).encode(), datum)


def array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def record(name: str, *types: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": f"f{n}", "type": kind} for n, kind in enumerate(types)]}


def doubled(inner: Any) -> Any:
    """A record of 2**60 leaves, in few bytes."""
    for n in range(60):
        inner = record(f"A{n}", inner, f"A{n - 1}" if n else "null")
    return inner


HUGE = b"\xfe" + b"\xff" * 8 + b"\x01"  # 2**63 - 1
good = file("long", b"\2")
schemas = st.recursive(
    st.sampled_from(["null", "long", "string", "bytes", "R", {"type": "int", "logicalType": "date"}, {"type": "enum", "name": "E", "symbols": ["a"]}]),
    lambda inner: st.builds(array, inner) | st.lists(inner, max_size=3) | st.builds(record, st.just("R"), inner, inner)
    | st.builds(lambda values: {"type": "map", "values": values}, inner),
    max_leaves=8,
)  # fmt: skip
programs = st.builds(file, schemas, st.binary(max_size=60))
truncation_is_always_found = True  # each length is there, and the marker at the end
hostile = [
    b"", b"Obj\x01", b"Obj\x02", b"Obj\x01\x00" + b"x" * 16, good + b"\0", good[:-1], good + good, good.replace(b"null", b"defl"),
    good[:-18] + b"\x04" + good[-17:], b"Obj\x01" + HUGE, b"Obj\x01" + b"\xff" * 1000, b"Obj\x01\x02\x01", file("long", b"\2\2"), file("long", b""),
    file(array("long"), HUGE + b"\0" * 10), file("bytes", HUGE + b"x"), file("string", b"\x02\xff"), file(["null", "long"], b"\x04"),
    file(b"{", b""), file(b"\xff", b""), file(b"1", b""), file(b"[" * 100_000, b""), file(b'{"type":' * 100_000, b""), file([], b"\0"), file("R", b"\0"),
    file({"type": "fixed", "name": "F", "size": 2**31 - 1}, b"x"), file({"type": "int", "logicalType": "date"}, HUGE),
    file({"type": "string", "logicalType": "uuid"}, b"\x02a"), file({"type": "enum", "name": "E", "symbols": ["a"]}, b"\x08"),
    file({"type": "enum", "name": "E"}, b"\0"), file({"type": "array"}, b"\0"),
]  # fmt: skip
refused = [
    file({"type": "record", "name": "R"}, b""),
    file(array("null"), HUGE + b"\0"), file(array(record("R")), HUGE + b"\0"), file(array(record("R", "null", "null")), HUGE + b"\0"),
    file(array({"type": "fixed", "name": "F", "size": 0}), HUGE + b"\0"), file(array(record("R", *["null"] * 100, "long")), b"\0"),
    file(record("R", "R"), b""), file(record("R", ["null", "R"]), b"\2" * 100_000), file(array(record("R", array("R"))), b"\2" * 100_000),
    file(doubled("null"), b""), file(doubled("long"), b"\0" * 100), file(record("R", *["null"] * 11_000), b""), file(array("long"), b"\2" * 9),
    file({"type": "bytes", "logicalType": "decimal", "precision": 10**9}, b"\x02a"),
    file({"type": "bytes", "logicalType": "decimal", "precision": 9}, b"\x80\x89\x7a" + b"\x7f" * 1_000_000),
    file({"type": "fixed", "size": 10**6, "name": "F", "logicalType": "decimal", "precision": 9}, b"\x7f" * 10**6),
    file({"type": "long", "logicalType": "their-own"}, b"\0"), file({"type": "fixed", "name": "F", "size": -1}, b""),
    file({"type": "record", "name": "R", "__fastavro_parsed__": True, "__named_schemas": {}, "fields": [{"name": "a", "type": "R"}]}, b""),
    file({"type": "record", "name": "R", "fields": [{"name": 5, "type": "long"}]}, b"\0"), file(array(array(array("R"))), b"\0"),
]  # fmt: skip
nest: Any = "long"
for _ in range(250):
    nest = array(nest)
refused.append(file(nest, b"\2" * 250 + b"\0" * 251))
