"""Protocol Buffers messages, each with the full name of its type; the reading program must have the type."""

from __future__ import annotations

from typing import Any

from google.protobuf import any_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import DecodeError, EncodeError, Message

from store.classes.lookup import MAX_NAME, Lookup
from store.codecs.formats import Format
from store.codecs.protobuf.wire import check_cost
from store.errors import Corrupt, NotSerializable

_ERRORS = (EncodeError, DecodeError, ValueError, RecursionError)


def _encode(value: Any) -> bytes:
    """A `google.protobuf.Any`, serialized deterministically, of a message whose type is in the default pool.

    The pool has a type once the generated module that defines it has been imported.
    """
    if not isinstance(value, Message):
        raise NotSerializable(
            f"value: protobuf holds messages and nothing else, not {type(value).__qualname__}; "
            "use the codec 'json' or the codec 'pickle'"
        )
    full = value.DESCRIPTOR.full_name
    if type(value) is not _class_of(full):
        raise NotSerializable(
            f"value: {full} is no type of the default descriptor pool, so it could not be found again; "
            "define it there, or use the codec 'pickle'"
        )
    try:
        body = value.SerializeToString(deterministic=True)
        if type(value).FromString(body).SerializeToString(deterministic=True) != body:
            raise ValueError("it would not round-trip")
        packed = any_pb2.Any(type_url=f"type.googleapis.com/{full}", value=body)
        return packed.SerializeToString(deterministic=True)
    except _ERRORS as exc:
        raise NotSerializable(f"value: the message {full} cannot be written: {exc}; "
                              "complete it, or use the codec 'pickle'") from exc  # fmt: skip


def _decode(body: bytes, lookup: Lookup) -> Any:
    kind, data = _opened(body, lookup)
    return _parsed(kind, data)


def _restricted(body: bytes, lookup: Lookup) -> Any:
    """A message holds only data, so its type need not be allowed: it is enough that the program has it."""
    kind, data = _opened(body, lookup)
    check_cost(data, kind.DESCRIPTOR)
    return _parsed(kind, data)


def _text(body: bytes, value: Any) -> str:
    try:
        return f"{value.DESCRIPTOR.full_name}\n{text_format.MessageToString(value, as_utf8=True)}"
    except (ValueError, TypeError, RecursionError, MemoryError) as exc:  # it holds an Any of an unknown type
        raise Corrupt(f"it has no text: {exc}") from exc


def _class_of(full: str) -> Any:
    """The message class of a type; None if the pool does not have the type."""
    try:
        return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(full))
    except KeyError:
        return None


def _opened(body: bytes, lookup: Lookup) -> tuple[Any, bytes]:
    """(class, serialized message). Raises: Corrupt: it is not a message, or its type is unknown."""
    packed = any_pb2.Any.FromString(body)
    if len(packed.type_url) > MAX_NAME:
        raise Corrupt(f"the bytes name a message type in more than {MAX_NAME} characters")
    full = packed.type_url.rpartition("/")[2]
    if not full:
        raise Corrupt("the bytes are not a protobuf message with its type: they have no type name")
    package, _, name = full.rpartition(".")
    new = (lookup.renamed(package, name) if package else lookup.renamed(full, "")) or ""
    new = new.rstrip(".")  # for a type outside of packages
    kind = _class_of(new or full)
    if kind is None:
        raise Corrupt(
            f"the message type {full!r:.200} is not known to this program{f', nor is {new!r:.200}' if new else ''}: "
            "import the generated module that defines it, or name its new type: "
            f'Store(renames={{"{full:.200}": "new.name"}})'
        )
    return kind, packed.value


def _parsed(kind: Any, data: bytes) -> Any:
    full = kind.DESCRIPTOR.full_name
    try:
        value = kind.FromString(data)
        complete = value.IsInitialized()
    except _ERRORS as exc:
        raise Corrupt(f"the bytes are not a protobuf message of the type {full}: {exc}") from exc
    if not complete:
        raise Corrupt(f"the bytes are not a protobuf message of the type {full}: required fields are missing")
    return value


codec = Format(
    "protobuf", "protobuf", encode=_encode, decode=_decode, restricted=_restricted, errors=_ERRORS,
    bytes_are="a protobuf message with its type", show=_text,
)  # fmt: skip
