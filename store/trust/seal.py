"""The seal of a row: a key id and a keyed hash that bind its bytes to their place.

Layout, on disk: 8 bytes key id, 16 bytes BLAKE2b (RFC 7693) in keyed mode over the id of the store, followed by
namespace, name, codec, protocol, expiry, spill list and body, each preceded by its length. With a CRC-32 over the
same bytes a reader without the key can distinguish damage from a foreign record. Both are FORMAT_VERSION 1.

Not covered, because decoding does not depend on them: id, type, python, revision, created, modified and
the checksum itself. Anyone who can write the file can change those, delete records, and restore older ones.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any
from zlib import crc32

from store.errors import Corrupt, Tampered
from store.rows.row import Row
from store.system.digests import blake2b, compare_digest
from store.trust.keys.key import ID_BYTES, UNKEYED, Key
from store.trust.keys.ring import Keyring

DIGEST_BYTES = 16
SHORT = 4096  # bytes of a body up to which copying and hashing once is faster than two calls
_PURPOSE = b"store.seal.v1"  # on disk in every seal: do not change
_LENGTHS = struct.Struct("<7Q")
_NUMBERS = struct.Struct("<q?d")  # protocol, whether it expires, when
_pack_lengths, _pack_numbers, _NUMBERS_BYTES = _LENGTHS.pack, _NUMBERS.pack, _NUMBERS.size
_NONE = type(None)
_WHOLE, _NUMBER, _TEXT = frozenset({int, _NONE}), frozenset({int, float}), frozenset({str, _NONE})

Covered = tuple["int | None", str, str, str, int, "float | None", "str | None", bytes, bytes]
"""The columns of a `Sealed`, which is one."""


Seal = Callable[[Key, str, "float | None", bytes], "tuple[bytes, int]"]
"""Seal and checksum of a row, by the key that seals it, its name, expiry and body."""


class Verdict(Enum):
    """The owner of a row."""

    OWN = "own"
    FOREIGN = "foreign"


class Sealer:
    """Seals and checks the rows of one store. Safe across threads: hashes are copied before use.

    `purpose`, at most 16 bytes, separates uses: a seal of one purpose is never valid for another.
    """

    def __init__(self, keyring: Keyring, store_id: bytes, purpose: bytes = _PURPOSE) -> None:
        self.keyring = keyring
        self._purpose = purpose
        self.store_id = store_id
        self._hashes: dict[Key | None, Any] = {}  # by identity of the key, which has a hash state of its own

    def seal(self, row: Row) -> Row:
        """The row with its seal and its checksum."""
        seal, crc = self.seal_of(*_covered(row))
        return row._replace(seal=seal, crc=crc)

    def seal_of(
        self,
        namespace: str,
        name: str,
        codec: str,
        protocol: int,
        expires: float | None,
        spill: str | None,
        body: bytes,
    ) -> tuple[bytes, int]:
        """Seal and checksum of a row that has these columns."""
        key = self.keyring.sealing_key()
        header = _context(namespace, name, codec, protocol, expires, spill, body)
        if len(body) < SHORT:
            header, body = header + body, b""
        return (UNKEYED if key is None else key.id) + self._digest(key, header, body), crc32(body, crc32(header))

    def sealing(self, namespace: str, codec: str, protocol: int) -> Seal:
        """As `seal_of`, for rows of that namespace, codec and protocol without files: encodes these once for all."""
        one, three = namespace.encode(), codec.encode()
        first, third, numbers = len(one), len(three), _NUMBERS.size
        lengths, pack, join, hashes = _LENGTHS.pack, _NUMBERS.pack, b"".join, self._hashes
        tail = three + pack(protocol, False, 0.0)

        def seal(key: Key, name: str, expires: float | None, body: bytes) -> tuple[bytes, int]:
            two, end, size = name.encode(), tail, len(body)
            if expires is not None:
                end = three + pack(protocol, True, expires)
            state = (hashes.get(key) or self._hash_of(key)).copy()
            header = lengths(first, len(two), third, 0, numbers, size, 0)
            if size < SHORT:
                body = join((header, one, two, end, body))
                state.update(body)
                return key.id + state.digest(), crc32(body)
            header = join((header, one, two, end))
            state.update(header)
            state.update(body)
            return key.id + state.digest(), crc32(body, crc32(header))

        return seal

    def seal_unkeyed(self, row: Row) -> Row:
        """The row with a checksum instead of a keyed seal; it has no owner."""
        header = _context(*_covered(row))
        return row._replace(seal=UNKEYED + self._digest(None, header, row.body), crc=crc32(row.body, crc32(header)))

    def are_own(self, rows: Iterable[Covered]) -> bool:
        """Whether keys of ours sealed all these rows, which also proves the types of the columns.

        If not, `check` tells what is wrong with a row. One loop, because with calls of `_context` and `_digest` for
        each row it would take half as long again.
        """
        keyring, hashes = self.keyring, self._hashes
        try:
            for _, namespace, name, codec, protocol, expires, spill, body, seal in rows:
                key_id, size = seal[:ID_BYTES], len(body)
                key = keyring.by_id.get(key_id) or keyring.find(key_id)
                if key is None:
                    return False
                one, two, three = namespace.encode(), name.encode(), codec.encode()
                four = b"" if spill is None else spill.encode()
                lengths = _pack_lengths(
                    len(one), len(two), len(three), len(four), _NUMBERS_BYTES, size, spill is not None
                )  # fmt: skip
                numbers = _pack_numbers(protocol, expires is not None, 0.0 if expires is None else expires)
                state = (hashes.get(key) or self._hash_of(key)).copy()
                if size < SHORT:
                    state.update(b"".join((lengths, one, two, three, four, numbers, body)))
                else:
                    state.update(b"".join((lengths, one, two, three, four, numbers)))
                    state.update(body)
                if not compare_digest(state.digest(), seal[ID_BYTES:]):
                    return False
        except (TypeError, AttributeError, ValueError, struct.error):  # a column has a value of another type
            return False
        return True

    def check(self, row: Row) -> Verdict:
        """The owner of the row, whose bytes are verified.

        Raises:
            Tampered: the seal names one of our keys and does not match. Corrupt: damaged, or no seal.
        """
        (
            id_, namespace, name, codec, protocol, cls, python, body, spill, seal, crc, revision, created, modified,
            expires,
        ) = row  # fmt: skip
        if (
            self.are_own([(id_, namespace, name, codec, protocol, expires, spill, body, seal)])
            and type(id_) in _WHOLE and type(cls) in _TEXT and type(python) in _TEXT and type(crc) is int
            and type(revision) is int and type(created) in _NUMBER and type(modified) in _NUMBER
        ):  # fmt: skip
            return Verdict.OWN
        return self._check_unsealed(row)

    def has_checksum(self, row: Row) -> bool:
        """Whether the checksum matches the bytes of a row; not needed by readers with the key."""
        return row.crc == crc32(row.body, crc32(_context(*_covered(row))))

    def _check_unsealed(self, row: Row) -> Verdict:
        """The verdict on a row without a valid seal of ours."""
        if not row.has_types():
            raise Corrupt("its columns do not hold what those of a record do; restore it from a backup")
        if len(row.seal) != ID_BYTES + DIGEST_BYTES:
            raise Corrupt("its seal is damaged; restore it from a backup, or delete it")
        header = _context(*_covered(row))
        key_id = row.seal[:ID_BYTES]
        if key_id != UNKEYED and self.keyring.find(key_id) is not None:
            raise _tampered(row, header)
        if row.crc != crc32(row.body, crc32(header)):
            raise Corrupt("its bytes do not match their checksum: damaged at rest; restore it from a backup")
        if key_id == UNKEYED and self._digest(None, header, row.body) != row.seal[ID_BYTES:]:
            raise Corrupt("its bytes do not match their checksum: damaged at rest; restore it from a backup")
        return Verdict.FOREIGN

    def _digest(self, key: Key | None, header: bytes, body: bytes) -> bytes:
        state = (self._hashes.get(key) or self._hash_of(key)).copy()
        state.update(header)
        if body:
            state.update(body)
        return state.digest()  # type: ignore[no-any-return]

    def _hash_of(self, key: Key | None) -> Any:
        """The state of the hash with that key, over what all rows of the store share."""
        secret = b"" if key is None else key.derive(self._purpose)
        state = blake2b(key=secret, digest_size=DIGEST_BYTES, person=self._purpose)
        state.update(self.store_id)
        self._hashes[key] = state
        return state


def _covered(row: Row) -> tuple[str, str, str, int, float | None, str | None, bytes]:
    """The columns that a seal covers."""
    return row.namespace, row.name, row.codec, row.protocol, row.expires, row.spill, row.body


def _context(
    namespace: str, name: str, codec: str, protocol: int, expires: float | None, spill: str | None, body: bytes
) -> bytes:
    """The sealed bytes before the body: fixed fields first, so that the encoding is unambiguous."""
    try:
        one, two, three, four = namespace.encode(), name.encode(), codec.encode(), (spill or "").encode()
    except UnicodeEncodeError as exc:
        raise ValueError(f"a name must be valid text, and {name[:80]!r} has a lone surrogate") from exc
    lengths = _LENGTHS.pack(
        len(one), len(two), len(three), len(four), _NUMBERS.size, len(body), spill is not None
    )  # fmt: skip
    numbers = _NUMBERS.pack(protocol, expires is not None, 0.0 if expires is None else expires)
    return b"".join((lengths, one, two, three, four, numbers))


def _tampered(row: Row, header: bytes) -> Tampered:
    cause = (
        "its checksum still fits, so it was changed or moved by someone without the key"
        if row.crc == crc32(row.body, crc32(header))
        else "nor does its checksum, so it may be damage at rest"
    )
    return Tampered(f"its seal does not match its bytes ({cause}); restore it from a backup, or delete it")
