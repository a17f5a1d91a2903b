"""Checks the arguments that a stream passes to an allowed class that derives from a standard type.

The constructors of the standard types accept expensive arguments: `list` all addresses of a network, `bytes` the name
of a codec, a number a power of ten to compute.
"""

from __future__ import annotations

import array
import collections
import datetime
import enum
import sys
from collections.abc import Callable
from numbers import Rational
from types import FunctionType
from typing import Any

from store.classes.size import size_of as shown_size
from store.codecs.refusals import does_not_fit, too_much
from store.codecs.restricted.constructors import is_factory
from store.codecs.restricted.exceptions import safe_arguments
from store.codecs.restricted.globals import Global, standard
from store.codecs.restricted.limits import Budget

_GROUPS = (list, tuple, set, frozenset, collections.deque)
_SEQUENCES = (*_GROUPS, dict, str, bytes, bytearray)
_GREEDY = (*_SEQUENCES, array.array)
_PER_ITEM = 64
MAX_ENUM_VALUE = 100_000  # characters of its text: an enum quotes an unknown value in its error
_MAX_EXPONENT = 10_000  # of a Decimal that is converted to an int or a Fraction
_MAX_DIGITS = 10_000
_MAX_TEXT = 1 << 24  # characters of an object that is converted to a subclass of str
_SLOW_CODECS = ("punycode", "idna")  # take quadratic time

# Base → exact types of the single argument that its constructor accepts from a stream.
_TAKES: tuple[tuple[type, tuple[type, ...]], ...] = (
    *((base, _SEQUENCES) for base in _GROUPS),
    (dict, (dict, collections.OrderedDict, collections.Counter, collections.defaultdict, list, tuple)),
    (bytes, (bytes, bytearray)),
    (bytearray, (bytes, bytearray)),
    (str, (str,)),
    (int, (int, bool)),
    (float, (float, int)),
    (complex, (complex, float, int)),
)


def checked_arguments(
    cls: type, args: tuple[Any, ...], budget: Budget, is_class: Callable[[Any], bool]
) -> tuple[Any, ...]:
    """The arguments, checked; `is_class` recognises allowed classes. Raises: Corrupt."""
    if issubclass(cls, enum.Enum):
        _check_enum(cls, args, budget)
        return args
    if issubclass(cls, BaseException):
        args = safe_arguments(cls, args, budget)
    if _is_array(cls):
        raise does_not_fit("an array of another class")  # its memory would be uninitialised
    if not hasattr(cls, "_fields"):  # a named tuple keeps its arguments unchanged
        base = next((base for base, _ in _TAKES if issubclass(cls, base)), None)
        if base is not None and not has_own_constructor(cls):
            _check_builtin(base, cls, args, is_class)
        else:
            _check_standard(cls, args, budget)
        _check_conversions(cls, args)
        if issubclass(cls, _GREEDY):
            budget.charge(sum(map(_claimed, args)))
    budget.charge_arguments(args, walked=has_own_constructor(cls))
    return args


def has_own_constructor(cls: type) -> bool:
    """Whether a Python class defines `__new__` or `__init__`."""
    found = (next(vars(base)[name] for base in cls.__mro__ if name in vars(base)) for name in ("__new__", "__init__"))
    return any(
        isinstance(getattr(method, "__func__", method), FunctionType)
        and not _is_of_library(getattr(method, "__func__", method))
        for method in found
    )


def _is_of_library(method: Any) -> bool:
    """Whether it is a constructor of a standard type that is written in Python."""
    return method.__module__ in ("collections", "fractions", "pathlib", "pathlib._local", "ipaddress", "_pydecimal")


def _check_enum(cls: type[enum.Enum], args: tuple[Any, ...], budget: Budget) -> None:
    _require(len(args) == 1, "an enum")  # more arguments would create a new class
    budget.charge_arguments(args, walked=True)
    if issubclass(cls, enum.Flag):  # a flag keeps a member for each value it was ever called with
        _require(type(args[0]) is int and args[0].bit_length() <= max(64, *map(_bits, cls), 0), "a flag")
        budget.charge(1000)
    if shown_size(args[0]).text > MAX_ENUM_VALUE:
        raise too_much("it has a member of an enum by a value that is too large")


def _bits(member: enum.Flag) -> int:
    return member.value.bit_length() if type(member.value) is int else 0


