"""Value ⇄ sealed row: the only place where codec meets trust, and the only way in.

On the way in a row's seal is checked over the bytes as they were fetched; then the verdict and the store's
trust level pick the decoder. Nothing ever falls back from the restricted decoder to the full one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from store.classes.allowlist import allowed, entries_of
from store.classes.lookup import Lookup, Renames
from store.classes.placeholder import HoldsPlaceholder
from store.codecs import Codec, CodecChoice, codecs
from store.codecs.adapted import adapt
from store.codecs.auto import AUTO, CHOICES, Auto
from store.codecs.not_read_back import NotReadBack
from store.codecs.pickle import PickleCodec
from store.codecs.pickle.globals import FIRST_PROTOCOL, STACK_GLOBAL
from store.codecs.pickle.pickled import EXTENSIONS, Pickled, undecodable
from store.errors import CodecUnavailable, NotSerializable, RecordError, StoreError, UnknownProtocol, Untrusted, label
from store.rows.row import Row
from store.trust.keys.key import UNKEYED
from store.trust.seal import Sealer, Verdict
from store.values.large import Beside, Large, LargeBuffer, digest_of, no_files
from store.values.readback import ReadBack

TRUST = ("own", "data", "all")
ON_MISSING = ("raise", "placeholder")
NOTED_BYTES = 4096  # after a body that is larger, the next one is watched while it is pickled: 0.7 us
PYTHON = sys.version.partition(" ")[0]  # as platform.python_version(), whose module costs 1.6 ms

Decode = Callable[[bytes], Any]
"""Makes a value of the body of one row."""


class Choices(NamedTuple):
    """What a store was opened with: how it encodes new records, and which of others it decodes.

    `trust`: "own" decodes only what a key of ours sealed; "data" the rest too, with restraint; "all" everything
    in full. `allow`: classes that restraint lets pass, beside those declared with `store.allow`. `lookup`: how
    classes that moved, or are gone, are found.
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
    """The choices, checked; the protocol None is the codec's default.

    Raises:
        TypeError, ValueError: one of them can never be right. CodecUnavailable.
    """
    if trust not in TRUST:
        raise ValueError(f"unknown trust {trust!r}: one of {', '.join(TRUST)}")
    if on_missing not in ON_MISSING:
        raise ValueError(f"unknown on_missing {on_missing!r}: one of {', '.join(ON_MISSING)}")
    lookup = Lookup(renames, placeholders=on_missing == "placeholder")
    chosen, entries = codec_called(codec), entries_of(allow)
    allowed(entries)  # a class that is not there is told at once
    return Choices(chosen, _protocol_of(chosen, protocol), trust, entries, lookup)


