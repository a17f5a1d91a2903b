"""Values without parts as text: numbers, short texts, dates, names of classes. No code of their classes runs.

Methods are taken from the builtin class and called on the value (`float.__repr__(value)`), since a class of the
program may override its own.
"""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import ipaddress
import pathlib
import re
import sys
import uuid
import zoneinfo
from collections.abc import Callable
from enum import Enum
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, NamedTuple

from store.classes.attributes import attributes_of, own_dict
from store.web.values.class_names import entry_of, full_name, is_a, module_of, short_name

MOST_BITS = 4096  # of an int that is written out; longer ones take quadratic time
MOST_NUMBER_BYTES = 4096  # of a Decimal
MOST_CELL_BYTES = 4096  # of a NumPy scalar, which may be a text or a record
_DATE_FIELDS = ("year", "month", "day")
_TIME_FIELDS = ("hour", "minute", "second", "microsecond")


class Scalar(NamedTuple):
    """A value as text. `kind` is "none", "bool", "number", "text", "time" or "name", for the style sheet."""

    kind: str
    text: str


def scalar_of(value: Any, most: int) -> Scalar | None:
    """A value as text of about `most` characters, or None if it has parts. Bytes are not scalars."""
    cls = type(value)
    if value is None or value is ... or value is NotImplemented:
        return Scalar("none", repr(value))
    if cls is bool:
        return Scalar("bool", repr(value))
    if is_a(value, Enum):
        return _member(value, most)
    for base, style, write in _BASES:
        if is_a(value, base):
            return Scalar(style, write(value, most))
    kind = entry_of(cls, _EXACT)
    if kind is not None and _is_plain(value):
        return Scalar(kind, _cut(str(value), most))
    if cls is re.Pattern:
        return Scalar("text", _pattern(value, most))
    if is_a(value, type):
        return Scalar("name", f"<class {full_name(value)}>")
    if cls is FunctionType:
        return Scalar("name", f"<function {_cut(value.__qualname__, most)}>")
    if cls is BuiltinFunctionType or cls is ModuleType:
        return Scalar("name", f"<{short_name(cls)}>")
    return _of_library(value, most)


def _member(value: Any, most: int) -> Scalar:
    found = own_dict(value)
    held = {} if found is None else found
    name, content = dict.get(held, "_name_"), dict.get(held, "_value_")
    shown = f"{short_name(type(value))}.{_cut(name, most)}" if type(name) is str else short_name(type(value))
    inner = None if is_a(content, Enum) else scalar_of(content, 60)
    return Scalar("name", shown if inner is None else f"{shown} = {inner.text}")


def _text(value: str, most: int) -> str:
    length = str.__len__(value)
    beginning = repr(str.__getitem__(value, slice(0, most)))
    return beginning if length <= most else f"{beginning}… ({length:,} characters)"


def _whole_number(value: int, _: int) -> str:
    bits = int.bit_length(value)
    return int.__repr__(value) if bits <= MOST_BITS else f"a number of {bits:,} bits"


def _decimal(value: decimal.Decimal, _: int) -> str:
    size = decimal.Decimal.__sizeof__(value)
    return f"a decimal number of {size:,} bytes" if size > MOST_NUMBER_BYTES else decimal.Decimal.__str__(value)


def _moment(value: dt.datetime, _: int) -> str:
    if short_name(type(value)) == "NaTType":  # pandas: a date that is missing
        return "NaT"
    zone = _field(value, dt.datetime, "tzinfo")
    if zone is None or type(zone) is dt.timezone or type(zone) is zoneinfo.ZoneInfo:
        return dt.datetime.isoformat(value, " ")
    plain = dt.datetime(*(_field(value, dt.datetime, name) for name in (*_DATE_FIELDS, *_TIME_FIELDS)))
    return f"{plain} ({short_name(type(zone))})"  # its zone is code of the program


def _time(value: dt.time, _: int) -> str:
    return str(dt.time(*(_field(value, dt.time, name) for name in _TIME_FIELDS)))


def _field(value: Any, base: type, name: str) -> Any:
    """A field as the builtin class has it, where a subclass may have a property instead."""
    descriptor: Any = next(vars(cls)[name] for cls in base.__mro__ if name in vars(cls))
    return descriptor.__get__(value)


