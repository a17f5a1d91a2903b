"""Writes and reads an Avro object container file with one uncompressed record: a schema and a datum as bytes."""

from __future__ import annotations

import hashlib

from store.errors import Corrupt

_MAGIC = b"Obj\x01"
_SYNC_BYTES = 16


def packed(schema: bytes, datum: bytes) -> bytes:
    """The file. Its sync marker, usually random, is a hash of the schema, so that a value has one encoding."""
    sync = hashlib.blake2b(schema, digest_size=_SYNC_BYTES).digest()
    metadata = b"".join(map(_sized, (b"avro.codec", b"null", b"avro.schema", schema)))
    header = _MAGIC + _long(2) + metadata + _long(0) + sync
    return header + _long(1) + _sized(datum) + sync


def unpacked(body: bytes) -> tuple[bytes, bytes]:
    """(schema, datum). Raises: Corrupt: it is not such a file, or does not hold exactly one record."""
    reader = _Reader(body)
    if reader.take(len(_MAGIC)) != _MAGIC:
        raise _bad("they do not begin like one")
    metadata = reader.metadata()
    if metadata.get(b"avro.codec", b"null") != b"null":
        raise _bad("they are compressed, which no record of a store is")
    if b"avro.schema" not in metadata:
        raise _bad("they have no schema")
    sync = reader.take(_SYNC_BYTES)
    if reader.long() != 1:
        raise _bad("they hold more than one record, or none")
    datum = reader.sized()
    if reader.take(_SYNC_BYTES) != sync or reader.position != len(body):
        raise _bad("they do not end where the record does")
    return metadata[b"avro.schema"], datum


class _Reader:
    def __init__(self, body: bytes) -> None:
        self.body = body
        self.position = 0

    def take(self, size: int) -> bytes:
        start, self.position = self.position, self.position + size
        if size < 0 or self.position > len(self.body):
            raise _bad("they end too early")
        return self.body[start : self.position]

    def long(self) -> int:
        """A zigzag variable-length integer."""
        raw = shift = 0
        while shift < 64:
            byte = self.take(1)[0]
            raw |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (raw >> 1) ^ -(raw & 1)
            shift += 7
        raise _bad("they have an integer of more than 64 bits")

    def sized(self) -> bytes:
        return self.take(self.long())

    def metadata(self) -> dict[bytes, bytes]:
        """A map of bytes: blocks of entries, a negative count being followed by the size of its block."""
        found: dict[bytes, bytes] = {}
        while count := self.long():
            if count < 0:
                count = -count
                self.long()
            for _ in range(count):
                key = self.sized()
                found[key] = self.sized()
        return found


def _long(value: int) -> bytes:
    raw = value << 1  # never negative here
    found = bytearray()
    while raw > 0x7F:
        found.append(raw & 0x7F | 0x80)
        raw >>= 7
    found.append(raw)
    return bytes(found)


def _sized(data: bytes) -> bytes:
    return _long(len(data)) + data


def _bad(why: str) -> Corrupt:
    return Corrupt(f"the bytes are not an Avro file with one record: {why}")
