"""The writer of canonical forms, and the forms of the types that Python has itself. See `memo.canonical.form`."""

from __future__ import annotations

import math
import re
import struct
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

DIGEST_BYTES = 32  # BLAKE2b-256: no two different values with one digest will ever be found
_NAN = struct.pack(">d", math.nan)
# Tests that set the clock put classes of their own in the place of these, perhaps when this is first imported.
# They look for these in all modules, but not inside of a tuple.
REAL: tuple[Any, Any] = tuple(  # type: ignore[assignment]
    next(cls for cls in one.__mro__ if cls.__module__ == "datetime") for one in (date, datetime)
)


class Writer:
    """Appends canonical forms to `out`. Used by one thread, for one key.

    `forms` are tried in order on values whose type Python does not have itself; the first that returns True wrote it.
    `functions` tells whether functions have a form too, which is the case inside of functions and classes alone.
    """

    def __init__(self, out: bytearray, forms: tuple[Form, ...], *, functions: bool = False) -> None:
        self.out = out
        self.functions = functions
        self._forms = forms
        self._inside: dict[int, int] = {}
        self._seen: dict[int, tuple[int, Any]] = {}

    def write(self, value: Any) -> None:
        """Appends the form of a value. Raises: TypeError: it has none; `out` is then as it was."""
        kind = type(value)
        atom = _ATOMS.get(kind)
        if atom is not None:
            self.atom(kind.__name__, atom(value))
            return
        start, is_code = len(self.out), isinstance(value, type) or (self.functions and callable(value))
        if not is_code:  # functions and classes refer to themselves, which `is_repeated` finds
            if id(value) in self._inside:
                self._write_cycle(kind, self._inside[id(value)])
                return
            self._inside[id(value)] = len(self._inside)
        try:
            self._write_parts(kind, value)
        except BaseException:
            del self.out[start:]
            raise
        finally:
            if not is_code:
                del self._inside[id(value)]

    def _write_cycle(self, kind: type[Any], depth: int) -> None:
        """A value inside of itself: by a function that uses the table that it is in, or else it has no form."""
        if not self.functions:
            raise TypeError(f"a {kind.__name__} contains itself")
        self.atom("inside", depth.to_bytes(8, "big"))

    def atom(self, tag: str, content: bytes) -> None:
        name = tag.encode("utf-8", "surrogatepass")
        self.out += struct.pack(">HQ", len(name), len(content)) + name + content

    def text(self, tag: str, content: str) -> None:
        self.atom(tag, _text(content))

    def sequence(self, tag: str, items: Iterable[Any]) -> None:
        parts = list(items)
        self.atom(tag, len(parts).to_bytes(8, "big"))
        for part in parts:
            self.write(part)

    def unordered(self, tag: str, items: Iterable[Any]) -> None:
        """Items by their forms, sorted; each is written apart, so that order depends on nothing else."""
        self.atom(tag, b"".join(sorted(map(self._digest, items))))

    def is_repeated(self, value: Any) -> bool:
        """Whether a function or class was written before; then this writes which one it was."""
        if id(value) in self._seen:
            self.atom("seen", self._seen[id(value)][0].to_bytes(8, "big"))
            return True
        self._seen[id(value)] = len(self._seen), value
        return False

    @contextmanager
    def allowing_functions(self) -> Iterator[None]:
        """In the block, functions have a form."""
        before, self.functions = self.functions, True
        try:
            yield
        finally:
            self.functions = before

    @contextmanager
    def apart(self, *, knowing_seen: bool) -> Iterator[bytearray]:
        """In the block, forms go to the bytes that this gives; what is seen there is not known after it."""
        out, seen = self.out, self._seen
        self.out, self._seen = bytearray(), dict(seen) if knowing_seen else {}
        try:
            yield self.out
        finally:
            self.out, self._seen = out, seen

    def _digest(self, value: Any) -> bytes:
        with self.apart(knowing_seen=True) as out:
            self.write(value)
        return blake2b(out, digest_size=DIGEST_BYTES).digest()

    def _write_parts(self, kind: type[Any], value: Any) -> None:
        parts = _PARTS.get(kind)
        if parts is not None:
            parts(self, kind.__name__, value)
        elif not any(form(self, value) for form in self._forms):
            raise TypeError(f"{described(value)} has no canonical form")


Form: TypeAlias = Callable[[Writer, Any], bool]


def _integer(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _float(value: float) -> bytes:
    return _NAN if value != value else struct.pack(">d", value)


def _text(value: Any) -> bytes:
    return str(value).encode("utf-8", "surrogatepass")


_ATOMS: dict[type[Any], Callable[[Any], bytes]] = {
    type(None): lambda value: b"",
    type(Ellipsis): lambda value: b"",
    type(NotImplemented): lambda value: b"",
    bool: lambda value: b"1" if value else b"0",
    int: _integer,
    float: _float,
    complex: lambda value: _float(value.real) + _float(value.imag),
    str: _text,
    bytes: bytes,
    bytearray: bytes,
    REAL[0]: _text,
    ZoneInfo: lambda value: _text(_key_of(value)),
    **dict.fromkeys(
        (Decimal, UUID, IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network),
        _text,
    ),
}


ATOMS: frozenset[type[Any]] = frozenset(_ATOMS) - {bytearray}  # the types among them whose values never change


def _key_of(zone: ZoneInfo) -> str:
    if zone.key is None:
        raise TypeError("a ZoneInfo that was read from a file without a key has no canonical form")
    return zone.key


def _pairs(writer: Writer, tag: str, value: Any) -> None:
    writer.unordered(tag, value.items())


_PARTS: dict[type[Any], Callable[[Writer, str, Any], None]] = {
    list: Writer.sequence,
    tuple: Writer.sequence,
    set: Writer.unordered,
    frozenset: Writer.unordered,
    dict: _pairs,
    Counter: _pairs,
    OrderedDict: lambda writer, tag, value: writer.sequence(tag, value.items()),
    deque: lambda writer, tag, value: writer.sequence(tag, (value.maxlen, list(value))),
    Fraction: lambda writer, tag, value: writer.sequence(tag, (value.numerator, value.denominator)),
    range: lambda writer, tag, value: writer.sequence(tag, (value.start, value.stop, value.step)),
    slice: lambda writer, tag, value: writer.sequence(tag, (value.start, value.stop, value.step)),
    REAL[1]: lambda writer, tag, value: writer.sequence(
        tag, (value.replace(tzinfo=None).isoformat(), value.fold, value.tzinfo)
    ),
    time: lambda writer, tag, value: writer.sequence(
        tag, (value.replace(tzinfo=None).isoformat(), value.fold, value.tzinfo)
    ),
    timedelta: lambda writer, tag, value: writer.sequence(tag, (value.days, value.seconds, value.microseconds)),
    timezone: lambda writer, tag, value: writer.sequence(tag, (value.utcoffset(None), value.tzname(None))),
    PosixPath: lambda writer, tag, value: writer.sequence("posix path", (str(value),)),
    PurePosixPath: lambda writer, tag, value: writer.sequence("posix path", (str(value),)),
    WindowsPath: lambda writer, tag, value: writer.sequence("windows path", (str(value),)),
    PureWindowsPath: lambda writer, tag, value: writer.sequence("windows path", (str(value),)),
    re.Pattern: lambda writer, tag, value: writer.sequence("pattern", (value.pattern, value.flags)),
}


def described(value: Any) -> str:
    """How a message calls a value."""
    cls = type(value)
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
