"""Sealed row → value: every record is decoded here.

The seal of a row is checked over the fetched bytes; the verdict and the trust of the store then select the decoder.
Nothing falls back from the restricted decoder to the full one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from store.classes.allowlist import allowed
from store.codecs.auto import Auto
from store.codecs.contract import Codec
from store.codecs.refusals import undecodable
from store.codecs.registry import codecs as registered
from store.errors import CodecUnavailable, RecordError, StoreError, Untrusted
from store.rows.row import Row, Sealed
from store.trust.keys.key import UNKEYED
from store.trust.seal import Sealer, Verdict
from store.values.choices import Choices, KnownCodecs
from store.values.large import Large, no_files

Decode = Callable[[bytes], Any]
"""Decodes the body of one row."""
Full = Callable[..., Any]
"""Decodes a body, and the buffers that are files."""


class Unpacker:
    """Checks and decodes the rows of one store."""

    def __init__(self, sealer: Sealer, choices: Choices, codecs: KnownCodecs, large: Large | None) -> None:
        self.sealer = sealer
        self.large = large  # None: values are stored entirely in their rows
        self.codecs = codecs
        self.trust, self.allow, self.lookup = choices.trust, choices.allow, choices.lookup
        # Cached for most rows.
        self._usual: Codec = registered.load("pickle") if isinstance(choices.codec, Auto) else choices.codec
        self._usual_decode = self._full(self._usual)

    def unpack(self, row: Row, *, private: bool = False, restricted: bool = False) -> Any:
        """The value of a row; `private`: nothing in it is mapped, so all of it can be changed.

        `restricted`: a row of another owner is plain data, or refused, even in a store that trusts all.

        Raises:
            Tampered, Corrupt, Untrusted, UnknownProtocol, CodecUnavailable.
        """
        return self.unpacked(row, private=private, restricted=restricted)[0]

    def unpacked(self, row: Row, *, private: bool = False, restricted: bool = False) -> tuple[Any, Decode | None]:
        """(value, decoder of its body); the decoder is None unless the row is sealed by the user and has no files.

        Raises: as `unpack`.
        """
        try:
            if self.sealer.check(row) is Verdict.OWN:
                return self._decoded_own(row, private)
            trust = "data" if restricted and self.trust == "all" else self.trust
            return self._decoded_foreign(row, private, trust), None
        except Exception as exc:
            raise self._about(exc, row) from _cause_of(exc)

    def unpacked_own(self, row: Sealed) -> tuple[Any, Decode | None]:
        """As `unpacked`, of a row that passed `Sealer.are_own`; no other row may come here."""
        try:
            # The usual row without a call of `_decoded_own`.
            if row.spill is None and row.codec == self._usual.name and row.protocol in self._usual.protocols:
                return self._usual_decode(row.body), self._usual_decode
            return self._decoded_own(row, False)
        except Exception as exc:
            raise self._about(exc, row) from _cause_of(exc)

    def value_of_own(self, row: Sealed) -> Any:
        """The value of a row that passed `Sealer.are_own`; no other row may come here. Raises: as `unpack`."""
        try:
            if row.spill is None and row.codec == self._usual.name and row.protocol in self._usual.protocols:
                return self._usual_decode(row.body)
            return self._decoded_own(row, False)[0]
        except Exception as exc:
            raise self._about(exc, row) from _cause_of(exc)

    def decoder_of_own(self, row: Row) -> Decode | None:
        """The decoder that `unpacked` returns, for a row of ours; None: it has no seal, or there is none."""
        if row.seal.startswith(UNKEYED):
            return None
        if row.codec == self._usual.name and row.protocol in self._usual.protocols:
            return self._usual_decode
        try:
            return self._full(self.codecs.of(row))
        except (RecordError, CodecUnavailable):  # a record of a newer release: it is written all the same
            return None

    def body_of(self, row: Row) -> bytes:
        """The encoded value without its separate buffers. Raises: Corrupt, StorageError."""
        if row.spill is None:
            return row.body
        if self.large is None:
            raise no_files()
        try:
            is_own = self.sealer.check(row) is Verdict.OWN
        except (RecordError, ValueError):
            is_own = False
        return self.large.body(row, foreign=not is_own)

    def _decoded_own(self, row: Row | Sealed, private: bool) -> tuple[Any, Decode | None]:
        decode = self._full(self.codecs.of(row))
        if row.spill is None:
            return decode(row.body), decode
        return decode(*self._files_of(row, private, False)), None

    def _decoded_foreign(self, row: Row, private: bool, trust: str) -> Any:
        decode = self._foreign(row, trust)
        return decode(row.body) if row.spill is None else decode(*self._files_of(row, private, trust != "all"))

    def _files_of(self, row: Row | Sealed, private: bool, foreign: bool) -> tuple[bytes, Iterable[memoryview]]:
        if self.large is None:
            raise no_files()
        return self.large.read(row, private=private, foreign=foreign)

    def _foreign(self, row: Row, trust: str) -> Full:
        """The decoder for a row that no key of the user sealed. Raises: Untrusted."""
        codec = self.codecs.of(row)
        if trust == "all":
            return self._full(codec)
        if trust == "own":
            raise Untrusted(
                "it was not sealed with a key of yours, and this store reads nothing else "
                '(trust="own"); bring the key it was sealed with (STORE_KEY_FILE)'
            )
        return partial(codec.decode_restricted, allow=allowed(self.allow), lookup=self.lookup)

    def _full(self, codec: Codec) -> Full:
        return codec.decode if self.lookup.is_plain else partial(codec.decode, lookup=self.lookup)

    def _about(self, error: Exception, row: Row | Sealed) -> Exception:
        """The error of a row, with its name. Returned, since the frame that raises it must not keep it."""
        if isinstance(error, Untrusted) and self.sealer.keyring.problem and not self.sealer.keyring.keys():
            error.message += f". No key was used: {self.sealer.keyring.problem}"
        if isinstance(error, StoreError | MemoryError):
            return error.about(row.name, row.namespace) if isinstance(error, RecordError) else error
        # In a codec of the program: a KeyError would look like a missing record.
        return undecodable(error).about(row.name, row.namespace)


def _cause_of(error: Exception) -> BaseException | None:
    return error.__cause__ if isinstance(error, StoreError | MemoryError) else error
