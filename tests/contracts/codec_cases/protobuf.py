"""What the codec protobuf can hold, what it cannot, and bytes that are none of its own."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st

Field = descriptor_pb2.FieldDescriptorProto
PACKAGE = "store_contract"


def file() -> Any:
    """A file of types such as `protoc` would have made."""
    found = descriptor_pb2.FileDescriptorProto(name="store_contract.proto", package=PACKAGE, syntax="proto3")
    color = found.enum_type.add(name="Color")
    for number, name in enumerate(("RED", "BLUE")):
        color.value.add(name=name, number=number)
    tree = found.message_type.add(name="Tree")
    tree.oneof_decl.add(name="choice")
    one, many = Field.LABEL_OPTIONAL, Field.LABEL_REPEATED
    tree.field.add(name="name", number=1, label=one, type=Field.TYPE_STRING)
    tree.field.add(name="children", number=2, label=many, type=Field.TYPE_MESSAGE, type_name=f".{PACKAGE}.Tree")
    tree.field.add(name="flags", number=3, label=many, type=Field.TYPE_BOOL)
    tree.field.add(name="color", number=4, label=one, type=Field.TYPE_ENUM, type_name=f".{PACKAGE}.Color")
    tree.field.add(name="weight", number=5, label=one, type=Field.TYPE_DOUBLE, oneof_index=0)
    tree.field.add(name="raw", number=6, label=one, type=Field.TYPE_BYTES, oneof_index=0)
    for number, (name, key) in enumerate((("by_name", Field.TYPE_STRING), ("by_number", Field.TYPE_INT64)), 7):
        entry = tree.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=one, type=key)
        entry.field.add(name="value", number=2, label=one, type=Field.TYPE_INT64)
        where = f".{PACKAGE}.Tree.{entry.name}"
        tree.field.add(name=name, number=number, label=many, type=Field.TYPE_MESSAGE, type_name=where)
    wide = found.message_type.add(name="Wide")
    wide.field.add(name="inner", number=1, label=many, type=Field.TYPE_MESSAGE, type_name=f".{PACKAGE}.Wide")
    for number in range(2, 600):
        wide.field.add(name=f"f{number}", number=number, label=one, type=Field.TYPE_INT64)
    return found


pool = descriptor_pool.Default()
pool.AddSerializedFile(file().SerializeToString())
Tree = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.Tree"))
elsewhere = descriptor_pool.DescriptorPool()
elsewhere.AddSerializedFile(file().SerializeToString().replace(PACKAGE.encode(), b"store_elsewher"))
Elsewhere = message_factory.GetMessageClass(elsewhere.FindMessageTypeByName("store_elsewher.Tree"))


numbers = st.integers(-(2**63), 2**63 - 1)
maps = {
    "by_name": st.dictionaries(st.text(max_size=5), numbers, max_size=4), "by_number": st.dictionaries(numbers, numbers, max_size=4),
}  # fmt: skip
fields: dict[str, Any] = {
    "name": st.text(max_size=9), "flags": st.lists(st.booleans(), max_size=5), "color": st.integers(0, 5), **maps,
}  # fmt: skip
choices = st.fixed_dictionaries({"weight": st.floats()}) | st.fixed_dictionaries({"raw": st.binary()}) | st.just({})
flat = st.builds(lambda given, choice: Tree(**given, **choice), st.fixed_dictionaries({}, optional=fields), choices)
trees = st.recursive(
    flat, lambda inner: st.builds(lambda name, kids: Tree(name=name, children=kids), st.text(max_size=5), st.lists(inner, max_size=3)), max_leaves=8
)
structs = st.dictionaries(st.text(), st.none() | st.booleans() | st.floats() | st.text(), max_size=4)
values = (
    trees | structs.map(lambda given: (made := Struct(), made.update(given))[0])
    | st.builds(Timestamp, seconds=st.integers(-(2**40), 2**40), nanos=st.integers(0, 999_999_999))
)  # fmt: skip


def same(one: Any, other: Any) -> bool:
    """NaN is not equal to itself, in messages neither."""
    return type(one) is type(other) and one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)


sample = Tree(name="a", weight=2.5, flags=[True], children=[Tree(name="é")], by_name={"x": 1}, by_number={7: 8})
shown = (f"{PACKAGE}.Tree", '"é"', "2.5")
changed = Tree(name="other")
unknown = Tree()
unknown.MergeFromString(b"\xf8\x07\x05")  # a field that only a later version of the type has
whole: list[Any] = [Tree(), Struct(), Value(null_value=0), Timestamp(seconds=1), AnyMessage(), unknown]


def inside(value: Any) -> tuple[Any, ...]:
    return ()


def nested(depth: int) -> Any:
    top = inner = Tree()
    for _ in range(depth):
        inner = inner.children.add()
    return top


never = [None, 1, "x", b"x", {}, [Tree()], (1,), Tree, Elsewhere(name="a"), nested(150)]
remedy = "the codec 'pickle'"
never_paths = [
    ({"a": 1}, "value: protobuf holds messages and nothing else, not dict"),
    (Elsewhere(), "value: store_elsewher.Tree is no type of the default descriptor pool"),
]


def packed(name: str, body: bytes) -> bytes:
    return AnyMessage(type_url=f"type.googleapis.com/{name}", value=body).SerializeToString()


def tree(body: bytes) -> bytes:
    return packed(f"{PACKAGE}.Tree", body)


def varint(number: int) -> bytes:
    found = b""
    while number > 0x7F:
        found, number = found + bytes([number & 0x7F | 0x80]), number >> 7
    return found + bytes([number])


def sized(field: int, body: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(body)) + body


deep = b""
for _ in range(200):
    deep = sized(2, deep)
parts = st.sampled_from([b"\x0a", b"\x12", b"\x1a", b"\x20", b"\x29", b"\x3a", b"\x42", b"\x43", b"\x44", b"\x00", b"\x02", b"\x08\x01", b"\xff", b"a"])
programs = st.lists(parts | st.binary(max_size=3)).map(lambda found: tree(b"".join(found)))
hostile = [
    b"", b"\x0a", b"\xff" * 50, packed("", b""), packed("no.such.Type", b""), packed("NoSuchType", b""), packed("x" * 10_000, b""),
    tree(b"\xff"), tree(b"\x0a\x05a"), tree(b"\x0a\x01\xff"), tree(b"\x1a" + varint(2**40) + b"\x01"), tree(b"\x12\x01\xff"), tree(b"\x00\x00"),
    tree(b"\x0c"), tree(b"\x0b"), tree(b"\x23" * 100_000), tree(deep), tree(b"\x0f"), tree(b"\xff" * 10 + b"\x01"), tree(b"\x29\0"), tree(b"\x2d\0"),
]  # fmt: skip
refused = [
    tree(b"".join(sized(8, b"\x08" + varint(number << 32 | number)) for number in range(1, 21_000))),  # they collide
    packed(f"{PACKAGE}.Wide", b"\x0a\x00" * 50_000),
]
junk = [b"", b"\xff\xfe", b"[1, 2", b"\x80\x05]", b"{}garbage", b"N.N.", b"\x00" * 1000, tree(b"\xff"), packed("no.such.Type", b"")]
large = [Tree(name="x" * 5_000_000), Tree(children=[Tree(name=str(number)) for number in range(20_000)])]
