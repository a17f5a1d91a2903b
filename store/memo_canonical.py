"""The canonical form of a value: the same bytes for equal values in every process and run of Python.

    canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1})

Each value is written as its type, a length, and its content, so that no two different values have the same form.
What counts as equal:

    None, bool, int, float, complex, str, bytes   by type and value: 1, 1.0 and True are three; so are 0.0 and -0.0
                                                  two; every NaN is the same one
    list, tuple, deque, range, slice              by type, in order; a namedtuple by its class as well
    dict, Counter, set, frozenset                 whatever their order; OrderedDict in order
    dataclasses                                   by class and the fields that take part in comparison, and what
                                                  else was set on the instance, but for a `cached_property`
    enum members, classes                         by module and qualified name
    datetime, date, time, timedelta, time zones   as written: one instant in two zones is two values
    Decimal, Fraction, UUID, paths, IP addresses, compiled patterns
                                                  as written: Decimal("1.0") and Decimal("1.00") are two
    NumPy arrays, scalars and dtypes              dtype, shape and content, whatever the layout in memory
    what has a method `__memo_key__()`            by class and what that method returns

Anything else (an open file, a function, an object of a class of yours, a value that contains itself) has no
canonical form. A subclass of a type above has none either: nobody knows what it adds.
"""

from __future__ import annotations

import copyreg
import dataclasses
import functools
import math
import os
import re
import struct
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

DIGEST_BYTES = 32  # BLAKE2b-256: no two different values with one digest will ever be found
EXTENDED_BITS, EXTENDED_BYTES = 63, 10  # of the fraction, and in all, of x87's floats (Intel SDM 1, 4.2.2)
_NAN = struct.pack(">d", math.nan)


def canonical(value: Any) -> bytes:
    """The canonical form of a value. Raises: TypeError: it has none; the message says which part of it."""
    out = bytearray()
    try:
        _Writer(out).write(value)
    except RecursionError:
        raise TypeError("it is nested too deeply for a canonical form") from None
    return bytes(out)


class _Writer:
    """Appends canonical forms to `out`; knows what it is inside of."""

    def __init__(self, out: bytearray) -> None:
        self.out = out
        self._inside: set[int] = set()

    def write(self, value: Any) -> None:
        kind = type(value)
        atom = _ATOMS.get(kind)
        if atom is not None:
            self.atom(kind.__name__, atom(value))
            return
        if id(value) in self._inside:
            raise TypeError(f"a {kind.__name__} contains itself")
        self._inside.add(id(value))
        self._write_parts(kind, value)
        self._inside.discard(id(value))

    def atom(self, tag: str, content: bytes) -> None:
        name = tag.encode("utf-8", "surrogatepass")
        self.out += struct.pack(">HQ", len(name), len(content)) + name + content

    def sequence(self, tag: str, items: Iterable[Any]) -> None:
        parts = list(items)
        self.atom(tag, len(parts).to_bytes(8, "big"))
        for part in parts:
            self.write(part)

    def unordered(self, tag: str, items: Iterable[Any]) -> None:
        """Items by their forms, sorted; each is written apart, so that order depends on nothing else."""
        self.atom(tag, b"".join(sorted(map(self._digest, items))))

    def _digest(self, value: Any) -> bytes:
        out, self.out = self.out, bytearray()
        self.write(value)
        form, self.out = self.out, out
        return blake2b(form, digest_size=DIGEST_BYTES).digest()

    def _write_parts(self, kind: type[Any], value: Any) -> None:
        parts = _PARTS.get(kind)
        if parts is not None:
            parts(self, kind.__name__, value)
        elif isinstance(value, type):
            self.atom("class", _name_of(value))
        elif isinstance(value, Enum):
            self.sequence("enum", (kind, value.name if value.name is not None else value.value))
        elif hasattr(kind, "__memo_key__"):
            self.sequence("__memo_key__", (kind, value.__memo_key__()))
        elif dataclasses.is_dataclass(value) and not _is_builtin(value):
            self.sequence("dataclass", (kind, _fields(value)))
        elif isinstance(value, tuple) and kind.__bases__ == (tuple,) and hasattr(kind, "_fields"):
            self.sequence("namedtuple", (kind, tuple(value)))
        elif not self._write_numpy(value):
            raise TypeError(f"{_described(value)} has no canonical form")

    def _write_numpy(self, value: Any) -> bool:
        """Whether it was one of NumPy's; what nobody imported cannot be here."""
        numpy = sys.modules.get("numpy")
        if numpy is None:
            return False
        if type(value) in (numpy.ndarray, getattr(numpy, "memmap", None)):
            self._write_array(numpy.asarray(value))
        elif isinstance(value, numpy.generic):
            self.sequence("numpy scalar", (numpy.asarray(value),))
        elif isinstance(value, numpy.dtype):
            base = None if value.subdtype is None else value.base
            self.sequence("dtype", (value.str, value.name, _dtype_fields(value), base, value.shape))
        else:
            return False
        return True

    def _write_array(self, array: Any) -> None:
        self.sequence("ndarray", (array.dtype, array.shape))
        if array.dtype.names is not None:  # field by field: between fields there may be bytes that mean nothing
            for name in array.dtype.names:
                self._write_array(array[name])
        elif array.dtype.kind in "OT":
            self.write(array.tolist())
        else:
            self.atom("content", _content(array))


