"""Avro: an object container file with one record, which holds its schema, so that any Avro reader can read it."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro

from store.classes.lookup import Lookup
from store.classes.shown import shown
from store.codecs.avro.file import packed, unpacked
from store.codecs.avro.schema import BOUNDED_DECIMAL, MAX_DECIMAL_BYTES, MAX_DEPTH, Shape, checked
from store.codecs.formats import MAX_SHOWN, Format
from store.codecs.plain import Plain, beyond_64_bits, no_surrogates, same
from store.errors import NotSerializable

_PLAIN = Plain(
    "Avro",
    {type(None): None, bool: None, int: beyond_64_bits, float: None, str: no_surrogates, bytes: None},
    {str: no_surrogates},
)
# Errors of fastavro for values that do not fit and for invalid bytes: they have no common base class.
_ERRORS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, EOFError, RecursionError)


class AvroCodec(Format):
    """Avro 1.11, with a schema of the program (a dict, as in JSON), or with one inferred from each value.

    Without a schema it holds None, bool, int of 64 bits, float, str, bytes, list and dict with str keys. With one, it
    holds all values that fit, including logical types, and records come back as dicts. Reading uses the schema in the
    record.

    Raises:
        ValueError: it is not an Avro schema.
    """

    def __init__(self, schema: Any = None) -> None:
        self._schema = schema
        self._own = None if schema is None else _parsed(schema)
        super().__init__(
            "avro", "Avro", encode=self._encoded, decode=_decode, restricted=_restricted,
            errors=(*_ERRORS, fastavro.schema.SchemaParseException), bytes_are="an Avro file with one record",
            show=_text,
        )  # fmt: skip

    def __reduce__(self) -> Any:
        return AvroCodec, (self._schema,)

    def _encoded(self, value: Any) -> bytes:
        text, schema = self._own or _inferred(value)
        if _is_deep(value):
            raise NotSerializable(f"Avro values nest at most {MAX_DEPTH} deep here; use the codec 'pickle'")
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, value, strict=True, disable_tuple_notation=True)
        data = out.getvalue()
        if not same(_read(schema, data), value, ordered=self._own is None):
            raise NotSerializable(
                "value: a part of it would not round-trip through Avro; give it exactly the types of "
                "the schema, or use the codec 'pickle'"
            )
        return packed(text.encode(), data)


def _parsed(schema: Any) -> tuple[str, Any]:
    """(JSON, parsed schema); later changes to the dict passed in have no effect."""
    if isinstance(schema, dict):  # fastavro marks parsed schemas
        schema = {key: item for key, item in schema.items() if not str(key).startswith("__")}
    try:
        text = json.dumps(schema, separators=(",", ":"))
        return text, fastavro.parse_schema(json.loads(text))
    except (*_ERRORS, fastavro.schema.SchemaParseException) as exc:
        raise ValueError(f"AvroCodec takes an Avro schema, and this is none: {exc!r:.300}") from exc


def _inferred(value: Any) -> tuple[str, Any]:
    _PLAIN.check(value)
    shape = Shape()
    shape.add(value)
    return _parsed(shape.schema())


def _is_deep(value: Any) -> bool:
    """Whether a value is nested too deep for fastavro, which recurses in C; a cycle counts as too deep."""
    level = [value] if isinstance(value, _GROUPS) else []
    for _ in range(MAX_DEPTH + 1):
        inner = (part for item in level for part in (item.values() if isinstance(item, dict) else item))
        level = list({id(part): part for part in inner if isinstance(part, _GROUPS)}.values())
        if not level:
            return False
    return True


_GROUPS = list, tuple, dict


def _decode(body: bytes, _: Lookup) -> Any:
    schema, data = unpacked(body)
    return _read(fastavro.parse_schema(json.loads(str(schema, "utf-8"))), data)


def _restricted(body: bytes, _: Lookup) -> Any:
    schema, data = unpacked(body)
    return _read(fastavro.parse_schema(checked(json.loads(str(schema, "utf-8")))), data)


def _text(body: bytes, value: Any) -> str:
    return f"schema: {str(unpacked(body)[0], 'utf-8')}\nvalue: {shown(value, MAX_SHOWN)}"


def _read(schema: Any, data: bytes) -> Any:
    """The one record. Raises: ValueError and others of `_ERRORS`."""
    stream = io.BytesIO(data)
    value = fastavro.schemaless_reader(stream, schema, None)
    if stream.tell() != len(data):
        raise ValueError("bytes are left over after the record")
    return value


def _read_decimal(data: bytes, writer_schema: Any = None, reader_schema: Any = None) -> Any:
    """The decimal, read by fastavro. Raises: ValueError: it has too many bytes to convert."""
    if len(data) > MAX_DECIMAL_BYTES:
        raise ValueError(f"a decimal has more than {MAX_DECIMAL_BYTES} bytes")
    return fastavro.read.LOGICAL_READERS["bytes-decimal"](data, writer_schema, reader_schema)


fastavro.read.LOGICAL_READERS[f"bytes-{BOUNDED_DECIMAL}"] = _read_decimal

codec = AvroCodec()
