"""Value → sealed row."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from store.classes.allowlist import allowed
from store.classes.placeholder import HoldsPlaceholder
from store.codecs.auto import AUTO, CHOICES, Auto
from store.codecs.contract import Codec, CodecChoice, NotReadBack
from store.codecs.pickle.based import EXTENSIONS, Pickled, is_pickled
from store.codecs.pickle.codec import PickleCodec, types_in
from store.errors import NotSerializable, RecordError, Untrusted, label
from store.rows.row import Row
from store.trust.keys.key import UNKEYED
from store.trust.keys.ring import Keyring
from store.trust.seal import Seal, Sealer
from store.values.choices import Choices, KnownCodecs
from store.values.large import BufferCollector, Large, LargeBuffer, digest_of
from store.values.readback import ReadBack

# The opcode that names a class or function in pickles of protocol 4 and later. As a number, which is found in bytes
# 0.08 us faster than as bytes.
STACK_GLOBAL = 0x93
FIRST_PROTOCOL = 4  # the lowest protocol with it
MOST_SEALS = 100  # functions that seal the rows of one namespace, codec and protocol, that are kept
LARGE_BODY = 4096  # bytes; after a larger body, the types of the next value are noted while pickling: 0.7 us
PYTHON = sys.version.partition(" ")[0]  # as platform.python_version(); importing that module takes 1.6 ms
_NO_TYPES: set[type] = set()
_TYPE_NAMES = {cls: cls.__name__ for cls in (dict, list, tuple, set, str, bytes, int, float, bool)}
_new_row: Callable[[tuple[Any, ...]], Row] = partial(tuple.__new__, Row)  # as Row._make, in C: 0.2 us less

CheckUnsealed = Callable[[Row, Codec, Sequence[memoryview]], None]
"""Raises Untrusted if a row without a seal could not be read back."""


class Packer:
    """Encodes and seals the values of one store."""

    def __init__(
        self,
        sealer: Sealer,
        choices: Choices,
        codecs: KnownCodecs,
        large: Large | None,
        *,
        verify_writes: bool,
        check_unsealed: CheckUnsealed | None,
    ) -> None:
        self.sealer = sealer
        self.large = large
        self.codecs = codecs
        self._choices = choices
        self._check_unsealed = check_unsealed or self._check_readable
        self._usual = None if isinstance(choices.codec, Auto) else (choices.codec, choices.protocol)
        self._keeps_inline = None if large is None else large.keeps_inline
        self._read_back = ReadBack(choices.lookup, every=verify_writes, mmap=large is None or large.mmap)
        self._no_types = None if verify_writes else _NO_TYPES
        self._sealing_key = sealer.keyring.sealing_key
        self._seals: dict[tuple[str, str, int], Seal] = {}
        self._notes_types = False  # whether the next value probably has objects, or bytes that look like them

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
        """The sealed row of a value. Its files are already written: put the row, or `discard` it.

        Raises:
            NotSerializable: the value cannot be encoded, or does not round-trip.
            Untrusted: there is no key to seal with, and an unsealed record could not be read back.
        """
        chosen: Codec
        if codec is None and protocol is None and self._usual is not None:
            chosen, protocol = self._usual
        else:
            chosen, protocol = self.codecs.choice(value, codec, protocol)
        try:
            body, buffers, types = self._encoded(chosen, value, protocol)
        except NotSerializable as exc:
            raise _located(exc, value, chosen, protocol).about(name, namespace) from exc.__cause__
        except RecordError as exc:
            raise exc.about(name, namespace) from exc.__cause__
        if types is not _NO_TYPES:
            try:
                self._read_back.check(chosen, value, protocol, body, buffers, types)
            except NotReadBack as exc:
                raise self._unreadable(exc, value, chosen, protocol).about(name, namespace) from exc.why
        kind = _TYPE_NAMES.get(type(value)) or type_name(value)
        key, large, codec = self._sealing_key(), self.large, chosen.name
        seal, crc = b"", 0
        if key is not None and (large is None or (len(body) <= large.limit and not buffers)):
            of = self._seals.get((namespace, codec, protocol)) or self._sealing(namespace, codec, protocol)
            seal, crc = of(key, name, expires, body)
        row = _new_row((
            None, namespace, name, codec, protocol, kind, PYTHON, body, None, seal, crc, 1, now, now, expires,
        ))  # fmt: skip
        return row if seal else self._pack_draft(row, chosen, buffers)

    def pack_again(self, value: Any, row: Row, now: float) -> Row:
        """The sealed row of a new value for `row`: expiry, codec and protocol are kept.

        With `codec="auto"` the codec is chosen again.
        """
        codec, protocol = row.codec, row.protocol
        if isinstance(self._choices.codec, Auto) and codec in CHOICES:
            again, number = self.codecs.choice(value, AUTO, None)
            if again.name != codec:
                codec, protocol = again.name, number
        return self.pack(row.namespace, row.name, value, now, row.expires, codec, protocol)

    def fingerprint(self, value: Any, row: Row) -> bytes:
        """The digest of a value encoded as in `row`, to detect whether the value changed."""
        codec = self.codecs.of(row)
        try:
            body, buffers, _ = self._encoded(codec, value, row.protocol)
        except NotSerializable as exc:
            raise _located(exc, value, codec, row.protocol).about(row.name, row.namespace) from exc.__cause__
        if self.large is not None:
            return self.large.digest(body, buffers)
        return digest_of(row._replace(body=body, spill=None))

    def reseal(self, row: Row) -> Row:
        """The row sealed with a key of the user; the caller has decided to trust it.

        Raises:
            Untrusted: there is no key to seal with, so it would remain foreign.
        """
        sealed = self.sealer.seal(row)
        if sealed.seal.startswith(UNKEYED):
            ring = self.sealer.keyring
            raise Untrusted(
                f"{label(row.name, row.namespace)} cannot be sealed: {_problem(ring)}. Name a key file in "
                "STORE_KEY_FILE, or pass key=",
                name=row.name,
                namespace=row.namespace,
            )
        return sealed

    def discard(self, row: Row) -> None:
        """Delete the files of a packed row that will not be put."""
        if row.spill is not None and self.large is not None:
            self.large.discard(row)

    def _encoded(
        self, codec: Codec, value: Any, protocol: int
    ) -> tuple[bytes, Sequence[memoryview], set[type] | None]:
        """(body; buffers that are too large for it; types of the objects, None if unknown)."""
        try:
            if type(codec) is not PickleCodec:
                body = codec.encode(value, protocol, self._keeps_inline)
                return body, (), None if is_pickled(codec) else self._no_types
            # Numbers and text may contain the byte of the opcode. In a small body a false match is cheap; after a
            # large one, `_notes_types` makes the next encoding note the types while pickling.
            if protocol >= FIRST_PROTOCOL and not self._notes_types and not EXTENSIONS:
                body = codec.encode(value, protocol, self._keeps_inline)
                if STACK_GLOBAL not in body:
                    self._notes_types = len(body) > LARGE_BODY
                    return body, (), self._no_types
                types = types_in(value)
            else:
                body, types = codec.encode_with_types(value, protocol, self._keeps_inline)
            self._notes_types = len(body) > LARGE_BODY or types != _NO_TYPES or STACK_GLOBAL in body
            return body, (), self._no_types if types == _NO_TYPES else types
        except LargeBuffer:
            assert self.large is not None
            collector = BufferCollector(self.large.limit)
            return codec.encode(value, protocol, collector.take), collector.buffers, None

    def _sealing(self, namespace: str, codec: str, protocol: int) -> Seal:
        """The function that seals such rows, kept for the next one."""
        if len(self._seals) >= MOST_SEALS:
            self._seals.clear()
        seal = self._seals[namespace, codec, protocol] = self.sealer.sealing(namespace, codec, protocol)
        return seal

    def _pack_draft(self, draft: Row, codec: Codec, buffers: Sequence[memoryview]) -> Row:
        """The sealed row of a value with large parts, or that no key can seal."""
        if self.large is not None and (len(draft.body) > self.large.limit or buffers):
            return self._pack_large(draft, codec, buffers)
        row = self.sealer.seal(draft)
        if row.seal.startswith(UNKEYED):
            self._check_unsealed(row, codec, ())
        return row

    def _pack_large(self, draft: Row, codec: Codec, buffers: Sequence[memoryview]) -> Row:
        assert self.large is not None
        if self.sealer.keyring.sealing_key() is None:
            self._check_unsealed(draft, codec, buffers)
        row = self.large.write(draft, buffers)
        try:
            return self.sealer.seal(row)
        except BaseException:
            self.large.discard(row)
            raise

    def _unreadable(self, exc: NotReadBack, value: Any, codec: Codec, protocol: int) -> NotSerializable:
        """The error for a value that does not round-trip."""
        if is_pickled(codec):
            attempt = partial(self._read_back.read_part, codec, protocol)
            found = _culprit(exc, value, codec, protocol, attempt)
            if found is not None:
                return found
        return NotSerializable(
            f"it {exc.text}; correct what the codec {codec.name!r} encodes or decodes, or store something else",
            path="value",
        )

    def _check_readable(self, row: Row, codec: Codec, buffers: Sequence[memoryview]) -> None:
        trust, allow, lookup = self._choices.trust, self._choices.allow, self._choices.lookup
        if trust == "all":
            return
        try:
            if trust == "own":
                raise Untrusted('it could not be read back with trust="own"')
            codec.decode_restricted(row.body, buffers, allow=allowed(allow), lookup=lookup)
        except RecordError as exc:
            raise self._not_readable(row, exc) from exc

    def _not_readable(self, row: Row, exc: RecordError) -> Untrusted:
        """The error for a row that cannot be sealed, and could not be read back unsealed."""
        allowable = isinstance(exc, Untrusted) and exc.allowable
        reason = exc.reason if isinstance(exc, Untrusted) and exc.reason is not None else exc.message
        return Untrusted(
            f"{label(row.name, row.namespace)} cannot be sealed, so it could not be read back: "
            f"{_problem(self.sealer.keyring)}. Name a key file in STORE_KEY_FILE, or pass key="
            f"{'; or allow the class with @store.allow' if allowable else ''} ({reason})",
            name=row.name,
            namespace=row.namespace,
            missing=getattr(exc, "missing", None),
            reason=reason,
            allowable=allowable,
        )


def type_name(value: Any) -> str:
    """The qualified name of the class of a value, without `builtins`."""
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _problem(ring: Keyring) -> str:
    return ring.problem or f"no key can be had from {ring.where()}"


def _located(exc: NotSerializable, value: Any, codec: Codec, protocol: int) -> NotSerializable:
    """The error with the path of the culprit and a remedy; the search runs only after a failure."""
    if exc.path is not None or not is_pickled(codec) or isinstance(exc.__cause__, HoldsPlaceholder):
        return exc
    return _culprit(exc, value, codec, protocol, lambda part: codec.encode(part, protocol)) or exc


def _culprit(
    exc: Exception, value: Any, codec: Pickled, protocol: int, attempt: Callable[[Any], object]
) -> NotSerializable | None:
    from store.values import culprit  # needed only after a failure

    return culprit.error_for(exc, value, codec, protocol, attempt)
