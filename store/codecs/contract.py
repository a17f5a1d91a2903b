"""The contract of a codec: encode a value as bytes, and decode it in full or restricted.

A codec knows nothing of keys, seals and records: `store.values` decides how a record is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from store.classes.allowlist import Allowed
from store.classes.lookup import AS_WRITTEN, Lookup

Buffers = Iterable[Any]
TakeBuffer = Callable[[Any], Any]
Description = tuple[tuple[str, ...], str, str | None]
"""(classes and functions that a body names, as `module.name`; its text; why it could not be read to its end)."""


class Codec(Protocol):
    """Encodes values. Stateless, hence safe across threads and processes."""

    name: str
    """Stored with each record; on disk, never to change."""
    protocols: range
    """The format versions that this program can read and write."""
    default_protocol: int

    def encode(self, value: Any, protocol: int, buffer_callback: TakeBuffer | None = None) -> bytes:
        """The value in that format version; large buffers go to `buffer_callback`, if one is given.

        It is called with a `pickle.PickleBuffer`, and returns whether that stays in the bytes. It is called with None
        when encoding starts again: the buffers passed before are then void.

        Raises:
            NotSerializable: the value, or something in it, cannot be encoded. NotReadBack.
        """

    def decode(self, body: bytes, buffers: Buffers = (), *, lookup: Lookup = AS_WRITTEN) -> Any:
        """The value. May run code that the bytes name. `lookup` says how names are found.

        Raises:
            Corrupt: the bytes cannot be decoded.
        """

    def decode_restricted(
        self, body: bytes, buffers: Buffers = (), *, allow: Allowed, lookup: Lookup = AS_WRITTEN
    ) -> Any:
        """The value, built only from plain data, standard types and the classes in `allow`.

        Bounded in time and memory for any bytes.

        Raises:
            Untrusted: it needs something else. Corrupt: the bytes cannot be decoded.
        """

    def describe(self, body: bytes) -> Description:
        """Describe a full decode without doing it. Never raises because of the bytes."""


class SimpleCodec(Protocol):
    """The minimum that a codec of the program needs. It may raise any exception if it cannot encode or decode."""

    name: str
    """Stored with each record; on disk, never to change."""

    def encode(self, value: Any) -> bytes:
        """The value as bytes, the same for the same value."""

    def decode(self, body: bytes) -> Any:
        """The value of those bytes."""


CodecChoice = str | Codec | SimpleCodec | type[SimpleCodec]
"""What `codec=` takes: the name of one, "auto", or a codec of the program."""


class NotReadBack(Exception):
    """An encoded value does not round-trip. `text` is the reason, a sentence whose subject is the class."""

    def __init__(self, text: str, why: Exception | None = None, remedy: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.remedy = remedy
        self.why = why  # the error of the decoder; not __cause__, whose depth would be mistaken for the value's
