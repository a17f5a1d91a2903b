"""Avro schemas: inferring the schema of a plain value, and checking the schema of a foreign record."""

from __future__ import annotations

from typing import Any

from store.classes.lookup import MAX_NAME
from store.codecs.refusals import too_much
from store.errors import Corrupt, NotSerializable

MAX_DEPTH = 200  # of containers, and of types in types: fastavro recurses in C without a check
MAX_NODES = 10_000  # types in the schema of a foreign record
NODES_PER_BYTE = 4  # parts of a value for each of its bytes, plus
SPARE_NODES = 100_000  # this many in all
MAX_DIGITS = 1_000  # of a decimal
MAX_DECIMAL_BYTES = 500  # converting takes quadratic time
BOUNDED_DECIMAL = "store-bounded-decimal"  # logical type that reads `decimal` with that bound; never in a record

# bool before integers before floats: fastavro writes the first branch of a union that fits.
_LEAVES = {type(None): "null", bool: "boolean", int: "long", float: "double", str: "string", bytes: "bytes"}
_PRIMITIVES = {*_LEAVES.values(), "int", "float"}
_LOGICAL = {
    ("int", "date"), ("int", "time-millis"), ("long", "time-micros"), ("string", "uuid"),
    ("bytes", "decimal"), ("fixed", "decimal"), ("long", "timestamp-millis"), ("long", "timestamp-micros"),
    ("long", "local-timestamp-millis"), ("long", "local-timestamp-micros"),
}  # fmt: skip


# -- inferring


class Shape:
    """The types found at one place of a value; all arrays there share one shape of items, and all maps another."""

    def __init__(self) -> None:
        self.leaves: set[str] = set()
        self.items: Shape | None = None
        self.values: Shape | None = None

    def add(self, value: Any, depth: int = 0) -> None:
        """Note the types of a value. Raises: NotSerializable: it is nested too deep."""
        leaf = _LEAVES.get(type(value))
        if leaf:
            self.leaves.add(leaf)
            return
        if depth == MAX_DEPTH:
            raise NotSerializable(f"Avro values are nested at most {MAX_DEPTH} deep here; use the codec 'pickle'")
        if type(value) is list:
            self.items = inner = self.items or Shape()
        else:
            self.values = inner = self.values or Shape()
            value = value.values()
        for item in value:
            inner.add(item, depth + 1)

    def schema(self, *, inside: bool = False) -> Any:
        """The schema. Items in a container never take zero bytes, so that a few bytes cannot announce many."""
        found: list[Any] = [leaf for leaf in _LEAVES.values() if leaf in self.leaves]
        if self.items:
            found.append({"type": "array", "items": self.items.schema(inside=True)})
        if self.values:
            found.append({"type": "map", "values": self.values.schema(inside=True)})
        if inside and found in ([], ["null"]):
            return ["null"]
        return found[0] if len(found) == 1 else found


# -- checking


def checked(schema: Any) -> Any:
    """The schema with only known attributes and full names, if reading with it is bounded by the bytes that are read.

    Raises:
        Corrupt: it is not a schema, it refers to itself, or its values have many parts that take no bytes.
    """
    found = _Checking()
    clean, excess = found.type(schema, "", 0)
    if excess > SPARE_NODES:
        raise too_much("its schema asks for more than its bytes can hold")
    return clean