def _content(array: Any) -> bytes:
    """The bytes of an array's elements; of extended floats those that count, next to which there is padding."""
    numpy = sys.modules["numpy"]
    kind: Any = {"f": numpy.longdouble, "c": numpy.clongdouble}.get(array.dtype.kind)
    if kind is None or array.dtype.itemsize != numpy.dtype(kind).itemsize or numpy.finfo(kind).nmant != EXTENDED_BITS:
        return array.tobytes()  # type: ignore[no-any-return]
    little = array.astype(array.dtype.newbyteorder("<"), copy=False).ravel()  # the padding comes last
    size = numpy.dtype(numpy.longdouble).itemsize
    return little.view("u1").reshape(-1, size)[:, :EXTENDED_BYTES].tobytes()  # type: ignore[no-any-return]


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
    date: _text,
    ZoneInfo: lambda value: _text(_key_of(value)),
    **dict.fromkeys(
        (Decimal, Fraction, UUID, IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network),
        _text,
    ),
}


def _key_of(zone: ZoneInfo) -> str:
    if zone.key is None:
        raise TypeError("a ZoneInfo that was read from a file without a key has no canonical form")
    return zone.key


def _pairs(writer: _Writer, tag: str, value: Any) -> None:
    writer.unordered(tag, value.items())


_PARTS: dict[type[Any], Callable[[_Writer, str, Any], None]] = {
    list: _Writer.sequence,
    tuple: _Writer.sequence,
    set: _Writer.unordered,
    frozenset: _Writer.unordered,
    dict: _pairs,
    Counter: _pairs,
    OrderedDict: lambda writer, tag, value: writer.sequence(tag, value.items()),
    deque: lambda writer, tag, value: writer.sequence(tag, (value.maxlen, list(value))),
    range: lambda writer, tag, value: writer.sequence(tag, (value.start, value.stop, value.step)),
    slice: lambda writer, tag, value: writer.sequence(tag, (value.start, value.stop, value.step)),
    datetime: lambda writer, tag, value: writer.sequence(
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


def _name_of(cls: type[Any]) -> bytes:
    """A class is known by its module and name, however the program was started."""
    module = sys.modules.get(cls.__module__)
    return _text(f"{module_name(cls.__module__, getattr(module, '__dict__', {}))}:{cls.__qualname__}")


def module_name(name: str, variables: dict[str, Any]) -> str:
    """A module's name; of the program itself, which is `__main__` here and another name elsewhere, one that lasts."""
    if name not in ("__main__", "__mp_main__"):
        return name
    spec, file = variables.get("__spec__"), variables.get("__file__")
    if spec is not None:
        return str(spec.name)
    return "__main__" if file is None else os.path.realpath(file)


def _is_builtin(value: Any) -> bool:
    """Whether it is a container or a number as well, whose content no field holds."""
    return isinstance(value, dict | list | tuple | set | frozenset | str | bytes | int | float | BaseException)


def _fields(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that make two of them equal, and what else was set on the instance."""
    fields = dataclasses.fields(value)
    compared = {field.name: getattr(value, field.name) for field in fields if field.compare}
    known = {field.name for field in fields}
    held = {**getattr(value, "__dict__", {}), **_slots(value)}
    others = {
        name: other
        for name, other in held.items()
        if name not in known and not isinstance(getattr(type(value), name, None), functools.cached_property)
    }
    return {**compared, **others}


def _slots(value: Any) -> dict[str, Any]:
    """What the slots of a class and its bases hold."""
    names = copyreg._slotnames(type(value))  # type: ignore[attr-defined]
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _dtype_fields(dtype: Any) -> Any:
    if dtype.names is None:
        return None
    return [(name, dtype.fields[name][0]) for name in dtype.names]


def _described(value: Any) -> str:
    cls = type(value)
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
