"""Value ⇄ sealed row: the only place where codec meets trust, and the only way in.

On the way in a row's seal is checked over the bytes as they were fetched; then the verdict and the store's
trust level pick the decoder. Nothing ever falls back from the restricted decoder to the full one.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple

from store.allowlist import allowed, entries_of
from store.codecs import Codec, codecs
from store.errors import CodecUnavailable, NotSerializable, RecordError, UnknownProtocol, Untrusted, label
from store.record import Row
from store.trust.key import UNKEYED
from store.trust.seal import Sealer, Verdict

TRUST = ("own", "data", "all")
PYTHON = platform.python_version()


class Choices(NamedTuple):
    """What a store was opened with: how it encodes new records, and which of others it decodes.

    `trust`: "own" decodes only what a key of ours sealed; "data" the rest too, with restraint; "all" everything
    in full. `allow`: classes that restraint lets pass, beside those declared with `store.allow`.
    """

    codec: Codec
    protocol: int
    trust: str
    allow: tuple[type | str, ...]


def choose(codec: str, protocol: int | None, trust: str, allow: Iterable[type | str]) -> Choices:
    """The choices, checked; the protocol None is the codec's default.

    Raises:
        TypeError, ValueError: one of them can never be right. CodecUnavailable.
    """
    if trust not in TRUST:
        raise ValueError(f"unknown trust {trust!r}: one of {', '.join(TRUST)}")
    chosen, entries = codec_called(codec), entries_of(allow)
    allowed(entries)  # a class that is not there is told at once
    return Choices(chosen, _protocol_of(chosen, protocol), trust, entries)


class Pipeline:
    """Packs and unpacks the values of one store."""

    def __init__(self, sealer: Sealer, choices: Choices) -> None:
        self.sealer = sealer
        self.codec, self.protocol, self.trust, self.allow = choices

    def pack(
        self,
        namespace: str,
        name: str,
        value: Any,
        now: float,
        expires: float | None,
        codec: str | None = None,
        protocol: int | None = None,
    ) -> Row:
        """The sealed row of a value.

        Raises:
            NotSerializable: the codec cannot hold it.
            Untrusted: there is no key to seal with, and without one it could not be read back.
        """
        chosen = self.codec if codec is None else codec_called(codec)
        if protocol is not None:
            protocol = _protocol_of(chosen, protocol)
        else:
            protocol = self.protocol if chosen is self.codec else chosen.default_protocol
        try:
            body = chosen.encode(value, protocol)
        except RecordError as exc:
            raise exc.about(name, namespace) from exc.__cause__
        draft = Row(
            None, namespace, name, chosen.name, protocol, type_name(value), PYTHON, body, None, b"", 0,
            1, now, now, expires,
        )  # fmt: skip
        row = self.sealer.seal(draft)
        if row.seal.startswith(UNKEYED):
            self._check_readable(row, chosen)
        return row

    def unpack(self, row: Row) -> Any:
        """The value of a row.

        Raises:
            Tampered, Corrupt, Untrusted, UnknownProtocol, CodecUnavailable.
        """
        try:
            return self._decoder_for(row)(row.body)
        except Untrusted as exc:
            if self.sealer.keyring.problem and not self.sealer.keyring.keys():
                exc.message += f". No key was used: {self.sealer.keyring.problem}"
            raise exc.about(row.name, row.namespace) from exc.__cause__
        except RecordError as exc:
            raise exc.about(row.name, row.namespace) from exc.__cause__

    def reseal(self, row: Row) -> Row:
        """The row sealed with a key of ours; whether it deserves that is the caller's to know.

        Raises:
            Untrusted: there is no key to seal with, and without one it would stay as foreign as it is.
        """
        sealed = self.sealer.seal(row)
        if sealed.seal.startswith(UNKEYED):
            ring = self.sealer.keyring
            raise Untrusted(
                f"{label(row.name, row.namespace)} cannot be sealed: "
                f"{ring.problem or f'no key can be had from {ring.where()}'}. Name a key file in STORE_KEY_FILE, "
                "or pass key=",
                name=row.name,
                namespace=row.namespace,
            )
        return sealed

    def fingerprint(self, value: Any, row: Row) -> bytes:
        """The digest of the value, encoded as in `row`: it changes when the value does."""
        try:
            return self.digest(codec_of(row).encode(value, row.protocol))
        except NotSerializable as exc:
            raise exc.about(row.name, row.namespace) from exc.__cause__

    @staticmethod
    def digest(body: bytes) -> bytes:
        """Sixteen bytes that stand for an encoded value."""
        return blake2b(body, digest_size=16).digest()

    def _decoder_for(self, row: Row) -> Any:
        """What the row deserves to be decoded by."""
        verdict = self.sealer.check(row)
        codec = codec_of(row)
        if verdict is Verdict.OWN or self.trust == "all":
            return codec.decode
        if self.trust == "own":
            raise Untrusted(
                "it was not sealed with a key of yours, and this store reads nothing else "
                '(trust="own"); bring the key it was sealed with (STORE_KEY_FILE)'
            )
        return partial(codec.decode_restricted, allow=allowed(self.allow))

    def _check_readable(self, row: Row, codec: Codec) -> None:
        if self.trust == "all":
            return
        try:
            if self.trust == "own":
                raise Untrusted('it could not be read back with trust="own"')
            codec.decode_restricted(row.body, allow=allowed(self.allow))
        except RecordError as exc:
            problem = self.sealer.keyring.problem or f"no key can be had from {self.sealer.keyring.where()}"
            raise Untrusted(
                f"{label(row.name, row.namespace)} cannot be sealed, so it could not be read back: {problem}. "
                "Name a key file in STORE_KEY_FILE, or pass key=; or allow the class with @store.allow "
                f"({exc})",
                name=row.name,
                namespace=row.namespace,
                missing=getattr(exc, "missing", None),
            ) from exc


def codec_called(name: str) -> Codec:
    """The codec of that name. Raises: ValueError: there is none. CodecUnavailable: it is not installed."""
    if not isinstance(name, str) or name not in codecs:
        raise ValueError(f"unknown codec {name!r}: one of {', '.join(codecs.names())}")
    return codecs.load(name)  # type: ignore[no-any-return]


def codec_of(row: Row) -> Codec:
    """The codec that reads a row.

    Raises:
        CodecUnavailable: the codec is not known here. UnknownProtocol: its format version is not.
    """
    if row.codec not in codecs:
        raise CodecUnavailable(
            f"{label(row.name, row.namespace)} was written with the codec {row.codec[:80]!r}, which this program "
            "does not know; the record is intact: upgrade sealed-store, or register the codec",
            codec=row.codec,
        )
    codec: Codec = codecs.load(row.codec)
    if row.protocol not in codec.protocols:
        raise UnknownProtocol(
            f"it was written with {row.codec} protocol {row.protocol}, and this program knows "
            f"{codec.protocols[0]} to {codec.protocols[-1]}; the record is intact: upgrade Python or "
            "sealed-store to read it",
            codec=row.codec,
            protocol=row.protocol,
        )
    return codec


def type_name(value: Any) -> str:
    """The qualified name of a value's class, without `builtins`."""
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _protocol_of(codec: Codec, protocol: int | None) -> int:
    if protocol is None:
        return codec.default_protocol
    if not isinstance(protocol, int) or isinstance(protocol, bool):
        raise TypeError(f"protocol is an int, not {protocol!r}")
    if protocol < 0:  # as pickle: the highest
        return codec.protocols[-1]
    if protocol not in codec.protocols:
        raise ValueError(
            f"the codec {codec.name!r} has protocols {codec.protocols[0]} to {codec.protocols[-1]}, not {protocol}"
        )
    return protocol