class Pipeline:
    """Packs and unpacks the values of one store."""

    def __init__(
        self, sealer: Sealer, choices: Choices, large: Large | None = None, *, verify_writes: bool = False
    ) -> None:
        self.sealer = sealer
        self.large = large  # None: all of a value is in its row
        self.codec, self.protocol, self.trust, self.allow, self.lookup = choices
        self.changed: Callable[[], None] = _nothing
        """Called when a record may be decoded by something else than before."""
        self._known: dict[str, Codec] = {}  # codecs that were given as objects, by name: they go before all others
        if not isinstance(self.codec, Auto):
            self._known[self.codec.name] = self.codec
        self._plainly = None if isinstance(self.codec, Auto) else (self.codec, self.protocol)
        # What most rows need, at hand.
        self._usual: Codec = codecs.load("pickle") if isinstance(self.codec, Auto) else self.codec
        self._usual_decode = self._full(self._usual)
        self._read_back = ReadBack(self.lookup, every=verify_writes, mmap=large is None or large.mmap)
        self._verifies = verify_writes
        self._last_bytes = 0  # of the last body

    def pack(
        self,
        namespace: str,
        name: str,
        value: Any,
        now: float,
        expires: float | None,
        codec: CodecChoice | None = None,
        protocol: int | None = None,
    ) -> Row:
        """The sealed row of a value. Where it has files they are written: put it, or `discard` it.

        Raises:
            NotSerializable: the codec cannot hold it, or not give it back.
            Untrusted: there is no key to seal with, and without one it could not be read back.
        """
        chosen: Codec
        if codec is None and protocol is None and self._plainly is not None:
            chosen, protocol = self._plainly
        else:
            chosen, protocol = self.choice(value, codec, protocol)
        try:
            body, buffers, is_plain = self._encoded(chosen, value, protocol)
        except NotSerializable as exc:
            raise _located(exc, value, chosen, protocol).about(name, namespace) from exc.__cause__
        except RecordError as exc:
            raise exc.about(name, namespace) from exc.__cause__
        if not is_plain:
            try:
                self._read_back.check(chosen, value, protocol, body, buffers)
            except NotReadBack as exc:
                raise self._unreadable(exc, value, chosen, protocol).about(name, namespace) from exc.why
        is_large = self.large is not None and (bool(buffers) or len(body) > self.large.limit)
        seal, crc = b"", 0
        if not is_large:
            seal, crc = self.sealer.seal_of(namespace, name, chosen.name, protocol, expires, None, body)
        row = Row._make((
            None, namespace, name, chosen.name, protocol, type_name(value), PYTHON, body, None, seal, crc,
            1, now, now, expires,
        ))  # fmt: skip
        if is_large:
            return self._pack_large(row, chosen, buffers)
        if seal.startswith(UNKEYED):
            self._check_readable(row, chosen)
        return row

    def pack_again(self, value: Any, row: Row, now: float) -> Row:
        """The sealed row of a value that takes the place of that of `row`: expiry, codec and protocol stay.

        Where the store chooses by the value, it chooses again.
        """
        codec, protocol = row.codec, row.protocol
        if isinstance(self.codec, Auto) and codec in CHOICES:
            again, number = self.choice(value, AUTO, None)
            if again.name != codec:
                codec, protocol = again.name, number
        return self.pack(row.namespace, row.name, value, now, row.expires, codec, protocol)

    def unpack(self, row: Row, *, private: bool = False) -> Any:
        """The value of a row; `private`: none of it is mapped, so that all of it can be changed.

        Raises:
            Tampered, Corrupt, Untrusted, UnknownProtocol, CodecUnavailable.
        """
        return self.unpacked(row, private=private)[0]

    def unpacked(self, row: Row, *, private: bool = False) -> tuple[Any, Decode | None]:
        """The value; and what makes it of the body again, where that is all of it and sealed by a key of ours.

        Raises: as `unpack`.
        """
        try:
            if row.spill is not None:
                return self._unpack_large(row, private), None
            if self.sealer.check(row) is Verdict.OWN:
                if row.codec == self._usual.name and row.protocol in self._usual.protocols:
                    decode = self._usual_decode
                else:
                    decode = self._full(self.codec_of(row))
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
        except Exception as exc:  # of a codec of the program's own: a KeyError would pass for a missing record
            raise undecodable(exc).about(row.name, row.namespace) from exc

    def decoder_of_own(self, row: Row) -> Decode | None:
        """What `unpacked` gives beside the value, of a row that `pack` has just made; None: it has no key's seal."""
        return None if row.seal.startswith(UNKEYED) else self._full(self.codec_of(row))

    def codec_of(self, row: Row) -> Codec:
        """The codec that reads a row.

        Raises:
            CodecUnavailable: it is not known here, or not installed. UnknownProtocol: its format version is not.
        """
        codec = self._known.get(row.codec) or _registered(row)
        if row.protocol not in codec.protocols:
            raise UnknownProtocol(
                f"it was written with {row.codec} protocol {row.protocol}, and this program knows "
                f"{codec.protocols[0]} to {codec.protocols[-1]}; the record is intact: upgrade Python or "
                "sealed-store to read it",
                codec=row.codec,
                protocol=row.protocol,
            )
        return codec

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
        codec = self.codec_of(row)
        try:
            body, buffers, _ = self._encoded(codec, value, row.protocol)
        except NotSerializable as exc:
            raise _located(exc, value, codec, row.protocol).about(row.name, row.namespace) from exc.__cause__
        if buffers or (self.large is not None and len(body) > self.large.limit):
            assert self.large is not None
            return self.large.digest(body, buffers)
        return digest_of(row._replace(body=body, spill=None))

    def body_of(self, row: Row) -> bytes:
        """The whole encoded value, but for buffers beside it. Raises: Corrupt, StorageError."""
        if row.spill is None:
            return row.body
        if self.large is None:
            raise no_files()
        return self.large.body(row, foreign=not self._is_own(row))

    def _is_own(self, row: Row) -> bool:
        try:
            return self.sealer.check(row) is Verdict.OWN
        except (RecordError, ValueError):
            return False

    def discard(self, row: Row) -> None:
        """The row was packed and is not put: its files go, if it has some."""
        if row.spill is not None and self.large is not None:
            self.large.discard(row)

    def choice(self, value: Any, codec: CodecChoice | None, protocol: int | None) -> tuple[Codec, int]:
        """The codec and protocol for a value, where the caller asks for these; None is the store's."""
        asked = self.codec if codec is None else self._called(codec)
        if protocol is not None:
            protocol = _protocol_of(asked, protocol)
        else:
            protocol = self.protocol if asked is self.codec else asked.default_protocol
        if not isinstance(asked, Auto):
            return asked, protocol
        chosen = asked.codec_for(value)
        return chosen, protocol if protocol in chosen.protocols else chosen.default_protocol

    def use(self, codec: Codec) -> None:
        """From now on that object goes before the registered codec of its name."""
        self._known[codec.name] = codec

    def _called(self, codec: CodecChoice) -> Codec | Auto:
        """The codec of that name, or that object, which is known from now on."""
        if isinstance(codec, str):
            return self._known.get(codec) or codec_called(codec)
        found: Codec = adapt(codec)
        before, self._known[found.name] = self._known.get(found.name), found
        if before is not None and not _is_same(before, found):
            self.changed()
        return found

    def _encoded(self, codec: Codec, value: Any, protocol: int) -> tuple[bytes, Sequence[memoryview], bool]:
        """The body; the buffers that are too large for it; and whether it is of plain data, which comes back."""
        large = self.large
        try:
            # Numbers and text may look like a name. In a small body that costs little; it is the last one that tells.
            if self._last_bytes > NOTED_BYTES and type(codec) is PickleCodec:
                body, is_other = codec.encode_noting(value, protocol, None if large is None else large.stays)
                is_plain = not is_other
            else:
                body = codec.encode(value, protocol, None if large is None else large.stays)
                is_plain = not (STACK_GLOBAL in body or protocol < FIRST_PROTOCOL or EXTENSIONS)
            self._last_bytes = len(body)
            return body, (), is_plain and not self._verifies
        except LargeBuffer:
            assert large is not None
            beside = Beside(large.limit)
            return codec.encode(value, protocol, beside.take), beside.buffers, False

    def _pack_large(self, draft: Row, codec: Codec, buffers: Sequence[memoryview]) -> Row:
        assert self.large is not None
        if self.sealer.keyring.sealing_key() is None:
            self._check_readable(draft, codec, buffers)
        row = self.large.write(draft, buffers)
        try:
            return self.sealer.seal(row)
        except BaseException:
            self.large.discard(row)
            raise

    def _unpack_large(self, row: Row, private: bool) -> Any:
        is_own = self.sealer.check(row) is Verdict.OWN
        decode: Callable[..., Any] = self._full(self.codec_of(row)) if is_own else self._foreign(row)
        if self.large is None:
            raise no_files()
        foreign = self.trust != "all" and not is_own
        return decode(*self.large.read(row, private=private, foreign=foreign))

    def _foreign(self, row: Row) -> Decode:
        """What a row that no key of ours sealed deserves to be decoded by."""
        codec = self.codec_of(row)
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

    def _unreadable(self, exc: NotReadBack, value: Any, codec: Codec, protocol: int) -> NotSerializable:
        """The error for a value that was encoded and cannot be decoded."""
        if isinstance(codec, Pickled):
            from store.values.culprit import search as culprit

            attempt = partial(self._read_back.try_part, codec, protocol)
            found = culprit.error_for(value, attempt, protocol, codec.name)
            if found is not None:
                return found
        return NotSerializable(
            f"it {exc.text}; correct what the codec {codec.name!r} encodes or decodes, or store something else",
            path="value",
        )

    def _check_readable(self, row: Row, codec: Codec, buffers: Sequence[memoryview] = ()) -> None:
        if self.trust == "all":
            return
        try:
            if self.trust == "own":
                raise Untrusted('it could not be read back with trust="own"')
            codec.decode_restricted(row.body, buffers, allow=allowed(self.allow), lookup=self.lookup)
        except RecordError as exc:
            raise self._not_readable(row, exc) from exc

    def _not_readable(self, row: Row, exc: RecordError) -> Untrusted:
        """The error for a row that there is no key for, and that could not be read back without."""
        problem = self.sealer.keyring.problem or f"no key can be had from {self.sealer.keyring.where()}"
        allowable = isinstance(exc, Untrusted) and exc.allowable
        reason = exc.reason if isinstance(exc, Untrusted) and exc.reason is not None else exc.message
        return Untrusted(
            f"{label(row.name, row.namespace)} cannot be sealed, so it could not be read back: {problem}. "
            f"Name a key file in STORE_KEY_FILE, or pass key="
            f"{'; or allow the class with @store.allow' if allowable else ''} ({reason})",
            name=row.name,
            namespace=row.namespace,
            missing=getattr(exc, "missing", None),
            reason=reason,
            allowable=allowable,
        )


