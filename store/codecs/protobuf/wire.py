"""The cost of parsing a foreign protobuf message, found by walking its wire format.

The library parses in time and memory linear in the bytes, with two exceptions: an empty message of two bytes takes
memory for all fields of its type, and integer keys of a map can be chosen to collide.
"""

from __future__ import annotations

from typing import Any

from store.codecs.refusals import too_much
from store.codecs.restricted.limits import BASE_BYTES, BYTES_PER_BYTE
from store.errors import Corrupt

MAX_INTEGER_KEYS = 20_000  # in all maps together: a second of work if all collide
MESSAGE_BYTES, FIELD_BYTES = 64, 16  # memory of a message, and of each field of its type
MAX_DEPTH = 100  # of messages in messages: the library's limit

_VARINT, _FIXED64, _SIZED, _START_GROUP, _END_GROUP, _FIXED32 = range(6)
_STRING = 9  # FieldDescriptor.TYPE_STRING


def check_cost(data: bytes, descriptor: Any) -> None:
    """Raises: Corrupt: the bytes are not a message, or parsing would cost more than their size allows."""
    _Walk(data).run(descriptor)


class _Walk:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.left = BASE_BYTES + BYTES_PER_BYTE * len(data)
        self.integer_keys = 0
        self.fields: dict[str, dict[int, Any]] = {}  # full name of a type → its fields that are messages
        self.open: list[tuple[int, Any, bool]] = []  # (end, type or None if unknown, whether it is a group)

    def run(self, descriptor: Any) -> None:
        self._enter(len(self.data), descriptor, group=False)
        while self.open:
            end, kind, group = self.open[-1]
            if self.at > end or (self.at == end and group):
                raise _bad()
            if self.at == end:
                self.open.pop()
            else:
                self._field(end, kind, group)

    def _field(self, end: int, kind: Any, group: bool) -> None:
        tag = self._varint()
        wire, inner = tag & 7, self._messages(kind).get(tag >> 3) if kind else None
        if wire == _VARINT:
            self._varint()
        elif wire == _FIXED64:
            self.at += 8
        elif wire == _FIXED32:
            self.at += 4
        elif wire == _SIZED:
            size = self._varint()
            if size > end - self.at:
                raise _bad()
            if inner is None:
                self.at += size
            else:
                self._enter(self.at + size, inner, group=False)
        elif wire == _START_GROUP:
            self._enter(end, inner, group=True)
        elif wire == _END_GROUP and group:
            self.open.pop()
        else:
            raise _bad()

    def _enter(self, end: int, kind: Any, group: bool) -> None:
        self.open.append((end, kind, group))
        if len(self.open) > MAX_DEPTH:
            raise too_much(f"it nests messages more than {MAX_DEPTH} deep")
        if kind is None:
            return
        self.left -= MESSAGE_BYTES + FIELD_BYTES * len(kind.fields)
        if self.left < 0:
            raise too_much("it would take more memory than a message of its size can need")
        options = kind.GetOptions()
        if options.message_set_wire_format:
            raise too_much("it has a type in the message set format, which is not read from foreign records")
        if options.map_entry and kind.fields_by_number[1].type != _STRING:
            self.integer_keys += 1
            if self.integer_keys > MAX_INTEGER_KEYS:
                raise too_much(f"it has more than {MAX_INTEGER_KEYS} integers as keys of maps")

    def _messages(self, kind: Any) -> dict[int, Any]:
        found = self.fields.get(kind.full_name)
        if found is None:
            extensions = kind.file.pool.FindAllExtensions(kind) if kind.is_extendable else ()
            members = [*kind.fields, *extensions]
            found = {field.number: field.message_type for field in members if field.message_type is not None}
            self.fields[kind.full_name] = found
        return found

    def _varint(self) -> int:
        value = shift = 0
        while shift < 70:
            if self.at >= len(self.data):
                raise _bad()
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise _bad()


def _bad() -> Corrupt:
    return Corrupt("the bytes are not a protobuf message: its fields do not end where they should")
