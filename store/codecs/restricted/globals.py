"""The table of globals that plain data needs, with the constructors that replace calling them.

A pair (module, qualified name) is looked up here exactly; a stream cannot cause the import of any other module. Each
entry is the object itself and the constructor to use for a call, which makes the checks that the C types lack. An
entry without a constructor can be loaded but not called.
"""

from __future__ import annotations

import builtins
import collections
import datetime
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from store.classes.allowlist import Allowed
from store.classes.moved import other_names
from store.codecs.refusals import does_not_fit, install, not_installed

Construct = Callable[..., Any] | str

_TEXT_LIMIT = 100_000  # characters of a Decimal
_FRACTION_LIMIT = 10_000  # characters of a Fraction: it is reduced in quadratic time
_FRACTION_BITS = 1 << 15


class Global(NamedTuple):
    """An object that a stream may name, and the constructor to use for a call; None: it may not be called.

    A `construct` that is a str names a method of `Objects`, or of its `arrays`, which charges its work. `cost` is the
    additional charge for a call in bytes (see `limits.py`), `factor` the charge for each byte of the arguments.
    """

    value: Any
    construct: Construct | None = None
    cost: int = 0
    factor: int = 1


def standard(module: str, name: str) -> Global | None:
    """The standard global of that name, here or in another Python, or None."""
    for one, its_name in ((module, name), *other_names(module, name)):
        found = _fixed().get((one, its_name))
        if found is None and one in _LATE:
            found = _late(one).get(its_name)
        if found is not None:
            return found
    if (module, name) in _OF_NUMPY:
        return _array(name, _OF_NUMPY[module, name])
    return None


def classes_of(allow: Allowed) -> set[type]:
    """The classes whose instances may get state by BUILD; never those of NumPy, even if allowed."""
    return {cls for cls in allow.values() if (cls.__module__, cls.__qualname__) not in _OF_NUMPY}


# -- the table

_VALUES = (
    "bool dict float int list object str tuple type map filter zip enumerate reversed "  # classes
    "abs all any ascii bin callable chr divmod hash hex id iter len max min next oct ord pow repr round sorted sum "
    "Ellipsis NotImplemented"
)


@cache
def _fixed() -> dict[tuple[str, str], Global]:
    """The entries of modules that every program has loaded."""
    table = {("builtins", name): Global(getattr(builtins, name)) for name in _VALUES.split()}
    for name, construct in _BUILTINS.items():
        table["builtins", name] = Global(getattr(builtins, name), construct)
    for name, value in vars(builtins).items():
        if isinstance(value, type) and issubclass(value, BaseException):
            table["builtins", value.__name__] = Global(value, value)
            table["builtins", name] = Global(value, value)
    for name, construct in _COLLECTIONS.items():
        table["collections", name] = Global(getattr(collections, name), construct, _COSTS.get(name, 0))
    for name, construct in _DATETIME.items():
        table["datetime", name] = Global(getattr(datetime, name), construct)
    table["_codecs", "encode"] = Global(_latin_1, _latin_1)
    return table


_LATE = {"decimal", "fractions", "ipaddress", "pathlib", "uuid", "zoneinfo"}


@cache
def _late(module: str) -> dict[str, Global]:
    """The entries of a standard module that is imported when a record needs it."""
    if module == "decimal":
        from decimal import Decimal

        return {"Decimal": Global(Decimal, lambda text: Decimal(_text(text, _TEXT_LIMIT)), factor=2)}
    if module == "fractions":
        from fractions import Fraction

        return {"Fraction": Global(Fraction, _fraction, factor=16)}
    if module == "ipaddress":
        import ipaddress

        names = [f"IPv{version}{kind}" for version in "46" for kind in ("Address", "Interface", "Network")]
        return {name: Global(cls, _address(cls), 400) for name in names for cls in [getattr(ipaddress, name)]}
    if module == "pathlib":
        import pathlib

        names = ["PurePath", "PurePosixPath", "PureWindowsPath", "Path", "PosixPath", "WindowsPath"]
        return {name: Global(cls, _path(cls), 400, 16) for name in names for cls in [getattr(pathlib, name)]}
    if module == "uuid":
        from uuid import UUID

        return {"UUID": Global(UUID)}  # made by NEWOBJ and BUILD
    from zoneinfo import ZoneInfo

    return {"ZoneInfo": Global(ZoneInfo), "ZoneInfo._unpickle": Global(make_zone, make_zone, _COSTS["ZoneInfo"])}


