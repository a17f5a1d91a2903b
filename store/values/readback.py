"""Whether a value that was encoded can be decoded again, told at the write and not at the first read.

Pickle writes much that it cannot read: an exception whose `__init__` takes something else than its `args`, a subclass
of `dict` that needs an argument. Reading back each value would double the time of a write, so the first one that
holds an object of a class that the pickle names is read back, once in a process; exceptions always, because with them
it depends on the arguments. Where a `__reduce__` names a function in place of the class, that is not called.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from store.classes.finding import in_python_3
from store.classes.lookup import Lookup
from store.codecs import Codec
from store.codecs.not_read_back import NotReadBack
from store.codecs.pickle.globals import named_in
from store.codecs.pickle.pickled import EXTENSIONS, Pickled, described, types_in
from store.errors import NotSerializable
from store.values.differences import difference

MOST_KNOWN = 10_000  # classes that are remembered; values that name others are read back each time
# They make what only the rest of the pickle tells: a class that is stored by value, a class in a class.
_MAKERS = frozenset({b"", b"getattr", b"_make_skeleton_class", b"_make_skeleton_enum", b"_create_type"})


class Key(NamedTuple):
    """A class or function in a pickle, by the name and the module, or the modules that it may be in."""

    codec: str
    protocol: int
    name: bytes
    modules: tuple[bytes, ...]
    again: int  # another number where it was defined again


_sound: set[Key] = set()  # what was read back in this process, or need not be


class ReadBack:
    """Reads back what one store writes. Safe across threads: they may read the same class back twice."""

    def __init__(self, lookup: Lookup, *, every: bool, mmap: bool) -> None:
        self.every = every
        self._lookup = lookup
        self._mmap = mmap

    def check(self, codec: Codec, value: Any, protocol: int, body: bytes, buffers: Sequence[memoryview] = ()) -> None:
        """Reads a value back, if it is to be. Raises: NotReadBack."""
        if self.every:
            self._read(codec, value, body, buffers)
        elif isinstance(codec, Pickled):
            due = _due(codec.name, value, protocol, body)
            if due is not None:
                self._read(codec, value, body, buffers)
                _remember(due)

    def try_part(self, codec: Codec, protocol: int, part: Any) -> None:
        """Reads a part of such a value back, whatever it is. Raises: NotReadBack."""
        try:
            body = codec.encode(part, protocol)
        except NotSerializable:  # as a part of the whole it was encoded
            return
        self._read(codec, part, body, ())

    def _read(self, codec: Codec, value: Any, body: bytes, buffers: Sequence[memoryview]) -> None:
        """Decodes what is the value's. What it is made of must not reach the program's own buffers."""
        beside = [buffer.toreadonly() if self._mmap else memoryview(bytearray(buffer)) for buffer in buffers]
        try:
            found = codec.decode(body, beside, lookup=self._lookup)
        except MemoryError:
            raise
        except Exception as exc:
            why = exc.__cause__ if isinstance(exc.__cause__, Exception) else exc
            gone = isinstance(why, ImportError | AttributeError) and isinstance(codec, Pickled)
            if gone and _is_of_placeholders(codec, body, beside, self._lookup):
                return
            raise NotReadBack(f"can be written and not be read back ({described(why)})", why) from None
        different = difference(value, found) if isinstance(codec, Pickled) else None
        if different is not None:
            raise NotReadBack(different)


# -- what is to be read back


def _due(codec: str, value: Any, protocol: int, body: bytes) -> set[Key] | None:
    """None where the value need not be read back; else what need not be next time, once it was."""
    keys = _keys_of(codec, protocol, body)
    if _sound.issuperset(keys) and not EXTENSIONS:
        return None
    classes = {key: _classes_of(key, protocol) for key in keys if key not in _sound}
    if EXTENSIONS or any(_varies(key, found) for key, found in classes.items()):
        return set()
    _remember(key for key, found in classes.items() if not found)  # functions
    types = types_in(value)
    bases = None if types is None else {base for cls in types for base in cls.__mro__}
    due = {key for key, found in classes.items() if found and (bases is None or not bases.isdisjoint(found))}
    return due or None


def _remember(keys: Iterable[Key]) -> None:
    if len(_sound) < MOST_KNOWN:
        _sound.update(keys)


def _keys_of(codec: str, protocol: int, body: bytes) -> set[Key]:
    """What stands for the classes and functions that a pickle names."""
    named = named_in(body, protocol)
    modules = tuple(dict.fromkeys(each.module for each in named))
    main = vars(sys.modules["__main__"])  # where a notebook defines a class again, under its name
    return {
        Key(
            codec, protocol, each.name, (each.module,) if each.module else modules,
            id(main.get(each.name.decode("utf-8", "replace"))) if each.module == b"__main__" else 0,
        )
        for each in named
    }  # fmt: skip


def _varies(key: Key, classes: tuple[type, ...]) -> bool:
    """Whether one value that was read back says nothing of the next one: for exceptions, and what makes classes."""
    return key.name in _MAKERS or any(issubclass(cls, BaseException) for cls in classes)


def _classes_of(key: Key, protocol: int) -> tuple[type, ...]:
    """The class of that name, or those that it may be; none where it is a function's."""
    found = []
    for module in key.modules:
        where = module.decode("utf-8", "replace"), key.name.decode("utf-8", "replace")
        in_module, name = in_python_3(*where) if protocol < 3 else where
        named: Any = sys.modules.get(in_module)
        for part in name.split("."):
            named = getattr(named, part, None)
        if isinstance(named, type) and named is not object:
            found.append(named)
    return tuple(found)


def _is_of_placeholders(codec: Codec, body: bytes, buffers: Sequence[memoryview], lookup: Lookup) -> bool:
    """Whether only a class that is gone stands in the way: what was read as placeholders may be written again."""
    try:
        codec.decode(body, buffers, lookup=lookup.with_placeholders())
    except Exception:
        return False
    return True
