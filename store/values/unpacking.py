"""Sealed row → value: every record is decoded here.

The seal of a row is checked over the fetched bytes; the verdict and the trust of the store then select the decoder.
Nothing falls back from the restricted decoder to the full one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from store.classes.allowlist import allowed
from store.codecs.auto import Auto
from store.codecs.contract import Codec
from store.codecs.refusals import undecodable
from store.codecs.registry import codecs as registered
from store.errors import RecordError, StoreError, Untrusted
from store.rows.row import Row
from store.trust.keys.key import UNKEYED
from store.trust.seal import Sealer, Verdict
from store.values.choices import Choices, KnownCodecs
from store.values.large import Large, no_files

Decode = Callable[[bytes], Any]
"""Decodes the body of one row."""


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

    def unpack(self, row: Row, *, private: bool = False) -> Any:
        """The value of a row; `private`: nothing in it is mapped, so all of it can be changed.

        Raises:
            Tampered, Corrupt, Untrusted, UnknownProtocol, CodecUnavailable.
        """
        return self.unpacked(row, private=private)[0]

    def unpacked(self, row: Row, *, private: bool = False) -> tuple[Any, Decode | None]:
        """(value, decoder of its body); the decoder is None unless the row is sealed by the user and has no files.

        Raises: as `unpack`.
        """
        try:
            if row.spill is not None:
                return self._unpack_large(row, private), None
            if self.sealer.check(row) is Verdict.OWN:
                if row.codec == self._usual.name and row.protocol in self._usual.protocols:
                    decode = self._usual_decode
                else:
                    decode = self._full(self.codecs.of(row))
                return decode(row.body), decode
            return self._foreign(row)(row.body), None
        except Untrusted as exc:
            if self.sealer.keyring.problem and not self.sealer.keyring.keys():
                exc.message += f". No key was used: {self.sealer.keyring.problem}"
            raise exc.about(row.name, row.namespace) from exc.__cause__
        except RecordError as exc:
            raise exc.about(row.name, row.namespace) from exc.__cause__
        except (StoreError, MemoryError):
            raise
        except Exception as exc:  # in a codec of the program: a KeyError would look like a missing record
            raise undecodable(exc).about(row.name, row.namespace) from exc

    def decoder_of_own(self, row: Row) -> Decode | None:
        """The decoder that `unpacked` returns, for a row that was just packed; None: no key sealed it."""
        if row.seal.startswith(UNKEYED):
            return None
        if row.codec == self._usual.name and row.protocol in self._usual.protocols:
            return self._usual_decode
        return self._full(self.codecs.of(row))

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

    def _unpack_large(self, row: Row, private: bool) -> Any:
        is_own = self.sealer.check(row) is Verdict.OWN
        decode: Callable[..., Any] = self._full(self.codecs.of(row)) if is_own else self._foreign(row)
        if self.large is None:
            raise no_files()
        foreign = self.trust != "all" and not is_own
        return decode(*self.large.read(row, private=private, foreign=foreign))

    def _foreign(self, row: Row) -> Decode:
        """The decoder for a row that no key of the user sealed. Raises: Untrusted."""
        codec = self.codecs.of(row)
        if self.trust == "all":
            return self._full(codec)
        if self.trust == "own":
            raise Untrusted(
                "it was not sealed with a key of yours, and this store reads nothing else "
                '(trust="own"); bring the key it was sealed with (STORE_KEY_FILE)'
            )
        return partial(codec.decode_restricted, allow=allowed(self.allow), lookup=self.lookup)

    def _full(self, codec: Codec) -> Decode:
        return codec.decode if self.lookup.is_plain else partial(codec.decode, lookup=self.lookup)