class _Checking:
    """Computes the excess of each type: how many parts more than `NODES_PER_BYTE` per byte a value of it may have.

    Sums over fields and maxima over branches bound it for a whole record. The items of arrays and maps must have no
    excess, so that their number does not matter.
    """

    def __init__(self) -> None:
        self.nodes = 0
        self.named: dict[str, int | None] = {}  # full name → excess, None while its type is not complete

    def type(self, schema: Any, namespace: str, depth: int) -> tuple[Any, int]:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise too_much("its schema has too many types, or nests them too deep")
        if isinstance(schema, list):
            return self._union(schema, namespace, depth)
        if isinstance(schema, str):
            return (schema, _excess(schema)) if schema in _PRIMITIVES else self._reference(schema, namespace)
        kind = schema.get("type") if isinstance(schema, dict) else None
        if isinstance(kind, dict | list) and len(schema) == 1:
            return self.type(kind, namespace, depth + 1)
        if isinstance(kind, str) and kind in _PRIMITIVES:
            return {"type": kind, **_logical(kind, schema)}, _excess(kind)
        if kind == "array" or kind == "map":
            return self._container(kind, schema, namespace, depth)
        if kind in ("record", "enum", "fixed"):
            return self._definition(kind, schema, namespace, depth)
        raise Corrupt(f"the bytes have an unknown kind of Avro schema: {schema!r:.80}")

    def _union(self, schema: list[Any], namespace: str, depth: int) -> tuple[Any, int]:
        found = [self.type(branch, namespace, depth + 1) for branch in schema]
        if not found:
            raise Corrupt("the bytes have an Avro schema with an empty union")
        return [branch for branch, _ in found], _excess("union") + max(excess for _, excess in found)

    def _reference(self, name: str, namespace: str) -> tuple[Any, int]:
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        if len(full) > MAX_NAME or full not in self.named:
            raise Corrupt(f"the bytes have an Avro schema without the type {full!r:.80}, which it uses")
        excess = self.named[full]
        if excess is None:
            raise too_much(f"its schema has the type {full!r:.80} inside itself")
        return full, excess

    def _container(self, kind: str, schema: dict[str, Any], namespace: str, depth: int) -> tuple[Any, int]:
        what = "items" if kind == "array" else "values"
        inner, excess = self.type(schema.get(what), namespace, depth + 1)
        if excess > (0 if kind == "array" else NODES_PER_BYTE - 1):  # each key of a map also takes a byte
            raise too_much("its schema has a list whose items take too few bytes")
        return {"type": kind, what: inner}, _excess(kind)

    def _definition(self, kind: str, schema: dict[str, Any], namespace: str, depth: int) -> tuple[Any, int]:
        name, inside = schema.get("name"), schema.get("namespace", namespace)
        if not isinstance(name, str) or not isinstance(inside, str):
            raise Corrupt("the bytes have an Avro schema with a type that has no name")
        full = name if "." in name or not inside else f"{inside}.{name}"
        if len(full) > MAX_NAME:
            raise too_much(f"its schema has a type whose name has more than {MAX_NAME} characters")
        if full in self.named or full in _PRIMITIVES:
            raise Corrupt(f"the bytes have an Avro schema with two types {full!r:.80}")
        self.named[full] = None
        clean: dict[str, Any] = {"type": kind, "name": full}
        if kind == "record":
            excess = self._fields(clean, schema.get("fields"), full.rpartition(".")[0], depth)
        elif kind == "enum":
            clean["symbols"], excess = schema.get("symbols"), _excess(kind)
        else:
            clean["size"] = size = _natural(schema.get("size"))
            clean |= _logical(kind, schema)
            if clean.get("logicalType") and size > MAX_DECIMAL_BYTES:
                raise too_much(f"its schema has decimals of more than {MAX_DIGITS} digits")
            excess = 1 - NODES_PER_BYTE * size
        self.named[full] = excess
        return clean, excess

    def _fields(self, clean: dict[str, Any], fields: Any, namespace: str, depth: int) -> int:
        clean["fields"], excess = [], 1
        if not isinstance(fields, list) or not all(
            isinstance(field, dict) and isinstance(field.get("name"), str) for field in fields
        ):
            raise Corrupt("the bytes have an Avro schema with a record whose fields have no names")
        for field in fields:
            inner, more = self.type(field.get("type"), namespace, depth + 1)
            clean["fields"].append({"name": field.get("name"), "type": inner})
            excess += more
        return excess


def _excess(kind: str) -> int:
    """The excess of a type whose values start with at least one byte, or of null."""
    return 1 if kind == "null" else 1 - NODES_PER_BYTE


def _logical(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The attributes of its logical type. Unknown ones are refused: the program may have registered code for them."""
    logical = schema.get("logicalType")
    if logical is None:
        return {}
    if not isinstance(logical, str) or (kind, logical) not in _LOGICAL:
        raise too_much(f"its schema has a logical type that is not known here, {logical!r:.80}")
    if logical != "decimal":
        return {"logicalType": logical}
    precision, scale = _natural(schema.get("precision")), _natural(schema.get("scale", 0))
    if not 1 <= precision <= MAX_DIGITS or scale > precision:
        raise too_much(f"its schema has decimals of more than {MAX_DIGITS} digits, or of none")
    return {
        "logicalType": BOUNDED_DECIMAL if kind == "bytes" else logical, "precision": precision, "scale": scale,
    }  # fmt: skip


def _natural(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**31:
        raise Corrupt(f"the bytes have an Avro schema with {value!r:.80} where it needs a number")
    return value
