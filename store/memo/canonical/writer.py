"""The writer of canonical forms, and the forms of the types that Python has itself."""

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

    def __init__(self, forms: tuple[Form, ...] = (), *, functions: bool = False) -> None:
        self.out = bytearray()
        self.functions = functions
        self._forms = forms
        self._inside: dict[int, int] = {}
        self._seen: dict[int, tuple[int, Any]] = {}

    def write(self, value: Any) -> None:
        """Append the form of a value. Raises: TypeError: it has none; `out` is then unchanged."""
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
        """A function may use the table that it is in; any other value inside of itself has no form."""
        if not self.functions:
            raise TypeError(f"a {kind.__name__} contains itself")
        self.atom("inside", _number(depth))

    def atom(self, tag: str, content: bytes) -> None:
        name = _text(tag)
        self.out += struct.pack(">HQ", len(name), len(content)) + name + content

    def text(self, tag: str, content: str) -> None:
        self.atom(tag, _text(content))

    def sequence(self, tag: str, items: Iterable[Any]) -> None:
        parts = list(items)
        self.atom(tag, _number(len(parts)))
        for part in parts:
            self.write(part)

    def unordered(self, tag: str, items: Iterable[Any]) -> None:
        """Items by their forms, sorted; each is written apart, so that order depends on nothing else."""
        self.atom(tag, b"".join(sorted(map(self._digest, items))))

    def is_repeated(self, value: Any) -> bool:
        """Whether a function or class was written before; then its number is written now."""
        if id(value) in self._seen:
            self.atom("seen", _number(self._seen[id(value)][0]))
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
            self.sequence(_TAGS.get(kind, kind.__name__), parts(value))
        elif kind in _UNORDERED:
            self.unordered(kind.__name__, value.items() if isinstance(value, dict) else value)
        elif not any(form(self, value) for form in self._forms):
            raise TypeError(f"{described(value)} has no canonical form")


Form: TypeAlias = Callable[[Writer, Any], bool]


def described(value: Any) -> str:
    """The type of a value, for messages."""
    cls = type(value)
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _number(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _float(value: float) -> bytes:
    return _NAN if value != value else struct.pack(">d", value)


def _text(value: Any) -> bytes:
    return str(value).encode("utf-8", "surrogatepass")


def _zone(zone: ZoneInfo) -> bytes:
    if zone.key is None:
        raise TypeError("a ZoneInfo that was read from a file without a key has no canonical form")
    return _text(zone.key)


_ATOMS: dict[type[Any], Callable[[Any], bytes]] = {
    **dict.fromkeys((type(None), type(Ellipsis), type(NotImplemented)), lambda value: b""),
    bool: lambda value: b"1" if value else b"0",
    int: lambda value: value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True),
    float: _float,
    complex: lambda value: _float(value.real) + _float(value.imag),
    bytes: bytes,
    bytearray: bytes,
    ZoneInfo: _zone,
    **dict.fromkeys((str, REAL[0], Decimal, UUID), _text),
    **dict.fromkeys((IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network), _text),
}
ATOMS: frozenset[type[Any]] = frozenset(_ATOMS) - {bytearray}  # the types among them whose values never change


def _moment(value: Any) -> tuple[Any, ...]:
    return value.replace(tzinfo=None).isoformat(), value.fold, value.tzinfo


def _span(value: Any) -> tuple[Any, ...]:
    return value.start, value.stop, value.step


_UNORDERED = (dict, Counter, set, frozenset)
_PARTS: dict[type[Any], Callable[[Any], Iterable[Any]]] = {
    list: iter,
    tuple: iter,
    OrderedDict: lambda value: value.items(),
    deque: lambda value: (value.maxlen, list(value)),
    Fraction: lambda value: (value.numerator, value.denominator),
    range: _span,
    slice: _span,
    REAL[1]: _moment,
    time: _moment,
    timedelta: lambda value: (value.days, value.seconds, value.microseconds),
    timezone: lambda value: (value.utcoffset(None), value.tzname(None)),
    re.Pattern: lambda value: (value.pattern, value.flags),
    **dict.fromkeys((PosixPath, PurePosixPath, WindowsPath, PureWindowsPath), lambda value: (str(value),)),
}
_TAGS: dict[type[Any], str] = {
    re.Pattern: "pattern",
    **dict.fromkeys((PosixPath, PurePosixPath), "posix path"),
    **dict.fromkeys((WindowsPath, PureWindowsPath), "windows path"),
}
