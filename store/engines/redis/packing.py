"""A row as bytes, and back. The format is on the server's disk: do not change it.

Little-endian. The scripts read the first 46 bytes and the seal, and replace the first 32; the rest is theirs to keep.

    0  id, uint64                 33  expires, float64, 0 without one
    8  revision, uint64           41  length of the body, uint32
    16 created, float64           45  length of the seal, uint8
    24 modified, float64          46  seal
    32 flags, uint8: 1 expires    ..  crc and protocol, int64 each; type, python, spill, codec; body

Each of those texts has its length before it, as uint16; 65535: None. Namespace and name are in the key and the field.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from store.engines.contract import Fields, Listed
from store.errors import Corrupt, Unsupported, label
from store.rows.row import Header, Mark, Row, Sealed

MAX_BYTES = 64 * 2**20  # of a row, and of all that one script reads or writes
_HEAD = struct.Struct("<QQddBdIB")
_NUMBERS = struct.Struct("<qqHHHH")
_NO_TEXT = 0xFFFF
_HEAD_BYTES, _NUMBERS_BYTES = _HEAD.size, _NUMBERS.size
_pack_head, _pack_numbers = _HEAD.pack, _NUMBERS.pack
LISTED_BYTES = 41
STAMP_ANY, STAMP_ABSENT, STAMP_IS = b"", b"A", b"S"


def pack(row: Row) -> bytes:
    """A row as bytes. Raises: Unsupported: it is too large."""
    (
        id_, namespace, name, codec, protocol, cls, python, body, spill, seal, crc, revision, created, modified,
        expires,
    ) = row  # fmt: skip
    lengths, texts = _texts(cls, python, spill, codec)
    if len(body) > MAX_BYTES or max(lengths) > _NO_TEXT or len(seal) > 255:
        raise too_large(namespace, name, len(body))
    head = _pack_head(
        id_ or 0, revision, created, modified, expires is not None, 0.0 if expires is None else expires, len(body),
        len(seal),
    )  # fmt: skip
    return b"".join((head, seal, _pack_numbers(crc, protocol, *lengths), texts, body))


@lru_cache(maxsize=256)
def _texts(*given: str | None) -> tuple[list[int], bytes]:
    """The lengths of those texts, over _NO_TEXT for one that is too long, and the texts; most rows have the same."""
    texts = [None if text is None else text.encode() for text in given]
    lengths = [_NO_TEXT if text is None else len(text) + (len(text) >= _NO_TEXT) for text in texts]
    return lengths, b"".join(text for text in texts if text)


def unpack(packed: bytes, namespace: str, name: str, fields: Fields) -> Any:
    """Those fields of a row. Raises: Corrupt: it is not one."""
    if fields is Fields.SEALED:
        return unpack_sealed(namespace, ((name, packed),))[0]
    try:
        if fields is Fields.LISTED:
            id_, _, _, _, has_expiry, expires = _LISTED.unpack_from(packed)
            return Listed(name, expires if has_expiry else None, id_)
        whole = _Parts(*_parts(packed))
        if fields is Fields.HEADER:
            return _header(whole, namespace, name)
        if fields is Fields.MARK:
            return Mark(name, whole.id, whole.created, whole.revision, whole.expires, whole.crc)
        return _row(whole, namespace, name)
    except _ERRORS as exc:
        raise _damaged(namespace, name, exc) from exc


def unpack_sealed(namespace: str, rows: Iterable[tuple[str, bytes]]) -> list[Sealed]:
    """The parts that values are decoded from, of rows with their names. Raises: Corrupt: one is no row.

    All values come by here, many at a time: one loop, because with calls it would take half as long again.
    """
    found: list[Sealed] = []
    name = ""
    head, numbers, add = _HEAD.unpack_from, _NUMBERS.unpack_from, found.append
    try:
        for name, packed in rows:
            id_, _, _, _, has_expiry, expires, size, seal_bytes = head(packed)
            place = _HEAD_BYTES + seal_bytes
            _, protocol, of_type, of_python, of_spill, of_codec = numbers(packed, place)
            seal = packed[_HEAD_BYTES:place]
            place += _NUMBERS_BYTES + (0 if of_type == _NO_TEXT else of_type)
            if of_python != _NO_TEXT:
                place += of_python
            spill = None
            if of_spill != _NO_TEXT:
                spill = str(packed[place : place + of_spill], "utf-8")
                place += of_spill
            end = place + of_codec
            if len(packed) - end not in (0, size) or of_codec == _NO_TEXT:
                raise ValueError("its lengths do not match")
            codec, expiry = str(packed[place:end], "utf-8"), expires if has_expiry else None
            add(Sealed(id_, namespace, name, codec, protocol, expiry, spill, packed[end:], seal))
    except _ERRORS as exc:
        raise _damaged(namespace, name, exc) from exc
    return found


_ERRORS = (struct.error, UnicodeDecodeError, ValueError)


def _damaged(namespace: str, name: str, error: Exception) -> Corrupt:
    return Corrupt(
        f"{label(name, namespace)}: its bytes on the server are not a record ({error}); delete it, or restore it "
        "from a backup",
        name=name,
        namespace=namespace,
    )


_LISTED = struct.Struct("<QQddBd")


class _Parts(NamedTuple):
    id: int
    revision: int
    created: float
    modified: float
    expires: float | None
    size: int
    seal: bytes
    crc: int
    protocol: int
    type: str | None
    python: str | None
    spill: str | None
    codec: str
    body: bytes


def _parts(packed: bytes) -> tuple[Any, ...]:
    id_, revision, created, modified, has_expiry, expires, size, seal_bytes = _HEAD.unpack_from(packed)
    place = _HEAD.size + seal_bytes
    crc, protocol, *lengths = _NUMBERS.unpack_from(packed, place)
    seal = packed[_HEAD.size : place]
    place += _NUMBERS.size
    texts: list[str | None] = []
    for length in lengths:
        if length == _NO_TEXT:
            texts.append(None)
        else:
            texts.append(str(packed[place : place + length], "utf-8"))
            place += length
    body = packed[place:]
    if texts[3] is None or len(body) not in (0, size):
        raise ValueError("its lengths do not match")
    return (
        id_, revision, created, modified, expires if has_expiry else None, size, seal, crc, protocol, *texts, body,
    )  # fmt: skip


def _row(whole: _Parts, namespace: str, name: str) -> Row:
    if len(whole.body) != whole.size:
        raise ValueError("its body is cut off")
    return Row(
        whole.id, namespace, name, whole.codec, whole.protocol, whole.type, whole.python, whole.body, whole.spill,
        whole.seal, whole.crc, whole.revision, whole.created, whole.modified, whole.expires,
    )  # fmt: skip


def _header(whole: _Parts, namespace: str, name: str) -> Header:
    return Header(
        whole.id, namespace, name, whole.codec, whole.protocol, whole.type, whole.python, whole.size, whole.revision,
        whole.created, whole.modified, whole.expires, whole.seal,
    )  # fmt: skip


class Head(NamedTuple):
    """What the first bytes of a packed row say of it, without its codec and body."""

    revision: int
    modified: float
    expires: float | None
    size: int
    seal: bytes


def head_of(packed: bytes, namespace: str, name: str) -> Head:
    """The head of a packed row, of which only that needs to be there. Raises: Corrupt: it is not one."""
    try:
        _, revision, _, modified, has_expiry, expires, size, seal_bytes = _HEAD.unpack_from(packed)
    except struct.error as exc:
        raise _damaged(namespace, name, exc) from exc
    seal = packed[_HEAD.size : _HEAD.size + seal_bytes]
    return Head(revision, modified, expires if has_expiry else None, size, seal)


def pack_stamp(stamp: str) -> bytes:
    """A stamp as the scripts compare it: the revision as in the row, and the digest of the seal."""
    revision, _, digest = stamp.partition("-")
    try:
        return STAMP_IS + struct.pack("<Q", int(revision)) + bytes.fromhex(digest)
    except (ValueError, struct.error):
        return STAMP_IS + b"?"  # that of no record


def too_large(namespace: str, name: str, size: int) -> Unsupported:
    """The error for a record that is larger than the engine stores."""
    return Unsupported(
        f"{label(name, namespace)} has {size:,} bytes, and the engine 'redis' stores up to {MAX_BYTES:,}; keep large "
        "values in a store in a file or on PostgreSQL",
        engine="redis",
        feature="values over 64 MiB",
    )