def _check_builtin(base: type, cls: type, args: tuple[Any, ...], is_class: Callable[[Any], bool]) -> None:
    """Accept one argument of a closed list of types; a deque may have a length, a complex number two parts."""
    if issubclass(cls, collections.defaultdict):
        factory = args[0] if args else None
        _require(len(args) < 2 and (factory is None or is_factory(factory) or is_class(factory)), "a defaultdict")
        return
    if base is bytearray and len(args) == 2:  # as protocol 2 writes it
        _require(type(args[0]) is str and args[1] in ("latin-1", "latin1"), "a bytearray")
        return
    if base is collections.deque and len(args) == 2:
        _require(type(args[1]) in (int, type(None)), "a deque")
        args = args[:1]
    most = 2 if base is complex else 1
    takes = next(types for known, types in _TAKES if known is base)
    fit = all(type(arg) in takes or (base in _GROUPS and _is_array(type(arg))) for arg in args)
    _require(len(args) <= most and fit, base.__name__)


def _check_standard(cls: type, args: tuple[Any, ...], budget: Budget) -> None:
    """Check with the constructor of the standard base, if the class has no constructor of its own."""
    found = next(filter(None, (_constructed(base) for base in cls.__mro__)), None)
    if found is None:
        return
    if not has_own_constructor(cls):
        budget.charge(found.cost + (found.factor - 1) * sum(map(size_of, args)))
        found.construct(*args)  # type: ignore[operator, misc]
    elif issubclass(cls, datetime.date | datetime.time) and args and type(args[0]) in (bytes, str):
        found.construct(*args[:1])  # type: ignore[operator, misc]


def _constructed(base: type) -> Global | None:
    found = standard(base.__module__, base.__qualname__)
    if found is None or found.value is not base or not callable(found.construct) or issubclass(base, BaseException):
        return None
    return found


def _check_conversions(cls: type, args: tuple[Any, ...]) -> None:
    """Raises: Corrupt: converting the arguments would compute a large power of ten or write a large text."""
    if issubclass(cls, Rational):
        decimal: Any = getattr(sys.modules.get("decimal"), "Decimal", ())
        for arg in args:
            if isinstance(arg, decimal):
                _require(abs(arg.adjusted()) <= _MAX_EXPONENT, cls.__name__)
            elif isinstance(arg, str):
                is_power = int not in cls.__mro__ and "e" in arg.lower()
                _require(len(arg) <= _MAX_DIGITS and not is_power, cls.__name__)
    elif issubclass(cls, str):
        _require(all(type(arg) is str or shown_size(arg).text <= _MAX_TEXT for arg in args), "a text")
    elif issubclass(cls, bytes | bytearray) and len(args) > 1 and type(args[1]) is str:
        _require(args[1].lower() not in _SLOW_CODECS or size_of(args[0]) <= _MAX_DIGITS, "bytes")


def _claimed(arg: Any) -> int:
    """The memory of a builtin container made of it: all addresses of a network, an array, that many zeros."""
    if isinstance(arg, range):
        return _PER_ITEM * max(0, (arg.stop - arg.start) // arg.step)
    if hasattr(type(arg), "__array_interface__") or isinstance(arg, memoryview):
        return int(arg.nbytes) + (128 * len(arg) if arg.ndim else 0)
    if type(arg).__module__ == "ipaddress" and hasattr(type(arg), "num_addresses"):
        return 8 * _PER_ITEM * int(arg.num_addresses)
    if isinstance(arg, str | bytes | bytearray):
        return _PER_ITEM * size_of(arg)
    return arg if type(arg) is int and 0 < arg < 1 << 40 else 0


def size_of(value: Any) -> int:
    """The cost of copying or parsing a value, in bytes: 16 for any object, plus its content."""
    for kind, size in _SIZES:
        if isinstance(value, kind):
            return int(size(value))
    return 16


_SIZES: tuple[tuple[type, Any], ...] = (
    (str, lambda value: 16 + str.__len__(value)),
    (int, lambda value: 16 + int.bit_length(value) // 4),
    (bytes, lambda value: 16 + bytes.__len__(value)),
    (list, lambda value: 16 + _PER_ITEM * list.__len__(value)),
    (tuple, lambda value: 16 + _PER_ITEM * tuple.__len__(value)),
    (dict, lambda value: 16 + _PER_ITEM * dict.__len__(value)),
    (set, lambda value: 16 + _PER_ITEM * set.__len__(value)),
    (frozenset, lambda value: 16 + _PER_ITEM * frozenset.__len__(value)),
    (bytearray, lambda value: 16 + bytearray.__len__(value)),
    (collections.deque, lambda value: 16 + _PER_ITEM * collections.deque.__len__(value)),
    (memoryview, lambda value: 16 + value.nbytes),
)


def _is_array(cls: type) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and issubclass(cls, (numpy.ndarray, numpy.generic))


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise does_not_fit(what)
