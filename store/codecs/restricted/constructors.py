"""The constructors that replace calls of standard types: each checks its arguments, which the C types do not.

They raise Corrupt, TypeError, ValueError or OverflowError for arguments that no pickler writes.
"""

from __future__ import annotations

import collections
import datetime
from collections.abc import Callable
from typing import Any

from store.codecs.refusals import does_not_fit

Construct = Callable[..., Any] | str

_DECIMAL_LIMIT = 100_000  # characters of a Decimal
_FRACTION_LIMIT = 10_000  # characters of a Fraction: it is reduced in quadratic time
_FRACTION_BITS = 1 << 15


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise does_not_fit(what)


def _text(value: Any, limit: int) -> str:
    _require(type(value) is str and len(value) <= limit, "a text")
    return value  # type: ignore[no-any-return]


def _all_of(kind: type, values: tuple[Any, ...], what: str) -> None:
    _require(all(type(value) is kind for value in values), what)


def make_latin_1(text: Any, encoding: Any = "") -> bytes:
    """Protocols 0 to 2 write bytes this way; no other encoding is accepted."""
    _require(type(text) is str and encoding in ("latin1", "latin-1"), "bytes")
    return text.encode("latin-1")  # type: ignore[no-any-return]


def _bytes(*args: Any) -> bytes:
    _require(not args, "bytes")
    return b""


def _bytearray(*args: Any) -> bytearray:
    if len(args) == 2:
        return bytearray(make_latin_1(*args))
    _require(not args or (len(args) == 1 and type(args[0]) is bytes), "bytearray")
    return bytearray(*args)


def _complex(real: Any, imag: Any) -> complex:
    _require(all(type(part) in (int, float) for part in (real, imag)), "complex")
    return complex(real, imag)


def _range(*args: Any) -> range:
    _all_of(int, args, "range")
    return range(*args)


def _slice(start: Any, stop: Any, step: Any) -> slice:
    return slice(start, stop, step)


def _type(value: Any) -> Any:
    """Pickle writes the types of None, NotImplemented and Ellipsis this way."""
    _require(value is None or value is NotImplemented or value is Ellipsis, "type")
    return type(value)


def is_factory(factory: Any) -> bool:
    """Whether a defaultdict may call it: called without arguments, it makes an empty or zero object."""
    return any(factory is known for known in _FACTORIES)


_FACTORIES = (
    list, dict, set, tuple, frozenset, int, float, complex, bool, str, bytes, bytearray, object,
    collections.OrderedDict, collections.Counter, collections.deque, collections.defaultdict,
)  # fmt: skip


def _date(packed: Any) -> datetime.date:
    """A date from its four packed bytes; the C type checks only the month."""
    packed = _packed(packed, 4)
    return datetime.date(packed[0] << 8 | packed[1], packed[2], packed[3])


def _time(packed: Any, zone: Any = None) -> datetime.time:
    packed = _packed(packed, 6)
    _require(_is_zone(zone), "time")
    return datetime.time(
        packed[0] & 0x7F, packed[1], packed[2], int.from_bytes(packed[3:6], "big"), zone, fold=packed[0] >> 7
    )


def _datetime(packed: Any, zone: Any = None) -> datetime.datetime:
    packed = _packed(packed, 10)
    _require(_is_zone(zone), "datetime")
    return datetime.datetime(
        packed[0] << 8 | packed[1], packed[2] & 0x7F, packed[3], packed[4], packed[5], packed[6],
        int.from_bytes(packed[7:10], "big"), zone, fold=packed[2] >> 7,
    )  # fmt: skip


def _packed(value: Any, size: int) -> bytes:
    """The packed bytes of a date or time; Python 2 wrote them as str, which `encoding="latin1"` restores."""
    if type(value) is str and len(value) == size:
        value = value.encode("latin-1")
    _require(type(value) is bytes and len(value) == size, "a date or time")
    return value  # type: ignore[no-any-return]


def _is_zone(zone: Any) -> bool:
    return zone is None or isinstance(zone, datetime.tzinfo)


def _timedelta(*args: Any) -> datetime.timedelta:
    _all_of(int, args, "timedelta")
    return datetime.timedelta(*args)


def _timezone(offset: Any, *name: Any) -> datetime.timezone:
    _require(type(offset) is datetime.timedelta and len(name) <= 1, "timezone")
    _all_of(str, name, "timezone")
    return datetime.timezone(offset, *name)


def make_decimal(text: Any) -> Any:
    from decimal import Decimal

    return Decimal(_text(text, _DECIMAL_LIMIT))


def make_fraction(*args: Any) -> Any:
    from fractions import Fraction

    if len(args) == 1:
        text = _text(args[0], _FRACTION_LIMIT)
        _require("e" not in text and "E" not in text, "Fraction")  # an exponent would be computed as a power
        return Fraction(text)
    _all_of(int, args, "Fraction")
    _require(len(args) == 2, "Fraction")
    _require(all(number.bit_length() <= _FRACTION_BITS for number in args), "Fraction")
    return Fraction(*args)


def address_maker(cls: Any) -> Construct:
    """Addresses are pickled as numbers, interfaces and networks as text."""
    return lambda value: cls(value if type(value) is int else _text(value, 200))


def path_maker(cls: Any) -> Construct:
    def construct(*parts: Any) -> Any:
        _all_of(str, parts, cls.__name__)
        return cls(*parts)

    return construct


def make_zone(key: Any, from_cache: Any) -> Any:
    from zoneinfo import ZoneInfo

    return ZoneInfo(_text(key, 200)) if from_cache else ZoneInfo.no_cache(_text(key, 200))


BUILTINS: dict[str, Construct] = {
    "bytes": _bytes, "bytearray": _bytearray, "complex": _complex, "range": _range, "slice": _slice, "type": _type,
    "set": "make_set", "frozenset": "make_frozenset",
}  # fmt: skip
COLLECTIONS: dict[str, Construct] = {
    "OrderedDict": "make_ordered", "Counter": "make_counter", "deque": "make_deque", "defaultdict": "make_default",
}  # fmt: skip
COSTS = {"deque": 640, "ZoneInfo": 24_000}  # deque: a block of 64 places; ZoneInfo: a table read from a file
DATETIME: dict[str, Construct] = {
    "date": _date, "time": _time, "datetime": _datetime, "timedelta": _timedelta, "timezone": _timezone,
}  # fmt: skip
