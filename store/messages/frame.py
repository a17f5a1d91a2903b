"""One message as bytes: made from a value, and read as it arrives.

The format, version 1; numbers are little-endian:

    4   magic: 9B 'm' 's' 'g'
    1   version of this format
    1   bytes in the codec's name
    8   protocol of the codec, signed
    4   CRC-32, and
    24  seal: as of a record, see `store/trust/seal.py`, over the store id and the name of all messages
    8   bytes in the body
        the codec's name, UTF-8
        the body: the encoded value
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from store.errors import Corrupt, RecordError, StoreError, Tampered, UnknownProtocol, Untrusted, label
from store.messages.pipeline import MESSAGE, for_messages

if TYPE_CHECKING:
    from store.trust.keys.ring import KeySource

# On the wire: never change any of them within one version.
_MAGIC = b"\x9bmsg"
_VERSION = 1
_FIXED = struct.Struct("<4sBBqI24sQ")

CHUNK = 256 * 1024  # bytes read at once: a length is only a claim until the bytes are there


class _Fixed(NamedTuple):
    """The part of a message that has the same size in each."""

    magic: bytes
    version: int
    codec_bytes: int
    protocol: int
    crc: int
    seal: bytes
    body_bytes: int


def outgoing(value: Any, key: KeySource, codec: Any, protocol: int | None) -> Iterator[bytes]:
    """The message of a value, in one part or two; it is encoded before the first part is given."""
    pipeline = for_messages(key, codec=codec, protocol=protocol)
    try:
        row = pipeline.pack_message(value)
    except RecordError as exc:
        raise _in_other_words(exc) from exc.__cause__
    name = row.codec.encode()
    if len(name) > 255:
        raise ValueError(f"a message has room for a codec's name of 255 bytes, and {row.codec[:80]!r}… is longer")
    fixed = _Fixed(_MAGIC, _VERSION, len(name), row.protocol, row.crc, row.seal, len(row.body))
    start = _FIXED.pack(*fixed) + name
    if len(row.body) <= CHUNK:
        return iter((start + row.body,))
    return iter((start, row.body))


def would_block(what: str) -> BlockingIOError:
    """The error for a connection that does not block."""
    return BlockingIOError(
        errno.EAGAIN, f"the connection {what}: messages take one that blocks (os.set_blocking), or asyncio"
    )


class Incoming:
    """One message as it arrives: `feed` it with at most `wanted` bytes until that is 0, then take its `value`."""

    def __init__(self, max_bytes: int, key: KeySource, allow: Iterable[type | str]) -> None:
        if not isinstance(max_bytes, int) or isinstance(max_bytes, bool):
            raise TypeError(f"max_bytes is an int, not {max_bytes!r:.80}")
        if max_bytes < 0:
            raise ValueError(f"max_bytes is 0 or more, not {max_bytes}")
        self._pipeline = for_messages(key, allow)
        self._max_bytes = max_bytes
        self._fixed: _Fixed | None = None
        self._codec: str | None = None
        self._arrived = 0
        self._expect(_FIXED.size)

    @property
    def wanted(self) -> int:
        """The number of bytes to read next, at most; 0 when the message is complete."""
        return min(self._missing, CHUNK)

    def feed(self, data: Any) -> None:
        """Take the bytes that were read. Raises: EOFError, Corrupt, UnknownProtocol, BlockingIOError."""
        if not _checked(data, self.wanted):
            raise self.lost()
        self._part.write(data)
        self._missing -= len(data)
        self._arrived += len(data)
        if self._fixed is None:
            _check_start(self._part.getvalue())
        while not self._missing and self._codec is None:
            self._next_part(self._part.getvalue())

    def lost(self) -> EOFError:
        """The error for a connection that ends here."""
        if not self._arrived:
            return EOFError("the connection was closed")
        if self._fixed is None:
            total = f"the {_FIXED.size} bytes of its header"
        else:
            total = f"its {_FIXED.size + self._fixed.codec_bytes + self._fixed.body_bytes} bytes"
        return EOFError(f"the connection was closed in the middle of a message: {self._arrived} of {total} came")

    def value(self) -> Any:
        """The value of the complete message. Raises: Untrusted, Tampered, Corrupt, CodecUnavailable …"""
        assert self._fixed is not None and self._codec is not None
        _, _, _, protocol, crc, seal, _ = self._fixed
        body = self._part.getvalue()  # no copy: a BytesIO hands out the object that it wrote into
        try:
            return self._pipeline.unpack_message(self._codec, protocol, body, seal, crc)
        except StoreError as exc:
            raise _told_to_receiver(exc, self._pipeline.trust == "own") from exc.__cause__

    def _expect(self, size: int) -> None:
        self._part, self._missing = BytesIO(), size

    def _next_part(self, part: bytes) -> None:
        if self._fixed is None:
            self._fixed = _Fixed._make(_FIXED.unpack(part))
            self._check_size(self._fixed.body_bytes)
            self._expect(self._fixed.codec_bytes)
            return
        try:
            self._codec = part.decode()
        except UnicodeDecodeError:
            raise Corrupt(f"the message is damaged: the name of its codec, {part[:80]!r}, is not text") from None
        self._expect(self._fixed.body_bytes)

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise Corrupt(
                f"the message announces {size} bytes, and max_bytes={self._max_bytes}: it was not read; close the "
                "connection, and raise max_bytes if such messages are meant to come"
            )


def _checked(data: Any, wanted: int) -> int:
    """The number of bytes. Raises: BlockingIOError: none yet. TypeError, ValueError: it is no binary reader."""
    if data is None:
        raise would_block("has nothing to read yet")
    if not isinstance(data, bytes | bytearray):
        raise TypeError(f"what the connection read is {type(data).__name__}, not bytes; open files in binary mode")
    if len(data) > wanted:
        raise ValueError(f"the connection was asked for {wanted} bytes and read {len(data)}")
    return len(data)


def _check_start(start: bytes) -> None:
    """Check each byte as it comes: a peer with another protocol may wait for an answer, and send no more."""
    magic, version = start[: len(_MAGIC)], start[len(_MAGIC) : len(_MAGIC) + 1]
    if not _MAGIC.startswith(magic):
        raise Corrupt(f"this is no message, it begins with {magic!r}: the other side has to use store.messages too")
    if version and version[0] != _VERSION:
        raise UnknownProtocol(
            f"the message has version {version[0]} of the format, and this program knows {_VERSION}; "
            "upgrade sealed-store to read it",
            protocol=version[0],
        )


# -- the errors

# Phrases of codecs about records: a message has no name, and is not stored.
_PHRASES = (
    (label(MESSAGE), "the message"),
    ("damaged at rest; restore it from a backup", "damaged on its way"),
    ("; the record stays as it is", ""),
    ("the record is intact: ", ""),
    ("if the record is yours, bring the key it was sealed with", "or give both sides the same key="),
    ("the key= of the store", "key="),
    ("the record", "the message"),
)


def _told_to_receiver(exc: StoreError, keyed: bool) -> StoreError:
    """The same error with the message for a receiver: what it means, and what to do about it."""
    if isinstance(exc, Tampered):
        return _saying(
            exc, "the message was altered on its way: its seal names a key of yours, and does not match it"
        )
    if isinstance(exc, Untrusted) and keyed:
        return _saying(exc, "the message was not sealed with a key that was given as key=; both sides need the same")
    if isinstance(exc, Untrusted) and exc.reason is not None:
        return _saying(exc, _refusal(exc.reason, exc.missing if exc.allowable else None))
    return _in_other_words(exc)


def _refusal(reason: str, allow: str | None) -> str:
    """The message for an unsealed message that the restricted decoder refuses."""
    takes = reason.removeprefix("loading it takes ")
    what = f"the message takes {takes}" if takes != reason else f"no key= was given that sealed it, and {reason}"
    if allow is None:
        return f"{what}. Give both sides the same key="
    return (
        f"{what}. If that is a class of yours, put @store.allow above it, or receive with allow=[{allow!r}]; or give "
        "both sides the same key="
    )


def _in_other_words(exc: StoreError) -> StoreError:
    """The same error, without the phrases that are about records."""
    message = exc.message
    for theirs, ours in _PHRASES:
        message = message.replace(theirs, ours)
    return _saying(exc, message)


def _saying(exc: StoreError, message: str) -> StoreError:
    exc.message = message
    exc.args = (message,)
    if isinstance(exc, RecordError):
        exc.name = exc.namespace = None
    return exc
