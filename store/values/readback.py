"""Checks at the write that an encoded value can be decoded again.

Pickle writes some objects that it cannot read: an exception whose `__init__` takes other arguments than its `args`, a
subclass of `dict` that needs an argument. Reading back every value would double the time of a write. Therefore the
first value with an object of each class is read back, once per process, and exceptions always, since their result
depends on the arguments. If the pickle names a function of a `__reduce__` instead of the class, it is not called.
"""

from __future__ import annotations

import copyreg
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from store.classes.lookup import Lookup
from store.classes.shown import described
from store.codecs.contract import Codec, NotReadBack
from store.codecs.pickle.based import EXTENSIONS, is_pickled
from store.codecs.pickle.codec import types_in
from store.codecs.plain import same
from store.errors import NotSerializable

MOST_KNOWN = 10_000  # classes that are remembered for a codec; values of further classes are read back each time
MOST_COMPARED = 10_000  # parts of one value
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class statement made it
_PLAIN = (str, bytes, int, float, bool, type(None))
_CONTAINERS: tuple[Any, ...] = (list, tuple, dict, set, frozenset)

sound: defaultdict[tuple[str, int], set[type]] = defaultdict(set)
"""(codec, protocol) → classes that were read back in this process, or need not be."""


class ReadBack:
    """Reads back the values that one store writes. Safe across threads, which may read the same class back twice."""

    def __init__(self, lookup: Lookup, *, every: bool, mmap: bool) -> None:
        self.every = every
        self._lookup = lookup
        self._mmap = mmap

    def check(
        self,
        codec: Codec,
        value: Any,
        protocol: int,
        body: bytes,
        buffers: Sequence[memoryview] = (),
        types: set[type] | None = None,
    ) -> None:
        """Read a value back if needed. `types`: the types of its objects, if known. Raises: NotReadBack."""
        if self.every:
            self.read(codec, value, body, buffers)
        elif is_pickled(codec):
            found = types_in(value) if types is None else types
            known = sound[codec.name, protocol]
            if found is None:
                self.read(codec, value, body, buffers)
            elif not found <= known:
                self._check_types(codec, value, body, buffers, found - known, known)

    def _check_types(
        self,
        codec: Codec,
        value: Any,
        body: bytes,
        buffers: Sequence[memoryview],
        types: set[type],
        known: set[type],
    ) -> None:
        due = {cls for cls in types if EXTENSIONS or _is_named(cls, body)}
        if due:
            self.read(codec, value, body, buffers)
        if len(known) < MOST_KNOWN:
            known |= {cls for cls in due if not issubclass(cls, BaseException)}
            known |= {cls for cls in types - due if not cls.__flags__ & _HEAP_TYPE}

    def read_part(self, codec: Codec, protocol: int, part: Any) -> None:
        """Encode and read back a part of a value. Raises: NotReadBack."""
        try:
            body = codec.encode(part, protocol)
        except NotSerializable:  # as a part of the whole value it was encoded
            return
        self.read(codec, part, body, ())

    def read(self, codec: Codec, value: Any, body: bytes, buffers: Sequence[memoryview]) -> None:
        """Decode a body and compare. Raises: NotReadBack."""
        # The decoded copy must not share memory with the program's buffers.
        beside = [buffer.toreadonly() if self._mmap else memoryview(bytearray(buffer)) for buffer in buffers]
        try:
            found = codec.decode(body, beside, lookup=self._lookup)
        except MemoryError:
            raise
        except Exception as exc:
            why = exc.__cause__ if isinstance(exc.__cause__, Exception) else exc
            gone = isinstance(why, ImportError | AttributeError) and is_pickled(codec)
            if gone and _is_of_placeholders(codec, body, beside, self._lookup):
                return
            raise NotReadBack(f"can be written and not be read back ({described(why)})", why) from None
        different = _difference(value, found) if is_pickled(codec) else None
        if different is not None:
            raise NotReadBack(different)


def _is_named(cls: type, body: bytes) -> bool:
    """Whether a pickle names a class or one of its bases."""
    return any(base.__name__.encode() in body for base in cls.__mro__ if base is not object)


def _is_of_placeholders(codec: Codec, body: bytes, buffers: Sequence[memoryview], lookup: Lookup) -> bool:
    """Whether only a missing class prevents decoding: placeholders may be written again."""
    try:
        codec.decode(body, buffers, lookup=lookup.with_placeholders())
    except Exception:
        return False
    return True


# -- comparing classes and lengths; the `==` of the program is not called


def _difference(value: Any, found: Any) -> str | None:
    """The difference between a value and its round trip, also in parts of plain containers; None if equal."""
    pairs: list[tuple[Any, Any]] = [(value, found)]
    for _ in range(MOST_COMPARED):
        if not pairs:
            return None
        one, other = pairs.pop()
        different = _difference_of(one, other)
        if different is not None:
            return different
        pairs += islice(_pairs(one, other), MOST_COMPARED)
    return None


def _difference_of(value: Any, found: Any) -> str | None:
    cls, now = type(value), type(found)
    if not cls.__flags__ & _HEAP_TYPE or _says_what_it_becomes(cls):
        return None
    if _name(cls) != _name(now):  # not `is`: a codec that stores classes by value creates new ones
        # A base: its __reduce__ was inherited by mistake. Any other class is taken as intended.
        return f"would come back as {_name(now)}" if now is not object and issubclass(cls, now) else None
    if issubclass(cls, BaseException) and issubclass(now, BaseException):
        return None if _have_same_args(value, found) else "would come back with other args"
    for base in _CONTAINERS:
        if issubclass(cls, base) and issubclass(now, base):
            had, has = base.__len__(value), base.__len__(found)
            return f"would come back with {has} items instead of {had}" if has != had else None
    return None


def _says_what_it_becomes(cls: type) -> bool:
    """Whether the class itself, not a base, defines how it is pickled."""
    return "__reduce__" in vars(cls) or "__reduce_ex__" in vars(cls) or cls in copyreg.dispatch_table


def _have_same_args(value: BaseException, found: BaseException) -> bool:
    had, has = (vars(BaseException)["args"].__get__(error) for error in (value, found))
    pairs = zip(had, has, strict=False)
    return len(had) == len(has) and all(type(one) not in _PLAIN or same(one, other) for one, other in pairs)


def _pairs(value: Any, found: Any) -> Iterable[tuple[Any, Any]]:
    """Pairs of corresponding items of two plain containers, without plain data."""
    if type(value) is not type(found) or type(value) not in (list, tuple, dict) or len(value) != len(found):
        return ()
    both = zip(value.items(), found.items(), strict=True) if type(value) is dict else ((value, found),)
    return (pair for had, has in both for pair in zip(had, has, strict=True) if type(pair[0]) not in _PLAIN)


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
