"""The codec protobuf: types that moved or are gone, required and unknown fields, and what others may not ask for."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("google.protobuf", reason="the codec protobuf needs protobuf: pip install protobuf")

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

from store.classes.lookup import Lookup
from store.codecs.protobuf import wire as protobuf_wire
from store.codecs.protobuf.codec import codec
from store.errors import Corrupt, NotSerializable

Field = descriptor_pb2.FieldDescriptorProto


def define(package: str, syntax: str, label: int = Field.LABEL_OPTIONAL) -> Any:
    """The class of a message with a group of fields, defined once for a package."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax=syntax)
    user = file.message_type.add(name="User")
    user.field.add(name="name", number=1, label=label, type=Field.TYPE_STRING)
    user.field.add(name="age", number=2, label=Field.LABEL_OPTIONAL, type=Field.TYPE_INT64)
    if syntax == "proto2":
        user.extension_range.add(start=100, end=200)
        user.field.add(name="next", number=3, label=Field.LABEL_OPTIONAL, type=Field.TYPE_MESSAGE, type_name=f".{package}.User")
        file.extension.add(
            name="more", number=100, label=Field.LABEL_REPEATED, type=Field.TYPE_MESSAGE, type_name=f".{package}.User",
            extendee=f".{package}.User",
        )  # fmt: skip
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(f"{package}.User"))


Old, New = define("store_unit_old", "proto3"), define("store_unit_new", "proto3")
Strict = define("store_unit_strict", "proto2", Field.LABEL_REQUIRED)


def packed(name: str, body: bytes) -> bytes:
    return any_pb2.Any(type_url=f"type.googleapis.com/{name}", value=body).SerializeToString()


@pytest.mark.parametrize(
    "renames",
    [{"store_unit_old.User": "store_unit_new.User"}, {"store_unit_old": "store_unit_new"}],
)
def test_type_that_moved_is_found_under_its_new_name(renames: dict[str, str]) -> None:
    body = codec.encode(Old(name="Ann", age=7), 1)
    for decoded in (codec.decode(body, lookup=Lookup(renames)), codec.decode_restricted(body, allow={}, lookup=Lookup(renames))):
        assert type(decoded) is New
        assert (decoded.name, decoded.age) == ("Ann", 7)
    assert type(codec.decode(body)) is Old


def test_type_without_a_package_may_move() -> None:
    assert type(codec.decode(packed("User", b""), lookup=Lookup({"User": "store_unit_new.User"}))) is New


def test_type_that_is_not_there_is_named() -> None:
    with pytest.raises(Corrupt, match=r"'gone\.User' is not known.*import the generated module.*renames="):
        codec.decode(packed("gone.User", b""))
    with pytest.raises(Corrupt, match=r"'gone\.User' is not known to this program, nor is 'lost\.User'"):
        codec.decode(packed("gone.User", b""), lookup=Lookup({"gone": "lost"}))


def test_required_field_that_is_missing() -> None:
    with pytest.raises(NotSerializable, match=r"store_unit_strict\.User cannot be written: .*name"):
        codec.encode(Strict(age=1), 1)
    for decode in (codec.decode, lambda body: codec.decode_restricted(body, allow={})):
        with pytest.raises(Corrupt, match=r"store_unit_strict\.User"):
            decode(packed("store_unit_strict.User", b"\x10\x01"))


def test_unknown_fields_survive() -> None:
    value = New.FromString(b"\x0a\x01a\xf8\x07\x05")
    for decoded in (codec.decode(codec.encode(value, 1)), codec.decode_restricted(codec.encode(value, 1), allow={})):
        assert decoded.SerializeToString().endswith(b"\xf8\x07\x05")


def test_body_is_an_any_that_other_programs_read() -> None:
    found = any_pb2.Any.FromString(codec.encode(Old(name="a"), 1))
    assert found.Is(Old.DESCRIPTOR)
    again = Old()
    assert found.Unpack(again)
    assert again.name == "a"


def test_any_of_another_program_is_read() -> None:
    found = any_pb2.Any()
    found.Pack(Old(name="a"), "example.org/types/")
    assert codec.decode(found.SerializeToString()).name == "a"


def test_extensions_count_as_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protobuf_wire, "BASE_BYTES", 1000)
    field = b"\xa2\x06\x03\x0a\x01a"  # number 100, a message with a name
    body = packed("store_unit_strict.User", b"\x0a\x01a" + field * 3)
    assert codec.decode_restricted(body, allow={}).name == "a"
    with pytest.raises(Corrupt, match="more memory than a message of its size"):
        codec.decode_restricted(packed("store_unit_strict.User", b"\x0a\x01a" + b"\xa2\x06\x00" * 1_000), allow={})


def test_describe_of_an_any_of_an_unknown_type_does_not_raise() -> None:
    inner = any_pb2.Any(type_url="type.googleapis.com/gone.User", value=b"\xff")
    names, text, problem = codec.describe(codec.encode(inner, 1))
    assert names == ()
    assert "gone.User" in text
    assert problem is None


def test_describe_is_cut() -> None:
    _, text, problem = codec.describe(codec.encode(Old(name="x" * 500_000), 1))
    assert text.endswith("... cut after 100000 characters")
    assert problem is None
