"""MessagePack: compact and widely supported; JSON's values, and bytes, datetimes and integers of any size.

Datetimes in UTC use the timestamp type of the format. Other dates and large integers use our extension types.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, NamedTuple

import msgpack

from store.classes.lookup import Lookup
from store.classes.shown import shown
from store.codecs.formats import MAX_SHOWN, Format
from store.codecs.plain import Plain
from store.codecs.restricted.limits import Budget

# Extension types: they are on disk, do not change them. INTEGER is two's complement, big-endian, in as few bytes as
# possible; the dates are ISO 8601 in ASCII, as Python's `isoformat` writes it.
INTEGER = 1  # beyond 64 bits
DATETIME = 2  # naive, or with an offset other than zero
DATE = 3
TIMESTAMP = -1  # the format's own type: a datetime in UTC

MAX_NESTING = 1024  # limit of the library's packer; older versions have half of it
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LIST_BYTES, _DICT_BYTES, _ITEM_BYTES = 88, 240, 32  # memory of a container, and of each item or key in it


def _encode(value: Any) -> bytes:
    """Accepts None, bool, int of any size, float, str, bytes, date, datetime, list, and dict with scalars as keys."""
    _PLAIN.check(value)
    return msgpack.packb(value, default=_extension, use_bin_type=True, strict_types=True)  # type: ignore[no-any-return]


def _decode(body: bytes, _: Lookup) -> Any:
    return msgpack.unpackb(body, timestamp=3, ext_hook=_of_extension, strict_map_key=False)


def _restricted(body: bytes, _: Lookup) -> Any:
    return _Reader(body).read()


# -- supported values


def _surrogate(text: str) -> str | None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as exc:
            return str(exc)
    return None


def _variable(moment: datetime) -> str | None:
    """Why neither a timestamp nor ISO 8601 can represent a datetime, or None if one can."""
    if moment.fold:
        return "its fold is 1"
    zone = moment.tzinfo
    if zone is None:
        return None
    if type(zone) is not timezone:
        return f"its tzinfo is a {type(zone).__qualname__}, not a datetime.timezone; use astimezone(timezone.utc)"
    if zone.utcoffset(None).microseconds:
        return "its offset has a fraction of a second"  # Python 3.11 reads some of them as UTC
    if zone.tzname(None) != timezone(zone.utcoffset(None)).tzname(None):
        return "its timezone has a name"
    return None


_SCALARS: dict[type, Callable[[Any], str | None] | None] = {
    type(None): None, bool: None, int: None, float: None, str: _surrogate, bytes: None, date: None,
    datetime: _variable,
}  # fmt: skip
_PLAIN = Plain("MessagePack", _SCALARS, _SCALARS)


# -- extension types


def _extension(value: Any) -> Any:
    """The extension type that the packer writes for a value that the format does not have."""
    if type(value) is int:
        return msgpack.ExtType(INTEGER, _integer_bytes(value))
    if type(value) is date:
        return msgpack.ExtType(DATE, value.isoformat().encode())
    if value.tzinfo is None or value.utcoffset():
        return msgpack.ExtType(DATETIME, value.isoformat().encode())
    since = value - _EPOCH
    return msgpack.Timestamp(since.days * 86400 + since.seconds, since.microseconds * 1000)


def _integer_bytes(value: int) -> bytes:
    return value.to_bytes(((value if value >= 0 else ~value).bit_length() + 8) // 8, "big", signed=True)


def _of_extension(code: int, data: bytes) -> Any:
    """The value of one of our extension types. Raises: ValueError: another type, or not as `_extension` writes it."""
    if code == INTEGER:
        number = int.from_bytes(data, "big", signed=True)
        if -(2**63) <= number < 2**64 or _integer_bytes(number) != data:
            raise ValueError("a large integer in it is not in its shortest form")
        return number
    if code not in (DATETIME, DATE):
        raise ValueError(f"it has the extension type {code}, which this codec does not have")
    text = str(data, "ascii")
    moment = (date if code == DATE else datetime).fromisoformat(text)
    if moment.isoformat() != text or getattr(moment, "tzinfo", None) is UTC:
        raise ValueError(f"{text[:80]!r} in it is not a date or time as this codec writes it")
    return moment


def _of_timestamp(data: bytes) -> datetime:
    stamp = msgpack.Timestamp.from_bytes(data)
    return _EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanoseconds // 1000)


# -- restricted reading


class _Open(NamedTuple):
    """A container being read: its items so far (of a map: key, value, key, …) and how many it will have."""

    items: list[Any]
    wanted: int
    is_map: bool


class _Reader:
    """Reads foreign bytes in a loop, so that nesting cannot fill the stack, and allocates only for items that exist.

    The library's unpacker allocates a list of the announced length before it reads an item: 500 nested lists that
    each announce all the following bytes take 4,000 times the bytes. It also hashes the keys of a dict before they
    can be checked. Here memory is proportional to the bytes (no byte makes more than an empty dict), and keys are
    charged to a budget.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0
        self._budget = Budget()
        self._budget.grow(len(body))

    def read(self) -> Any:
        """The value. Raises: ValueError, OverflowError, Corrupt."""
        open_ = [_Open([], 1, False)]
        while True:
            top = open_[-1]
            if len(top.items) < top.wanted:
                code = self._take(1)[0]
                inner = self._container(code)
                if inner is None:
                    top.items.append(self._leaf(code))
                elif len(open_) > MAX_NESTING:
                    raise ValueError(f"it nests containers more than {MAX_NESTING} deep")
                else:
                    open_.append(inner)
                continue
            open_.pop()
            self._budget.charge(_ITEM_BYTES * len(top.items))
            if not open_:
                break
            open_[-1].items.append(self._dict(top.items) if top.is_map else top.items)
        if self._at < len(self._body):
            raise ValueError(f"{len(self._body) - self._at} bytes follow its end")
        return top.items[0]

    def _take(self, size: int) -> bytes:
        if size > len(self._body) - self._at:
            raise ValueError("it ends too early")
        self._at += size
        return self._body[self._at - size : self._at]

    def _number(self, form: struct.Struct) -> Any:
        return form.unpack(self._take(form.size))[0]

    def _container(self, code: int) -> _Open | None:
        """The container that starts with this byte, or None."""
        if 0x80 <= code <= 0x9F:
            is_map, count = code < 0x90, code & 15
        elif code in _CONTAINERS:
            is_map, count = code >= 0xDE, self._number(_CONTAINERS[code])
        else:
            return None
        wanted = 2 * count if is_map else count
        if wanted > len(self._body) - self._at:
            raise ValueError("it ends too early")
        self._budget.charge(_DICT_BYTES if is_map and count else _LIST_BYTES)
        return _Open([], wanted, is_map)

    def _leaf(self, code: int) -> Any:
        if code <= 0x7F or code >= 0xE0:
            return code if code <= 0x7F else code - 256
        if 0xA0 <= code <= 0xBF:
            return str(self._take(code & 31), "utf-8")
        if code in _NUMBERS:
            return self._number(_NUMBERS[code])
        if code in _STRINGS:
            return str(self._take(self._number(_STRINGS[code])), "utf-8")
        if code in _BYTES:
            return self._take(self._number(_BYTES[code]))
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        if code == 0xC1:
            raise ValueError("it has the byte 0xc1, which is never used")
        size = self._number(_EXTENSIONS[code]) if code in _EXTENSIONS else 1 << (code - 0xD4)
        kind = self._number(_INT8)
        data = self._take(size)
        return _of_timestamp(data) if kind == TIMESTAMP else _of_extension(kind, data)

    def _dict(self, items: list[Any]) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for piece in self._budget.pieces(0, items, 2):
            for index in range(0, len(piece), 2):
                key = piece[index]
                if type(key) not in _SCALARS:
                    raise ValueError(f"a key in it is a {type(key).__name__}")
                self._budget.charge_key(made, key)
                if key in made:
                    raise ValueError("a dict in it has a key twice")
                made[key] = piece[index + 1]
        self._budget.forget(made)
        return made


# https://github.com/msgpack/msgpack/blob/master/spec.md
_UINT8, _UINT16, _UINT32, _INT8 = map(struct.Struct, (">B", ">H", ">I", ">b"))
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {0xCA + index: struct.Struct(">" + form) for index, form in enumerate("fdBHIQbhiq")}
_BYTES = {0xC4: _UINT8, 0xC5: _UINT16, 0xC6: _UINT32}
_EXTENSIONS = {0xC7: _UINT8, 0xC8: _UINT16, 0xC9: _UINT32}
_STRINGS = {0xD9: _UINT8, 0xDA: _UINT16, 0xDB: _UINT32}
_CONTAINERS = {0xDC: _UINT16, 0xDD: _UINT32, 0xDE: _UINT16, 0xDF: _UINT32}


codec = Format(
    "msgpack", "MessagePack", encode=_encode, decode=_decode, restricted=_restricted,
    errors=(ValueError, TypeError, OverflowError, RecursionError),  # nested too deep, or too long for 32 bits
    bytes_are="MessagePack as this codec writes it",
    show=lambda body, value: shown(value, MAX_SHOWN, deep=MAX_NESTING),
)  # fmt: skip