_CORE = [f"numpy.{core}.{module}" for core in ("core", "_core") for module in ("multiarray", "numeric")]
_OF_NUMPY: dict[tuple[str, str], str] = {
    ("numpy", "dtype"): "arrays.dtype", ("numpy", "ndarray"): "arrays.no_call", ("numpy", "record"): "arrays.no_call",
    ("numpy._core._internal", "_convert_to_stringdtype_kwargs"): "arrays.string_dtype",
    ("numpy.rec", "record"): "arrays.no_call", ("numpy.core.records", "record"): "arrays.no_call",
    **{(module, "_reconstruct"): "arrays.reconstruct" for module in _CORE[::2]},
    **{(module, "scalar"): "arrays.scalar" for module in _CORE[::2]},
    **{(module, "_frombuffer"): "arrays.frombuffer" for module in _CORE[1::2]},
    **{("numpy", name): "arrays.no_call" for name in (
        "bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128 "
        "datetime64 timedelta64 str_ bytes_ void"
    ).split()},
}  # fmt: skip


@cache
def _array(name: str, construct: str) -> Global:
    """The entry of a NumPy name. Raises: ClassNotFound: NumPy is not installed."""
    distribution = not_installed("numpy")
    if distribution is not None:
        raise install(f"numpy.{name}", distribution)
    from store.codecs.restricted.arrays import value_of

    return Global(value_of(name), construct)


# -- constructors: each raises Corrupt, TypeError, ValueError or OverflowError for arguments that do not fit


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise does_not_fit(what)


def _text(value: Any, limit: int) -> str:
    _require(type(value) is str and len(value) <= limit, "a text")
    return value  # type: ignore[no-any-return]


def _all_of(kind: type, values: tuple[Any, ...], what: str) -> None:
    _require(all(type(value) is kind for value in values), what)


def _latin_1(text: Any, encoding: Any = "") -> bytes:
    """Protocols 0 to 2 write bytes this way; no other encoding is accepted."""
    _require(type(text) is str and encoding in ("latin1", "latin-1"), "bytes")
    return text.encode("latin-1")  # type: ignore[no-any-return]


def _bytes(*args: Any) -> bytes:
    _require(not args, "bytes")
    return b""


def _bytearray(*args: Any) -> bytearray:
    if len(args) == 2:
        return bytearray(_latin_1(*args))
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


def _fraction(*args: Any) -> Any:
    from fractions import Fraction

    if len(args) == 1:
        text = _text(args[0], _FRACTION_LIMIT)
        _require("e" not in text and "E" not in text, "Fraction")  # an exponent would be computed as a power
        return Fraction(text)
    _all_of(int, args, "Fraction")
    _require(len(args) == 2, "Fraction")
    _require(all(number.bit_length() <= _FRACTION_BITS for number in args), "Fraction")
    return Fraction(*args)


def _address(cls: Any) -> Construct:
    """Addresses are pickled as numbers, interfaces and networks as text."""
    return lambda value: cls(value if type(value) is int else _text(value, 200))


def _path(cls: Any) -> Construct:
    def construct(*parts: Any) -> Any:
        _all_of(str, parts, cls.__name__)
        return cls(*parts)

    return construct


def make_zone(key: Any, from_cache: Any) -> Any:
    from zoneinfo import ZoneInfo

    return ZoneInfo(_text(key, 200)) if from_cache else ZoneInfo.no_cache(_text(key, 200))


_BUILTINS: dict[str, Construct] = {
    "bytes": _bytes, "bytearray": _bytearray, "complex": _complex, "range": _range, "slice": _slice, "type": _type,
    "set": "make_set", "frozenset": "make_frozenset",
}  # fmt: skip
_COLLECTIONS: dict[str, Construct] = {
    "OrderedDict": "make_ordered", "Counter": "make_counter", "deque": "make_deque", "defaultdict": "make_default",
}  # fmt: skip
_COSTS = {"deque": 640, "ZoneInfo": 24_000}  # deque: a block of 64 places; ZoneInfo: a table read from a file
_DATETIME: dict[str, Construct] = {
    "date": _date, "time": _time, "datetime": _datetime, "timedelta": _timedelta, "timezone": _timezone,
}  # fmt: skip


def _reconstructor(*args: Any) -> Any:
    """Represents `copyreg._reconstructor` on the stack; calls go to `Objects.reconstruct`."""
    raise TypeError("this is a name, not a function")


def _getattr(*args: Any) -> Any:
    """Represents `getattr` on the stack; calls go to `Objects.attribute`."""
    raise TypeError("this is a name, not a function")


NAMES_OF_FUNCTIONS = {
    ("copyreg", "_reconstructor"): Global(_reconstructor, "reconstruct"),
    ("builtins", "getattr"): Global(_getattr, "attribute"),
}
