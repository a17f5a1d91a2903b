"""The checked options of a store: codec, protocol, trust and classes; and its codecs by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from store.classes.allowlist import allowed, entries_of
from store.classes.lookup import Lookup, Renames
from store.codecs.adapted import adapt
from store.codecs.auto import AUTO, Auto
from store.codecs.contract import Codec, CodecChoice
from store.codecs.registry import codecs
from store.errors import CodecUnavailable, UnknownProtocol, label
from store.rows.row import Row, Sealed

TRUST = ("own", "data", "all")
ON_MISSING = ("raise", "placeholder")


class Choices(NamedTuple):
    """How a store encodes new records, and which foreign records it decodes.

    `trust`: "own" decodes only records sealed by a key of the user; "data" also foreign records, restricted; "all"
    everything in full. `allow`: classes that a restricted decode may use, in addition to those declared with
    `store.allow`. `lookup`: how moved or missing classes are found.
    """

    codec: Codec | Auto
    protocol: int
    trust: str
    allow: tuple[type | str, ...]
    lookup: Lookup


def choose(
    codec: CodecChoice,
    protocol: int | None,
    trust: str,
    allow: Iterable[type | str],
    renames: Renames | None = None,
    on_missing: str = "raise",
) -> Choices:
    """The options, checked; the protocol None is the default of the codec.

    Raises:
        TypeError, ValueError: an option is invalid. CodecUnavailable.
    """
    if trust not in TRUST:
        raise ValueError(f"unknown trust {trust!r}: one of {', '.join(TRUST)}")
    if on_missing not in ON_MISSING:
        raise ValueError(f"unknown on_missing {on_missing!r}: one of {', '.join(ON_MISSING)}")
    lookup = Lookup(renames, placeholders=on_missing == "placeholder")
    chosen, entries = _codec(codec), entries_of(allow)
    allowed(entries)  # raises for a missing class
    return Choices(chosen, _protocol(chosen, protocol), trust, entries, lookup)


class KnownCodecs:
    """The codecs of one store: codecs passed as objects take precedence over registered ones."""

    def __init__(self, codec: Codec | Auto, protocol: int) -> None:
        self.default, self.protocol = codec, protocol
        self.changed: Callable[[], None] = _nothing
        """Called when a record may be decoded by another codec than before."""
        self._given: dict[str, Codec] = {}
        if not isinstance(codec, Auto):
            self._given[codec.name] = codec

    def use(self, codec: Codec) -> None:
        """Use that object from now on, instead of the registered codec of its name."""
        self._given[codec.name] = codec

    def choice(self, value: object, codec: CodecChoice | None, protocol: int | None) -> tuple[Codec, int]:
        """The codec and protocol for a value; None for either means that of the store."""
        asked = self.default if codec is None else self._called(codec)
        if protocol is not None:
            protocol = _protocol(asked, protocol)
        else:
            protocol = self.protocol if asked is self.default else asked.default_protocol
        if not isinstance(asked, Auto):
            return asked, protocol
        chosen = asked.codec_for(value)
        return chosen, protocol if protocol in chosen.protocols else chosen.default_protocol

    def of(self, row: Row | Sealed) -> Codec:
        """The codec that reads a row.

        Raises:
            CodecUnavailable: it is unknown or not installed. UnknownProtocol: its format version is unknown.
        """
        codec = self._given.get(row.codec) or _registered(row)
        if row.protocol not in codec.protocols:
            raise UnknownProtocol(
                f"it was written with {row.codec} protocol {row.protocol}, and this program knows "
                f"{codec.protocols[0]} to {codec.protocols[-1]}; the record is intact: upgrade Python or "
                "sealed-store to read it",
                codec=row.codec,
                protocol=row.protocol,
            )
        return codec

    def _called(self, codec: CodecChoice) -> Codec | Auto:
        """The codec of that name, or that object, which is then known by its name."""
        if isinstance(codec, str):
            return self._given.get(codec) or _codec(codec)
        found: Codec = adapt(codec)
        before, self._given[found.name] = self._given.get(found.name), found
        # The same object of the program may have been adapted twice.
        if before is not None and getattr(before, "codec", before) is not getattr(found, "codec", found):
            self.changed()
        return found


def _nothing() -> None:
    """Called on a change if nothing is cached."""


def _codec(codec: CodecChoice) -> Codec | Auto:
    """The codec of that name, or an adapted object of the program.

    Raises:
        TypeError, ValueError: unknown name, or not a codec. CodecUnavailable: it is not installed.
    """
    if not isinstance(codec, str):
        return adapt(codec)  # type: ignore[no-any-return]
    if codec == AUTO:
        return Auto()
    if codec not in codecs:
        raise ValueError(f"unknown codec {codec!r}: one of {', '.join([*codecs.names(), AUTO])}")
    return codecs.load(codec)  # type: ignore[no-any-return]


def _registered(row: Row | Sealed) -> Codec:
    if row.codec not in codecs:
        raise CodecUnavailable(
            f"{label(row.name, row.namespace)} was written with the codec {row.codec[:80]!r}, which this program "
            "does not know; the record is intact: upgrade sealed-store, or register the codec "
            "(store.codecs.register)",
            codec=row.codec,
        )
    try:
        return codecs.load(row.codec)  # type: ignore[no-any-return]
    except CodecUnavailable as exc:
        raise CodecUnavailable(
            f"{label(row.name, row.namespace)} cannot be read here, and is intact: {exc}", codec=row.codec
        ) from exc.__cause__


def _protocol(codec: Codec | Auto, protocol: int | None) -> int:
    if protocol is None:
        return codec.default_protocol
    if not isinstance(protocol, int) or isinstance(protocol, bool):
        raise TypeError(f"protocol is an int, not {protocol!r}")
    if protocol < 0:  # as in pickle: the highest
        return codec.protocols[-1]
    if protocol not in codec.protocols:
        raise ValueError(
            f"the codec {codec.name!r} has protocols {codec.protocols[0]} to {codec.protocols[-1]}, not {protocol}"
        )
    return protocol