def _nothing() -> None:
    """What is done about a change where nobody keeps anything."""


def _is_same(one: Codec, other: Codec) -> bool:
    """Whether both are one object of the program's, which may have been adapted twice."""
    return getattr(one, "codec", one) is getattr(other, "codec", other)


def codec_called(codec: CodecChoice) -> Codec | Auto:
    """The codec of that name, or the one that an object of the program's own makes.

    Raises:
        TypeError, ValueError: there is none, or it is none. CodecUnavailable: it is not installed.
    """
    if not isinstance(codec, str):
        return adapt(codec)  # type: ignore[no-any-return]
    if codec == AUTO:
        return Auto()
    if codec not in codecs:
        raise ValueError(f"unknown codec {codec!r}: one of {', '.join([*codecs.names(), AUTO])}")
    return codecs.load(codec)  # type: ignore[no-any-return]


def _registered(row: Row) -> Codec:
    """The codec of the name that a row has."""
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


def _located(exc: NotSerializable, value: Any, codec: Codec, protocol: int) -> NotSerializable:
    """The error, saying where in the value the trouble is and what to do; looked for only now."""
    if exc.path is not None or not isinstance(codec, Pickled) or isinstance(exc.__cause__, HoldsPlaceholder):
        return exc
    from store.values.culprit import search as culprit

    return culprit.error_for(value, lambda part: codec.encode(part, protocol), protocol, codec.name) or exc


def type_name(value: Any) -> str:
    """The qualified name of a value's class, without `builtins`."""
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _protocol_of(codec: Codec | Auto, protocol: int | None) -> int:
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
