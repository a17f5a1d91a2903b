"""How long a value is when it is written out: what `repr`, JSON, a comparison or any plain walk would take.

A pickle can hold a list twice in a list, that one twice in the next and so on: 430 bytes are then 2 ** 40 items to
whoever writes them out. Here each object is looked at once, without running code of its class.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence
from functools import lru_cache
from types import GetSetDescriptorType, MemberDescriptorType, MethodType
from typing import Any

FAR = 1 << 62  # what is not counted to its end has this size
OBJECT = 16  # the size of any object beside what it holds

_LEAVES = frozenset({bool, type(None), float, complex})
_STEPS_PER_OBJECT, _STEPS = 8, 200_000  # of a walk through a value with cycles


def unfolded_size(value: Any, *, through_objects: bool = True) -> int:
    """The size of a value in characters or so, where what it holds several times counts as often; at most `FAR`.

    With `through_objects=False`, instances of classes count as one object, but for those of containers and
    exceptions. Takes time in proportion to the number of distinct objects.
    """
    unfolding = _Unfolding(through_objects)
    size = unfolding.size_of(value)
    if unfolding.has_cycle and size < FAR and not unfolding.ends(value):
        return FAR
    return size


class _Unfolding:
    """Sizes by identity. An object that is met inside itself counts as one, as `repr` shows it."""

    def __init__(self, through_objects: bool) -> None:
        self._through_objects = through_objects
        self._sizes: dict[int, int | None] = {}  # None: what it holds is being looked at
        self._kept: list[Any] = []  # else an id could become that of another object
        self.has_cycle = False

    def size_of(self, value: Any) -> int:
        """The size, in a loop: values nest deeper than the stack."""
        open_: list[tuple[Any, list[Any], int]] = []  # (object, what of it is left, size so far)
        size = self._begin(value, open_)
        while open_:
            item, left, so_far = open_.pop()
            so_far = min(FAR, so_far + size)
            if left:
                open_.append((item, left, so_far))
                size = self._begin(left.pop(), open_)
            else:
                self._sizes[id(item)] = size = so_far
        return size

    def _begin(self, item: Any, open_: list[tuple[Any, list[Any], int]]) -> int:
        """The size of an object that is known or holds none; else 0, and it is open from now on."""
        size = _size_of_leaf(item)
        if size:
            return size
        if id(item) in self._sizes:
            known = self._sizes[id(item)]
            self.has_cycle |= known is None
            return known or OBJECT
        parts = list(self.parts(item))
        if not parts:
            return OBJECT
        self._sizes[id(item)] = None
        self._kept += item, parts
        open_.append((item, parts[:], OBJECT))
        return 0

    def parts(self, item: Any) -> Iterable[Any]:
        """What an object holds, found without its class's code."""
        for kind, read in _CONTAINERS:
            if isinstance(item, kind):
                found = read(item)
                return found if type(item) is kind else [*found, *self._attributes(item)]
        return self._attributes(item)

    def _attributes(self, item: Any) -> Sequence[Any]:
        if isinstance(item, BaseException) or self._through_objects:
            return attributes_of(item)
        return ()

    def ends(self, value: Any) -> bool:
        """Whether a walk that knows only what it is inside of comes to its end in proportion to the objects.

        What of a cycle is looked at depends on where it is entered, so that sizes by identity can be too small.
        """
        left = _STEPS + _STEPS_PER_OBJECT * len(self._sizes)
        inside: set[int] = set()
        open_ = [(0, iter((value,)))]
        while open_:
            for item in open_[-1][1]:
                left -= 1
                if id(item) in self._sizes and id(item) not in inside:
                    inside.add(id(item))
                    open_.append((id(item), iter(list(self.parts(item)))))
                    break
            else:
                inside.discard(open_.pop()[0])
            if left < 0:
                return False
        return True


def attributes_of(item: Any) -> list[Any]:
    """The attributes of an instance, in slots, in its dict, and in the fields of the C type of an exception."""
    kind: Any = type(item)
    if isinstance(item, type | MethodType) or _is_builtin_value(kind):
        return []
    found = [value for member in _members(kind) for value in _held(member, item)]
    try:
        own = object.__getattribute__(item, "__dict__")
    except AttributeError:
        return found
    return [*found, *dict.values(own)] if isinstance(own, dict) else found


def _size_of_leaf(item: Any) -> int:
    """The size of what holds no other object; 0 for all else."""
    kind = type(item)
    if kind in _LEAVES:
        return OBJECT
    if kind is str or kind is bytes or kind is bytearray:
        return OBJECT + len(item)
    if kind is int:
        return OBJECT + int(item.bit_length()) // 3
    return 0


def _parts_of_exception(item: Any) -> list[Any]:
    return list(BaseException.args.__get__(item))  # type: ignore[attr-defined]


_CONTAINERS: tuple[tuple[type, Any], ...] = (
    (list, list.__iter__),
    (tuple, tuple.__iter__),
    (dict, lambda item: [part for pair in dict.items(item) for part in pair]),
    (set, set.__iter__),
    (frozenset, frozenset.__iter__),
    (collections.deque, collections.deque.__iter__),
    (slice, lambda item: (item.start, item.stop, item.step)),
    (BaseException, _parts_of_exception),
    (str, lambda item: (str.__str__(item),)),
    (bytes, lambda item: (bytes.__getitem__(item, slice(None)),)),
    (bytearray, lambda item: (bytearray.__getitem__(item, slice(None)),)),
)


@lru_cache(maxsize=256)
def _is_builtin_value(kind: type) -> bool:
    """Whether its instances are of the interpreter's own types, whose C fields are no data of a record."""
    return kind.__module__ == "builtins" and not issubclass(kind, BaseException)


@lru_cache(maxsize=256)
def _members(kind: Any) -> tuple[Any, ...]:
    """The slots of a class and its bases; of the C fields only those of exceptions."""
    return tuple(
        value
        for base in kind.__mro__
        for name, value in vars(base).items()
        if type(value) is MemberDescriptorType
        or (type(value) is GetSetDescriptorType and name in ("__cause__", "__context__"))
    )


def _held(member: Any, item: Any) -> tuple[Any, ...]:
    try:
        return (member.__get__(item, type(item)),)
    except (AttributeError, TypeError):
        return ()  # the slot is empty
