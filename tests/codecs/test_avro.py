"""The codec avro: schemas of the program's own, and files that other readers of Avro read."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

fastavro = pytest.importorskip("fastavro", reason="the codec avro needs fastavro: pip install fastavro")

from store import Store  # noqa: E402
from store.codecs.avro.codec import AvroCodec, codec  # noqa: E402
from store.codecs.avro.file import packed, unpacked  # noqa: E402
from store.errors import Corrupt, NotSerializable  # noqa: E402

USER: dict[str, Any] = {
    "type": "record", "name": "User", "namespace": "app",
    "fields": [
        {"name": "name", "type": "string"},
        {"name": "age", "type": ["null", "int"], "default": None},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["ADMIN", "GUEST"]}},
        {"name": "other", "type": {"type": "array", "items": "Kind"}},
    ],
}  # fmt: skip
ANN = {"name": "Ann", "age": None, "kind": "ADMIN", "other": ["GUEST"]}


def both(body: bytes) -> Iterator[Any]:
    """What the registered codec makes of a record, in full and with restraint."""
    yield codec.decode(body)
    yield codec.decode_restricted(body, allow={})


def test_schema_of_the_program_is_in_the_record() -> None:
    own = AvroCodec(USER)
    body = own.encode(ANN, 1)
    assert (own.name, own.protocols) == (codec.name, codec.protocols)
    assert list(both(body)) == [ANN, ANN]
    assert json.loads(unpacked(body)[0]) == USER


def test_schema_that_fastavro_has_parsed_is_taken() -> None:
    assert AvroCodec(fastavro.parse_schema(USER)).decode(AvroCodec(USER).encode(ANN, 1)) == ANN
    assert list(both(AvroCodec(fastavro.parse_schema(USER)).encode(ANN, 1))) == [ANN, ANN]


def test_schema_that_is_changed_later_does_not_change_the_codec() -> None:
    schema = json.loads(json.dumps(USER))
    own = AvroCodec(schema)
    schema["fields"].clear()
    assert codec.decode(own.encode(ANN, 1)) == ANN


@pytest.mark.parametrize("schema", [{"type": "nothing"}, "User", {}, 5, object(), {"type": "array"}, {1: object()}])
def test_schema_that_is_none(schema: Any) -> None:
    with pytest.raises(ValueError, match="AvroCodec takes an Avro schema, and this is none"):
        AvroCodec(schema)


@pytest.mark.parametrize(
    "value",
    [
        {**ANN, "age": "x"}, {**ANN, "age": 2**31}, {**ANN, "kind": "KING"}, {**ANN, "more": 1}, {"name": "Ann"}, None, "Ann", [ANN],
        {**ANN, "age": 1.0}, {**ANN, "age": True}, {**ANN, "other": ("GUEST",)}, {**ANN, "name": b"Ann"}, {**ANN, "name": "\ud83d"},
    ],
)  # fmt: skip
def test_value_that_does_not_fit_the_schema(value: Any) -> None:
    with pytest.raises(NotSerializable, match="the codec 'pickle'"):
        AvroCodec(USER).encode(value, 1)


@pytest.mark.parametrize("schema, value", [("float", 0.1), ("double", 1), ("bytes", bytearray(b"x"))])
def test_value_that_would_come_back_changed(schema: Any, value: Any) -> None:
    with pytest.raises(NotSerializable, match="would not round-trip through Avro"):
        AvroCodec(schema).encode(value, 1)


LOGICAL = [
    ("int", "date", date(2024, 2, 29)), ("int", "time-millis", time(1, 2, 3, 4000)), ("long", "time-micros", time(1, 2, 3, 4)),
    ("long", "timestamp-micros", datetime(2024, 1, 1, microsecond=7, tzinfo=UTC)),
    ("long", "timestamp-millis", datetime(2024, 1, 1, microsecond=7000, tzinfo=UTC)),
    ("long", "local-timestamp-micros", datetime(2024, 1, 1)), ("string", "uuid", UUID(int=5)),
]  # fmt: skip


@pytest.mark.parametrize("kind, logical, value", LOGICAL)
def test_logical_type_round_trips(kind: str, logical: str, value: Any) -> None:
    assert list(both(AvroCodec({"type": kind, "logicalType": logical}).encode(value, 1))) == [value, value]


@pytest.mark.parametrize("where", [{"type": "bytes"}, {"type": "fixed", "size": 8, "name": "F"}])
def test_decimal_round_trips(where: dict[str, Any]) -> None:
    own = AvroCodec({**where, "logicalType": "decimal", "precision": 9, "scale": 2})
    for value in (Decimal("1.25"), Decimal("-1234567.89"), Decimal("0.00")):
        assert [repr(found) for found in both(own.encode(value, 1))] == [repr(value)] * 2
    with pytest.raises(NotSerializable):
        own.encode(Decimal("1.234"), 1)


def test_moment_in_another_zone_is_not_turned_into_utc() -> None:
    with pytest.raises(NotSerializable, match="would not round-trip"):
        AvroCodec({"type": "long", "logicalType": "timestamp-micros"}).encode(
            datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1))), 1
        )


LIST = {"type": "record", "name": "L", "fields": [{"name": "next", "type": ["null", "L"]}]}


def chain(length: int) -> dict[str, Any]:
    value: dict[str, Any] = {"next": None}
    for _ in range(length):
        value = {"next": value}
    return value


def test_recursive_schema_is_read_in_full_and_not_with_restraint() -> None:
    body = AvroCodec(LIST).encode(chain(100), 1)
    assert codec.decode(body) == chain(100)
    with pytest.raises(Corrupt, match="has the type 'L' inside itself"):
        codec.decode_restricted(body, allow={})


def test_recursive_value_that_is_too_deep_is_refused_before_fastavro_sees_it() -> None:
    for value in (chain(300), chain(100_000)):
        with pytest.raises(NotSerializable, match="at most 200 deep"):
            AvroCodec(LIST).encode(value, 1)


def test_cycle_with_two_branches_is_refused_at_once() -> None:
    value: dict[str, Any] = {}
    value["a"], value["b"] = value, value
    with pytest.raises(NotSerializable):
        AvroCodec({"type": "map", "values": "long"}).encode(value, 1)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=10,
)  # fmt: skip


@given(value=plain)
@settings(max_examples=50, deadline=None)
@pytest.mark.slow
def test_other_readers_of_avro_read_the_record(value: Any) -> None:
    assert list(fastavro.reader(io.BytesIO(codec.encode(value, 1)))) == [value]


def test_file_of_another_writer_is_read() -> None:
    out = io.BytesIO()
    fastavro.writer(out, USER, [ANN])
    assert list(both(out.getvalue())) == [ANN, ANN]


def test_file_of_two_records_or_compressed_is_refused() -> None:
    for records, how in (([ANN, ANN], "null"), ([], "null"), ([ANN], "deflate")):
        out = io.BytesIO()
        fastavro.writer(out, USER, records, codec=how)
        with pytest.raises(Corrupt):
            codec.decode(out.getvalue())


def test_unions_are_merged_and_keep_the_order_of_keys() -> None:
    value = [{"b": 1, "a": [None]}, {"a": [2.5, "x"]}, []]
    body = codec.encode(value, 1)
    inner = {"type": "array", "items": ["null", "double", "string"]}
    assert json.loads(unpacked(body)[0]) == {
        "type": "array",
        "items": [{"type": "array", "items": ["null"]}, {"type": "map", "values": ["long", inner]}],
    }
    assert list(codec.decode(body)[0]) == ["b", "a"]


def test_map_of_nothing_of_another_writer_is_read_with_restraint() -> None:
    schema = json.dumps({"type": "map", "values": "null"}).encode()
    assert codec.decode_restricted(packed(schema, b"\x02\x02a\x00"), allow={}) == {"a": None}


def test_schema_whose_references_double_is_refused_before_anything_is_read() -> None:
    inner: Any = "null"
    for number in range(40):
        fields = [{"name": "a", "type": inner}, {"name": "b", "type": f"A{number - 1}" if number else "null"}]
        inner = {"type": "record", "name": f"A{number}", "fields": fields}
    with pytest.raises(Corrupt, match="asks for more than its bytes can hold"):
        codec.decode_restricted(packed(json.dumps(inner).encode(), b""), allow={})


def test_schema_of_the_program_in_a_store(place: str) -> None:
    user = {"type": "record", "name": "User", "fields": [{"name": "name", "type": "string"}, {"name": "n", "type": "int"}]}
    with Store[Any](place, codec=AvroCodec(user)) as s:
        s["a"] = {"name": "Ann", "n": 1}
        with s.edit("a") as value:
            value["n"] = 2
        assert (s.record("a").codec, s["a"]) == ("avro", {"name": "Ann", "n": 2})
        with pytest.raises(NotSerializable, match="record 'b': Avro cannot hold the value"):
            s["b"] = {"name": "Bob"}
    with Store[Any](place) as s:  # the schema lies in the record
        assert s["a"] == {"name": "Ann", "n": 2}
        s.put("c", [1, None, "x"], codec="avro")
        assert s["c"] == [1, None, "x"]
