"""Whether an encoded value can be decoded again, found out at the write and not at the first read.

Pickle writes much that it cannot read: an exception whose `__init__` takes something else than its `args`, a subclass
of `dict` that needs an argument. Reading back every value would double the time of a write. So the first value with
an object of a class is read back, once in a process; exceptions always, since there it depends on the arguments.
Where the pickle does not name the class, because a `__reduce__` names a function, that function is not called.
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

MOST_KNOWN = 10_000  # classes that are remembered for a codec; values of others are read back each time
MOST_COMPARED = 10_000  # parts of one value
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class statement made it
_PLAIN = (str, bytes, int, float, bool, type(None))
_CONTAINERS: tuple[Any, ...] = (list, tuple, dict, set, frozenset)

sound: defaultdict[tuple[str, int], set[type]] = defaultdict(set)
"""Codec and protocol → the classes of which a value was read back in this process, or need not be."""


class ReadBack:
    """Reads back what one store writes. Safe across threads: they may read the same class back twice."""

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
        """Reads a value back, if that is due. `types`: those of its objects, where known. Raises: NotReadBack."""
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
        """Reads a part of such a value back. Raises: NotReadBack."""
        try:
            body = codec.encode(part, protocol)
        except NotSerializable:  # as a part of the whole it was encoded
            return
        self.read(codec, part, body, ())

    def read(self, codec: Codec, value: Any, body: bytes, buffers: Sequence[memoryview]) -> None:
        """Decodes it and compares. Raises: NotReadBack."""
        # What is made of the buffers must not reach those of the program.
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
    """Whether a pickle names a class, or a base in its place."""
    return any(base.__name__.encode() in body for base in cls.__mro__ if base is not object)


def _is_of_placeholders(codec: Codec, body: bytes, buffers: Sequence[memoryview], lookup: Lookup) -> bool:
    """Whether only a class that is gone stands in the way: what was read as placeholders may be written again."""
    try:
        codec.decode(body, buffers, lookup=lookup.with_placeholders())
    except Exception:
        return False
    return True


# -- how a value that was read back differs, as far as its classes tell; the `==` of the program is not asked


def _difference(value: Any, found: Any) -> str | None:
    """What would be lost of the value itself or of a part of plain containers in it; None where nothing is."""
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
    if _name(cls) != _name(now):  # not `is`: a codec that stores classes by value makes them anew
        # A base in its place: the __reduce__ of that was inherited. What else one may make is meant to be.
        return f"would come back as {_name(now)}" if now is not object and issubclass(cls, now) else None
    if issubclass(cls, BaseException) and issubclass(now, BaseException):
        return None if _have_same_args(value, found) else "would come back with other args"
    for base in _CONTAINERS:
        if issubclass(cls, base) and issubclass(now, base):
            had, has = base.__len__(value), base.__len__(found)
            return f"would come back with {has} items instead of {had}" if has != had else None
    return None


def _says_what_it_becomes(cls: type) -> bool:
    """Whether the class itself, and no base of it, says what it comes back as."""
    return "__reduce__" in vars(cls) or "__reduce_ex__" in vars(cls) or cls in copyreg.dispatch_table


def _have_same_args(value: BaseException, found: BaseException) -> bool:
    had, has = (vars(BaseException)["args"].__get__(error) for error in (value, found))
    pairs = zip(had, has, strict=False)
    return len(had) == len(has) and all(type(one) not in _PLAIN or same(one, other) for one, other in pairs)


def _pairs(value: Any, found: Any) -> Iterable[tuple[Any, Any]]:
    """What two plain containers of a kind hold, pair by pair, less what is plain data."""
    if type(value) is not type(found) or type(value) not in (list, tuple, dict) or len(value) != len(found):
        return ()
    both = zip(value.items(), found.items(), strict=True) if type(value) is dict else ((value, found),)
    return (pair for had, has in both for pair in zip(had, has, strict=True) if type(pair[0]) not in _PLAIN)


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