def _interval(value: range | slice, most: int) -> str:
    ends = (value.start, value.stop, value.step)
    # Slices that share slices are as long as gigabytes, and those in members of enumerations may never end.
    parts = (None if is_a(part, slice, Enum) else scalar_of(part, most) for part in ends)
    return f"{type(value).__name__}({', '.join('…' if part is None else part.text for part in parts)})"


def _fraction(value: fractions.Fraction, most: int) -> str:
    parts = (fractions.Fraction.__dict__[slot].__get__(value) for slot in ("_numerator", "_denominator"))
    return "/".join(_whole_number(part, most) if type(part) is int else "…" for part in parts)


def _is_plain(value: Any, deep: int = 3) -> bool:
    """Whether the content of a value of `_EXACT` is of builtin classes: its `str` asks that content."""
    for _, content in attributes_of(value):
        parts = content if type(content) is list or type(content) is tuple else (content,)
        for part in parts:
            is_inner = deep > 0 and entry_of(type(part), _EXACT) is not None and _is_plain(part, deep - 1)
            is_known = type(part) is uuid.SafeUUID or entry_of(type(part), _CONTENT) is not None
            if not is_inner and not is_known:
                return False
    return True


def _pattern(value: re.Pattern[Any], most: int) -> str:
    """A pattern, as its `repr` has it where its text is of no other class."""
    text: Any = value.pattern
    if type(text) is str or type(text) is bytes:
        return _cut(repr(value), most)
    return f"re.compile({_text(text, most) if is_a(text, str) else '…'})"


def _of_library(value: Any, most: int) -> Scalar | None:
    """A scalar of NumPy or pandas, by their own code. Neither is imported: without it there is no such value."""
    cls = type(value)
    generic = getattr(sys.modules.get("numpy"), "generic", None)
    if generic is not None and is_a(value, generic) and module_of(cls) == "numpy":
        if value.dtype.names is not None:  # it has parts, which its `str` would ask
            return None
        size = int(value.dtype.itemsize)
        return Scalar("number", f"{size:,} bytes" if size > MOST_CELL_BYTES else _cut(str(value), most))
    pandas = sys.modules.get("pandas")
    if pandas is not None and cls is getattr(pandas, "Interval", None):
        ends = (scalar_of(end, most) for end in (value.left, value.right))
        inner = ", ".join("…" if end is None else end.text for end in ends)
        return Scalar("number", f"{'[' if value.closed_left else '('}{inner}{']' if value.closed_right else ')'}")
    if pandas is not None and cls is getattr(pandas, "Period", None):
        return Scalar("number", _cut(str(value), most))
    return Scalar("none", "<NA>") if pandas is not None and value is getattr(pandas, "NA", None) else None


def _cut(text: str, most: int) -> str:
    """The beginning of a text, as an exact `str` even if its class is another."""
    beginning = str.__getitem__(text, slice(0, most))
    return beginning if str.__len__(text) <= most else beginning + "…"


_BASES: tuple[tuple[type, str, Callable[[Any, int], str]], ...] = (
    (str, "text", _text),
    (int, "number", _whole_number),
    (float, "number", lambda value, _: float.__repr__(value)),
    (complex, "number", lambda value, _: complex.__repr__(value)),
    (decimal.Decimal, "number", _decimal),
    (fractions.Fraction, "number", _fraction),
    (dt.datetime, "time", _moment),
    (dt.date, "time", lambda value, _: dt.date.isoformat(value)),
    (dt.time, "time", _time),
    (dt.timedelta, "time", lambda value, _: dt.timedelta.__str__(value)),
    (range, "number", _interval),
    (slice, "number", _interval),
)
# Their own `str` may run, for exactly these classes.
_EXACT: dict[type, str] = {
    uuid.UUID: "text", dt.timezone: "time", zoneinfo.ZoneInfo: "time", pathlib.PurePosixPath: "text",
    pathlib.PureWindowsPath: "text", pathlib.PosixPath: "text", pathlib.WindowsPath: "text",
    ipaddress.IPv4Address: "text", ipaddress.IPv6Address: "text", ipaddress.IPv4Network: "text",
    ipaddress.IPv6Network: "text", ipaddress.IPv4Interface: "text", ipaddress.IPv6Interface: "text",
}  # fmt: skip
_CONTENT: dict[type, bool] = dict.fromkeys((int, str, bool, type(None), list, tuple, dt.timedelta), True)
